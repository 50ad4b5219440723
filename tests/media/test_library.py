"""Which files of a library are films: each content once, extras left out, discs and parts joined, the rest counted."""

import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from dubcli.errors import UserError
from dubcli.media.disc import disc_tracks
from dubcli.media.joined import find_parts, name_of
from dubcli.media.library import Looking, find_library
from dubcli.media.streams import read_info
from helpers.containers import Track, make_film
from helpers.prepping import findings, log_lines, one_movie, prepare_here


def touch(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * (50 + number))


def found(folder, **looking):
    library = find_library([folder], Looking(**looking))
    return {os.path.relpath(film.video, folder) for film in library.films}, library


EXTRAS = (
    "Film (2000)/Sample/film-sample.mkv", "Film (2000)/sample-film.mkv", "Film (2000)/Film-trailer.mkv",
    "Film (2000)/Film.trailer.mkv", "Film (2000)/Film_sample.avi", "Film (2000)/trailer.mp4",
    "Film (2000)/Trailers/Teaser.mov", "Film (2000)/Extras/deep/x.mkv", "Film (2000)/Behind The Scenes/a.mkv",
    "Film (2000)/Featurettes/b.mkv", "Film (2000)/Deleted Scenes/c.mkv", "Film (2000)/Shorts/d.mkv",
    "Film (2000)/Other/e.mkv", "Film (2000)/making-behindthescenes.mkv", "Film (2000)/talk-interview.mkv",
    "Film (2000)/cut-deleted.mkv", "Film (2000)/x-featurette.mkv", "Film (2000)/y-scene.mkv",
    "Sampler-other.mkv",
)  # fmt: skip
FILMS = (
    "Film (2000)/Film.mkv", "Sampler.mkv", "The Trailer Park.mkv", "Extra Ordinary.mkv", "sub/The Short.mkv",
    "Shorts/one.mkv", "Other/two.mkv", "Trailerpark/three.mkv", "alone/robbery-scene.mkv", "night-scene.mkv",
)  # fmt: skip


def test_extras_are_left_out_by_the_players_conventions(tmp_path):
    touch(tmp_path, *EXTRAS, *FILMS)
    films, library = found(tmp_path)
    assert films == set(FILMS)
    assert len(library.extras) == len(EXTRAS)
    assert f"{len(EXTRAS)} samples, trailers or extras left out" in library.notes[0]
    assert found(tmp_path, include_extras=True)[0] == {*EXTRAS, *FILMS}
    # what is named itself is taken, whatever it is called
    assert len(find_library([tmp_path / EXTRAS[0], tmp_path / "Film (2000)" / "Extras"]).films) == 2


def test_patterns_are_left_out(tmp_path):
    touch(tmp_path, "a.mkv", "b.avi", "old/c.mkv", "old/deep/d.mkv", "new/e.mkv")
    assert found(tmp_path, exclude=("*.avi", "old"))[0] == {"a.mkv", "new/e.mkv"}
    assert found(tmp_path, exclude=("old/*",))[0] == {"a.mkv", "b.avi", "new/e.mkv"}
    films, library = found(tmp_path, exclude=("old/deep/", "typo*"))
    assert films == {"a.mkv", "b.avi", "old/c.mkv", "new/e.mkv"}
    assert library.notes == ["1 film left out by --exclude: d.mkv", "--exclude typo* fits nothing"]
    with pytest.raises(UserError, match=r"but what is left out: 5 films left out by --exclude"):
        found(tmp_path, exclude=("*",))


def test_what_may_be_parts_is_said(tmp_path):
    touch(tmp_path, "Dune Part 1.mkv", "Dune Part 2.mkv", "Other.mkv")
    films, library = found(tmp_path)
    assert len(films) == 3
    assert library.notes[-1].endswith("may be parts (part1, cd1 are joined): Dune Part 1.mkv + Dune Part 2.mkv")


def test_sounds_beside_films_are_looked_at(tmp_path):
    touch(tmp_path, "a.mkv")
    make_film(tmp_path / "a.es.mka", seconds=0.5, video_codec=None, tracks=[Track(None)])
    assert found(tmp_path)[1].notes == []


