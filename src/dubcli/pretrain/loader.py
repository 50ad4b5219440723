"""Batches from the cache: JPEGs decoded and, without a GPU, augmented in worker processes; uint8 and float16 till then.

A batch is a pure function of its request, so the number of workers changes nothing but the speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from dubcli.cache.frames import decode_frames
from dubcli.cache.reader import Movie
from dubcli.core.models import FRAMES, preset_sizes
from dubcli.core.sampler import SameMovieBatchSampler
from dubcli.core.tracks import Track
from dubcli.core.transforms import (
    VideoAugmentation,
    VideoDraw,
    augment_videos,
    draw_masks,
    draw_video,
    eval_video,
    frames_at_centres,
)
from dubcli.core.variants import Variant
from dubcli.errors import InputError, UserError
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.training_films import Part

_FRAME_SIZE = (320, 180)  # of a film whose record does not say


@dataclass(frozen=True)
class Request:
    """What to load: the clips of one rank's step. ``secondary``: the track of the secondary head, if there is one."""

    epoch: int
    step: int
    clips: tuple[int, ...]
    secondary: Track | None


@dataclass
class Batch:
    """One rank's step. ``primary`` and ``secondary``: float16 (batch, 2, 96, frames), not normalised, not masked.

    ``video``: uint8 (batch, frames, 3, crop, crop), augmented; or ``clips``: decoded frames of each clip, uint8
    (frames, 3, height, width), with their ``draws``, to be augmented on the device. ``bad``: what was replaced and why.
    ``error``: why there is no batch (then the tensors are empty); a worker process cannot raise in one line.
    """

    request: Request
    primary: Tensor
    primary_masks: Tensor | None
    secondary: Tensor | None = None
    secondary_masks: Tensor | None = None
    video: Tensor | None = None
    clips: list[Tensor] = field(default_factory=list)
    draws: list[VideoDraw] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    error: str | None = None

    def pin_memory(self) -> Batch:
        """Called by the DataLoader where a GPU waits."""
        for name in ("primary", "primary_masks", "secondary", "secondary_masks", "video"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value.pin_memory())
        self.clips = [clip.pin_memory() for clip in self.clips]
        return self


class BadClip(Exception):
    """A clip's frames do not decode; the text names it."""

    @property
    def advice(self) -> str:
        """The text, and what to do where it ends the run."""
        return f"{self}; prepare that film again, or leave it out of the cache"


def decode_clip(movie: Movie, number: int, frames: int = FRAMES) -> Tensor:
    """uint8 (frames, 3, height, width). Raises BadClip that names the film, the clip and the frame.

    ``frames``: how many of the clip's 16, those on screen at the centres of equal parts.
    """
    images = movie.frame_bytes(number)
    try:
        return decode_frames([images[at] for at in frames_at_centres(frames, FRAMES)])
    except InputError as error:
        raise BadClip(f"{movie.id}: clip {number}, {error}") from None


