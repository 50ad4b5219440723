"""Which decoder a film's pictures come from: a GPU's where it gives the CPU's pictures, and sooner, else the CPU."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import av
import av.error
import numpy as np

from dubcli.core.machine import gpu_count, has_nvidia_driver
from dubcli.errors import UserError
from dubcli.jobs.devices import locks_of_this_machine, take_least_used
from dubcli.media import nvdec
from dubcli.media.jpeg import planar
from dubcli.media.nvdec import GpuDecodeError, unsupported, why_not
from dubcli.media.picture import decode_pictures
from dubcli.media.streams import MediaInfo, open_media

# A GPU's decoder serves that many films at once; with "auto" the workers beyond them use the cores that this leaves.
_FILMS_PER_GPU = 8
# Before a film is trusted to a GPU, so many pictures at these parts of it are decoded by both and compared.
_SAMPLED_PICTURES = 12
_SAMPLED_PARTS = (0.0, 0.35, 0.7)


@dataclass(frozen=True, kw_only=True)
class DecoderChoice:
    """``device``: the GPU's number, None for the CPU. ``note``: why not a GPU, where one was thought of."""

    device: int | None = None
    note: str | None = None

    def to_json(self) -> dict[str, str]:
        """For ``movie.json`` and the log."""
        name = "cpu" if self.device is None else f"cuda:{self.device}"
        return {"decoder": name} | ({"decoder_note": self.note} if self.note else {})


def require_decoder(asked: str) -> None:
    """Raises UserError where ``cuda`` is asked for and no GPU of this machine decodes."""
    if asked != "cuda":
        return
    reasons = [why_not(device) for device in range(_gpu_count())]
    if not reasons:
        raise UserError("--decoder cuda: this machine has no GPU that torch can use; give cpu, or leave it away")
    if all(reasons):
        raise UserError(f"--decoder cuda: {reasons[0]}; give cpu, or leave it away")


@contextmanager
def decoder_for(asked: str, info: MediaInfo, threads: int) -> Iterator[DecoderChoice]:
    """The decoder for one film, ``threads`` of it where it is the CPU; a GPU is held until the block ends.

    Raises UserError where a cluster's worker lacks the GPU that is asked for.
    """
    assert info.video is not None
    count = 0 if asked == "cpu" else _gpu_count()
    if count == 0:
        if asked == "cuda":
            require_decoder(asked)
        yield DecoderChoice()
    elif reason := unsupported(info.video):
        yield DecoderChoice(note=reason)
    else:
        with _turn(count, most=_FILMS_PER_GPU if asked == "auto" else None) as device:
            if device is None:
                yield DecoderChoice(note=f"{count * _FILMS_PER_GPU} other films are on the GPU")
            elif reason := why_not(device) or _compare(info, device, threads, must_be_faster=asked == "auto"):
                yield DecoderChoice(note=reason)
            else:
                yield DecoderChoice(device=device)


def _gpu_count() -> int:
    return gpu_count() if has_nvidia_driver() else 0


@contextmanager
def _turn(count: int, most: int | None) -> Iterator[int | None]:
    """The GPU that the fewest films of this user are on, held by a lock on a file; None where each has ``most``."""
    held = take_least_used(locks_of_this_machine("decoders"), [f"cuda:{number}" for number in range(count)], most)
    if held is None:
        yield None
        return
    name, file = held
    with file:
        yield int(name.removeprefix("cuda:"))


@dataclass
class _Sample:
    """Pictures of some places of a film: (place, pts, hash of the samples), and how long it took to decode them.

    ``seconds`` are those after the first place, whose time is that of the decoder's start.
    """

    pictures: list[tuple[int, int | None, bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def _compare(info: MediaInfo, device: int, threads: int, *, must_be_faster: bool) -> str | None:
    """Why the film is better left to the CPU; None where the GPU's pictures are its own and come sooner."""
    ours, failure = _Sample(), ""
    try:
        with nvdec.open_on_gpu(info.path, device) as container:
            ours = _sample(container, info, time.perf_counter)
    except GpuDecodeError as error:
        failure = str(error)
    with open_media(info.path) as container:
        # what a core works, whoever else uses it; the films beside this one have cores of their own
        cpu = _sample(container, info, time.thread_time)
    if cpu.problems:  # first: what a GPU says of a damaged film does not tell whose fault it is
        return f"damaged: {cpu.problems[0]}"
    if failure:
        return f"the GPU does not decode it: {failure}"
    if ours.pictures != cpu.pictures:
        return "the GPU's pictures are not the CPU's"
    if must_be_faster and ours.seconds >= cpu.seconds / threads:
        return "the GPU would not be faster"
    return None


def _sample(container: Any, info: MediaInfo, clock: Callable[[], float]) -> _Sample:
    """Decode on one thread, from a key frame on at each place. Raises GpuDecodeError."""
    assert info.video is not None
    stream = container.streams[info.video.index]
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    found = _Sample()
    for place, part in enumerate(_SAMPLED_PARTS):
        with suppress(av.error.FFmpegError):  # a file that cannot be read further has told what it can
            if place:
                at = info.start_seconds + int(part * (info.duration_seconds or 0))
                container.seek(round(at * av.time_base))
            _decode_some(container, stream, place, clock, found)
    return found


def _decode_some(container: Any, stream: Any, place: int, clock: Callable[[], float], found: _Sample) -> None:
    frames = decode_pictures(stream, (packet for packet in container.demux(stream) if packet.size), found.problems)
    for _ in range(_SAMPLED_PICTURES):
        begun = clock()
        frame = next(frames, None)
        found.seconds += (clock() - begun) * (place > 0)
        if frame is None:
            return
        found.pictures.append((place, frame.pts, _hash(frame)))


def _hash(frame: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for plane in planar(frame).planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        digest.update(rows.tobytes())
    return digest.digest()
