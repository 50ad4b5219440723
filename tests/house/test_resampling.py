"""One resampler: equal samples give equal features, whatever container they come in and whichever stage reads them."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

import dubcli
from dubcli.core.models import PRESETS
from dubcli.embed import EmbedConfig, embed, load_features
from dubcli.embed.chunks import DecodeNotes, Wanted
from dubcli.embed.decode import decode
from dubcli.embed.inputs import MediaItem
from dubcli.media.resample import resampled
from dubcli.media.sound import track_blocks

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000]
SECONDS = 1.6
# suffix: FFmpeg's muxer and encoder, None where libsndfile writes it
LOSSLESS = {
    ".wav": None, ".flac": None, ".aiff": None, ".mka": ("matroska", "pcm_s16le"), ".ogg": ("ogg", "flac"),
    ".m4a": ("ipod", "alac"), ".wv": ("wv", "wavpack"),
}  # fmt: skip


def samples(rate):
    """(samples, 2) int16: noise and a voice-like tone."""
    count = round(SECONDS * rate)
    noise = np.random.default_rng(rate).standard_normal((count, 2)) * 3000
    tone = 4000 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)
    return np.clip(noise + tone[:, None], -32000, 32000).astype(np.int16)


def write(path, rate):
    sound = samples(rate)
    if LOSSLESS[path.suffix] is None:
        soundfile.write(path, sound, rate, subtype="PCM_16")
        return
    muxer, codec = LOSSLESS[path.suffix]
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        if codec in ("flac", "alac", "wavpack"):
            stream.codec_context.format = {"flac": "s16", "alac": "s16p", "wavpack": "s16p"}[codec]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.reshape(1, -1)), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        converter = av.AudioResampler(
            stream.codec_context.format, "stereo", rate, stream.codec_context.frame_size or 4096
        )
        for part in (*converter.resample(frame), *converter.resample(None)):
            container.mux(stream.encode(part))
        container.mux([packet for packet in stream.encode(None) if packet.size])


def by_embed(path):
    wanted = Wanted(modalities=("audio",), sample_rate=48000, sizes=PRESETS["tiny"])
    return torch.cat([chunk.data for chunk in decode(MediaItem(str(path), "file", 1, 1), wanted, DecodeNotes())], dim=1)


def by_prep_and_separate(path):
    return torch.cat(list(track_blocks(path, None, None, 48000, [])), dim=1)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 192000])
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_every_stage_hears_the_same_samples(tmp_path, suffix, rate):
    path = tmp_path / f"x{suffix}"
    write(path, rate)
    expected = resampled((samples(rate).T / np.float32(32768)).astype(np.float32), rate, 48000)
    for read in (by_embed, by_prep_and_separate):
        heard = read(path).numpy()[:, : expected.shape[1]]
        assert np.abs(heard - expected[:, : heard.shape[1]]).max() < 1e-6
    assert abs(by_prep_and_separate(path).shape[1] - expected.shape[1]) <= 1


def test_features_do_not_depend_on_the_container(tmp_path):
    (tmp_path / "in").mkdir()
    for rate in RATES:
        for suffix in LOSSLESS:
            write(tmp_path / "in" / f"{rate:06d}{suffix}", rate)
    summary = embed(tmp_path / "in", "random", tmp_path / "out", EmbedConfig(preset="tiny", modalities=("audio",)))
    assert summary.failed == 0
    features = load_features(tmp_path / "out").audio
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    rows = rows.reshape(len(RATES), len(LOSSLESS), -1)
    assert (1 - np.einsum("rcd,rd->rc", rows, rows[:, 0])).max() < 1e-5


def test_there_is_one_resampler():
    other = re.compile(r"import (soxr|librosa)|torchaudio\S* import .*resample|scipy\.signal", re.I)
    root = Path(dubcli.__file__).parent
    rooms = [file.relative_to(root).as_posix() for file in root.rglob("*.py") if other.search(file.read_text())]
    assert rooms == ["media/resample.py"]
