"""From files, folders and manifests to films, and from a film's streams to the track of each language."""

import os
import unicodedata
from fractions import Fraction
from pathlib import Path

import pytest

from dubcli.core.languages import language_tag
from dubcli.errors import InputError, UserError
from dubcli.media.films import Film, read_manifest
from dubcli.media.identity import content_of
from dubcli.media.library import find_films
from dubcli.media.sources import choose_track, choose_tracks, judge_tracks
from dubcli.media.streams import AudioTrack, MediaInfo, read_info, zero_beside
from dubcli.prep.identity import movie_id
from helpers.containers import Track, make_film


def audio(index, language, *, default=False, special=False, channels=2, codec="ac3", tag=None, foreign=False):
    return AudioTrack(index=index, codec=codec, language=language, tag=tag or language or "", title="", foreign=foreign,
                      channels=channels, layout="stereo", sample_rate=48000, default=default,
                      special=special)  # fmt: skip


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


def regional(wish, *tags):
    """The tag that is taken for a wish of a language with its region."""
    tracks = [audio(number, language_tag(tag), tag=tag) for number, tag in enumerate(tags)]
    language = language_tag(wish)
    return tags[chosen(tracks, [language], regions={language: wish})[language]]


def test_regions_prefer_their_own():
    assert regional("pt-BR", "pt-PT", "pt", "pt-BR") == "pt-BR"
    assert regional("pt-BR", "pt-PT", "por") == "por"
    assert regional("pt-PT", "pt-BR", "pt-PT") == "pt-PT"
    assert regional("es-419", "es-ES", "es-MX", "es-419") == "es-419"
    assert regional("es-419", "es-ES", "es-MX") == "es-MX"
    assert regional("zh-TW", "cmn-Hans", "cmn-Hant-TW") == "cmn-Hant-TW"
    assert regional("fr-CA", "fr-FR") == "fr-FR"
    assert regional("pt", "pt-PT", "pt-BR") == "pt-PT"


def test_sound_of_another_programme_comes_last_and_is_never_the_primary():
    tracks = [audio(1, "en", foreign=True, default=True), audio(2, "en"), audio(3, "es", foreign=True)]
    assert chosen(tracks, ["en", "es"]) == {"en": 2, "es": 3}
    assert chosen([*tracks, audio(4, "es")], ["en", "es"]) == {"en": 2, "es": 4}
    assert chosen(tracks, ["es", "en"]) == {"en": 2}
    assert chosen([audio(1, None, foreign=True)], ["en"], assume_primary=True) == {}
    assert choose_track(tracks).index == 2
    with pytest.raises(InputError, match="no sound track in es"):
        choose_track(tracks, "es")


def sidecars(folder, film, names, languages, titles=(None,)):
    """{language: name of the file beside the film that is taken for it}."""
    for name in names:
        make_film(folder / name, seconds=0.2, video_codec=None,
                  tracks=[Track(None, codec="flac", title=title) for title in titles])  # fmt: skip
    info = MediaInfo(path=folder / film, format="", start_seconds=Fraction(0), duration_seconds=1.0, video=None,
                     audio=())  # fmt: skip
    found = choose_tracks(Film(video=folder / film), info, languages)
    return {language: choice.path.name for language, choice in found.items()}


def test_sidecars_that_are_no_plain_speech_are_left(tmp_path):
    names = ["film.en.commentary.mka", "film.commentary.fr.flac", "film.de-AD.flac", "film.es.AD.mka", "film.zxx.flac",
             "film.it.default.mka", "film.pt_AD.flac", "film.hu-HI.flac", "film.nl.hi.flac"]  # fmt: skip
    assert sidecars(tmp_path, "film.mkv", names, ["en", "fr", "de", "es", "it", "pt", "hu", "nl", "hi"]) == {
        "it": "film.it.default.mka"
    }
    assert sidecars(tmp_path, "other.mkv", ["other.ja.mka"], ["ja"], titles=["オーディオコメンタリー"]) == {}
    assert sidecars(tmp_path, "third.mkv", ["third.ja.mka"], ["ja"], titles=["解説", "本編"]) == {"ja": "third.ja.mka"}