class ClipDataset(Dataset[Batch]):
    """Loads whole batches: item = a Request. ``on_device``: leave the augmentation of frames to the GPU.

    ``frames``: of a clip, as ``decode_clip``.
    """

    def __init__(
        self, part: Part, variant: Variant, config: PretrainConfig, *, on_device: bool, frames: int = FRAMES
    ) -> None:
        self.frames = frames
        self.part, self.variant, self.seed, self.on_device = part, variant, config.run.seed, on_device
        self.sizes = preset_sizes(config.model.preset)
        self.masks = config.data.masks
        self.augmentation = VideoAugmentation(
            crop=self.sizes.crop,
            short_sides=self.sizes.short_sides,
            layers=config.data.randaugment_layers,
            magnitude=config.data.randaugment_magnitude,
            form=config.data.randaugment,
        )

    def __len__(self) -> int:
        return self.part.clips

    def batch_bytes(self, clips: int) -> int:
        """Size of a batch's tensors, by the largest frames of all films."""
        mel = self.part.movies[0].mel(self.variant.primary)
        size = sum(head != "video" for head in self.variant.heads) * mel.nbytes // len(mel)
        if self.variant.uses_video:
            crop = self.sizes.crop
            frames = [movie.meta.get("frame_size", _FRAME_SIZE) for movie in self.part.movies] if self.on_device else []
            size += self.frames * 3 * max([crop * crop] if not frames else [width * height for width, height in frames])
        return clips * size

    def __getitem__(self, request: Request) -> Batch:
        try:
            return self._load(request)
        except BadClip as error:
            text = error.advice
        except UserError as error:
            text = str(error)
        return Batch(request=request, primary=torch.empty(0), primary_masks=torch.empty(0), error=text)

    def _load(self, request: Request) -> Batch:
        bad: list[str] = []
        clips = list(request.clips)
        frames = self._frames(clips, bad) if self.variant.uses_video else []
        batch = Batch(
            request=request,
            primary=self._mels(clips, self.variant.primary),
            primary_masks=self._masks(request, clips, "primary"),
            bad=bad,
        )
        if request.secondary is not None:
            batch.secondary = self._mels(clips, request.secondary)
            batch.secondary_masks = self._masks(request, clips, "secondary")
        if frames and not self.variant.view("video").is_random:
            batch.video = torch.stack([eval_video(frame, self.sizes) for frame in frames])
        elif frames:
            draws = [
                draw_video(self.seed, request.epoch, clip, frame.shape[-2], frame.shape[-1], self.augmentation)
                for clip, frame in zip(clips, frames, strict=True)
            ]
            if self.on_device:
                batch.clips, batch.draws = frames, draws
            else:
                batch.video = augment_videos(frames, draws, self.sizes.crop)
        return batch

    def _frames(self, clips: list[int], bad: list[str]) -> list[Tensor]:
        """Decode each clip; one that does not decode is replaced in ``clips`` by the next of its film that does."""
        frames = []
        for place, clip in enumerate(clips):
            first, count = self._film_of(clip)
            for offset in range(count):
                candidate = first + (clip - first + offset) % count
                if offset and candidate in clips:
                    continue
                movie, number = self.part.locate(candidate)
                try:
                    frames.append(decode_clip(movie, number, self.frames))
                    clips[place] = candidate
                    break
                except BadClip as error:
                    bad.append(str(error))
            else:
                raise BadClip(f"no other clip of {self.part.locate(clip)[0].id} can replace it: {bad[-1]}")
        return frames

    def _film_of(self, clip: int) -> tuple[int, int]:
        ends = np.cumsum(self.part.clips_per_movie)
        movie = int(np.searchsorted(ends, clip, side="right"))
        count = self.part.clips_per_movie[movie]
        return int(ends[movie]) - count, count

    def _masks(self, request: Request, clips: list[int], head: str) -> Tensor | None:
        if not self.variant.view(head).is_random:
            return None
        return draw_masks(self.seed, request.epoch, clips, head, self.masks)

    def _mels(self, clips: list[int], track: Track) -> Tensor:
        rows = []
        for clip in clips:
            movie, number = self.part.locate(clip)
            rows.append(np.array(movie.mel(track)[number]))
        return torch.from_numpy(np.stack(rows))

    def eval_batch(
        self, clips: list[int], tracks: Sequence[Track], bad: list[str]
    ) -> tuple[list[Tensor], dict[Track, Tensor]]:
        """Decoded frames of each clip (none for audio-only variants), and float16 mels by track.

        Clips that do not decode are replaced as in training and named in ``bad``.
        """
        clips = list(clips)
        frames = self._frames(clips, bad) if self.variant.uses_video else []
        return frames, {track: self._mels(clips, track) for track in tracks}


class BlankClips(ClipDataset):
    """The same batches, shapes and types, with nothing in them: black frames and mels of zeros, none of it read."""

    def _frames(self, clips: list[int], bad: list[str]) -> list[Tensor]:
        sizes = [self.part.locate(clip)[0].meta.get("frame_size", _FRAME_SIZE) for clip in clips]
        return [torch.zeros(self.frames, 3, height, width, dtype=torch.uint8) for width, height in sizes]

    def _mels(self, clips: list[int], track: Track) -> Tensor:
        movie, number = self.part.locate(clips[0])
        shape = movie.mel(track)[number].shape
        return torch.zeros(len(clips), *shape, dtype=torch.float16)


class Requests(Sampler[Request]):
    """The steps of an epoch from ``start`` on, as requests; ``stop`` ends them early."""

    def __init__(self, sampler: SameMovieBatchSampler, variant: Variant, epoch: int, start: int, stop: int) -> None:
        self._sampler, self._variant = sampler, variant
        self._epoch, self._start, self._stop = epoch, start, stop

    def __len__(self) -> int:
        return max(0, self._stop - self._start)

    def __iter__(self) -> Iterator[Request]:
        self._sampler.set_epoch(self._epoch)
        for step in range(self._start, self._stop):
            secondary = self._variant.secondary_at(self._epoch, step)
            yield Request(self._epoch, step, tuple(self._sampler.batch(step)), secondary)
