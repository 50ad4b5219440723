"""Equal samples are equal features, whatever they came in: one resampler, one clock."""

import av
import numpy as np
import pytest
import soundfile

from dubcli.embed import EmbedConfig, embed_files
from helpers.sounds import noise

RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
SECONDS = 1.25


def samples_at(rate):
    """(samples, 2) int16: noise under a tone, so that all frequencies are there."""
    times = np.arange(round(SECONDS * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * times)
    return np.round(20000 * (0.5 * noise(SECONDS, rate, 2, seed=rate) + tone[:, None])).astype(np.int16)


def write(path, samples, rate, codec):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        wanted = stream.codec_context.format.name
        resampler = av.AudioResampler(format=wanted, layout="stereo", rate=rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.reshape(1, -1)), format="s16", layout="stereo")
        frame.sample_rate = rate
        for converted in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


def remux(source, path):
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


def features(paths, tiny):
    config = EmbedConfig(device="cpu", compile=False)
    found = embed_files(paths, tiny, config=config)
    assert [item["status"] for item in found.items] == ["ok"] * len(paths), found.items
    return found.audio


def distances(rows):
    """1 - cosine of each row to the first."""
    rows = rows.astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return 1 - unit @ unit[0]


def test_lossless_sound_of_every_rate_and_container(tmp_path, tiny):
    paths, expected = [], []
    for rate in RATES:
        samples = samples_at(rate)
        own = [tmp_path / f"{rate}.wav", tmp_path / f"{rate}.flac"]
        for path in own:
            soundfile.write(path, samples, rate, subtype="PCM_16")
        own.append(write(tmp_path / f"{rate}.pcm.mka", samples, rate, "pcm_s16le"))
        own.append(remux(own[1], tmp_path / f"{rate}.flac.mka"))
        own.append(write(tmp_path / f"{rate}.m4a", samples, rate, "alac"))
        paths.append(own)
        expected.append(tiny.audio((samples / 32768).astype(np.float32), rate)[0])
    found = features([path for own in paths for path in own], tiny).reshape(len(RATES), -1, 1024)
    for rate, rows, own in zip(RATES, found, expected, strict=True):
        assert distances(np.vstack([own, rows])).max() < 1e-5, rate


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_lossy_sound_is_what_its_decoder_gives(tmp_path, tiny, rate):
    """libsndfile's samples of Vorbis, FFmpeg's of AAC, read here plainly; the same in Matroska by remuxing."""
    vorbis, aac = tmp_path / "a.ogg", tmp_path / "b.m4a"
    soundfile.write(vorbis, samples_at(rate), rate, format="OGG", subtype="VORBIS")
    write(aac, samples_at(rate), rate, "aac")
    decoded = [soundfile.read(vorbis, dtype="float32")[0].T]
    with av.open(str(aac)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0) if frame.pts >= 0]
    decoded.append(np.concatenate(frames, axis=1))
    remuxed = [remux(path, path.with_suffix(".mka")) for path in (vorbis, aac)]
    found = features([vorbis, aac, *remuxed], tiny)
    for row, samples in zip(found, decoded * 2, strict=True):
        assert distances(np.vstack([tiny.audio(samples[None], rate), row])).max() < 1e-5
