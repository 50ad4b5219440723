"""What ``probe`` can be asked for. No torch here: the command line reads it for its help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubcli.core.machine import parse_device, parse_precision
from dubcli.embed.config import check_chunk_rule
from dubcli.errors import UserError, one_of
from dubcli.probe.protocols import find_protocol

DATA_KINDS = ("speech", "nospeech", "nospeech-test")
SPLITS = ("all", "first")
MODALITIES = {"a": ("audio",), "v": ("video",), "av": ("audio", "video")}
"""The paper's column M: the features that heads are given, of several side by side. Each is a result of its own."""
_WORDS = {"audio": "a", "video": "v", "audio+video": "av"}


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """Options of ``probe``; saved in each result.

    Attributes:
        data: the dataset's folder (for ``all`` the folder that holds several); None looks at $DUBAV_DATA and ./data.
        out: where results go.
        features: where features are kept; None is ``out``/features.
        protocol: a name or MODULE:NAME; None is the paper's for each task.
        data_kind: ``nospeech`` is the same data after ``separate``, ``nospeech-test`` the test clips alone.
        splits: ``first`` takes one of the train and test lists of HMDB51 and UCF101, which have three.
        chunks: of features, as in EmbedConfig.
        shots: train on this many clips per class instead of on all.
        draws: times that shots are drawn.
        modalities: of MODALITIES, a result each, all on the clips that have every one of them; None is what the task is
            about, and where that is both all that the model has. ("audio", "video") is ("av",), as in earlier versions.
        allow_missing: go on without clips that are not there or damaged.
        check_leakage: compare the clips' contents across splits.
        again: compute results that are there already.
        max_steps: heads train for at most so many steps (a trial run; the protocols' own numbers are the paper's).
        seed: of heads and draws.
        preset: of the model ``random``.
        device: of features, as in EmbedConfig; heads train on the first of the devices.
        gpus: likewise.
        precision: of features, as in EmbedConfig.
        batch_size: likewise.
        fast_heads: heads' products round to bfloat16 or TF32 inside.

    Raises:
        UserError: a value that is out of range or means nothing.
    """

    data: Path | None = None
    out: Path = Path("results")
    features: Path | None = None
    protocol: str | None = None
    data_kind: str = "speech"
    splits: str = "all"
    chunks: str = "half"
    shots: tuple[int, ...] = ()
    draws: int = 5
    modalities: tuple[str, ...] | None = None
    allow_missing: bool = False
    check_leakage: bool = True
    again: bool = False
    max_steps: int | None = None
    seed: int = 0
    preset: str = "paper"
    device: str | None = None
    gpus: int | None = None
    precision: str = "auto"
    batch_size: int | None = None
    fast_heads: bool = False

    def __post_init__(self) -> None:
        if self.protocol is not None:
            find_protocol(self.protocol)
        one_of("--data-variant", self.data_kind, DATA_KINDS)
        one_of("--splits", self.splits, SPLITS)
        check_chunk_rule(self.chunks)
        if any(shots < 1 for shots in self.shots) or self.draws < 1:
            raise UserError("--shots and --draws are at least 1; give for instance --shots 1,5,10 --draws 5")
        if self.modalities is not None:
            object.__setattr__(self, "modalities", parse_modalities(self.modalities))
        if self.max_steps is not None and self.max_steps < 1:
            raise UserError(f"--max-steps is {self.max_steps}; give 1 or more")
        parse_device(self.device)
        object.__setattr__(self, "precision", parse_precision(self.precision))
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"--batch-size is {self.batch_size}; give 1 or more")
        if self.seed < 0:
            raise UserError(f"--seed is {self.seed}; give 0 or more")

    @property
    def feature_root(self) -> Path:
        """Where features are kept."""
        return self.features if self.features is not None else self.out / "features"


def parse_modalities(given: Sequence[str]) -> tuple[str, ...]:
    """Keys of MODALITIES, each once: ``a``, ``v``, ``av``, or audio, video, audio+video. Raises UserError."""
    names = [name.strip().lower() for name in given]
    names = ["av"] if names == ["audio", "video"] else [_WORDS.get(name, name) for name in names]
    if not names or not set(names) <= set(MODALITIES):
        raise UserError(f"--modality is {','.join(given)!r}; give some of a, v, av (audio, video, both side by side)")
    return tuple(dict.fromkeys(names))


def parse_shots(text: str | None) -> tuple[int, ...]:
    """``"1,5,10"`` -> (1, 5, 10). Raises UserError when it is no list of numbers."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UserError(f"--shots is {text!r}; give numbers of clips per class, as in 1,5,10") from None
