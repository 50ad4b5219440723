"""What ``embed`` can be asked for. No torch here: the command line reads it for its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from dubcli.core.languages import parse_language
from dubcli.core.machine import parse_device, parse_precision
from dubcli.errors import UserError, did_you_mean, one_of

MODALITIES = ("audio", "video")
FORMATS = ("npy", "parquet", "npz")
POOLS = ("mean", "max", "none")
POOL_HELP = "How a file's chunks become its row: their mean (the paper's), max, or none: a row for each."
HOP_HELP = "Seconds from a chunk's start to the next one's; below 3 they overlap."
LAYER_HELP = (
    "Features of this layer inside the backbone, averaged over time and place (its dotted name, as blocks.3), in place "
    "of the backbone's output."
)
PROJECTED_HELP = (
    "The space of the contrastive loss: outputs of the projection heads (video, primary), each of length 1, in place "
    "of the backbones'."
)
CHUNK_RULES = ("half", "padded", "whole")
CHUNKS_HELP = (
    "What counts of a file beside its whole 3-second chunks (the paper does not say): half: a rest of 1.5 s or more; "
    "padded: any rest; whole: none. Sounds shorter than 3 s are filled to the next half second, by the others to 3 s."
)
"""No torch here: ``embed.chunks`` says what the rules are."""


def check_chunk_rule(rule: str) -> str:
    """The rule itself. Raises UserError where there is none of that name."""
    if rule not in CHUNK_RULES:
        raise UserError(f"--chunks is {rule!r}{did_you_mean(rule, CHUNK_RULES)}; give one of {', '.join(CHUNK_RULES)}")
    return rule


class ModelOptions(TypedDict, total=False):
    """The options of ``EmbedConfig`` that say how a model is run, as keywords of ``Embedder``."""

    device: str | None
    compile: bool | None
    precision: str
    batch_size: int | None
    seed: int
    preset: str
    layer: str
    projected: bool
    lang: str | None


def check_hop(hop_seconds: float) -> float:
    """The hop itself. Raises UserError where it is out of range."""
    if not 0.01 <= hop_seconds <= 3600:  # also where it is no number
        raise UserError(f"--hop-seconds is {hop_seconds}; give 0.01 to 3600")
    return float(hop_seconds)


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Options of ``embed``; saved in ``embed.json``.

    Attributes:
        modalities: which features to make, of those the file and the checkpoint have.
        chunks: which parts of a file that are no whole chunk count, ``half``, ``padded`` or ``whole``
            (``embed.chunks``).
        per_chunk: a row per chunk, as ``pool="none"``.
        pool: how a file's chunks become its row: ``mean``, ``max``, or ``none``: a row per chunk.
        hop_seconds: between the starts of chunks.
        layer: a layer inside the backbones in place of their output.
        projected: the projection heads' outputs, of sound by the head that was trained on the track of ``lang``.
        format: how the features are stored; ``items.csv`` and ``embed.json`` are always written.
        device: torch's name of the one to compute on; None is all GPUs, as far as the work pays for a process on each,
            else the CPU.
        gpus: at most so many GPUs; 0 is the CPU.
        batch_size: chunks at once; None is 32 clips and 128 sounds, on the CPU 4 and 8.
        compile: whether the backbones are compiled; None where the amount of work pays for it.
        precision: ``auto`` is bf16 where the device computes it natively, else fp32; or bf16, fp16, fp32.
        lang: which of a film's sound tracks, in any way of writing a language (kept as its tag); None is the main one,
            in a cache the primary one.
        seed: of the model ``random`` (the paper's RP baseline, appendix D).
        preset: its sizes.

    Raises:
        UserError: a value that is out of range or means nothing.
    """

    modalities: tuple[str, ...] = MODALITIES
    chunks: str = "half"
    per_chunk: bool = False
    pool: str = "mean"
    hop_seconds: float = 3.0
    layer: str = ""
    projected: bool = False
    format: str = "npy"
    device: str | None = None
    gpus: int | None = None
    batch_size: int | None = None
    compile: bool | None = None
    precision: str = "auto"
    lang: str | None = None
    seed: int = 0
    preset: str = "paper"

    def __post_init__(self) -> None:
        if self.lang is not None:
            object.__setattr__(self, "lang", parse_language(self.lang))
        for name in self.modalities or ("",):
            one_of("--modality", name, MODALITIES)
        one_of("--format", self.format, FORMATS)
        check_chunk_rule(self.chunks)
        one_of("--pool", self.pool, POOLS)
        if self.per_chunk and self.pool == "max":
            raise UserError("--per-chunk and --pool max contradict each other; give one of the two")
        object.__setattr__(self, "per_chunk", self.per_chunk or self.pool == "none")
        object.__setattr__(self, "pool", "none" if self.per_chunk else self.pool)
        object.__setattr__(self, "hop_seconds", check_hop(self.hop_seconds))
        if self.layer and self.projected:
            raise UserError(f"--layer {self.layer} and --projected contradict each other; give one of the two")
        parse_device(self.device)
        object.__setattr__(self, "precision", parse_precision(self.precision))
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"--batch-size is {self.batch_size}; give 1 or more")
        if self.seed < 0:
            raise UserError(f"--seed is {self.seed}; give 0 or more")