def test_what_is_no_film_by_its_name_is_counted(tmp_path):
    touch(tmp_path, "a.mkv", "b.ogm", "c.rmvb", "d.nfo", "e.jpg", "disc.iso", ".hidden.iso")
    make_film(tmp_path / "whole.mkv", seconds=0.5)
    for name in ("f.mkv.part", "g", "h.bak"):
        shutil.copy(tmp_path / "whole.mkv", tmp_path / name)
    films, library = found(tmp_path)
    assert films == {"a.mkv", "b.ogm", "c.rmvb", "whole.mkv"}
    assert library.passed_over == {".iso": 1, ".part": 1, "without a suffix": 1, ".bak": 1}
    assert library.notes[-1].startswith("files that may be films, but not by their names, were not looked at: ")


def test_one_content_is_one_film(tmp_path):
    touch(tmp_path, "a.mkv", "rubbish.mkv")
    make_film(tmp_path / "z.mkv", seconds=0.5)
    shutil.copy(tmp_path / "rubbish.mkv", tmp_path / "same rubbish.mkv")  # each of them fails
    shutil.copy(tmp_path / "z.mkv", tmp_path / "copy of z.mkv")
    os.link(tmp_path / "z.mkv", tmp_path / "hard link.mkv")
    (tmp_path / "0 link.mkv").symlink_to("z.mkv")
    (tmp_path / "dangling.mkv").symlink_to("nowhere")
    films, library = found(tmp_path)
    rubbish = {"a.mkv", "dangling.mkv", "rubbish.mkv", "same rubbish.mkv"}
    assert films == rubbish | {"copy of z.mkv"}
    assert {path.name for path in library.copies[tmp_path / "copy of z.mkv"]} == {
        "0 link.mkv",
        "hard link.mkv",
        "z.mkv",
    }
    assert "3 files of a content that is there already left out: copy of z.mkv = " in library.notes[0]
    known = find_library([tmp_path], known=[tmp_path / "z.mkv"])
    assert {film.video.name for film in known.films} == rubbish | {"z.mkv"}


def test_a_renamed_film_stays_the_one_that_it_was(monkeypatch, tmp_path):
    (tmp_path / "films").mkdir()
    make_film(tmp_path / "films" / "old.mkv", seconds=3.2, tracks=[Track("eng"), Track("spa", seed=2)])
    movie, _ = one_movie(monkeypatch, tmp_path / "films", tmp_path / "cache")
    (tmp_path / "films" / "old.mkv").rename(tmp_path / "films" / "new.mkv")
    (outcome,) = prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "cache").values()
    assert (outcome.status, outcome.details["movie"]) == ("skipped", movie.id)
    again, _ = one_movie(monkeypatch, tmp_path / "films", tmp_path / "cache", "en,es")
    assert again.id == movie.id
    new = str(tmp_path / "films" / "new.mkv")
    assert (again.meta["title"], again.meta["source"]["path"]) == ("new", new)
    assert {entry["path"] for entry in again.tracks.values()} == {new}
    # another film takes the name that it had before it was renamed
    make_film(tmp_path / "films" / "old.mkv", seconds=3.2, tracks=[Track("eng", seed=7)])
    prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "cache")
    (tmp_path / "films" / "new.mkv").rename(tmp_path / "films" / "a.mkv")
    (tmp_path / "films" / "old.mkv").rename(tmp_path / "films" / "new.mkv")
    outcomes = prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "cache")
    assert {outcome.status for outcome in outcomes.values()} == {"skipped"}
    assert len(findings(tmp_path / "cache")) == 0


def test_copies_have_a_line_in_the_log(monkeypatch, tmp_path):
    (tmp_path / "films").mkdir()
    make_film(tmp_path / "films" / "a.mkv", seconds=3.2)
    os.link(tmp_path / "films" / "a.mkv", tmp_path / "films" / "b.mkv")
    outcomes = prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "cache")
    assert [outcome.status for outcome in outcomes.values()] == ["ok"]
    (copy,) = [line for line in log_lines(tmp_path / "cache") if "same_as" in line]
    assert (copy["source"], copy["status"]) == (str(tmp_path / "films" / "b.mkv"), "skipped")


