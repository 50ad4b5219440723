"""The model card: what a checkpoint is, from what it says of itself."""

from __future__ import annotations

import json
from typing import Any

from dubcli import __version__
from dubcli.core.checkpoint import TrainedModel
from dubcli.core.models import count_parameters, preset_sizes

_CARD = """---
library_name: dubcli
tags: [audio, video, self-supervised, contrastive, dubbing]
---

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
from dubcli.embed import Embedder
features = Embedder("THIS_FOLDER").audio(waveforms, sample_rate)   # float32 (n, 1024)
```

`dubcli.hear` gives it the HEAR API. The features are the backbones' 1024 outputs, without the projection heads.

## Input

* Sound: {sample_rate} Hz, stereo (mono is duplicated), 3-second chunks; ln(mel + 1e-6) of 96 HTK mels, 1024-point
  windows, hop 512, minus {mel_mean:.6g}, over {mel_std:.6g}.{nospeech}
{video_input}

## Training

```json
{training}
```

Content hash of the weights (sha256): `{content_hash}`

## Limits

* It has learnt from the films it was trained on, with their casts, languages, stereotypes and licences; say which films
  those were before you pass it on, and check that you may.
* Which language is spoken is what dubs teach it to disregard: expect weaker features for telling languages apart.
* Scores depend on the probing protocol; quote them with `dubav probe`'s results files.
"""


def model_card(trained: TrainedModel) -> str:
    """Markdown with the metadata block that model hubs read."""
    crop = preset_sizes(trained.preset).crop
    video = trained.model.video
    nospeech = " Trained on sound without speech (`dubav separate`)."
    return _CARD.format(
        name=trained.name,
        variant=trained.variant.name,
        preset=trained.preset,
        version=__version__,
        parts="\n".join(_parts(trained, crop)),
        sample_rate=trained.sample_rate,
        mel_mean=trained.mel_mean,
        mel_std=trained.mel_std,
        nospeech=nospeech if trained.variant.primary_kind == "nospeech" else "",
        video_input="* No video backbone."
        if video is None
        else f"* Video: 16 frames per 3 seconds, centre crop {crop} x {crop}, (x / 255 - 0.45) / 0.225.",
        training=json.dumps(trained.config, indent=2, default=str),
        content_hash=trained.content_hash,
    )


def _parts(trained: TrainedModel, crop: int) -> list[str]:
    rows: list[tuple[str, Any, str, int]] = [
        ("Acoustic ResNet-50", trained.model.audio, "(batch, 2, frames, 1, 96)", 1024)
    ]
    if trained.model.video is not None:
        rows.append(("X3D", trained.model.video, f"(batch, 3, 16, {crop}, {crop})", 1024))
    rows += [(f"projection head {name}", head, "(batch, 1024)", 128) for name, head in trained.model.heads.items()]
    return [f"| {name} | {count_parameters(part):,} | {shape} | {size} |" for name, part, shape, size in rows]
