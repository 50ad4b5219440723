"""The retrieval gallery: for a clip its frames and the nearest sounds, and the reverse, with players.

A cache holds no waveforms, so players are cut from the film itself where it can be found. Clips of the same instant in
another language are marked: with dubs in training they should be among the nearest.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Cache, Movie
from dubcli.core.checkpoint import TrainedModel, load_trained
from dubcli.core.features import SAMPLE_RATE
from dubcli.core.memory import keep_freed_memory
from dubcli.core.models import normalise_pixels, preset_sizes
from dubcli.core.transforms import eval_video, normalise_mels
from dubcli.errors import InputError, UserError
from dubcli.jobs.progress import Progress
from dubcli.media.sound import track_blocks
from dubcli.report.collect import Run
from dubcli.report.config import ReportConfig

NEAREST = 5
FRAMES_SHOWN = 4
_BATCH = 8


@dataclass(frozen=True)
class Item:
    """One clip of a film, as picture (``language`` None) or as sound."""

    movie: Movie = field(repr=False)
    clip: int
    language: str | None = None

    @property
    def caption(self) -> str:
        """Film, time and language."""
        start = self.clip * CLIP_SECONDS
        spoken = f" {self.language}" if self.language else ""
        return f"{self.movie.id.rsplit('-', 1)[0]} {start // 60}:{start % 60:02}{spoken}"

    def same_instant(self, other: Item) -> bool:
        """Whether both are the same three seconds of the same film."""
        return self.movie.id == other.movie.id and self.clip == other.clip


@dataclass
class Shown:
    """An item as the page shows it: images and a sound as data URIs."""

    caption: str
    similarity: float | None
    same: bool
    frames: list[str]
    audio: str | None


@dataclass
class Query:
    """A query and what is nearest to it."""

    direction: str
    query: Shown
    nearest: list[Shown]


def gallery(run: Run, cache: Cache, config: ReportConfig, progress: Progress) -> list[Query]:
    """Queries in both directions with a run's last checkpoint. Empty for models without video or without speech."""
    trained = load_trained(run.path)
    # as they are trained: convolutions over one axis are several times slower in torch's default order on CPUs
    trained.model.to(memory_format=torch.channels_last_3d)
    keep_freed_memory()
    if trained.model.video is None or trained.variant.primary_kind == "nospeech":
        return []
    clips = _choose(cache, run, config.gallery_clips)
    languages = trained.variant.languages
    sounds = [Item(i.movie, i.clip, lang) for i in clips for lang in languages if i.movie.has(lang)]
    progress.start("gallery", len(clips) + len(sounds), "clips")
    pictures = _embed_pictures(trained, clips, config, progress)
    heard = _embed_sounds(trained, sounds, config, progress, len(clips))
    progress.finish("gallery")
    similarity = pictures @ heard.T
    film = _Film(config.sources)
    queries = []
    step = max(1, len(clips) // max(config.gallery, 1))
    for row in list(range(step // 2, len(clips), step))[: config.gallery]:
        queries.append(_query("video -> sounds", clips[row], sounds, similarity[row], film))
        column = next(index for index, sound in enumerate(sounds) if sound.same_instant(clips[row]))
        queries.append(_query("sound -> videos", sounds[column], clips, similarity[:, column], film))
    return queries


def _choose(cache: Cache, run: Run, most: int) -> list[Item]:
    """Clips spread evenly over the films the run held out, or over all where it held out none."""
    heldout = set(run.config.get("held_out_films") or ())
    movies = [movie for movie in cache.movies if movie.id in heldout] or cache.movies
    every = [Item(movie, clip) for movie in movies for clip in range(movie.n_clips)]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
    return [every[int(index)] for index in chosen]


def _embed_pictures(trained: TrainedModel, items: Sequence[Item], config: ReportConfig, progress: Progress) -> Tensor:
    rows = []
    device = _device(config)
    model = trained.model.to(device)
    sizes = preset_sizes(trained.preset)
    for start in range(0, len(items), _BATCH):
        batch = [eval_video(_frames(item), sizes) for item in items[start : start + _BATCH]]
        pixels = normalise_pixels(torch.stack(batch).to(device)).permute(0, 2, 1, 3, 4)
        pixels = pixels.contiguous(memory_format=torch.channels_last_3d)
        with torch.no_grad():
            rows.append(model.heads["video"](model.embed_video(pixels)).cpu())
        progress.update("gallery", start + len(batch))
    return torch.nn.functional.normalize(torch.cat(rows), dim=1)


def _frames(item: Item) -> Tensor:
    """uint8 (16, 3, height, width). Raises UserError for frames that do not decode."""
    frames = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in item.movie.frame_bytes(item.clip)]
    try:
        return torch.stack([decode_jpeg(frame, mode=ImageReadMode.RGB) for frame in frames])
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{item.caption}: a frame does not decode ({reason}); prepare the film again") from None


def _embed_sounds(
    trained: TrainedModel, items: Sequence[Item], config: ReportConfig, progress: Progress, done: int
) -> Tensor:
    rows = []
    device = _device(config)
    model = trained.model.to(device)
    for start in range(0, len(items), _BATCH):
        part = items[start : start + _BATCH]
        mels = torch.from_numpy(np.stack([item.movie.mel(str(item.language))[item.clip] for item in part]))
        with torch.no_grad():
            features = model.embed_audio(normalise_mels(mels.to(device), trained.mel_mean, trained.mel_std))
            heads = ["primary" if item.language == trained.variant.primary else "secondary" for item in part]
            found = {name: model.heads[name](features).cpu() for name in set(heads)}
        rows.append(torch.stack([found[name][index] for index, name in enumerate(heads)]))
        progress.update("gallery", done + start + len(part))
    return torch.nn.functional.normalize(torch.cat(rows), dim=1)


def _device(config: ReportConfig) -> str:
    return config.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _query(direction: str, query: Item, items: Sequence[Item], similarity: Tensor, film: _Film) -> Query:
    best = torch.topk(similarity, min(NEAREST, len(items)))
    nearest = [
        _show(items[index], value, items[index].same_instant(query), film)
        for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    return Query(direction, _show(query, None, False, film), nearest)


def _show(item: Item, similarity: float | None, same: bool, film: _Film) -> Shown:
    frames = item.movie.frame_bytes(item.clip)[:: 16 // FRAMES_SHOWN] if item.language is None else []
    audio = None if item.language is None else film.player(item)
    return Shown(item.caption, similarity, same, [_uri("image/jpeg", frame) for frame in frames], audio)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


class _Film:
    """Cuts clips from the films that the cache was made from; each track is decoded once and kept short."""

    def __init__(self, sources: Iterable[Path]) -> None:
        self.sources = list(sources)
        self._kept: dict[tuple[str, str], np.ndarray | None] = {}

    def player(self, item: Item) -> str | None:
        """The clip's sound as a data URI; None where the film is not at hand."""
        key = (item.movie.id, str(item.language))
        if key not in self._kept:
            self._kept = {name: kept for name, kept in self._kept.items() if name[0] == item.movie.id}
            self._kept[key] = self._decode(item)
        sound = self._kept[key]
        if sound is None:
            return None
        first = item.clip * CLIP_SECONDS * SAMPLE_RATE
        return _encode(sound[:, first : first + CLIP_SECONDS * SAMPLE_RATE])

    def _decode(self, item: Item) -> np.ndarray | None:
        track = item.movie.tracks[str(item.language)]
        path = self._find(Path(track.get("path") or item.movie.meta["source"]["path"]))
        if path is None:
            return None
        start = item.movie.meta.get("start_seconds")
        problems: list[str] = []
        try:
            zero = None if start is None else Fraction(start)
            blocks = [block.half() for block in track_blocks(path, track.get("stream"), zero, SAMPLE_RATE, problems)]
        except InputError:
            return None
        return torch.cat(blocks, dim=1).float().numpy() if blocks else None

    def _find(self, path: Path) -> Path | None:
        for candidate in (path, *(folder / path.name for folder in self.sources)):
            if candidate.is_file():
                return candidate
        return next((hit for folder in self.sources for hit in folder.rglob(path.name)), None)


def _encode(sound: np.ndarray) -> str | None:
    """MP3 where libsndfile writes it (from 1.1), else FLAC: both play in every browser."""
    if sound.shape[1] == 0:
        return None
    content = io.BytesIO()
    kind = "MP3" if "MP3" in soundfile.available_formats() else "FLAC"
    soundfile.write(content, sound.T, SAMPLE_RATE, format=kind)
    return _uri("audio/mpeg" if kind == "MP3" else "audio/flac", content.getvalue())
