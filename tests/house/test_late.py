"""A sound track that begins late is late in every command: each is run as a user runs it, on a container made here."""

import av
import numpy as np
import pytest
import soundfile

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from helpers.containers import RATE, Track, background, make_film
from helpers.prepping import command_here
from helpers.separation import fast_demucs, save_model

LATE_SECONDS, SECONDS = 6, 4


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """``late.mkv``: sound from 6 s to 10 s; ``plain.mkv``: the same sound from the start."""
    folder = tmp_path_factory.mktemp("films")
    sound = background(SECONDS)
    for name, delay in (("late", LATE_SECONDS), ("plain", 0)):
        track = Track("eng", codec="flac", sound=sound, delay_seconds=delay)
        make_film(folder / f"{name}.mkv", seconds=LATE_SECONDS + SECONDS, fps=8, tracks=[track])
    return folder


@pytest.fixture
def dubav(tmp_path, monkeypatch):
    def run(*arguments):
        done = command_here(monkeypatch, tmp_path, *arguments)
        assert done.returncode == 0, done
        return done

    return run


def test_separate(dubav, films, tmp_path):
    save_model(fast_demucs(1), tmp_path, "fast")
    dubav("separate", films / "late.mkv", "--model", "fast", "--model-repo", tmp_path, "--out", "out",
          "--device", "cpu", "--workers", 1)  # fmt: skip
    samples, rate = soundfile.read(tmp_path / "out" / "late.no_vocals.flac")
    assert len(samples) == pytest.approx((LATE_SECONDS + SECONDS) * rate, abs=rate / 10)
    begin = round((LATE_SECONDS - 0.5) * rate)
    assert np.abs(samples[:begin]).mean() < 0.1 * np.abs(samples[begin + rate :]).mean()


def test_separate_of_a_cache(dubav, films, tmp_path):
    save_model(fast_demucs(1), tmp_path, "fast")
    mels = {}
    for name in ("late", "plain"):
        dubav("prep", films / f"{name}.mkv", "--lang", "en", "--cache", name)
        dubav("separate", "--cache", name, "--model", "fast", "--model-repo", tmp_path, "--device", "cpu")
        (movie,) = (tmp_path / name / "movies").iterdir()
        mels[name] = np.load(movie / "mel.en-nospeech.npy").astype(np.float32)
    later = LATE_SECONDS // 3
    assert np.median(np.abs(mels["late"][later] - mels["plain"][0])) < 0.5
    assert mels["late"][0].mean() < mels["late"][later].mean() - 2


def test_embed(dubav, films, tmp_path):
    model = DubModel(parse_variant("a", "en", ["en"]), "tiny")
    save_checkpoint(tmp_path / "ckpt.pt", model_entries(model, mel_mean=-5.0, mel_std=3.0, config={"variant": "a"}))
    for name in ("late", "plain"):
        dubav("embed", films / f"{name}.mkv", "ckpt.pt", "--modality", "audio", "--per-chunk", "--out", name)
    late, plain = (np.load(tmp_path / name / "audio.npy") for name in ("late", "plain"))
    assert np.allclose(late[LATE_SECONDS // 3], plain[0], atol=1e-4)
    assert not np.allclose(late[0], plain[0], atol=1e-2)


def test_dub(dubav, films, tmp_path):
    (tmp_path / "late.es.srt").write_text("1\n00:00:01,000 --> 00:00:04,000\nHola, amigo, buenos dias.\n")
    dubav("dub", films / "late.mkv", "--subs", tmp_path / "late.es.srt", "--out", "dubbed.mkv")
    english, spanish = (begins(tmp_path / "dubbed.mkv", index) for index in (1, 2))
    assert english == pytest.approx(LATE_SECONDS, abs=0.05)
    assert spanish == pytest.approx(1, abs=0.2)


def begins(path, index):
    """When a stream's first sound is, in seconds."""
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams[index]):
            loud = np.flatnonzero(np.abs(frame.to_ndarray().astype(np.float32)).max(axis=0) > 1e-2)
            if loud.size:
                return frame.time + loud[0] / RATE
    raise AssertionError("nothing heard")
