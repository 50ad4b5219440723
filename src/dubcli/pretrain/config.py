"""What ``dubav pretrain`` can be told. What the paper says (section 3.4) is the default.

Where the paper leaves something open the reading is an option too: ``core/readings.py`` lists them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json
from dubcli.core.languages import check_languages
from dubcli.core.machine import PRECISION_HELP, parse_precision
from dubcli.core.presets import (
    DECAYS,
    MIN_TEMPERATURE,
    NEGATIVES,
    PROJECTION_NORMS,
    RANDAUGMENTS,
    SAMPLINGS,
    Negatives,
    preset_sizes,
)  # fmt: skip
from dubcli.core.toml import parse_toml, read_toml
from dubcli.errors import UserError, did_you_mean, one_of

OWN_FILMS = "own"


def option(default: Any, help: str, *, result: bool = True) -> Any:
    """A field with its help. ``result`` False: it changes how fast or where, not what is learnt."""
    return field(default=default, metadata={"help": help, "result": result})


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Options that belong together. Raises UserError on values that make no sense."""

    def _require(self, name: str, holds: bool, what_to_do: str) -> None:
        if not holds:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)}; {what_to_do}")

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            self._require(name, getattr(self, name) >= least, f"give {least} or more")

    def _one_of(self, name: str, known: Sequence[str]) -> None:
        one_of(f"--{name.replace('_', '-')}", getattr(self, name), known)


