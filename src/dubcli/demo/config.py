"""What the walk can be told. No torch, no numpy here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.corpus.config import CorpusConfig
from dubcli.errors import UserError

FOLDER = Path("demo")
"""Where it goes unless told otherwise."""


def demo_corpus(films: int = 18, heldout: int = 36, minutes: float = 0.5, seed: int = 0) -> CorpusConfig:
    """The corpus of the demo: films to learn from and, of ``heldout`` more, sounds to be asked about.

    Dubs are cast freely (``casting``): what the original's voices tell does not carry over to the other languages.

    Args:
        films: to learn from.
        heldout: more films, of which only sounds are made.
        minutes: of each film.
        seed: same seed, same films.

    Returns:
        The corpus' options.

    Raises:
        UserError: numbers that make no films.

    >>> demo_corpus(films=8).casting
    'any'
    """
    return CorpusConfig(films=films, heldout=heldout, minutes=minutes, seed=seed, casting="any")


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The walk: corpus, prep, pretrain, what the models make of the tracks, probe, one page.

    Attributes:
        out: folder of all of it.
        corpus: the films.
        variants: of pretraining; the last two are compared with each other.
        factors: of ``corpus.truth.FACTORS``, which heads are asked about.
        preset: sizes of the models.
        audio_backbone: a sound network that learns in so few steps, and its options as TOML.
        video_backbone: likewise for pictures.
        short_side: of the pictures that are kept, in pixels: enough for the preset's crop.
        steps: of each pretraining.
        batch_size: clips in a step.
        k: clips of one film side by side in a batch.
        learning_rate: AdamW's highest.
        kept_share: of the films, kept from training.
        shown_clips: at most so many clips of the films that were learnt from, and of those that were kept, are placed
            by each model.
        seed: of training.
        workers: processes of prep; None is one per core.

    Raises:
        UserError: less than one step, fewer than four films, or less than ten held-out ones.
    """

    out: Path = FOLDER
    corpus: CorpusConfig = field(default_factory=demo_corpus)
    variants: tuple[str, ...] = ("mono", "efj")
    factors: tuple[str, ...] = ("place", "event", "voice", "language")
    preset: str = "micro"
    audio_backbone: tuple[str, str] = ("dubcli.core.plain:PlainSounds", "width=16")
    video_backbone: str = "dubcli.core.plain:PlainPictures"
    short_side: int = 72
    steps: int = 200
    batch_size: int = 32
    k: int = 8
    learning_rate: float = 2e-3
    kept_share: float = 0.25
    shown_clips: int = 160
    seed: int = 0
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"--steps is {self.steps}; give 1 or more")
        if self.corpus.films < 4:
            raise UserError(
                f"--films is {self.corpus.films}; give 4 or more, of which one in four is kept from training"
            )
        if self.corpus.heldout < 6:
            raise UserError(
                f"--heldout is {self.corpus.heldout}; give 6 or more: they are parted into train, valid and test"
            )

    @property
    def clips_a_step(self) -> int:
        """``batch_size``, or half of the clips that are learnt from where these are fewer: some films lack a dub."""
        learnt = self.corpus.clips * (self.corpus.films - round(self.corpus.films * self.kept_share))
        return max(2, min(self.batch_size, learnt // 2))

    @property
    def recipe(self) -> dict[str, Any]:
        """What the demo's results depend on, by the options' names; a folder holds one."""
        made = {name: value for name, value in vars(self).items() if name not in ("out", "workers", "corpus")}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in made.items()}
        of_corpus = {**self.corpus.recipe(), "languages": list(self.corpus.languages)}
        return {"films": self.corpus.films, "heldout": self.corpus.heldout, **of_corpus, **plain}