def test_parts_are_told_from_titles(tmp_path):
    def parts(*names):
        return {name_of(one.path): len(one.files) for one in find_parts([tmp_path / n for n in names]) if one.sure}

    assert parts("A cd1.avi", "A cd2.avi", "B.avi") == {"A": 2}
    assert parts("A.CD2.avi", "A.CD1.avi", "A.CD3.avi") == {"A": 3}
    assert parts("A (2000)-disc1.mkv", "A (2000)-disc2.mkv") == {"A (2000)": 2}
    assert parts("A [cd 1].avi", "A [cd 2].avi") == {"A": 2}
    assert parts("A part1.mkv", "A part2.mkv") == {"A": 2}
    assert parts("Dune Part 1.mkv", "Dune Part 2.mkv", "Other.mkv") == {}  # two films of a flat folder
    assert parts("A - part1.mkv", "A - part2.mkv", "B.pt1.avi", "B.pt2.avi", "C.mkv") == {"A": 2, "B": 2}
    assert parts("A (part 1 of 2).mkv", "A (part 2 of 2).mkv", "Other.mkv") == {"A": 2}
    assert parts("A cd2.avi", "A cd3.avi") == {}  # the first is missing
    assert parts("A cd1.avi", "A cd2.mkv") == {}
    assert parts("cd1.avi", "cd2.avi") == {}
    assert parts("A pt1.avi", "A pt3.avi") == {}


def tone(frequency, seconds=3.2):
    return np.tile(0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * 48000)) / 48000), (2, 1)).astype("f4")


def loudest(movie, language, clip):
    mel = movie.mel(language)[clip].astype(np.float32)
    return 700 * (10 ** ((mel.mean(axis=(0, 2)).argmax() + 1) / 97 * np.log10(1 + 24000 / 700)) - 1)


@pytest.mark.parametrize("ending", ["mkv", "avi"])
def test_parts_are_one_film(monkeypatch, tmp_path, ending):
    """Six clips of 2 x 9.5 seconds: the grid goes on over the joint."""
    (tmp_path / "films").mkdir()
    codec = {"mkv": ("libx264", "flac"), "avi": ("mpeg4", "mp3")}[ending]
    for number, frequency in ((1, 600), (2, 2400)):
        make_film(tmp_path / "films" / f"it's cd{number}.{ending}", seconds=9.5, video_codec=codec[0],
                  tracks=[Track("eng", codec=codec[1], sound=tone(frequency, 9.5))])  # fmt: skip
    options = {"assume_primary": ending == "avi"}
    movie, outcome = one_movie(monkeypatch, tmp_path / "films", tmp_path / "cache", **options)
    assert (movie.meta["title"], movie.n_clips) == ("it's", 6)
    assert movie.id.startswith("it-s-")
    assert outcome.warning is None
    for clip, frequency in ((0, 600), (2, 600), (4, 2400), (5, 2400)):
        assert loudest(movie, "en", clip) == pytest.approx(frequency, rel=0.2)
    assert movie.tracks["en"]["valid_clips"] == [0, 6]
    (again,) = prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "cache", **options).values()
    assert again.status == "skipped"
    (tmp_path / "films" / f"it's cd2.{ending}").unlink()
    alone = find_library([tmp_path / "films"]).films
    assert [film.video.name for film in alone] == [f"it's cd1.{ending}"]


def write_ifo(path, languages):
    """A title set's table: the kinds of sound are AC-3; ``languages``: (code, code extension)."""
    data = bytearray(0x300)
    data[:12] = b"DVDVIDEO-VTS"
    struct.pack_into(">H", data, 0x202, len(languages))
    for number, (code, extension) in enumerate(languages):
        data[0x204 + 8 * number : 0x20C + 8 * number] = bytes([0, 0, *code.encode(), 0, extension, 0, 0])
    path.write_bytes(data)


def test_a_dvd_is_one_film_in_its_languages(monkeypatch, tmp_path):
    disc = tmp_path / "films" / "Amélie (2001)" / "VIDEO_TS"
    disc.mkdir(parents=True)
    tracks = [Track(None, sound=tone(frequency, 6.5)) for frequency in (600, 1500, 4000)]
    make_film(disc / "VTS_02_1.VOB", seconds=6.5, video_codec="mpeg2video", size=(96, 64), tracks=tracks)
    whole = (disc / "VTS_02_1.VOB").read_bytes()
    cut = len(whole) // 2048 // 2 * 2048
    (disc / "VTS_02_1.VOB").write_bytes(whole[:cut])
    (disc / "VTS_02_2.VOB").write_bytes(whole[cut:])
    make_film(disc / "VTS_01_1.VOB", seconds=0.5, video_codec="mpeg2video", size=(96, 64), tracks=[])
    (disc / "VIDEO_TS.VOB").write_bytes(b"menu")
    write_ifo(disc / "VTS_02_0.IFO", [("en", 1), ("fr", 1), ("en", 3)])
    assert [(track.language, track.special) for track in read_info(disc).audio] == [
        ("en", False),
        ("fr", False),
        ("en", True),
    ]
    movie, _ = one_movie(monkeypatch, tmp_path / "films", tmp_path / "cache", "en,fr")
    assert (movie.meta["title"], movie.n_clips) == ("Amélie (2001)", 2)
    assert [loudest(movie, tag, 1) for tag in ("en", "fr")] == [
        pytest.approx(600, rel=0.2),
        pytest.approx(1500, rel=0.2),
    ]
    (disc / "VTS_02_0.IFO").unlink()  # without it nothing says a language
    assert [track.language for track in read_info(disc).audio] == [None] * 3
    (outcome,) = prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "without", assume_primary=True).values()
    assert (outcome.status, outcome.reason) == (
        "failed",
        "no en track (audio tracks: untagged, untagged, untagged)",
    )


