"""Sound files as a stream of stereo float32 blocks at the model's sample rate, whatever they are.

libsndfile reads wav, flac, ogg and mp3 with one or two channels (it is fastest for many small files); FFmpeg, through
PyAV, reads the rest, and all files of more channels, because it knows their layout by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dubcli.core.features import downmix
from dubcli.embed.resample import resample_blocks
from dubcli.errors import InputError, UserError

if TYPE_CHECKING:
    import av

SNDFILE_SUFFIXES = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
_BLOCK_SECONDS = 15


@dataclass
class Heard:
    """What was noticed while a sound was read; ``expect`` is called with its seconds where the header has them."""

    expect: Callable[[float], None] | None = None
    samples: int = 0
    sample_rate: int = 0
    not_finite: int = 0
    peak: float = 0.0
    damage: str | None = None

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return self.samples / self.sample_rate if self.sample_rate else 0.0

    @property
    def warning(self) -> str | None:
        """What the user should know of a sound that was usable."""
        if self.damage:
            return f"damaged after {self.seconds:.2f} s ({self.damage}); what comes before was used"
        if self.not_finite:
            return f"{self.not_finite} samples are NaN or infinite and were taken as 0"
        return "silent" if self.peak == 0 else None


def stereo_blocks(path: str | Path, sample_rate: int, heard: Heard) -> Iterator[Tensor]:
    """Yield (2, samples) float32 blocks of the sound in ``path`` at ``sample_rate``; fill ``heard`` meanwhile.

    Mono becomes dual mono, more channels are downmixed by their names (DESIGN section 3). NaN and infinite samples
    become 0 and are counted. Raises InputError when the file holds no sound that can be read.
    """
    file = Path(path)
    try:
        if file.stat().st_size == 0:
            raise InputError("the file is empty")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    source = _sndfile_blocks(file, heard) if file.suffix.lower() in SNDFILE_SUFFIXES else None
    first = None if source is None else next(source, None)
    if first is None:
        source = av_blocks(file, heard)
        first = next(source, None)
    if first is None:
        raise InputError(f"cannot be decoded: {heard.damage}" if heard.damage else "holds no samples")
    assert source is not None

    def all_blocks() -> Iterator[Tensor]:
        yield first
        yield from source

    yield from resample_blocks(all_blocks(), heard.sample_rate, sample_rate)
    if heard.not_finite and heard.peak == 0:
        raise InputError(f"no usable sample: {heard.not_finite} are NaN or infinite, the others 0")


def _sndfile_blocks(path: Path, heard: Heard) -> Iterator[Tensor]:
    """Blocks of a mono or stereo file; nothing at all where libsndfile does not know it or it has more channels."""
    import soundfile

    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError):
        return
    with file:
        if file.channels > 2:
            return
        heard.sample_rate = file.samplerate
        if heard.expect is not None:
            heard.expect(file.frames / file.samplerate)
        while True:
            try:
                block = file.read(_BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                heard.damage = str(error)
                return
            if not len(block):
                return
            yield prepare_block(np.ascontiguousarray(block.T), f"{file.channels} channels", heard)


def prepare_block(block: np.ndarray, layout: str, heard: Heard) -> Tensor:
    """Count, clean and downmix one (channels, samples) float32 block -> (2, samples)."""
    waveform = torch.from_numpy(block)
    heard.samples += waveform.shape[-1]
    peak = float(waveform.abs().amax()) if waveform.numel() else 0.0
    if not np.isfinite(peak):
        finite = torch.isfinite(waveform)
        heard.not_finite += int((~finite).sum())
        waveform = torch.where(finite, waveform, 0.0)
        peak = float(waveform.abs().amax())
    heard.peak = max(heard.peak, peak)
    try:
        return downmix(waveform, layout)
    except (UserError, ValueError) as error:
        raise InputError(str(error)) from None


def av_blocks(path: Path, heard: Heard) -> Iterator[Tensor]:
    """Blocks of the first sound track, read by FFmpeg, by the layout that each frame names."""
    import av

    try:
        # Tags that are not UTF-8 would raise; nobody here reads them.
        container = av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"no sound file that can be read ({_one_line(error)})") from None
    with container:
        streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if not streams:
            raise InputError("has no sound track that can be decoded")
        held: list[Tensor] = []
        try:
            for frame in container.decode(streams[0]):
                if heard.sample_rate and frame.sample_rate != heard.sample_rate:
                    heard.damage = f"the sample rate changes from {heard.sample_rate} to {frame.sample_rate} Hz"
                    break
                heard.sample_rate = frame.sample_rate
                held.append(prepare_block(_planar(frame), frame.layout.name, heard))
                if sum(block.shape[-1] for block in held) >= _BLOCK_SECONDS * heard.sample_rate:
                    yield torch.cat(held, dim=-1)
                    held = []
        except (av.FFmpegError, OSError, ValueError) as error:
            heard.damage = _one_line(error)
        if held:
            yield torch.cat(held, dim=-1)


def _planar(frame: av.AudioFrame) -> np.ndarray:
    """A decoded frame as float32 (channels, samples), full scale 1."""
    samples: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return np.ascontiguousarray(samples, dtype=np.float32)
    bits = 8 * samples.dtype.itemsize
    offset = 128 if samples.dtype.kind == "u" else 0
    return ((samples.astype(np.float64) - offset) / (1 << (bits - 1))).astype(np.float32)


def _one_line(error: BaseException) -> str:
    # FFmpeg's errors repeat the path, which stands beside the reason already
    return " ".join(str(getattr(error, "strerror", None) or error).split())
