"""Lengths that headers state falsely or not at all, and damage: what decodes is used, and what was wrong is named."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dubcli.embed.stereo import Heard, stereo_blocks
from dubcli.media.length import what_is_cut
from dubcli.media.sound import Extent, track_blocks

RATE = 44100
SAMPLES = 3 * RATE


def sound():
    generator = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(SAMPLES) / 16)
    return (tone[:, None] + 0.05 * generator.standard_normal((SAMPLES, 2))).astype(np.float32)


def encode(path, codec, rate=RATE, **options):
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound().T), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(stream.format, "stereo", rate, frame_size=stream.codec_context.frame_size or 1024)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux([packet for packet in stream.encode(part) if packet.size])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the same sound in many formats."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.au", "a.w64", "a.caf"):
        soundfile.write(folder / name, sound(), RATE)
    for name, codec in (("a.m4a", "aac"), ("a.mka", "flac")):
        encode(folder / name, codec)
    encode(folder / "a.opus", "libopus", 48000, page_duration="200000")  # else a second, all of which is lost at a cut
    return folder


def by_embed(path):
    """(samples at 44.1 kHz, what is told)."""
    heard = Heard()
    return sum(block.shape[1] for block in stereo_blocks(path, RATE, heard)), heard.warning


def by_ffmpeg(path):
    problems, extent = [], Extent()
    samples = sum(block.shape[1] for block in track_blocks(path, None, None, RATE, problems, extent))
    assert abs(round(extent.end_seconds * RATE) - samples) <= 1
    return samples, "; ".join(problems) or None


both = pytest.mark.parametrize("read", [by_embed, by_ffmpeg])
FORMATS = ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf", "mka", "opus", "m4a"]


def changed(source: Path, target: Path, change) -> Path:
    target.write_bytes(change(bytearray(source.read_bytes())))
    return target


@both
@pytest.mark.parametrize("suffix", FORMATS)
def test_of_a_whole_file_nothing_is_told(whole, suffix, read):
    samples, told = read(whole / f"a.{suffix}")
    assert told is None
    assert samples == pytest.approx(SAMPLES, abs=1024 if suffix == "m4a" else 0)


@both
@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != "m4a"])
def test_a_cut_file_gives_what_is_there_and_is_named(whole, tmp_path, suffix, read):
    path = changed(whole / f"a.{suffix}", tmp_path / f"a.{suffix}", lambda content: content[: len(content) * 6 // 10])
    samples, told = read(path)
    assert 0.4 * SAMPLES < samples < 0.62 * SAMPLES
    assert "cut" in told


@both
@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus", "mp3"])
def test_damage_in_the_middle_is_named_and_the_rest_keeps_its_place(whole, tmp_path, suffix, read):
    def damaged(content):
        middle = len(content) // 2
        content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
        return content

    samples, told = read(changed(whole / f"a.{suffix}", tmp_path / f"a.{suffix}", damaged))
    assert "lost in" in told or "not all of the sound decodes" in told
    assert samples == pytest.approx(SAMPLES, abs=0.15 * SAMPLES if suffix == "mp3" else 0)


def with_sizes(riff, data):
    def change(content):
        content[4:8], content[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
        return content

    return change


@both
@pytest.mark.parametrize(
    "sizes", [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFF0, 0xFFFFFFCC), (0x7FFFFFFF, 0x7FFFFFDB)]
)
def test_a_wav_file_of_a_pipe_is_as_long_as_its_sound(whole, tmp_path, sizes, read):
    assert read(changed(whole / "a.wav", tmp_path / "a.wav", with_sizes(*sizes))) == (SAMPLES, None)


@both
def test_a_flac_file_of_a_pipe_is_as_long_as_its_sound(whole, tmp_path, read):
    def unknown(content):
        info = content.find(b"fLaC") + 8
        content[info + 13] &= 0xF0
        content[info + 14 : info + 18] = bytes(4)
        return content

    assert read(changed(whole / "a.flac", tmp_path / "a.flac", unknown)) == (SAMPLES, None)


@both
@pytest.mark.parametrize(
    ("factor", "told"), [(3, "cut, or its header is wrong: it says"), (1 / 3, "its header is wrong")]
)
def test_an_mp3_file_is_as_long_as_its_frames_whatever_its_header_says(whole, tmp_path, capfd, factor, told, read):
    def miscounted(content):
        place = max(content.find(b"Xing"), content.find(b"Info")) + 8
        (frames,) = struct.unpack(">I", content[place : place + 4])
        content[place : place + 4] = struct.pack(">I", round(frames * factor))
        return content

    samples, text = read(changed(whole / "a.mp3", tmp_path / "a.mp3", miscounted))
    assert samples == pytest.approx(SAMPLES, abs=1152)
    assert text.startswith(told)
    assert capfd.readouterr().err == ""  # a library's warning would not name the file


@both
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_twenty_samples_are_twenty_samples(tmp_path, suffix, read):
    soundfile.write(tmp_path / f"a.{suffix}", sound()[:20], RATE)
    assert read(tmp_path / f"a.{suffix}") == (20, None)


def test_a_film_that_was_cut_is_known_by_its_header(tmp_path):
    from helpers.containers import Track, make_film

    for name in ("a.mkv", "a.mp4"):
        make_film(tmp_path / name, seconds=2, tracks=[Track("eng")])
        assert what_is_cut(tmp_path / name) is None
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
        assert what_is_cut(tmp_path / name).startswith("cut: its header says")
