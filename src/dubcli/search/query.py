"""A query: a clip of the index by film and time, or a sound, picture or video from a disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dubcli.cache.clips import clock
from dubcli.core.checkpoint import load_trained
from dubcli.core.trained import TrainedModel
from dubcli.embed import EmbedConfig, Embedder, embed_files
from dubcli.errors import UserError, did_you_mean, first_line
from dubcli.search.config import PICTURE, SOUND, SearchConfig
from dubcli.search.index import Float, Index, IndexRow

PICTURE_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
_AT = re.compile(r"(?P<film>.+)@(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?(?P<seconds>\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class Query:
    """What is asked: a place in the space; the row of the index where it is one; words for people."""

    vector: Float
    text: str
    row: IndexRow | None = None


def read_query(text: str, index: Index, config: SearchConfig) -> Query:
    """``film@1:02:03``, or a file's name. Raises UserError that says what is not understood, with near names."""
    path = Path(text)
    if path.is_file():
        return _of_file(path, index, config)
    found = _AT.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text} is no file and no clip; give a sound, a picture, a video, or FILM@H:MM:SS of the index"
        )
    film = _film(index, found["film"])
    hours, minutes = int(found["hours"] or 0), int(found["minutes"] or 0)
    row = _clip(index, film, 3600 * hours + 60 * minutes + float(found["seconds"]), config)
    number = index.rows.index(row)
    spoken = f" {row.track}" if row.track else ""
    text = f"{row.title} {clock(row.start_seconds)} ({row.kind}{spoken})"
    return Query(np.array(index.vectors[number], np.float32), text, row)


def _film(index: Index, word: str) -> str:
    """The film that is meant: its id or title, the beginning of one of them, or a word that only one has."""
    folded = word.casefold()
    names = {
        film: (film.casefold(), title.casefold(), Path(film).stem.casefold()) for film, title in index.titles.items()
    }
    for rule in (str.__eq__, str.startswith, str.__contains__):
        films = [film for film, own in names.items() if any(rule(name, folded) for name in own)]
        if len(films) == 1:
            return films[0]
        if films:
            some = ", ".join(index.titles[film] for film in films[:5])
            raise UserError(f"{word} may be {some}; give more of the name, or the id ({films[0]})")
    raise UserError(f"no film of the index is called {word}{did_you_mean(word, index.titles.values())}")


def _clip(index: Index, film: str, at_seconds: float, config: SearchConfig) -> IndexRow:
    own = [row for row in index.rows if row.film == film]
    kind = config.by or (PICTURE if any(row.kind == PICTURE for row in own) else SOUND)
    track = _track(index, config) if kind == SOUND and index.is_of_cache else ""
    for row in own:
        if (row.kind, row.track) == (kind, track) and 0 <= at_seconds - row.start_seconds < row.seconds:
            return row
    there = ", ".join(sorted({row.track or row.kind for row in own}))
    last = clock(max(row.start_seconds + row.seconds for row in own))
    wanted = f"{kind} {track}".strip()
    raise UserError(
        f"{index.titles[film]} has no {wanted} at {clock(at_seconds)}; the index has {there} of it, up to {last}"
    )


def _track(index: Index, config: SearchConfig) -> str:
    return index.track_called(config.track or str(index.primary))


def _of_file(path: Path, index: Index, config: SearchConfig) -> Query:
    trained = index_model(index, config)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        if config.by == SOUND:
            raise UserError(f"{path} is a picture and has no sound; leave --by out")
        _require_video(trained, path)
        seen = Embedder(trained, device=config.device, projected=True).video(_still(path))
        return Query(seen[0], f"{path.name} (picture)")
    kinds = [config.by] if config.by else [PICTURE, SOUND] if trained.variant.uses_video else [SOUND]
    modalities = tuple("video" if kind == PICTURE else "audio" for kind in kinds)
    options = EmbedConfig(modalities=modalities, projected=True, lang=config.track, device=config.device)
    features = embed_files([path], trained, options)
    for kind, array in ((PICTURE, features.video), (SOUND, features.audio)):
        column = "video_chunks" if kind == PICTURE else "audio_chunks"
        if kind in kinds and array is not None and features.items[0][column]:
            chunks = int(features.items[0][column])
            mean = f", the mean of {chunks} chunks" if chunks > 1 else ""
            return Query(array[0] / np.linalg.norm(array[0]), f"{path.name} ({kind}{mean})")
    raise UserError(f"{path} cannot be asked with: {features.items[0]['reason'] or f'it has no {kinds[0]}'}")


def _require_video(trained: TrainedModel, path: Path) -> None:
    if not trained.variant.uses_video:
        raise UserError(f"{trained.name} was trained on sound alone; it cannot be asked with a picture such as {path}")


def _still(path: Path) -> np.ndarray:
    """uint8 (16, height, width, 3): a picture that stands still for a clip."""
    try:
        with Image.open(path) as opened:
            picture = np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as a picture: {first_line(error)}") from None
    return np.repeat(picture[None], 16, axis=0)


def index_model(index: Index, config: SearchConfig) -> TrainedModel:
    """The model that the index was built with. Raises UserError where it is not there, or another."""
    about = index.info["model"]
    path = config.model or about["path"]
    if not Path(path).exists():
        raise UserError(f"the model of {index.folder} ({about['name']}) is not at {path}; name it with --model")
    trained = load_trained(path)
    if trained.content_hash != about["content_hash"]:
        raise UserError(f"{index.folder} was built with another state of {about['name']} than {path} is now; build it "
                        "again, or name that checkpoint with --model")  # fmt: skip
    return trained
