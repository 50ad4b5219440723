"""The truth of a corpus: every clip of every film in every language with all its factors, as ``labels.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.core.atomic import atomic_write
from dubcli.corpus.config import CorpusConfig
from dubcli.corpus.plan import MOODS, FilmPlan, cast_of
from dubcli.corpus.voices import Lines

FACTORS = ("place", "event", "voice", "mood", "count", "language", "words")
"""What can be asked of a clip's sound. ``voice``: who speaks, where one does; ``words``: which line comes first."""

COLUMNS = (
    "film", "split", "clip", "start_seconds", "language", "place", "event", "events", "event_seconds", "mood", "count",
    "look", "linked", "voice", "words", "text",
)  # fmt: skip
SILENT = ("voice", "mood", "language", "words")
"""Factors that a corpus without speech does not have."""


def clip_labels(plan: FilmPlan, number: int, language: str, config: CorpusConfig) -> dict[str, str]:
    """The factors of one clip's sound in one language; of those that are of speech, none where nobody speaks."""
    clip = plan.clips[number]
    labels = {"place": f"place{clip.place:02d}", "event": f"event{clip.event:02d}", "count": str(len(clip.looks))}
    if config.speech == "silent":
        return {**labels, "count": "0"}
    labels |= {"mood": MOODS[clip.mood], "language": language, "words": f"line{clip.lines[0]}"}
    if len(clip.voices) == 1:
        labels["voice"] = f"voice{cast_of(plan, config, language)[clip.voices[0]]:02d}"
    return labels


def write_labels(path: Path, plans: Iterator[tuple[FilmPlan, str]], config: CorpusConfig, lines: Lines | None) -> None:
    """``plans``: films with the name of their split."""
    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for plan, split in plans:
            writer.writerows(_rows(plan, split, config, lines))


def _rows(plan: FilmPlan, split: str, config: CorpusConfig, lines: Lines | None) -> Iterator[dict[str, object]]:
    casts = {language: cast_of(plan, config, language) for language in config.languages}
    for number, clip in enumerate(plan.clips):
        shared = {
            "film": plan.name,
            "split": split,
            "clip": number,
            "start_seconds": number * CLIP_SECONDS,
            "events": len(clip.event_seconds),
            "event_seconds": " ".join(f"{number * CLIP_SECONDS + at:.3f}" for at in clip.event_seconds),
            "look": f"look{clip.looks[0]:02d}",
            "linked": int(clip.linked),
            "place": f"place{clip.place:02d}",
            "event": f"event{clip.event:02d}",
            "count": len(clip.looks),
        }
        for language in config.languages:
            if lines is None:
                yield {**shared, "language": language, "count": 0}
                continue
            spoken = config.languages[0] if config.dubs == "same" else language
            yield {
                **shared,
                "language": language,
                "mood": MOODS[clip.mood],
                "voice": f"voice{casts[language][clip.voices[0]]:02d}",
                "words": f"line{clip.lines[0]}",
                "text": " / ".join(lines.text(line, spoken) for line in clip.lines),
            }