def write_playlist(path, seconds, clips, sounds):
    """An ``.mpls``: of each clip so many seconds; ``sounds``: {PID: language}."""
    entries = b"\x05\x01\x10\x11\x00\x00" + b"\x05\x1b\x00\x00\x00\x00"
    for pid, language in sounds.items():
        entries += b"\x09\x01" + struct.pack(">H", pid) + bytes(6) + b"\x05\x81\x61" + language.encode()
    table = struct.pack(">HH", 0, 0) + bytes([1, len(sounds)]) + bytes(10) + entries
    items = b""
    for clip in clips:
        item = (
            clip.encode()
            + b"M2TS"
            + b"\x00\x01\x00"
            + struct.pack(">II", 0, round(seconds * 45000))
            + bytes(12)
            + table
        )
        items += struct.pack(">H", len(item)) + item
    body = struct.pack(">IHHH", 0, 0, len(clips), 0) + items
    path.write_bytes(b"MPLS0200" + struct.pack(">III", 20, 0, 0) + body)


def test_a_blu_ray_is_its_longest_playlist(monkeypatch, tmp_path):
    disc = tmp_path / "films" / "Film" / "BDMV"
    for name in ("STREAM", "PLAYLIST", "CLIPINF"):
        (disc / name).mkdir(parents=True)
    for name, frequency in (("00001", 600), ("00002", 2400), ("00003", 5000)):
        make_film(disc / "STREAM" / f"{name}.m2ts", seconds=6.5 if name != "00003" else 0.5,
                  tracks=[Track(None, sound=tone(frequency, 6.5)), Track(None, sound=tone(9000, 6.5))])  # fmt: skip
    streams = [stream.index for stream in read_info(disc / "STREAM" / "00001.m2ts").audio]
    assert len(streams) == 2
    import av

    with av.open(str(disc / "STREAM" / "00001.m2ts")) as container:
        pids = [stream.id for stream in container.streams.audio]
    sounds = dict(zip(pids, ("eng", "jpn"), strict=True))
    write_playlist(disc / "PLAYLIST" / "00000.mpls", 0.5, ["00003"], sounds)
    write_playlist(disc / "PLAYLIST" / "00800.mpls", 6.5, ["00001", "00002"], sounds)
    (disc / "PLAYLIST" / "00900.mpls").write_bytes(b"MPLS0200damaged")
    assert [one.language for one in disc_tracks(disc).values()] == ["eng", "jpn"]
    movie, _ = one_movie(monkeypatch, tmp_path / "films", tmp_path / "cache", "en,ja")
    assert (movie.meta["title"], movie.n_clips) == ("Film", 4)
    assert loudest(movie, "en", 0) == pytest.approx(600, rel=0.2)
    assert loudest(movie, "en", 3) == pytest.approx(2400, rel=0.2)
    assert loudest(movie, "ja", 3) == pytest.approx(9000, rel=0.2)


def test_a_disc_without_its_playlist_costs_itself_alone(monkeypatch, tmp_path):
    disc = tmp_path / "films" / "Disc" / "BDMV"
    for name in ("STREAM", "PLAYLIST"):
        (disc / name).mkdir(parents=True)
    (disc / "STREAM" / "00001.m2ts").touch()
    make_film(tmp_path / "films" / "film.mkv", seconds=3, size=(64, 36), fps=8)
    outcomes = prepare_here(monkeypatch, [tmp_path / "films"], tmp_path / "cache")
    assert {Path(key).name: outcome.status for key, outcome in outcomes.items()} == {"BDMV": "failed", "film.mkv": "ok"}
    assert find_library([tmp_path / "films"]).notes == []
