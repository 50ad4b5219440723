"""A made library of 300 films in 40 languages, prepared once and again: one screen that a person can act on."""

import re
import subprocess
import sys

import pytest

from dubcli.cache.reader import Cache
from dubcli.jobs.outcomes import FAILED, OK, Outcome, by_kind, warned
from helpers.libraries import make_library
from helpers.prepping import log_lines


def command(folder, *words):
    arguments = [sys.executable, "-m", "dubcli", *words]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_three_hundred_films_in_forty_languages(tmp_path):
    usable = make_library(tmp_path / "films")
    first = command(tmp_path, "prep", "films", "--lang", "en,es,fr,de,ja")
    assert first.returncode == 1
    assert f"{usable} done, 0 already there, 8 failed" in first.stdout
    assert len((first.stdout + first.stderr).splitlines()) < 40
    for line in (
        r"failed: not a media file .*: 3 films \(",
        r"failed: no en track \(audio tracks: de\): 2 films",
        r"failed: .*empty.mkv: the file is empty",
        r"warning: lacks ja: \d+ films, ",
        "15 files of a content that is there already left out",
        r"5 films in discs or parts joined: Disc 0 \(1 file\)",
        "20 samples, trailers or extras left out",
        r"not looked at: .*1 \.iso",
    ):
        assert re.search(line, first.stdout), line
    movies = Cache(tmp_path / "cache").movies
    assert len(movies) == usable
    assert len({movie.meta["source"]["fingerprint"] for movie in movies}) == usable
    again = command(tmp_path, "prep", "films", "--lang", "en,es,fr,de,ja")
    assert f"0 done, {usable} already there, 8 failed" in again.stdout
    assert sum("same_as" in line for line in log_lines(tmp_path / "cache")) == 30
    listed = command(tmp_path, "ls", "films", "--manifest", "films.csv", "--lang", "en,es,fr,de,ja")
    assert listed.returncode == 1
    by_hand = command(tmp_path, "prep", "films.csv", "--lang", "en,es,fr,de,ja")
    assert f"0 done, {usable} already there, 8 failed" in by_hand.stdout


def kinds(*outcomes):
    return {kind.text: kind.names for kind in by_kind(outcomes)}


def test_complaints_are_counted_by_their_kinds():
    off = "fr left out: off by {} ms (drift {} ppm), more than --max-lag-ms 80; --fix-lag corrects it"
    outcomes = [
        Outcome("a", OK, None, warned({}, ["lacks es, fr", "interlaced"])),
        Outcome("b", OK, None, warned({}, ["lacks fr"])),
        Outcome("c", OK, None, warned({}, [off.format(120, 3)])),
        Outcome("d", OK, None, warned({}, [off.format(300, -40.5)])),
        Outcome("e", FAILED, "the file is empty"),
    ]
    assert kinds(*outcomes) == {
        "lacks es": ("a",),
        "lacks fr": ("a", "b"),
        "interlaced": ("a",),
        "fr left out: off by … ms, more than --max-lag-ms …; --fix-lag corrects it": ("c", "d"),
        "the file is empty": ("e",),
    }
    assert kinds(outcomes[2]) == {off.format(120, 3): ("c",)}
    assert outcomes[0].warning == "lacks es, fr; interlaced"
    assert outcomes[0].recorded == {"warning": "lacks es, fr; interlaced"}
    assert warned({"warning": "x", "warnings": ["x"]}, ["y"]) == {"warning": "y; x", "warnings": ["y", "x"]}
