"""A look at training while it runs: now and then a batch's pictures, mels and sounds, and what is near to what in it.

They go to TensorBoard beside the numbers of ``metrics.jsonl``. The step itself keeps what it had anyway; a thread makes
pictures of it while training goes on, so that only a step that is shown waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubcli.core.features import SAMPLE_RATE
from dubcli.core.models import pixels_of
from dubcli.core.tracks import FULL, Track
from dubcli.core.transforms import frames_at_centres
from dubcli.errors import first_line
from dubcli.jobs.progress import Progress
from dubcli.pretrain.run_folder import RunFolder
from dubcli.pretrain.step import Stepper
from dubcli.pretrain.training_films import Part

if TYPE_CHECKING:
    from dubcli.pretrain.loader import Batch

_EARLY = 10
_CLIPS, _SOUNDS = 8, 2
_FRAMES_SHOWN = 4
_ROW_HEIGHT, _MEL_WIDTH = 112, 280
_MATRIX_SIDE = 320
_SOUND_RATE = 24000  # to listen to; a batch's sounds at 48 kHz would be most of a run's folder


@dataclass(frozen=True)
class Sight:
    """Of a step, on the CPU. ``video``: uint8 (clips, frames, 3, crop, crop), as it went into the model. ``mels``: by
    head ln power (clips, 2, mels, frames), with their masks. ``projections``: by head (batch, dim), unit vectors."""

    step: int
    names: list[str]
    tracks: dict[str, Track]
    video: Tensor | None
    mels: dict[str, Tensor]
    projections: dict[str, Tensor]
    clips: tuple[int, ...]


class LiveView:
    """Shows every ``every``-th step, and one of the first, to the run's TensorBoard, once its folder is begun (by the
    first rank, and by no dry run). ``every`` 0: none."""

    def __init__(self, folder: RunFolder, part: Part, stepper: Stepper, progress: Progress) -> None:
        self.every = stepper.config.run.show_every
        self.folder, self.part, self.stepper, self.progress = folder, part, stepper, progress
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self._work: Future[None] | None = None
        self._complained: set[str] = set()

    @contextmanager
    def watching(self, step: int, batch: Batch) -> Iterator[None]:
        """Around a step: where it is to be shown, what it computed is kept and shown while training goes on.

        A step that comes while the last one is still being drawn is not shown.
        """
        due = self.every > 0 and self.folder.begun and (step == _EARLY or step % self.every == 0)
        shows = self.stepper.keeps = due and (self._work is None or self._work.done())
        try:
            yield
        finally:
            self.stepper.keeps = False
            kept, self.stepper.kept = self.stepper.kept, None
        if shows and kept is not None:
            self.wait()
            self._work = self._thread.submit(self._show, self.folder.board, self._sight(step, batch, *kept))

    def wait(self) -> None:
        """Until what was begun is drawn: before processes are forked, and at the end. What failed is said once."""
        work, self._work = self._work, None
        error = None if work is None else work.exception()
        if error is not None:
            self._complain("pictures of batches", f"{type(error).__name__}: {first_line(error)}")

    def close(self) -> None:
        """Draw what was begun and end the thread."""
        self.wait()
        self._thread.shutdown()

    def _complain(self, lack: str, reason: str) -> None:
        """Once for each kind of lack."""
        if lack not in self._complained:
            self._complained.add(lack)
            self.progress.message(f"TensorBoard lacks {lack}: {reason}")

    def _sight(self, step: int, batch: Batch, inputs: Any, projections: dict[str, Tensor]) -> Sight:
        video, *sounds = inputs
        clips = batch.request.clips
        heads = [head for head in self.stepper.variant.heads if head != "video"]
        tracks = dict(zip(heads, (self.stepper.variant.primary, batch.request.secondary), strict=False))
        mean, std = self.stepper.mel_mean, self.stepper.mel_std
        chosen = [] if video is None else frames_at_centres(_FRAMES_SHOWN, video.shape[2])
        return Sight(
            step=step,
            names=[self.part.name(clip) for clip in clips],
            tracks={head: track for head, track in tracks.items() if track is not None},
            video=None if video is None else pixels_of(video[:_CLIPS, :, chosen]).permute(0, 2, 1, 3, 4).cpu(),
            mels={
                head: (mels[:_CLIPS].float() * std + mean).cpu()
                for head, mels in zip(heads, sounds, strict=False)
                if mels is not None
            },
            projections={
                head: torch.nn.functional.normalize(rows.float(), dim=1).cpu() for head, rows in projections.items()
            },
            clips=tuple(clips),
        )

    def _show(self, board: Any, sight: Sight) -> None:
        board.add_image("batch", sheet(sight), sight.step, dataformats="HWC")
        for first, second in self.stepper.variant.terms:
            matrix = (sight.projections[first] @ sight.projections[second].T).numpy()
            board.add_image(f"similarity/{first}-{second}", matrix_picture(matrix), sight.step, dataformats="HWC")
        tracks = ", ".join(f"{head} {track}" for head, track in sight.tracks.items())
        rows = "\n".join(f"{place}. {name}" for place, name in enumerate(sight.names[:_CLIPS], 1))
        board.add_text("batch", f"{tracks}\n\n{rows}", sight.step)
        self._play(board, sight)
        board.flush()

    def _play(self, board: Any, sight: Sight) -> None:
        """The sounds of some of the clips as their films have them, where these are at hand."""
        from dubcli.cache.clips import TrackClip
        from dubcli.media.resample import resampled
        from dubcli.pages.players import film_sound

        for place, clip in enumerate(sight.clips[:_SOUNDS], 1):
            movie, number = self.part.locate(clip)
            for track in dict.fromkeys(sight.tracks.values()):
                if track.kind != FULL:
                    continue
                sound = film_sound(TrackClip(movie, number, track.name), ())
                if sound is None:
                    self._complain("sounds of batches", f"{movie.id}'s film is not where it was prepared from")
                else:
                    mono = resampled(sound.mean(dim=0, keepdim=True).numpy(), SAMPLE_RATE, _SOUND_RATE)
                    board.add_audio(f"sound {place}/{track}", mono, sight.step, sample_rate=_SOUND_RATE)


def sheet(sight: Sight) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3): a row per clip, its frames, then the mel of each head, as the model was given them."""
    from dubcli.pages.pictures import coloured_mel

    rows = []
    for place in range(min(_CLIPS, len(sight.names))):
        frames = () if sight.video is None else sight.video[place].permute(0, 2, 3, 1)
        parts = [_fitted(frame.numpy(), _ROW_HEIGHT) for frame in frames]
        parts += [_fitted(coloured_mel(mel[place].numpy()), _MEL_WIDTH) for mel in sight.mels.values()]
        rows.append(np.concatenate(parts, axis=1))
    return np.concatenate(rows, axis=0)


def _fitted(picture: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((width, _ROW_HEIGHT)))


def matrix_picture(cosines: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """uint8 (side, side, 3): row i, column j is the cosine of query i and target j, dark at -1 and bright at 1."""
    from dubcli.pages.pictures import in_colours

    small = in_colours((np.clip(cosines, -1, 1) + 1) / 2)
    scale = max(1, _MATRIX_SIDE // max(cosines.shape))
    return small.repeat(scale, axis=0).repeat(scale, axis=1)