def test_accents_meet_however_the_disk_writes_them(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Amélie") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert sidecars(tmp_path, f"{composed}.mkv", [f"{decomposed}.fr.mka"], ["fr"]) == {"fr": f"{decomposed}.fr.mka"}
    (tmp_path / decomposed).mkdir()
    (tmp_path / decomposed / f"{composed}.mkv").touch()
    manifest = tmp_path / "list.csv"
    manifest.write_text(
        f"movie,video,en\nA,{composed}/{decomposed}.mkv,{composed}/{decomposed}.mkv:1\n", encoding="utf-8"
    )
    (film,) = read_manifest(manifest)
    assert film.video.exists()
    assert film.named_tracks == (("en", film.video, 1),)
    assert movie_id(composed, "0" * 64) == movie_id(decomposed, "0" * 64) == f"{composed.lower()}-00000000"


def test_an_empty_cell_is_none_and_auto_is_the_films_own(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("movie,video,en,fr,de\nA,film.mkv,auto, ,film.mkv:5\nB,film.mkv,AUTO\n")
    info = MediaInfo(path=tmp_path / "film.mkv", format="", start_seconds=Fraction(0), duration_seconds=1.0, video=None,
                     audio=(audio(1, "en"), audio(2, "fr"), audio(3, "es"), audio(4, "de")))  # fmt: skip
    first, second = read_manifest(path)
    assert first.without == ("fr",)
    assert [name for name, *_ in first.named_tracks] == ["de"]
    for film, languages in ((first, ["en", "fr", "es"]), (second, ["en", "fr", "es", "de"])):
        found = choose_tracks(film, info, languages)
        assert {name: choice.track.index for name, choice in found.items()} == {"en": 1, "es": 3}
    assert choose_tracks(Film(video=path, without=("en",)), info, ["en"], assume_primary=True) == {}


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
    for read in (read_info, content_of):
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
    assert (first.without, second.without) == ((), ("en",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("apart", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_manifests_as_spreadsheets_write_them(tmp_path, encoding, apart, end):
    rows = ["Movie, Video ,EN,es,Note", "Ä,a.mkv,auto,None,x", "", ",,,,", "Ä,a.mkv,Auto,,", ",b.mkv,,b.mkv:2,,"]
    path = tmp_path / "list.csv"
    path.write_bytes(end.join(rows).replace(",", apart).encode(encoding))
    first, second = read_manifest(path)
    assert (first.name, first.named_tracks, first.without) == ("Ä", (), ("es",))
    assert (second.named_tracks, second.without) == ((("es", tmp_path / "b.mkv", 2),), ("en",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("movie,video\nA,\n", "line 2: no video"),
        ("video,en\nx,y\n", "lacks the columns movie,video"),
        ("movie,video,frnech\nA,b,c\n", r"column: 'frnech' is no ISO 639 language; did you mean french \(fr\)"),
        ("", "lacks the columns"),
        ("movie,video,es,spa\nA,b,c,d\n", "two columns for es"),
        ("movie,video,es\n\n,,\nA,b,,d\n", "line 4: 4 cells for 3 columns"),
        ("movie,video,es\nA,b,c\nA,b,\n", "line 3: A was said before, with other tracks"),
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


@pytest.mark.parametrize(
    ("film", "beside", "zero"),
    [
        (("matroska,webm", 0, 900), ("matroska,webm", 650), 0),
        (("mov,mp4,m4a", 0, 900), ("matroska,webm", 0.02), 0),
        (("matroska,webm", 0, 900), ("mov,mp4,m4a", 1000), 1000),  # after the film's end
        (("matroska,webm", 10, 900), ("matroska,webm", 0), 0),
        (("matroska,webm", 10, 900), ("matroska,webm", 10.5), 10),
        (("matroska,webm", 0, 900), ("matroska,webm", -0.007), 0),
        (("matroska,webm", 0, 900), ("mp3", 0.025), 0.025),
        (("matroska,webm", 0, 900), ("mpegts", 1.4), 1.4),
        (("mpegts", 43473, 900), ("mpegts", 43475), 43473),
        (("mpegts", 43473, 900), ("mpegts", 1.4), 1.4),
        (("mpegts", 1.4, None), ("mpegts", 1.5), 1.4),
        (("mpegts", 6.4, 900), ("matroska,webm", 2.5), 0),  # made from the film or beside it
        (("mpegts", 6.4, 900), ("mov,mp4,m4a", 8), 0),
        (("mpegts", 1.4, 900), ("matroska,webm", 1.4), 1.4),  # with its time stamps
        (("mpegts", 43473, 900), ("matroska,webm", 43475), 43473),
        (("matroska,webm", 10, 900), ("matroska,webm", 2.5), 0),
    ],
)
def test_the_films_zero_on_the_clock_of_a_file_beside_it(film, beside, zero):
    def info(format_name, start, length=5.0):
        return MediaInfo(path=Path("x"), format=format_name, start_seconds=Fraction(str(start)),
                         duration_seconds=length, video=None, audio=())  # fmt: skip

    assert zero_beside(info(*film), info(*beside)) == Fraction(str(zero))


def test_files_beside_a_film_of_which_nothing_is_taken_are_told_with_the_reason(tmp_path):
    make_film(tmp_path / "film.mkv", seconds=0.5, tracks=[Track("eng")])
    names = ("es", "fr-AD", "de.director", "it", "en")
    for name in names:
        make_film(tmp_path / f"film.{name}.mka", seconds=0.5, video_codec=None, tracks=[Track(None)])
    film, info = Film(video=tmp_path / "film.mkv"), read_info(tmp_path / "film.mkv")
    languages = ("en", "es", "fr", "de")
    verdicts = judge_tracks(film, info, languages, choose_tracks(film, info, languages))
    told = {one.path.name: (one.taken_for, one.why) for one in verdicts}
    assert list(told)[:2] == ["film.mkv", "film.es.mka"]
    assert told == {
        "film.mkv": (("en",), "by its tag"),
        "film.es.mka": (("es",), "by its file's name"),
        "film.fr-AD.mka": ((), "its name says commentary, description or the like"),
        "film.de.director.mka": ((), "its name says no language, or more than that"),
        "film.it.mka": ((), "it is not asked for"),
        "film.en.mka": ((), "film.mkv is taken for it by its tag"),
    }
