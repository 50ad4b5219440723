"""``dubav ls``: titles, tracks, hours, language subsets as in table B4; the deep check of a cache."""

import json

import numpy as np
import pytest

from dubcli.cache.reader import Cache
from dubcli.ls import Listing, TitleRow, TrackRow
from helpers.caches import TAGS, make_cache
from helpers.containers import Track, make_film
from helpers.prepping import command_here, prepare_here

FILMS = {
    "Alpha.mkv": (6.2, [Track("eng", layout="5.1"), Track("spa"), Track("fre"), Track("jpn")]),
    "Beta.mp4": (12.4, [Track("eng", codec="aac"), Track("fra", codec="aac")]),
    "Gamma.mkv": (3.3, [Track("eng"), Track("eng", title="Commentary", seed=5)]),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for name, (seconds, tracks) in FILMS.items():
        make_film(folder / name, seconds=seconds, size=(96, 54), tracks=tracks)
    (folder / "broken.mkv").write_bytes(b"nothing")
    return folder


@pytest.fixture(scope="module")
def cache(films, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        prepare_here(patch, [films], path, "en,es,fr,ja")
    return path


@pytest.fixture
def dubav(tmp_path, monkeypatch):
    return lambda *arguments: command_here(monkeypatch, tmp_path, *arguments)


def test_sources_are_listed_by_their_headers(dubav, films):
    result = json.loads(dubav("ls", films, "--json").stdout)
    titles = {title["title"].rsplit("/", 1)[-1]: title for title in result["titles"]}
    assert titles.keys() == {*FILMS, "broken.mkv"}
    alpha = titles["Alpha.mkv"]
    assert [track["language"] for track in alpha["tracks"]] == ["en", "es", "fr", "ja"]
    assert (alpha["tracks"][0]["codec"], alpha["tracks"][0]["channels"]) == ("ac3", 6)
    assert alpha["tracks"][0]["layout"] == "5.1(side)"
    assert alpha["duration_seconds"] == pytest.approx(6.2, abs=0.1)
    assert alpha["video"] == "h264 96x54"
    assert "not a media file" in titles["broken.mkv"]["problem"]
    assert titles["Gamma.mkv"]["tracks"][1]["note"] == "not taken: Commentary"
    assert result["primary"] == "en"


def test_what_is_no_film_is_told_with_status_1(dubav, films, tmp_path):
    (tmp_path / "film.es.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHola.\n")
    for source, name, why in (
        (films / "broken.mkv", "broken.mkv", "not a media file"),
        (tmp_path / "film.es.srt", "film.es.srt", "no video stream"),
    ):
        done = dubav("ls", source)
        assert done.returncode == 1
        assert name in done.stderr
        assert why in done.stderr
    assert dubav("ls", films / "Alpha.mkv").returncode == 0


def subsets(result):
    return {"+".join(row["languages"]): (row["titles"], row["hours"]) for row in result["subsets"]}


def test_language_subsets_are_those_of_table_b4(dubav, films, cache):
    expected = {
        "en": (3, 6 + 12 + 3),
        "en+fr": (2, 6 + 12),
        "en+es": (1, 6),
        "en+ja": (1, 6),
        "en+es+fr": (1, 6),
        "en+es+ja": (1, 6),
        "en+fr+ja": (1, 6),
        "en+es+fr+ja": (1, 6),
    }
    for source, tolerance in ((cache, 1e-4), (films, 4e-4)):
        found = subsets(json.loads(dubav("ls", source, "--json").stdout))
        assert found.keys() == expected.keys()
        for name, (titles, seconds) in expected.items():
            assert found[name][0] == titles
            assert found[name][1] == pytest.approx(seconds / 3600, abs=tolerance)
        assert list(found)[:2] == ["en", "en+fr"]


def test_tables_for_people(dubav, films, cache):
    text = dubav("ls", films).stdout
    for word in ("Alpha.mkv", "ac3 5.1(side)", "0:00:12", "h264 96x54", "EN + ES + FR + JA", "not a media file"):
        assert word in text
    text = dubav("ls", cache).stdout
    for word in ("alpha-", "beta-", "EN + FR", "aac", "titles and hours by languages"):
        assert word in text


def test_a_cache_lists_codecs_and_sync(dubav, cache):
    titles = json.loads(dubav("ls", cache, "--json").stdout)["titles"]
    alpha = next(title for title in titles if title["title"].startswith("alpha-"))
    assert [(track["language"], track["codec"], track["layout"], track["note"]) for track in alpha["tracks"]] == [
        ("en", "ac3", "5.1(side)", ""),
        ("es", "ac3", "stereo", "ok"),
        ("fr", "ac3", "stereo", "ok"),
        ("ja", "ac3", "stereo", "ok"),
    ]


def test_a_sound_cache_passes_the_check(dubav, cache):
    done = dubav("ls", cache, "--check")
    assert (done.returncode, "checked 3 titles: all is well" in done.stdout) == (0, True)


def test_the_check_finds_damage_and_says_where(dubav, cache, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(cache, copy)
    alpha, beta, gamma = Cache(copy).movies
    mel = np.load(alpha.folder / "mel.ja.npy")
    mel[1, 0, 5, 6] = np.nan
    np.save(alpha.folder / "mel.ja.npy", mel)
    frames = bytearray((beta.folder / "frames.jpgs").read_bytes())
    start, stop = beta.frame_offsets[20:22]
    frames[start:stop] = bytes(int(stop - start))
    (beta.folder / "frames.jpgs").write_bytes(frames)
    data = (gamma.folder / "mel.en.npy").read_bytes()
    (gamma.folder / "mel.en.npy").write_bytes(data[:-100])
    done = dubav("ls", copy, "--check")
    assert done.returncode == 1
    joined = done.stdout.replace("\n", "")
    assert f"{alpha.folder}/mel.ja.npy: clip 1: NaN" in joined
    assert f"{beta.folder}/frames.jpgs: clip 1, frame 4: " in joined
    assert f"{gamma.folder}/mel.en.npy cannot be read" in joined
    found = json.loads(dubav("ls", copy, "--check", "--json").stdout)["titles"]
    assert [len(title["findings"]) for title in found] == [1, 1, 1]


def test_mistakes_are_one_line(dubav, films, tmp_path):
    for arguments, text in (
        (("ls", "nowhere"), "nowhere is not there"),
        (("ls", films, "--check"), "--check is for a clip cache"),
        (("ls", tmp_path), "no video file in"),
    ):
        done = dubav(*arguments)
        assert done.returncode == 2
        assert text in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def title(languages, hours, problem=None):
    tracks = tuple(
        TrackRow(language=tag, codec="ac3", channels=2, layout="stereo", taken_for=(tag,)) for tag in languages
    )
    return TitleRow(title="x", duration_seconds=3600 * hours, tracks=tracks, problem=problem)


def test_subsets_count_titles_that_have_all_languages_and_the_primary():
    titles = [
        title(["en", "fr"], 2),
        title(["en", "fr", "es"], 1),
        title(["fr"], 9),
        title(["en"], 5, problem="broken"),
    ]
    rows = Listing(tuple(titles), "en").subsets.rows
    assert [("+".join(row.languages), row.titles, row.hours) for row in rows] == [
        ("en", 2, 3.0),
        ("en+fr", 2, 3.0),
        ("en+es", 1, 1.0),
        ("en+es+fr", 1, 1.0),
    ]


def test_a_cache_of_40_languages_is_listed(dubav, tmp_path):
    """2^39 sets of them; the table has the pairs and all of them together, and says so."""
    cache = make_cache(tmp_path / "cache", films=2, clips=1, languages=TAGS)
    result = json.loads(dubav("ls", cache, "--json").stdout)
    assert not result["subsets_complete"]
    assert [row["titles"] for row in result["subsets"]] == [2] * (1 + 39 + 1)
    assert "Not every set" in dubav("ls", cache).stdout