@dataclass(frozen=True, kw_only=True)
class DataConfig(_Part):
    """Which clips a model sees, in which company, and how they are augmented."""

    variant: str = option(
        "efj", "mono, es, fr, ja, efj, sep, ns, a, a-efj, any list: multi:de,it, multi:all; MODULE:FUNCTION."
    )
    cache: str = option("cache", "The clip cache's folder.", result=False)
    k: int = option(12, "Clips of one movie side by side in a batch (paper: 12 per GPU).")
    sampling: str = option(
        "groups", "groups: batches of whole groups of k; one-film: k clips of one movie, the rest of any others."
    )
    mask_time_frames: int = option(70, "Widest time mask, in mel frames (the paper gives only its rate).")
    mask_mel_bins: int = option(24, "Widest frequency mask, in mel bins (the paper gives only its rate).")
    mask_probability: float = option(0.5, "How often each mask is applied (paper: 0.5).")
    masks: int = option(1, "Masks along each axis (the paper does not say).")
    randaugment: str = option(
        "torchvision",
        "Whose scale: torchvision (levels of 30), or pytorchvideo (of 10, with its probability 0.5 and noise).",
    )
    randaugment_layers: int = option(1, "RandAugment's layers, one draw per clip (paper: 1).")
    randaugment_magnitude: int = option(9, "RandAugment's magnitude (paper: 9).")
    films_with: str = option(
        "",
        "Train on films that have these languages (es,fr), or own: what the variant needs. [default: all of the "
        "cache's, so that variants train on the same]",
    )
    val_fraction: float = option(-1.0, "Share of films held out; -1 is 0.05 where there are 20 films, else none.")
    val_clips: int = option(1024, "At most so many held-out clips are used, evenly spaced.")
    max_bad_clips: int = option(
        100, "Clips whose frames do not decode are replaced and named; more of them stop the run."
    )
    loader_workers: int = option(-1, "Processes that read and decode; -1 chooses by the cores.", result=False)

    def __post_init__(self) -> None:
        self._at_least(1, "k", "masks")
        self._one_of("randaugment", tuple(RANDAUGMENTS))
        highest = RANDAUGMENTS[self.randaugment]
        self._require(
            "randaugment_magnitude",
            0 <= self.randaugment_magnitude <= highest,
            f"of {self.randaugment} give 0 to {highest}",
        )
        self._at_least(0, "mask_time_frames", "mask_mel_bins", "randaugment_layers", "max_bad_clips")
        if self.films_with not in ("", OWN_FILMS):  # one spelling, so that the same films compare equal
            languages = check_languages(tuple(filter(None, self.films_with.split(","))), "--films-with")
            object.__setattr__(self, "films_with", ",".join(sorted(languages)))
        self._one_of("sampling", SAMPLINGS)
        self._require("mask_probability", 0 <= self.mask_probability <= 1, "give 0 to 1")
        self._require("val_fraction", self.val_fraction == -1 or 0 <= self.val_fraction < 1, "give 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(_Part):
    """What learns."""

    preset: str = option("paper", "Sizes of the models: paper, small, tiny or micro.")
    audio_backbone: str = option(
        "acoustic_resnet50", "acoustic_resnet50 (the paper's), resnet18, efficientnet_b0, or your own: MODULE:CALLABLE."
    )
    audio_backbone_options: str = option("", "Its options: width=512, norm='layer' (as TOML), or a JSON object.")
    video_backbone: str = option("x3d_m", "x3d_m (the paper's), r2plus1d_18, mvit_v2_s, or your own: MODULE:CALLABLE.")
    video_backbone_options: str = option("", "Its options, likewise.")
    projection_norm: str = option(
        "batch", "Of the projection heads' hidden layer: batch (BatchNorm, as SimCLR) or none (the paper does not say)."
    )
    projection_hidden: int = option(512, "Units of the projection heads' hidden layer (the paper does not say).")
    projection_size: int = option(128, "Numbers that the projection heads give (the paper does not say).")
    dropout: float = option(0.0, "Dropout before the backbones' last layer (not in the paper).")
    sync_bn: bool = option(
        False, "BatchNorm statistics over all processes (the paper does not say). Compiled models are then in pieces."
    )

    def __post_init__(self) -> None:
        preset_sizes(self.preset)
        for modality in ("audio", "video"):  # one spelling, so that the same options compare equal
            values = self.backbone_options(modality)
            text = json.dumps(values, sort_keys=True) if values else ""
            object.__setattr__(self, f"{modality}_backbone_options", text)
        self._require("dropout", 0 <= self.dropout < 1, "give 0 to below 1")
        self._one_of("projection_norm", PROJECTION_NORMS)
        self._at_least(1, "projection_hidden", "projection_size")

    def backbone_options(self, modality: str) -> dict[str, Any]:
        """What ``--audio-backbone-options`` or ``--video-backbone-options`` says. Raises UserError."""
        return parse_options(getattr(self, f"{modality}_backbone_options"), f"--{modality}-backbone-options")


@dataclass(frozen=True, kw_only=True)
class LossConfig(_Part):
    """What is minimised: NT-Xent (paper Eq. 1) of each pair of views."""

    temperature: float = option(0.1, "NT-Xent's temperature (not in the paper; SimCLR's usual 0.1).")
    negatives: Negatives = option(  # noqa: RUF009
        "both", "both: the 2N-1 others (Eq. 1 read literally); cross: the other modality only."
    )
    local_negatives: bool = option(False, "Negatives of the own process only, not gathered from all.")

    def __post_init__(self) -> None:
        self._require("temperature", self.temperature >= MIN_TEMPERATURE, f"give {MIN_TEMPERATURE} or more")
        self._one_of("negatives", NEGATIVES)


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig(_Part):
    """How it is minimised: the steps' size and number, AdamW and its schedule."""

    epochs: int = option(10, "Epochs (paper: 10).")
    max_steps: int = option(0, "Stop after so many steps; 0 is all epochs. The schedule is that of these steps.")
    batch_size: int = option(26, "Clips per process and forward pass (paper: 26 per GPU).")
    accumulate: int = option(1, "Forward passes per step, with the exact gradient of the one large batch.")
    learning_rate: float = option(1e-3, "AdamW's highest learning rate (paper: 0.001).")
    weight_decay: float = option(0.05, "AdamW's weight decay (paper: 0.05).")
    decay: str = option("all", "What decays: all weights, or only weights: those of layers, not biases and norms.")
    beta1: float = option(0.9, "AdamW's first beta (paper: 0.9).")
    beta2: float = option(0.999, "AdamW's second beta (paper: 0.999).")
    warmup_epochs: float = option(0.5, "Linear warm-up before the cosine, in epochs (paper: half an epoch).")
    clip_gradient: float = option(0.0, "Largest norm of the gradient; 0 is no limit (the paper names none).")

    def __post_init__(self) -> None:
        self._at_least(1, "epochs", "batch_size", "accumulate")
        self._at_least(0, "max_steps", "weight_decay", "warmup_epochs", "clip_gradient")
        self._require("learning_rate", self.learning_rate > 0, "give more than 0")
        self._one_of("decay", DECAYS)
        if self.clips_per_step < 2:
            raise UserError("--batch-size is 1: a single clip has no negatives; give 2 or more")

    @property
    def clips_per_step(self) -> int:
        """Of one process: ``batch_size`` in each of its forward passes."""
        return self.batch_size * self.accumulate

    def total_steps(self, epoch_steps: int) -> int:
        """Of the run, whose epochs have so many."""
        everything = self.epochs * epoch_steps
        return min(self.max_steps, everything) if self.max_steps else everything

    def warmup_steps(self, epoch_steps: int) -> int:
        """At least one, at most half of all."""
        return max(1, min(round(self.warmup_epochs * epoch_steps), self.total_steps(epoch_steps) // 2))


@dataclass(frozen=True, kw_only=True)
class RunConfig(_Part):
    """Where and how it runs, and what is kept of it."""

    out: str = option("", "The run's folder. [default: runs/VARIANT]", result=False)
    seed: int = option(0, "Seed of weights, order and augmentation.")
    precision: str = option("auto", PRECISION_HELP)
    deterministic: bool = option(False, "Kernels that give the same bits each time, on GPUs too; slower there.")
    compile: bool | None = option(None, "Compile the model first. [default: on CUDA, where it can be]", result=False)
    save_every: int = option(
        0, "Steps between checkpoints beside those at each epoch; 0 is by minutes only.", result=False
    )
    save_minutes: float = option(10.0, "Minutes between checkpoints.", result=False)
    keep: int = option(0, "Keep the last so many epoch-NN.pt; 0 keeps all.", result=False)
    log_every: int = option(10, "Steps between lines in metrics.jsonl.", result=False)
    show_every: int = option(
        1000, "Steps between pictures and sounds of a batch in TensorBoard; 0: none.", result=False
    )
    wandb: str = option("", "Log to this Weights & Biases project too (the wandb extra).", result=False)

    def __post_init__(self) -> None:
        self._at_least(1, "log_every")
        self._at_least(0, "seed", "save_every", "keep", "show_every")
        object.__setattr__(self, "precision", parse_precision(self.precision))


@dataclass(frozen=True, init=False)
class PretrainConfig:
    """One training run, in parts.

    It is made of parts, of options by their names, or of both, the options over the parts:
    ``PretrainConfig(variant="es", batch_size=8)``, ``PretrainConfig(loss=LossConfig(temperature=0.07), seed=3)``.
    Names are unique over the parts: on the command line, in TOML files, ``config.json`` and checkpoints the options
    stand side by side.

    Attributes:
        data: which clips, in which company, how augmented.
        model: what learns.
        loss: what it is taught by.
        optimisation: how fast and how long.
        run: where it is kept, what is shown and saved, the seed.

    Raises:
        UserError: values that make no sense.
        TypeError: an option that there is not; the text has names near it.
    """

    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    optimisation: OptimisationConfig
    run: RunConfig

    def __init__(
        self,
        *,
        data: DataConfig | None = None,
        model: ModelConfig | None = None,
        loss: LossConfig | None = None,
        optimisation: OptimisationConfig | None = None,
        run: RunConfig | None = None,
        **options: Any,
    ) -> None:
        unknown = next((name for name in options if name not in OPTIONS), None)
        if unknown is not None:
            raise TypeError(f"PretrainConfig has no option {unknown!r}{did_you_mean(unknown, OPTIONS)}")
        given = {"data": data, "model": model, "loss": loss, "optimisation": optimisation, "run": run}
        for name, kind in PARTS.items():
            own = {f.name: options[f.name] for f in fields(kind) if f.name in options}
            object.__setattr__(self, name, replace(given[name] or kind(), **own))

    @property
    def folder(self) -> Path:
        """The run's folder: as asked, else ``runs/<variant>``."""
        return Path(self.run.out or f"runs/{self.data.variant.replace(':', '-').replace(',', '-')}")

    def to_dict(self) -> dict[str, Any]:
        """All options by their names, plain values: as in ``config.json`` and in checkpoints, and to be given again."""
        return {name: value for part in asdict(self).values() for name, value in part.items()}

    def changed(self, **options: Any) -> PretrainConfig:
        """The same run with other values of some options."""
        return PretrainConfig(**self.to_dict() | options)

    def results(self) -> dict[str, Any]:
        """The options that decide what is learnt: a run that goes on must have the same."""
        return {name: value for name, value in self.to_dict().items() if OPTIONS[name].metadata["result"]}


PARTS: dict[str, type[_Part]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "loss": LossConfig,
    "optimisation": OptimisationConfig,
    "run": RunConfig,
}
OPTIONS: dict[str, Field[Any]] = {f.name: f for part in PARTS.values() for f in fields(part)}  # by name, of all parts


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Processes: on GPUs of this machine, on several machines, or on the CPU.

    Attributes:
        gpus: of this machine, a process on each; None: all there are; 0: the CPU.
        procs: processes on the CPU.
        nnodes: machines.
        node_rank: this one's number, from 0.
        rdzv_endpoint: HOST:PORT where they meet.
        max_restarts: of a group of processes of which one died.

    Raises:
        UserError: values that make no sense together.
    """

    gpus: int | None = None  # None: all there are
    procs: int = 1
    nnodes: int = 1
    node_rank: int = 0
    rdzv_endpoint: str | None = None
    max_restarts: int = 3

    def __post_init__(self) -> None:
        if (self.gpus is not None and self.gpus < 0) or self.procs < 1 or self.nnodes < 1:
            raise UserError("--gpus is 0 or more, --procs and --nnodes are 1 or more")
        if self.procs > 1 and self.gpus:
            raise UserError("--procs is for the CPU: give --gpus 0 --procs N, or --gpus N alone")
        if self.nnodes > 1 and self.rdzv_endpoint is None:
            raise UserError("--nnodes needs --rdzv-endpoint HOST:PORT of the first node")


LAUNCH: dict[str, type] = {"gpus": int, "procs": int, "nnodes": int, "node_rank": int, "rdzv_endpoint": str,
                           "max_restarts": int}  # fmt: skip
"""Options of ``LaunchConfig``, and what a TOML file has for them."""


def resolve(toml: Path | None, given: Mapping[str, Any]) -> tuple[PretrainConfig, LaunchConfig]:
    """The command line's options (None: not given) over those of a TOML file over the defaults. Raises UserError."""
    values = {} if toml is None else _asked_in_file(toml)
    kinds = {name: bool if field.default is None else type(field.default) for name, field in OPTIONS.items()} | LAUNCH
    for name, value in values.items():
        if name not in kinds:
            near = did_you_mean(name, kinds)
            raise UserError(f"{toml}: unknown option {name}{near}; there are {', '.join(kinds)}")
        kind = kinds[name]
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise UserError(f"{toml}: {name} is {value!r}; give {_EXAMPLES[kind]}")
    values |= {name: value for name, value in given.items() if value is not None}
    launch = {name: values.pop(name) for name in LAUNCH if name in values}
    return PretrainConfig(**values), LaunchConfig(**launch)


_EXAMPLES = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}


def parse_options(text: str, asked: str) -> dict[str, Any]:
    """``width=512, norm="layer"`` (what may stand between the braces of a TOML table) or a JSON object -> a dict.

    ``asked``: whose value it is, for errors. Raises UserError.
    """
    if not text.strip():
        return {}
    try:
        if text.lstrip().startswith("{"):
            found = json.loads(text)
        else:
            found = parse_toml(f"options = {{ {text} }}")["options"]
            json.dumps(found)
    except (ValueError, TypeError) as error:  # of both parsers; dates are TOML and no JSON
        raise UserError(f"{asked} is {text!r}: {error}; give width=512, name='text', or a JSON object") from None
    return dict(found)


def _asked_in_file(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".json":
        return _asked_in_run(path)
    values = read_toml(path, "a file of options, with lines such as batch-size = 8")
    found = {name.replace("-", "_"): value for name, value in values.items()}
    tables = ("audio_backbone_options", "video_backbone_options")
    return {name: json.dumps(v) if name in tables and isinstance(v, dict) else v for name, v in found.items()}


def _asked_in_run(path: Path) -> dict[str, Any]:
    """The options in a run's ``config.json``, which records facts of the run beside them."""
    values = read_json(path)
    if not isinstance(values, dict) or not {"variant", "world_size"} <= set(values):
        raise UserError(f"{path} is no run's config.json; give that or a TOML file with lines such as batch-size = 8")
    return {name: value for name, value in values.items() if name in OPTIONS and value is not None}
