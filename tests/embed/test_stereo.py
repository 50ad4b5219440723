import av
import numpy as np
import pytest
import torch

from dubcli.core.features import downmix
from dubcli.embed.stereo import Heard, stereo_blocks
from dubcli.errors import InputError
from helpers.sounds import noise


def read(path, rate=48000):
    heard = Heard()
    return torch.cat(list(stereo_blocks(path, rate, heard)), dim=1).numpy(), heard


def test_mono_becomes_dual_mono_and_stereo_stays(write_sound):
    mono, stereo = noise(0.5), noise(0.5, channels=2)
    sound, heard = read(write_sound("m.wav", mono, subtype="FLOAT"))
    np.testing.assert_array_equal(sound, np.repeat(mono.T, 2, axis=0).astype(np.float32))
    assert (heard.seconds, heard.warning) == (0.5, None)
    sound, _ = read(write_sound("s.wav", stereo, subtype="FLOAT"))
    np.testing.assert_array_equal(sound, stereo.T.astype(np.float32))


@pytest.mark.parametrize(("channels", "layout"), [(4, "4.0"), (6, "5.1"), (8, "7.1")])
def test_more_channels_are_downmixed_by_name(write_sound, channels, layout):
    samples = noise(0.5, channels=channels)
    sound, _ = read(write_sound("many.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(sound, downmix(torch.from_numpy(samples.T), layout), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [("a.wav", "PCM_U8", 8e-3), ("a.wav", "PCM_16", 4e-5), ("a.wav", "PCM_24", 2e-7), ("a.wav", "DOUBLE", 1e-7),
     ("a.flac", "PCM_16", 4e-5), ("a.aiff", "PCM_16", 4e-5), ("a.au", "PCM_16", 4e-5)],
)  # fmt: skip
def test_sample_formats(write_sound, name, subtype, error):
    samples = noise(0.2, channels=2)
    sound, _ = read(write_sound(name, samples, subtype=subtype))
    np.testing.assert_allclose(sound, samples.T, atol=error)


@pytest.mark.parametrize(("name", "codec"), [("t.mp3", None), ("t.ogg", None), ("t.m4a", "aac"), ("t.opus", "libopus")])
def test_lossy_formats_keep_the_tone(write_sound, tmp_path, name, codec):
    times = np.arange(48000) / 48000
    samples = 0.5 * np.sin(2 * np.pi * 440 * times)
    if codec is None:
        path = write_sound(name, samples)
    else:
        path = tmp_path / name
        encode(path, samples.astype(np.float32), codec)
    sound, heard = read(path)
    assert heard.sample_rate == 48000
    assert 0.95 < heard.seconds < 1.1
    spectrum = np.abs(np.fft.rfft(sound[0, 4800:43200]))
    peak = spectrum.argmax() * 48000 / 38400
    assert peak == pytest.approx(440, abs=2)
    assert np.sqrt((sound[0, 4800:43200] ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def encode(path, samples, codec):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(stream.format, "mono", 48000, frame_size=stream.codec_context.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))


def test_rate_of_which_no_kernel_is_made(write_sound):
    sound, heard = read(write_sound("odd.wav", noise(1, rate=44099), 44099))
    assert abs(sound.shape[1] - 48000) < 64
    assert heard.seconds == pytest.approx(1, abs=2e-3)


def test_rate_is_changed(write_sound):
    sound, heard = read(write_sound("r.wav", noise(0.5, rate=192000), 192000), 44100)
    assert sound.shape == (2, 22050)
    assert heard.sample_rate == 192000


def test_samples_that_are_no_numbers(write_sound):
    samples = noise(0.1)
    samples[5], samples[7] = np.nan, np.inf
    sound, heard = read(write_sound("nan.wav", samples, subtype="FLOAT"))
    assert np.isfinite(sound).all()
    assert (sound[:, [5, 7]] == 0).all()
    assert heard.warning == "2 samples are NaN or infinite and were taken as 0"
    with pytest.raises(InputError, match="no usable sample"):
        read(write_sound("all.wav", np.full(100, np.nan), subtype="FLOAT"))


def test_silence_is_named(write_sound):
    assert read(write_sound("z.wav", np.zeros(4800)))[1].warning == "silent"


def test_truncated_sound_gives_what_it_has(write_sound):
    path = write_sound("t.flac", noise(4))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    sound, heard = read(path)
    assert 1.5 * 48000 < sound.shape[1] < 3.5 * 48000
    assert heard.warning.startswith("not all of the sound decodes")


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF" + bytes(40), bytes(range(256)) * 20])
@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.m4a", "x"])
def test_what_is_no_sound(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        read(tmp_path / name)


def test_no_file_and_no_samples(tmp_path, write_sound):
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "gone.wav")
    with pytest.raises(InputError, match="holds no samples"):
        read(write_sound("none.wav", np.zeros(0)))


def test_real_sounds(real_data):
    paths = [real_data / "dubs/counts/gpac/count_english.mp3", real_data / "dubs/prompts/en/conf-getpin.g722"]
    for path in paths:
        sound, heard = read(path)
        assert sound.shape[1] == pytest.approx(heard.seconds * 48000, abs=2)
        assert 0.01 < np.abs(sound).max() <= 1.5
