"""Titles that share most of their sound are said; a jingle that films have in common is not."""

import numpy as np
import pytest

from dubcli.prep.alike import MOST, shared_sound
from dubcli.prep.landmarks import landmarks
from helpers.prepping import command_here, log_lines
from helpers.scenes import SOUND_RATE, encode, scene

SECONDS = 36


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    original, other = scene(1, SECONDS), scene(2, SECONDS)
    encode(folder / "Alpha.mkv", original, "pcm_s16le")
    encode(folder / "Alpha again.mkv", 0.3 * original, "libmp3lame", 96_000)
    encode(folder / "promo.mkv", original[:, round(9.37 * SOUND_RATE) : round(27.113 * SOUND_RATE)], "aac", 96_000)
    middle = round(17.123 * SOUND_RATE)
    longer = np.concatenate([original[:, :middle], scene(3, 20), original[:, middle:]], axis=1)
    encode(folder / "Gamma.mkv", longer, "ac3", 192_000)
    for number in range(2):
        film = scene(10 + number, SECONDS)
        film[:, : 6 * SOUND_RATE] = other[:, : 6 * SOUND_RATE]  # the studio's jingle
        encode(folder / f"Unlike {number}.mkv", film, "pcm_s16le")
    return folder


def only(library, tmp_path, *names):
    """A folder with these of the films."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(library / name)
    return folder


def said(done):
    return [line.strip() for line in done.stdout.splitlines() if "negatives" in line]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["Alpha.mkv", "Alpha again.mkv"], "share 100% of their sound: two versions of one film?"),
        (["Alpha.mkv", "promo.mkv"], "of the sound of promo is in Alpha: a part of it?"),
        (["Alpha again.mkv", "Gamma.mkv"], "of their sound: two versions of one film?"),
        (["Unlike 0.mkv", "Unlike 1.mkv", "Alpha.mkv"], None),
    ],
)
def test_titles_that_share_most_of_their_sound_are_said(monkeypatch, library, tmp_path, names, line):
    films = only(library, tmp_path, *names)
    for _ in range(2):  # the second run says what the first one found
        done = command_here(monkeypatch, tmp_path, "prep", films, "--lang", "en")
        assert done.returncode == 0
        if line is None:
            assert said(done) == []
        else:
            (found,) = said(done)
            assert line in found
            assert all(name.removesuffix(".mkv") in found for name in names)
            assert "--exclude it and remove movies/" in found
    pairs = [entry for entry in log_lines(tmp_path / "cache") if "shares_sound_with" in entry]
    assert len(pairs) == (0 if line is None else 4)
    assert all(entry["share"] <= 1 for entry in pairs)


def test_a_cache_of_before_gets_its_landmarks(monkeypatch, library, tmp_path):
    films = only(library, tmp_path, "Alpha.mkv", "Alpha again.mkv")
    command_here(monkeypatch, tmp_path, "prep", films, "--lang", "en")
    for file in [*(tmp_path / "cache").glob("movies/*/landmarks.npy"), tmp_path / "cache" / "alike.json"]:
        file.unlink()
    done = command_here(monkeypatch, tmp_path, "prep", films, "--lang", "en")
    assert "0 done, 2 already there" in done.stdout
    assert len(said(done)) == 1
    (tmp_path / "cache" / "alike.json").write_text("{")
    assert len(said(command_here(monkeypatch, tmp_path, "prep", films, "--lang", "en"))) == 1


def test_a_group_is_one_line(monkeypatch, library, tmp_path):
    films = only(library, tmp_path, "Alpha.mkv", "Alpha again.mkv", "Gamma.mkv", "promo.mkv")
    (line,) = said(command_here(monkeypatch, tmp_path, "prep", films, "--lang", "en"))
    assert "and 1 more share most of their sound" in line


def test_steady_tones_and_silence_have_no_landmarks():
    times = np.arange(280)
    mel = np.full((4, 2, 96, 280), -13.8, np.float16)
    assert len(landmarks(mel)) == 0
    mel[:, :, 20] = 3.0
    mel[:, :, 40] = 1.0 + 0.05 * np.sin(times)
    assert len(landmarks(mel)) == 0


def test_a_number_that_all_titles_have_is_no_likeness():
    generator = np.random.default_rng(0)

    def title():
        times = np.sort(generator.integers(0, 60_000, 2000))
        numbers = generator.integers(0, 1 << 32, 2000)
        numbers[::40] = 7  # a beep every now and then
        return np.stack([numbers, times], axis=1).astype(np.uint32)

    titles = [title() for _ in range(60)]
    moved = titles[3] + np.array([0, 1234], np.uint32)
    pairs = list(shared_sound([*titles, moved]))
    assert [(a, b) for a, b, _ in pairs] == [(3, 60)]
    assert min(pairs[0][2]) > 0.9 > MOST
