"""``dubav ls``: of each track what prep would take and why; manifests that say the same choice by hand."""

import csv
import json
import os
import shutil

import av
import pytest

from dubcli.cache.reader import Cache
from dubcli.media.films import read_manifest
from dubcli.media.library import find_films
from dubcli.media.sources import choose_tracks
from dubcli.media.streams import read_info
from helpers.containers import Track, make_film
from helpers.prepping import command_here, prepare_here

COMMENT = int(av.stream.Disposition.comment)
ODD_NAMES = (
    "plain", " begins with a space", 'it\'s "quoted", twice', "new\nline", "映画 ñ", "a:1", "-dash", "auto", "=1+1",
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Films under odd names, with tracks that are taken and others that are left, and files beside them."""
    folder = tmp_path_factory.mktemp("library")
    tracks = [
        Track("eng", layout="stereo", seed=1),
        Track("eng", layout="5.1", seed=2),
        Track("eng", title="Director's commentary", disposition=COMMENT, seed=3),
        Track("fre", seed=4),
        Track("zxx", seed=5),
        Track(None, seed=6),
    ]
    make_film(folder / "first.mkv", seconds=3.2, tracks=tracks)
    for name in ODD_NAMES:
        shutil.copy(folder / "first.mkv", folder / f"{name}.mkv")
        with open(folder / f"{name}.mkv", "ab") as file:
            file.write(name.encode())  # each its own content
    make_film(folder / "plain.es.mka", seconds=3.2, video_codec=None, tracks=[Track(None, codec="flac", seed=7)])
    make_film(folder / "untagged.mkv", seconds=3.2, tracks=[Track(None, seed=8)])
    make_film(folder / "norwegian.mkv", seconds=3.2, tracks=[Track("eng"), Track("nob", seed=9)])
    (folder / "broken.mkv").write_bytes(b"nothing")
    (folder / "first.mkv:1").write_bytes(b"a file of that whole name")
    return folder


def run(monkeypatch, folder, *arguments):
    return command_here(monkeypatch, folder, *arguments)


def tracks_of(listing, name):
    (title,) = [title for title in listing["titles"] if title["title"].endswith(name)]
    return {track["index"]: (track["taken_for"], track["why"]) for track in title["tracks"]}


def test_every_track_has_its_verdict_and_the_reason(monkeypatch, library, tmp_path):
    listed = json.loads(run(monkeypatch, tmp_path, "ls", library, "--lang", "en,es", "--json").stdout)
    assert tracks_of(listed, "first.mkv") == {
        1: ([], "track 2 has more channels"),
        2: (["en"], "by its tag"),
        3: ([], "commentary, description or the like"),
        4: ([], "fr is not asked for"),
        5: ([], "its tag zxx is no one language"),
        6: ([], "its language is not said"),
    }
    assert tracks_of(listed, "untagged.mkv") == {1: ([], "its language is not said; --assume-primary takes it for en")}
    (plain,) = [title for title in listed["titles"] if title["title"].endswith("/plain.mkv")]
    assert [track["why"] for track in plain["tracks"] if track["taken_for"] == ["es"]] == ["by its file's name"]
    first = next(title for title in listed["titles"] if title["title"].endswith("first.mkv"))["tracks"][2]
    assert (first["tag"], first["title"], "comment" in first["flags"]) == ("eng", "Director's commentary", True)


def test_one_film_shows_its_tracks_to_people(monkeypatch, library, tmp_path):
    text = run(monkeypatch, tmp_path, "ls", library / "first.mkv").stdout
    for word in ("taken for", "Director's commentary", "track 2 has more channels", "by its tag", "zxx"):
        assert word in text


def chosen(film, languages, **options):
    """{language: (file, stream)}, as prep chooses."""
    return {
        language: (os.path.realpath(one.path), one.track.index)
        for language, one in choose_tracks(film, read_info(film.video), languages, **options).items()
    }


@pytest.mark.parametrize(
    ("options", "languages"),
    [
        ((), ("en", "es", "fr")),
        ((), ("en", "no")),
        ((), ("nb", "no")),
        (("--lang", "en,es,fr"), ("en", "es", "fr")),
        (("--lang", "en,no"), ("en", "no")),
        (("--lang", "en,fr", "--assume-primary"), ("en", "fr")),
    ],
)
@pytest.mark.parametrize("place", ["library", "elsewhere"])
def test_a_manifest_is_the_same_choice(monkeypatch, library, tmp_path, options, languages, place):
    manifest = (library if place == "library" else tmp_path) / "list.csv"
    manifest.unlink(missing_ok=True)
    assert run(monkeypatch, tmp_path, "ls", library, "--manifest", manifest, *options).returncode == 1
    direct = {film.video.name: film for film in find_films([library]) if film.video.name != "broken.mkv"}
    again = {film.video.name: film for film in read_manifest(manifest)}
    assert again.keys() == direct.keys() | {"broken.mkv"}
    for name, film in direct.items():
        wanted = chosen(film, languages, assume_primary="--assume-primary" in options)
        assert chosen(again[name], languages) == wanted, name
        assert (again[name].title, again[name].name) == (None, str(again[name].video))
    manifest.unlink()


def test_prep_makes_the_same_cache_of_it(monkeypatch, library, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("plain.mkv", "plain.es.mka", "new\nline.mkv"):
        shutil.copy(library / name, folder / name)
    assert run(monkeypatch, tmp_path, "ls", "films", "--lang", "en,es", "--manifest", "list.csv").returncode == 0
    for source, cache in ((folder, "a"), (tmp_path / "list.csv", "b")):
        outcomes = prepare_here(monkeypatch, [source], tmp_path / cache, "en,es")
        assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    one, other = ({m.id: {t: (e["path"], e["stream"]) for t, e in m.tracks.items()} for m in Cache(tmp_path / c).movies}
                  for c in "ab")  # fmt: skip
    assert one == other
    done = run(monkeypatch, tmp_path, "prep", "films", "--cache", "b", "--lang", "en,es")
    assert "2 already there" in done.stdout


def test_a_manifest_is_for_people_too(monkeypatch, library, tmp_path):
    run(monkeypatch, tmp_path, "ls", library / "first.mkv", "--lang", "en,es", "--manifest", "list.csv")
    (row,) = csv.DictReader((tmp_path / "list.csv").open(encoding="utf-8"))
    assert (row["movie"], row["es"]) == ("first", "")
    assert row["en"].endswith("first.mkv:2")
    assert "4 fr: fr is not asked for" in row["note"]
    again = run(monkeypatch, tmp_path, "ls", library / "first.mkv", "--manifest", "list.csv")
    assert (again.returncode, "may have been edited" in again.stderr) == (2, True)


def test_names_that_are_no_utf_8_are_written_and_read(monkeypatch, library, tmp_path):
    name = os.fsencode(tmp_path) + b"/Am\xe9lie.mkv"
    try:
        shutil.copy(library / "first.mkv", name)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    run(monkeypatch, tmp_path, "ls", tmp_path, "--manifest", "list.csv")
    (film,) = read_manifest(tmp_path / "list.csv")
    assert os.fsencode(film.video) == name
    assert {language for language, _, _ in film.named_tracks} == {"en", "fr"}


def test_a_film_without_the_primary_language_is_told(monkeypatch, library, tmp_path):
    done = run(monkeypatch, tmp_path, "ls", library / "first.mkv", "--lang", "ja,en")
    assert done.returncode == 1
    assert "no ja track (audio tracks: en, en, en (Director's commentary), fr" in done.stderr


def test_options_of_films_are_not_for_caches(monkeypatch, library, tmp_path):
    prepare_here(monkeypatch, [library / "norwegian.mkv"], tmp_path / "cache")
    done = run(monkeypatch, tmp_path, "ls", "cache", "--lang", "en")
    assert (done.returncode, "is a clip cache" in done.stderr) == (2, True)
    done = run(monkeypatch, tmp_path, "ls", library / "first.mkv", "--lang", "frnech")
    assert (done.returncode, "did you mean french" in done.stderr) == (2, True)


def test_films_that_name_no_language_are_listed(monkeypatch, tmp_path):
    """A track without a tag, and sound alone in a container of films; no language is asked for, and none is known."""
    (tmp_path / "in").mkdir()
    make_film(tmp_path / "in" / "a.mkv", seconds=3.2, tracks=[Track(None)])
    make_film(tmp_path / "in" / "b.mkv", seconds=3.2, video_codec=None, tracks=[Track(None)])
    done = run(monkeypatch, tmp_path, "ls", "in", "--json")
    listed = json.loads(done.stdout)
    assert tracks_of(listed, "a.mkv")[1][1] == "its language is not said; --assume-primary takes it for the primary one"
    assert [title["problem"] for title in listed["titles"]][1] == "no video stream"
