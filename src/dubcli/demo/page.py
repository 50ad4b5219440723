"""The page of the demo: one scene in every language, how alike tracks are, what differs, what pictures find."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubcli.cache.clips import TrackClip
from dubcli.core.atomic import atomic_write
from dubcli.core.languages import language_name
from dubcli.core.tracks import Track
from dubcli.demo.likeness import Likeness, Placements
from dubcli.demo.summary import DemoSummary
from dubcli.jobs.progress import Progress
from dubcli.pages.charts import Chart, library
from dubcli.pages.pictures import frame_strip, mel_picture
from dubcli.pages.players import cut_players, data_uri
from dubcli.pages.shell import render, script

EXAMPLES = 3
NEAREST = 3
Truth = dict[tuple[str, int, str], dict[str, str]]


@dataclass(frozen=True)
class ShownTrack:
    """A clip's sound in one language: its picture and sound as data URIs, what the truth says, and how well it was
    found: its cosine and rank, where it was looked for. ``own``: whether it is the clip that was asked."""

    language: str
    caption: str
    mel: str
    audio: str | None
    truth: dict[str, str]
    cosine: float = 0.0
    own: bool = False


@dataclass(frozen=True)
class Example:
    """A clip's pictures, and of each language (name, rank of its own sound, the nearest sounds)."""

    caption: str
    frames: str
    found: list[tuple[str, int, list[ShownTrack]]]


def scene_of(shown: Placements) -> TrackClip:
    """The clip whose tracks are played first: in the middle of those learnt from, whatever it is."""
    clips = next(iter(shown.learnt.values())).clips
    return clips[len(clips) // 2]


def write_demo_page(summary: DemoSummary, shown: Placements, labels: Path, progress: Progress) -> None:
    """``summary.page``, one file without network. ``labels``: the corpus' truth."""
    with open(labels, newline="", encoding="utf-8") as table:
        truth = {(row["film"], int(row["clip"]), row["language"]): row for row in csv.DictReader(table)}
    scene, languages = scene_of(shown), summary.learnt[0].languages
    model, placed = list(shown.learnt.items())[-1]
    queries = _spread(len(placed.clips), EXAMPLES)
    near = {(query, language): _nearest(placed.by_pictures(language)[query].numpy(), query)
            for query in queries for language in languages}  # fmt: skip
    tracks = [_track(scene, language) for language in languages]
    tracks += [_track(placed.clips[n], language) for (_, language), (_, best) in near.items() for n, _ in best]
    sounds = cut_players(tracks, (), progress)

    def heard(clip: TrackClip, language: str, cosine: float = 0.0, *, own: bool = False) -> ShownTrack:
        item = _track(clip, language)
        mel = data_uri("image/png", mel_picture(clip.movie.mel(Track(language))[clip.clip]))
        told = truth.get((str(clip.movie.meta.get("title")), clip.clip, language), {})
        return ShownTrack(language_name(language), clip.caption, mel, sounds.get(item), told, cosine, own)

    def examples() -> Iterator[Example]:
        for query in queries:
            found = []
            for language in languages:
                rank, best = near[query, language]
                hits = [heard(placed.clips[n], language, cosine, own=n == query) for n, cosine in best]
                found.append((language_name(language), rank, hits))
            yield Example(placed.clips[query].caption, _strip(placed.clips[query], every=4), found)

    content = render(
        "dubcli.demo",
        "page.html",
        title="dubav demo: one scene, several voices",
        summary=summary,
        scene=scene,
        frames=_strip(scene, every=1),
        scene_tracks=[heard(scene, language) for language in languages],
        charts=[(group, [matrix_chart(group, one) for one in models]) for group, models in groups(summary)],
        groups=list(groups(summary)),
        name=language_name,
        examples=list(examples()),
        examples_model=model,
        library=script(library()),
    )
    with atomic_write(summary.page, "w") as file:
        file.write(content)


def groups(summary: DemoSummary) -> Iterator[tuple[str, Sequence[Likeness]]]:
    """What the two groups of films are called, and what each model makes of them."""
    yield "films it learnt from", summary.learnt
    yield "films it never saw", summary.kept


def matrix_chart(group: str, one: Likeness) -> Chart:
    """Languages by languages: how much more alike two tracks of a clip are than those of any two clips."""
    cells = [
        {
            "row": first,
            "column": second,
            "likeness": one.shared[i][j],
            "same clip": one.same[i][j],
            "other clips": one.others[i][j],
        }
        for i, first in enumerate(one.languages)
        for j, second in enumerate(one.languages)
    ]
    axis = {"type": "nominal", "title": None, "sort": None}
    encoding = {
        "x": {"field": "column", **axis, "axis": {"labelAngle": 0, "orient": "top"}},
        "y": {"field": "row", **axis},
    }
    colour = {
        "field": "likeness",
        "type": "quantitative",
        "legend": None,
        "scale": {"domain": [0, 1], "scheme": "blues"},
    }
    ink = {"condition": {"test": "datum.likeness > 0.6", "value": "white"}, "value": "#1c1c1e"}
    told = [{"field": name, "format": ".3f"} for name in ("likeness", "same clip", "other clips")]
    same, others, shared = (one.between(matrix) for matrix in (one.same, one.others, one.shared))
    return Chart(
        key=f"{one.model}, {group}".replace(",", "").replace(" ", "-"),
        title=one.model,
        description=(
            f"Between languages {shared:.2f}: the cosine of two tracks of a clip is {same:.3f} on the mean, that of "
            f"tracks of different clips {others:.3f}."
        ),
        spec={
            "data": {"values": cells},
            "width": 300,
            "height": 170,
            "encoding": encoding,
            "layer": [
                {"mark": "rect", "encoding": {"color": colour, "tooltip": told}},
                {
                    "mark": {"type": "text", "fontSize": 13},
                    "encoding": {"text": {"field": "likeness", "format": ".2f"}, "color": ink},
                },
            ],
        },
    )


def _track(clip: TrackClip, language: str) -> TrackClip:
    return TrackClip(clip.movie, clip.clip, language)


def _strip(clip: TrackClip, *, every: int) -> str:
    frames = clip.movie.frame_bytes(clip.clip)[::every]
    return data_uri("image/jpeg", frame_strip(frames, columns=min(8, len(frames)), width=160))


def _spread(count: int, wanted: int) -> list[int]:
    return [int((number + 0.5) * count / wanted) for number in range(min(wanted, count))]


def _nearest(cosines: np.ndarray, own: int) -> tuple[int, list[tuple[int, float]]]:
    """The rank of the asked clip's own sound, and the nearest sounds with their cosines."""
    order = np.argsort(-cosines, kind="stable")
    rank = 1 + int((cosines > cosines[own]).sum())
    return rank, [(int(number), float(cosines[number])) for number in order[:NEAREST]]
