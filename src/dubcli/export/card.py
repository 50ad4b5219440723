"""The model card: what a checkpoint is, from what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from torch import nn

from dubcli import __version__
from dubcli.core.backbones import BUILT_IN, TITLES, BackboneSpec
from dubcli.core.exported import WEIGHTS_FILE, recipes_of, without_folders
from dubcli.core.models import count_parameters, preset_sizes
from dubcli.core.recipes import loader_code
from dubcli.core.results import modality_of, number, shown
from dubcli.core.tracks import FULL, KINDS
from dubcli.core.trained import TrainedModel
from dubcli.export.config import ExportConfig
from dubcli.export.metadata import metadata

_CARD = """---
{metadata}---

# {name}

Audiovisual representations learnt by contrasting films with their sound tracks and dubs: variant `{variant}`, preset
`{preset}`, after "Looking Similar, Sounding Different: Leveraging Counterfactual Cross-Modal Pairs for Audiovisual
Representation Learning" (CVPR 2024). Exported by dubcli {version}.

| part | parameters | input | output |
|---|---|---|---|
{parts}

## Use

```
dubav embed sounds/ THIS_FOLDER --out features
dubav probe esc50 THIS_FOLDER --data esc50
```

```python
import dubcli
from dubcli.embed import Embedder

trained = dubcli.from_pretrained("THIS_FOLDER")  # or OWNER/NAME on the hub
features = Embedder(trained).audio(waveforms, sample_rate)  # float32 (n, {audio_features})
backbone = dubcli.load_backbone("THIS_FOLDER", frozen=False)  # to train on
```

{needs}`dubcli.hear` gives it the HEAR API. The features are the backbones' outputs, without the projection heads.
{loader}
## Input

* Sound: {sample_rate} Hz, stereo (mono is duplicated), 3-second chunks; ln(mel + 1e-6) of 96 HTK mels, 1024-point
  windows, hop 512, minus {mel_mean:.6g}, over {mel_std:.6g}.{kind}
{video_input}

## Training

{facts}

```json
{training}
```

Content hash of the weights (sha256): `{content_hash}`
{scores}
## Limits

* It has learnt from the films it was trained on, with their casts, languages, stereotypes and licences; say which films
  those were before you pass it on, and check that you may.
* Which language is spoken is what dubs teach it to disregard: expect weaker features for telling languages apart.
* Scores depend on the probing protocol; quote them with `dubav probe`'s results files.
"""


def model_card(
    trained: TrainedModel, config: ExportConfig = ExportConfig(), scores: Sequence[dict[str, Any]] = ()
) -> str:
    """Markdown with the metadata block that model hubs read.

    ``scores``: contents of results files of ``dubav probe``.
    """
    crop = preset_sizes(trained.preset).crop
    video = trained.model.video
    sizes = trained.model.feature_sizes
    kind = trained.variant.primary.kind
    return _CARD.format(
        metadata=metadata(trained, config, scores),
        name=trained.name,
        variant=trained.variant.name,
        audio_features=sizes["audio"],
        needs=_needs(trained),
        loader=_loader(trained),
        preset=trained.preset,
        version=__version__,
        parts="\n".join(_parts(trained, crop)),
        sample_rate=trained.sample_rate,
        mel_mean=trained.mel_mean,
        mel_std=trained.mel_std,
        kind="" if kind == FULL else f" Trained on {KINDS[kind].title}s (`{KINDS[kind].made_by}`).",
        video_input="* No video backbone."
        if video is None
        else f"* Video: 16 frames per 3 seconds, centre crop {crop} x {crop}, (x / 255 - 0.45) / 0.225.",
        facts=_facts(trained),
        training=json.dumps(without_folders(trained.config), indent=2, default=str),
        content_hash=trained.content_hash,
        scores=_scores(scores),
    )


def _loader(trained: TrainedModel) -> str:
    """The same networks without this package, in Python; nothing where they are not built in."""
    recipes = recipes_of(trained)
    if not recipes:
        return ""
    return f"""
Without dubcli, in this folder:

```python
{loader_code(recipes, WEIGHTS_FILE)}
```
"""


def _facts(trained: TrainedModel) -> str:
    """What the run folder told of the training, in a sentence or two."""
    facts = trained.facts
    names = {"films": "film", "hours": "hour", "steps": "step", "processes": "process", "epochs": "epoch"}
    counts = {**facts, "epochs": trained.epochs}
    told = [f"{counts[many]:,} {one if counts[many] == 1 else many}" for many, one in names.items() if counts.get(many)]
    lines = [f"Trained on {', '.join(told)}."] if told else ["Nothing is known of its training but its options."]
    if "loss" in facts:
        lines.append(f"Last training loss: {facts['loss']:.4g}.")
    recalls = {name: value for name, value in facts.get("validation", {}).items() if name.endswith("/r@1")}
    if recalls:
        lines.append("Validation: " + ", ".join(f"{name} {value:.3f}" for name, value in recalls.items()) + ".")
    return " ".join(lines)


def _scores(scores: Sequence[dict[str, Any]]) -> str:
    if not scores:
        return ""
    rows = ["", "## Scores", "", "| task | M | metric | mean | 95 % interval | protocol |", "|---|---|---|---|---|---|"]
    for content in scores:
        interval = content.get("interval")
        bounds = f"{shown(number(interval[0]))} to {shown(number(interval[1]))}" if interval else ""
        cells = (content["task"], modality_of(content), content["metric"], shown(number(content["mean"])), bounds,
                 content["protocol"]["name"])  # fmt: skip
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*rows, ""])


def _parts(trained: TrainedModel, crop: int) -> list[str]:
    model, sizes = trained.model, trained.model.feature_sizes
    modules: dict[str, tuple[nn.Module, str]] = {"audio": (model.audio, "(batch, 2, 96, frames)")}
    if model.video is not None:
        modules["video"] = (model.video, f"(batch, 3, 16, {crop}, {crop})")
    rows: list[tuple[str, nn.Module, str, int]] = []
    for modality, (module, shape) in modules.items():
        rows.append((f"{modality} backbone {_described(model.backbones[modality])}", module, shape, sizes[modality]))
    for name, head in model.heads.items():
        features = sizes["video" if name == "video" else "audio"]
        rows.append((f"projection head {name}", head, f"(batch, {features})", model.projection.size))
    return [f"| {name} | {count_parameters(part):,} | {shape} | {size} |" for name, part, shape, size in rows]


def _needs(trained: TrainedModel) -> str:
    """What code of others it takes to build the backbones."""
    specs = trained.model.backbones.items()
    foreign = [f"`{spec.name}`" for modality, spec in specs if spec.name not in BUILT_IN[modality]]
    return f"Loading it needs the Python code of {' and '.join(foreign)}. " if foreign else ""


def _described(spec: BackboneSpec) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in spec.options.items())
    title = TITLES.get(spec.name, f"`{spec.name}`")
    return f"{title} ({options})" if options else title
