"""From files, folders and manifests to films, and from a film's streams to the track of each language."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from dubcli.errors import InputError, UserError
from dubcli.media.identity import content_of
from dubcli.media.sources import Film, choose_tracks, find_films, read_manifest
from dubcli.media.streams import AudioTrack, MediaInfo, probe
from helpers.containers import Track, make_film


def audio(index, language, *, default=False, special=False, channels=2, codec="ac3"):
    return AudioTrack(index=index, codec=codec, language=language, tag=language or "", title="", channels=channels,
                      layout="stereo", sample_rate=48000, default=default, special=special)  # fmt: skip


def chosen(tracks, languages, **options):
    info = MediaInfo(path=Path("film.mkv"), format="matroska", start_seconds=Fraction(0), duration_seconds=9.0,
                     video=None, audio=tuple(tracks))  # fmt: skip
    found = choose_tracks(Film(video=Path("nowhere/film.mkv")), info, languages, **options)
    return {language: choice.track.index for language, choice in found.items()}


def test_of_two_tracks_the_default_then_the_fuller_then_the_first():
    assert chosen([audio(1, "en"), audio(2, "en", channels=6), audio(3, "en")], ["en"]) == {"en": 2}
    assert chosen([audio(1, "en", channels=6), audio(2, "en", default=True)], ["en"]) == {"en": 2}
    assert chosen([audio(1, "en"), audio(2, "en")], ["en"]) == {"en": 1}


def test_commentary_and_tracks_without_a_decoder_are_never_taken():
    tracks = [audio(1, "en", special=True, default=True), audio(2, "en", codec=None), audio(3, "en"), audio(4, "fr")]
    assert chosen(tracks, ["en", "fr", "ja"]) == {"en": 3, "fr": 4}


def test_a_single_untagged_track_is_the_primary_only_when_asked():
    assert chosen([audio(1, None)], ["en"]) == {}
    assert chosen([audio(1, None)], ["en"], assume_primary=True) == {"en": 1}
    assert chosen([audio(1, None), audio(2, None)], ["en"], assume_primary=True) == {}
    assert chosen([audio(1, None), audio(2, "en")], ["en"], assume_primary=True) == {"en": 2}
    assert chosen([audio(1, None), audio(2, "fr")], ["en", "fr"], assume_primary=True) == {"en": 1, "fr": 2}


def test_sidecars_in_every_spelling(tmp_path):
    (tmp_path / "film.mkv").touch()
    for name in ("film.fre.flac", "film.pt-BR.mka", "film.notalanguage.flac", "film.flac", "filmy.de.flac"):
        make_film(tmp_path / name, seconds=0.2, video_codec=None, tracks=[Track(None, codec="flac")])
    info = MediaInfo(path=tmp_path / "film.mkv", format="", start_seconds=Fraction(0), duration_seconds=1.0, video=None,
                     audio=(audio(1, "en"),))  # fmt: skip
    found = choose_tracks(Film(video=tmp_path / "film.mkv"), info, ["en", "fr", "pt", "de"])
    assert {language: (choice.how, choice.path.name) for language, choice in found.items()} == {
        "en": ("tag", "film.mkv"),
        "fr": ("sidecar", "film.fre.flac"),
        "pt": ("sidecar", "film.pt-BR.mka"),
    }


def test_folders_are_searched_hidden_ones_and_other_files_are_not(tmp_path):
    for name in ("b.MKV", "a/c.mp4", "a/.hidden/d.mkv", "a/notes.txt", "._b.mkv", "film.en.flac"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [film.video for film in find_films([tmp_path, tmp_path / "b.MKV"])]
    assert found == [tmp_path / "a" / "c.mp4", tmp_path / "b.MKV"]


def test_links_in_circles_and_pipes_are_no_trap(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "film.mkv").touch()
    for name in ("one", "two", "three"):
        (tmp_path / "a" / name).symlink_to(tmp_path)
    assert [film.video for film in find_films([tmp_path])] == [tmp_path / "a" / "film.mkv"]
    os.mkfifo(tmp_path / "pipe.mkv")
    for read in (probe, content_of):
        with pytest.raises(InputError, match="is not a file"):
            read(tmp_path / "pipe.mkv")


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "film.mkv").touch()
    scan = os.scandir

    def refuse(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [film.video.name for film in find_films([tmp_path])] == ["closed", "film.mkv"]
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        content_of(tmp_path / "closed")


def test_manifests(tmp_path):
    (tmp_path / "odd:3").touch()
    path = tmp_path / "list.csv"
    path.write_text("\ufeffmovie,video,eng,fr\n A ,a.mkv,a.mkv:1,odd:3\n,sub/b.mkv,,x:y.mkv:12\n", encoding="utf-8")
    first, second = read_manifest(path)
    assert (first.name, first.video) == ("A", tmp_path / "a.mkv")
    assert first.named_tracks == (("en", tmp_path / "a.mkv", 1), ("fr", tmp_path / "odd:3", None))
    assert second.name == str(tmp_path / "sub" / "b.mkv")
    assert second.named_tracks == (("fr", tmp_path / "x:y.mkv", 12),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("movie,video\nA,\n", "line 2: no video"),
        ("video,en\nx,y\n", "lacks the columns movie,video"),
        ("movie,video,frnech\nA,b,c\n", r"column: 'frnech' is no ISO 639 language; did you mean french \(fr\)"),
        ("", "lacks the columns"),
    ],
)
def test_mistakes_in_manifests_are_named(tmp_path, text, reason):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=reason):
        read_manifest(path)


def test_a_manifest_of_bytes_that_are_no_text(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"movie,video\n\xff\xfe,a.mkv\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(tmp_path / "list.csv")


def test_a_stream_that_is_not_there(tmp_path):
    make_film(tmp_path / "film.mkv", seconds=0.5)
    info = MediaInfo(path=tmp_path / "film.mkv", format="", start_seconds=Fraction(0), duration_seconds=1.0, video=None,
                     audio=())  # fmt: skip
    film = Film(video=tmp_path / "film.mkv", named_tracks=(("en", tmp_path / "film.mkv", 9),))
    with pytest.raises(InputError, match="has no audio stream 9, which the manifest names for en"):
        choose_tracks(film, info, ["en"])
    problems = []
    assert choose_tracks(film, info, ["fr", "en"], problems=problems) == {}
    assert "no audio stream 9" in problems[0]
