"""Sounds whose beginning is gone: what is left says so, in every command that hears files."""

import csv
import io
import struct
from types import SimpleNamespace

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from dubcli.cli.app import app
from dubcli.embed import load_features
from dubcli.media.sound import track_blocks
from dubcli.probe.features import _tell_of_damage
from helpers.separation import fast_demucs, save_model

RATE = 48000


def encoded(codec, file_format, options=None, seconds=4):
    """A file's bytes: noise that comes and goes, so that MP3's frames borrow from each other."""
    file = io.BytesIO()
    generator = np.random.default_rng(0)
    loud = 0.02 + 0.3 * (np.sin(np.arange(seconds * RATE) / RATE * 9) > 0)
    samples = (loud * generator.standard_normal(seconds * RATE)).astype(np.float32)
    if file_format == "matroska":
        file.seekable = lambda: False
    with av.open(file, "w", format=file_format, options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        fifo = av.AudioFifo()
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        for part in resampler.resample(frame):
            fifo.write(part)
        while part := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return file.getvalue()


def ogg_pages(data):
    at, pages = 0, []
    while at < len(data):
        segments = data[at + 26]
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        pages.append(data[at : at + size])
        at += size
    return pages


def without_first_page(data):
    pages = ogg_pages(data)
    first = next(number for number, page in enumerate(pages) if struct.unpack("<q", page[6:14])[0] > 0)
    return b"".join(pages[:first] + pages[first + 1 :])


def without_first_frames(data):
    """From the third second on, where a frame begins."""
    start = data.index(data[:3], len(data) // 2)
    return data[start:]


def without_first_cluster(data):
    first = data.index(b"\x1f\x43\xb6\x75")
    return data[:first] + data[data.index(b"\x1f\x43\xb6\x75", first + 4) :]


KINDS = {
    "opus": ("libopus", "opus", {}, without_first_page, "page 3 is missing"),
    "oga": ("flac", "oga", {}, without_first_page, "page 3 is missing"),
    "mp3": ("libmp3lame", "mp3", {"write_xing": "0", "id3v2_version": "0"}, without_first_frames,
            "its first frame is the rest of frames before it"),
    "aac": ("aac", "adts", {}, lambda data: data[300:], "it begins within a frame"),
    "mka": ("libopus", "matroska", {"live": "1", "cluster_time_limit": "1000"}, without_first_cluster,
            "its clock begins at 0.98 s"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """whole.SUFFIX and lost.SUFFIX of every kind."""
    folder = tmp_path_factory.mktemp("heads")
    for suffix, (codec, file_format, options, cut, _) in KINDS.items():
        data = encoded(codec, file_format, options)
        (folder / f"whole.{suffix}").write_bytes(data)
        (folder / f"lost.{suffix}").write_bytes(cut(data))
    return folder


@pytest.mark.parametrize("suffix", KINDS)
def test_a_lost_beginning_is_named_and_a_whole_file_is_not(sounds, suffix):
    for name, expected in (("whole", False), ("lost", True)):
        problems = []
        samples = sum(block.shape[1] for block in track_blocks(sounds / f"{name}.{suffix}", None, None, RATE, problems))
        assert samples > RATE
        assert any(KINDS[suffix][4] in problem for problem in problems) == expected, problems
        assert bool(problems) == expected, problems


def test_embed_separate_and_probe_tell_of_it(sounds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(fast_demucs(1), tmp_path, "fast")
    lost = [str(sounds / f"lost.{suffix}") for suffix in KINDS]
    done = CliRunner().invoke(app, ["embed", *lost, "random:tiny", "--out", "features", "-q"])
    assert done.exit_code == 0, done.output
    with open("features/items.csv", newline="") as file:
        told = {row["path"].rsplit(".")[-1]: str(row) for row in csv.DictReader(file)}
    model = ["--model", "fast", "--model-repo", str(tmp_path), "--stems", "vocals"]
    done = CliRunner().invoke(app, ["separate", *lost, "--out", "out", *model, "-q"])
    assert done.exit_code == 0, done.output
    log = (tmp_path / "out/separate.jsonl").read_text().splitlines()
    for suffix, kind in KINDS.items():
        assert kind[4] in told[suffix]
        assert any(f"lost.{suffix}" in line and kind[4] in line for line in log)
    said = []
    progress = SimpleNamespace(message=said.append)
    _tell_of_damage(load_features(tmp_path / "features"), set(), tmp_path / "features", progress)
    assert said[0].startswith("5 clips were used with a warning, the first lost.opus: damaged near its start: page 3")
