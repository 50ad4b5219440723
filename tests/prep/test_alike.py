"""Titles that share most of their sound are said; a jingle that films have in common is not."""

import numpy as np
import pytest

from dubcli.media.resample import resampled
from dubcli.media.stretch import Stretcher
from dubcli.prep.landmarks import FORMS, KEPT_OF, landmarks
from dubcli.prep.shared import MOST, shared_sound
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
    for name, sound in (
        ("Alpha PAL", resampled(original, 25, 24)),
        ("Alpha PAL in tune", stretched(original, 25 / 24)),
    ):
        encode(folder / f"{name}.mkv", sound, "aac", 96_000)
    longer = np.concatenate([original[:, :middle], scene(3, 20), original[:, middle:]], axis=1)
    encode(folder / "Gamma.mkv", longer, "ac3", 192_000)
    for number in range(2):
        film = scene(10 + number, SECONDS)
        film[:, : 6 * SOUND_RATE] = other[:, : 6 * SOUND_RATE]  # the studio's jingle
        encode(folder / f"Unlike {number}.mkv", film, "pcm_s16le")
    return folder


def stretched(sound, speed):
    """Faster by ``speed``, its pitch kept."""
    stretcher = Stretcher(speed)
    return np.concatenate([stretcher.push(sound), stretcher.finish()], axis=1)


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
        (["Alpha.mkv", "Alpha again.mkv"], "% of their sound: two versions of one film?"),
        (["Alpha.mkv", "Alpha PAL.mkv"], "% of their sound: two versions of one film?"),
        (["Alpha PAL in tune.mkv", "Alpha.mkv"], "% of their sound: two versions of one film?"),
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
    for file in [*(tmp_path / "cache").glob("movies/*/sound.npy"), tmp_path / "cache" / "alike.json"]:
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
    assert len(landmarks(len(mel), lambda first, stop: mel[first:stop])) == 0
    mel[:, :, 20] = 3.0
    mel[:, :, 40] = 1.0 + 0.05 * np.sin(times)
    assert len(landmarks(len(mel), lambda first, stop: mel[first:stop])) == 0


def test_a_number_that_all_titles_have_is_no_likeness():
    generator = np.random.default_rng(0)

    def title():
        times = np.sort(generator.integers(0, 60_000, 2000))
        numbers = generator.integers(0, 1 << 32, 2000)
        numbers[::40] = 7  # a beep every now and then
        found = np.stack([numbers, times, np.zeros_like(times)], axis=1).astype(np.uint32)
        return found[np.argsort(numbers)]

    titles = [title() for _ in range(60)]
    moved = titles[3] + np.array([0, 1234, 0], np.uint32)
    pairs = list(shared_sound([*titles, moved]))
    assert [(a, b) for a, b, _ in pairs] == [(3, 60)]
    assert min(pairs[0][2]) > 0.9 > MOST


class MadeTitles:
    """Landmarks as prep makes them of films: as many, and unrelated ones meet by chance as often or more.

    Of the films that were measured one of a million kept pairs of landmarks (of unrelated music) to one of 600,000 (of
    the same pieces) meets; of these one of 570,000. A re-encode keeps 6 to 12 % of its original's.
    """

    PER_SECOND = 9.4
    _POOL, _FLAT = 1 << 22, 20_000  # numbers, which are the rarer the higher, beyond the first ones

    def __init__(self):
        self.generator = np.random.default_rng(5)

    def numbers(self, count):
        rank = self._FLAT * ((self._POOL + self._FLAT) / self._FLAT) ** self.generator.random(count) - self._FLAT
        spread = (rank.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(36)
        return (spread * np.uint64(KEPT_OF)).astype(np.uint32)

    def form(self, seconds, form=0):
        count = int(seconds * self.PER_SECOND)
        times = self.generator.integers(0, seconds * 100, count)
        return np.stack([self.numbers(count), times, np.full(count, form)], axis=1).astype(np.uint32)

    def title(self, seconds, *forms):
        """Of these forms, and others that nothing is like."""
        given = {int(form[0, 2]): form for form in forms}
        joined = np.concatenate([given.get(form, self.form(seconds, form)) for form in FORMS])
        return joined[np.lexsort((joined[:, 1], joined[:, 0], joined[:, 2]))]

    def heard_again(self, form, low=0, high=1 << 30, at=0, kept=0.08, as_form=0):
        """A part, from ``low`` to ``high`` hundredths, of which few landmarks are left, at another time."""
        part = form[(form[:, 1] >= low) & (form[:, 1] < high)].copy()
        other = self.generator.random(len(part)) >= kept
        part[other, 0] = self.numbers(int(other.sum()))
        part[:, 1] = np.maximum(0, part[:, 1].astype(int) - low + at + self.generator.integers(-2, 3, len(part)))
        part[:, 2] = as_form
        return part


@pytest.mark.slow
def test_versions_are_found_among_300_long_films():
    made = MadeTitles()
    jingle = made.form(40)
    plain = []
    for _ in range(300):
        film = made.form(7200)
        plain.append(np.concatenate([made.heard_again(jingle, kept=0.8), film[film[:, 1] >= 4000]]))
    titles = [made.title(7200, form) for form in plain]
    breaks = [made.heard_again(plain[9], part * 36_000, (part + 1) * 36_000, part * 48_000) for part in range(20)]
    titles += [
        made.title(7200, made.heard_again(plain[3])),
        made.title(6912, made.heard_again(plain[5], kept=0.06, as_form=2)),  # from 24 to 25 frames a second
        made.title(150, made.heard_again(plain[7], 300_000, 315_000)),  # a trailer
        made.title(9600, np.concatenate(breaks)),
    ]
    pairs = {(a, b): shares for a, b, shares in shared_sound(titles)}
    assert set(pairs) == {(3, 300), (5, 301), (7, 302), (9, 303)}
    assert min(*pairs[3, 300], *pairs[5, 301], *pairs[9, 303], pairs[7, 302][1]) > 0.9
    assert pairs[7, 302][0] == pytest.approx(150 / 7200, abs=0.002)
