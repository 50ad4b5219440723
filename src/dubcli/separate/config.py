"""What ``dubav separate`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubcli.core.languages import parse_language
from dubcli.core.machine import parse_device, parse_precision
from dubcli.errors import UserError, one_of

FORMATS = ("flac", "wav")
STEMS = ("vocals", "no_vocals")


@dataclass(frozen=True, kw_only=True)
class SeparateConfig:
    """Either the films of ``cache`` get a no-speech mel, or ``files`` become sounds in ``out``.

    Attributes:
        cache: the clip cache's folder.
        files: sound or video files, or one folder; none: the films of the cache.
        out: folder for what is made of files.
        lang: the sound track, in any way of writing a language (kept as its tag); None is each film's primary one (of a
            file its main one: ``media.sources.choose_track``).
        model: see ``bags.load_bag``.
        model_repo: folder of models instead of the hub.
        trust_models: load any Python object from its files.
        speech_stem: the model's stem that is speech; None finds it by name.
        source_root: where the films now lie.
        device: torch's name of the one to compute on; None is all GPUs, else the CPU.
        gpus: at most so many GPUs; 0 is the CPU.
        batch_size: segments at a time; None is 1 on the CPU, else 4.
        precision: see ``stream.Execution``.
        stems: what is written of ``files``; None is both of a file, and of a folder its sounds without vocals.
        file_format: likewise; None is FLAC of a file, and of a folder its sounds' own formats.

    Raises:
        UserError: values that make no sense.
    """

    cache: Path = Path("cache")
    files: tuple[Path, ...] = ()
    out: Path | None = None
    lang: str | None = None
    model: str = "mdx_extra_q"
    model_repo: Path | None = None
    trust_models: bool = False
    speech_stem: str | None = None
    source_root: Path | None = None
    device: str | None = None
    gpus: int | None = None
    batch_size: int | None = None
    precision: str = "auto"
    stems: tuple[str, ...] | None = None
    file_format: str | None = None

    def __post_init__(self) -> None:
        if self.lang is not None:
            object.__setattr__(self, "lang", parse_language(self.lang))
        parse_device(self.device)
        object.__setattr__(self, "precision", parse_precision(self.precision))
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"--batch-size is {self.batch_size}; give 1 or more")
        if self.file_format is not None:
            one_of("--format", self.file_format, FORMATS)
        for stem in self.stems or STEMS:
            one_of("--stems", stem, STEMS)
        if self.files and self.out is None:
            raise UserError("files are given but no --out DIR for what is made of them")
        if self.out is not None and not self.files:
            raise UserError("--out is for files; name some, or leave it away to add no-speech mels to the cache")
        if not self.files and (self.stems or self.file_format):
            raise UserError("--stems and --format are for files; of a cache the no-speech mels are made")
        if self.files and self.source_root is not None:
            raise UserError("--source-root is for the films of a cache; files are named themselves")

    def model_alone(self) -> SeparateConfig:
        """What a loaded model depends on; the rest as by default."""
        return SeparateConfig(
            model=self.model,
            model_repo=self.model_repo,
            trust_models=self.trust_models,
            speech_stem=self.speech_stem,
            batch_size=self.batch_size,
            precision=self.precision,
        )
