"""The map: clips of a cache in a run's contrastive space, laid out on a plane so that neighbours stay neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import torch

from dubcli.cache.clips import TrackClip
from dubcli.cache.projected import project
from dubcli.core.trained import TrainedModel
from dubcli.errors import UserError
from dubcli.pages.charts import SWITCHES, Chart, zoomable
from dubcli.view.site import Site

PICTURE = "picture"
FEWEST_POINTS = 5
_COLOURED_BY = ("film", "track", "language", "films of training")
Float = npt.NDArray[np.float32]


def choose_items(site: Site, trained: TrainedModel, most_clips: int) -> list[TrackClip]:
    """Pictures and sounds of clips that the site shows, evenly over the films: what the model was trained to place."""
    clips = [(one.movie, clip) for one in site.films.values() for clip in site.clips(one.movie)]
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(most_clips, len(clips))).round().astype(int))
    items = []
    for movie, clip in (clips[int(index)] for index in chosen):
        if trained.variant.uses_video:
            items.append(TrackClip(movie, clip))
        for track in movie.every_track:
            first, stop = movie.valid_range([track])
            if track.kind == trained.variant.primary.kind and first <= clip < stop:
                items.append(TrackClip(movie, clip, track.name))
    return items


def make_map(
    site: Site, trained: TrainedModel, held_out: Sequence[str], device: torch.device, done: Callable[[int], None]
) -> Chart:
    """The chart of the site's clips in the space of ``trained``; a point is a picture or a sound.

    ``held_out``: ids of the films that the run was not trained on. Raises UserError for a model and a cache that have
    nothing in common, and as ``project``.
    """
    items = choose_items(site, trained, site.config.map_clips)
    if len(items) < FEWEST_POINTS:
        raise UserError(f"{len(items)} pictures and sounds are too few for a map; give more --clips, or --no-map")
    placed = project(trained, items, device, done).numpy()
    xs, method = lay_out_on_plane(placed, site.config.seed)
    points = [_point(site, item, at, held_out) for item, at in zip(items, xs.tolist(), strict=True)]
    description = (
        f"{len(items)} pictures and sounds of {len({item.movie.id for item in items})} films as {trained.name} places "
        f"them, laid out by {method}; near points are alike, distances between far ones say little."
    )
    return Chart("map", "Clips in the model's space", description, _spec(points))


def lay_out_on_plane(rows: Float, seed: int) -> tuple[Float, str]:
    """(n, 2) places of unit rows (n, dim), and the method: UMAP where it is installed, else t-SNE; a function of seed.

    Cosine distances, as the model was trained with.
    """
    neighbours = max(2, min(15, len(rows) // 3))
    try:
        import umap
    except ImportError:
        from sklearn.manifold import TSNE

        layout = TSNE(metric="cosine", init="random", perplexity=neighbours, random_state=seed)
        return layout.fit_transform(rows).astype(np.float32), "t-SNE"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed leaves one thread
        layout = umap.UMAP(metric="cosine", n_neighbors=neighbours, random_state=seed)
        return np.asarray(layout.fit_transform(rows), np.float32), "UMAP"


def _point(site: Site, item: TrackClip, at: Sequence[float], held_out: Sequence[str]) -> dict[str, Any]:
    film = site.films[item.movie.id]
    page = site.clips(item.movie).index(item.clip) // site.clips_a_page + 1
    folder = f"films/{quote(item.movie.id)}"
    track = item.language or PICTURE
    return {
        "x": at[0],
        "y": at[1],
        "film": film.title,
        "track": track,
        "language": track.split("-")[0],
        "films of training": "held out" if item.movie.id in held_out else "trained on",
        "time": item.clock,
        "image": f"{folder}/clip-{item.clip:06}.jpg",
        "href": f"{folder}/page-{page}.html#c{item.clip}",
    }


def _spec(points: list[dict[str, Any]]) -> dict[str, Any]:
    choice = {"input": "select", "options": list(_COLOURED_BY), "name": "coloured by "}
    return {
        "data": {"values": points},
        "height": 560,
        "params": [
            {"name": "colour", "value": "track", "bind": choice},
            zoomable(),
            SWITCHES,
        ],
        "transform": [{"calculate": "datum[colour]", "as": "group"}],
        "mark": {"type": "point", "filled": True, "size": 45, "cursor": "pointer"},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "axis": None, "scale": {"zero": False}},
            "y": {"field": "y", "type": "quantitative", "axis": None, "scale": {"zero": False}},
            "color": {"field": "group", "type": "nominal", "title": None, "scale": {"scheme": "tableau20"}},
            "shape": {"field": "group", "type": "nominal", "title": None},
            "opacity": {"condition": {"test": "indexof(hidden, datum.group) < 0", "value": 0.85}, "value": 0.06},
            "href": {"field": "href", "type": "nominal"},
            "tooltip": [{"field": name, "type": "nominal"} for name in ("film", "time", "track", "image")],
        },
    }
