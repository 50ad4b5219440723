"""prep through the real command, on real containers made here: what it takes, what it says, what it writes."""

import json
import os
import shutil

import av
import numpy as np
import pytest

from dubcli.cache.check import check_movie
from dubcli.cache.reader import Cache, Movie
from dubcli.core.features import downmix, log_mel
from dubcli.media.identity import fingerprint
from helpers.containers import RATE, Track, background, make_film
from helpers.waiting import HOPELESS_SECONDS

SURROUND = [Track("eng", "5.1", seed=1), Track("spa", "5.1", seed=2), Track("fre", "stereo", seed=3, codec="flac")]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of films that one run of prep goes through."""
    folder = tmp_path_factory.mktemp("movies")
    make_film(folder / "Plain.mkv", seconds=7, tracks=SURROUND)
    (folder / "deep").mkdir()
    make_film(folder / "deep" / "Plain.mkv", seconds=4, tracks=[Track("eng", seed=9)])
    names = ["with space", 'it\'s "quoted"', "-dash", "new\nline", "映画 ñ", "a:b", "." + "x" * 3]
    for number, name in enumerate(names):
        make_film(folder / f"{name}.mkv", seconds=3.2, tracks=[Track("en", seed=20 + number)])
    make_film(folder / "silent.mkv", seconds=4, tracks=[])
    make_film(folder / "german.mkv", seconds=4, tracks=[Track("ger")])
    make_film(folder / "short.mkv", seconds=1, tracks=[Track("eng")])
    (folder / "text.mkv").write_text("not a film at all\n" * 50)
    (folder / "empty.mkv").touch()
    whole = (folder / "Plain.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    make_film(folder / "sound only.mkv", seconds=4, video_codec=None, tracks=[Track("eng")])
    return folder


@pytest.fixture(scope="module")
def prepared(films, tmp_path_factory):
    """(the finished process, the cache, prep.jsonl's lines by file name)."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("work")
    command = [sys.executable, "-m", "dubcli", "prep", str(films), "--lang", "en,es,fr", "--workers", "2"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HOPELESS_SECONDS)
    lines = [json.loads(line) for line in (folder / "cache" / "prep.jsonl").read_text().splitlines()]
    return done, folder / "cache", {os.path.relpath(line["source"], films): line for line in lines}


def test_every_film_is_listed_with_its_outcome(prepared, films):
    done, _, log = prepared
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    failed = {name: line["reason"] for name, line in log.items() if line["status"] == "failed"}
    assert failed.keys() == {"silent.mkv", "german.mkv", "short.mkv", "text.mkv", "empty.mkv", "sound only.mkv"}
    assert "no en track (audio tracks: none)" in failed["silent.mkv"]
    assert "no en track (audio tracks: de)" in failed["german.mkv"]
    assert "1.00 s of picture" in failed["short.mkv"]
    assert "not a media file" in failed["text.mkv"]
    assert failed["empty.mkv"] == "the file is empty"
    assert "no video stream, only sound" in failed["sound only.mkv"]
    assert "cut short" in log["cut.mkv"]["warning"]
    assert "lacks es, fr" in log[os.path.join("deep", "Plain.mkv")]["warning"]
    assert len(log) == len([path for path in films.rglob("*") if path.is_file() and path.name[0] != "."])


def test_the_cache_is_sound_and_names_survive(prepared):
    _, cache, log = prepared
    movies = Cache(cache).movies
    assert not [finding for movie in movies for finding in check_movie(movie)]
    assert len(movies) == sum(line["status"] == "ok" for line in log.values()) == 9
    titles = {movie.meta["title"] for movie in movies}
    assert {"new\nline", "映画 ñ", "-dash", 'it\'s "quoted"', "a:b"} <= titles
    assert sum(movie.id.startswith("plain-") for movie in movies) == 2
    assert not list(cache.rglob(".tmp-*"))


def test_clips_languages_and_sync_are_recorded(prepared):
    _, cache, _ = prepared
    movie = next(movie for movie in Cache(cache).movies if movie.meta["title"] == "Plain" and movie.n_clips == 2)
    assert movie.languages == ("en", "es", "fr")
    assert movie.meta["frame_size"] == [320, 180]
    assert movie.tracks["es"]["sync"]["status"] == "ok"
    assert abs(movie.tracks["es"]["sync"]["lag_ms"]) < 2
    assert movie.tracks["en"]["downmix_gain"]["5.1(side)"] == pytest.approx(1 / (1 + 2**0.5))
    assert movie.mel("fr").shape == (2, 2, 96, 280)


def test_a_lossless_track_gives_the_mels_of_its_samples(prepared):
    _, cache, _ = prepared
    import torch

    movie = next(movie for movie in Cache(cache).movies if movie.meta["title"] == "Plain" and movie.n_clips == 2)
    generator = np.random.default_rng(1003)
    shared = background(7)
    voice = 0.05 * generator.normal(size=shared.shape[1]).astype(np.float32)
    sound = torch.from_numpy(shared + voice)
    for clip in range(2):
        expected = log_mel(downmix(sound[:, clip * 3 * RATE : (clip + 1) * 3 * RATE], "stereo"), RATE)
        got = torch.from_numpy(movie.mel("fr")[clip].astype(np.float32))
        assert (got - expected).abs().max() < 0.02  # 16-bit samples and float16 mels


def test_running_again_does_nothing_and_says_so(prepared, films):
    import subprocess
    import sys

    _, cache, _ = prepared
    before = {path: path.stat().st_mtime_ns for path in (cache / "movies").rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "dubcli", "prep", str(films / "Plain.mkv"), "--lang", "en,es,fr", "--json"]
    done = subprocess.run(command, cwd=cache.parent, capture_output=True, text=True, timeout=HOPELESS_SECONDS)
    result = json.loads(done.stdout)
    assert (done.returncode, result["ok"], result["skipped"]) == (0, 0, 1)
    assert before == {path: path.stat().st_mtime_ns for path in (cache / "movies").rglob("*") if path.is_file()}


def test_a_language_added_later_decodes_that_language_alone(dubav, tmp_path):
    film = tmp_path / "film.mkv"
    make_film(film, seconds=7, tracks=SURROUND)
    assert dubav("prep", film, "--lang", "en", "--no-sync-check").returncode == 0
    folder = next((tmp_path / "cache" / "movies").iterdir())
    kept = [path for path in folder.iterdir() if path.suffix != ".json"]
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}
    done = dubav("prep", film, "--lang", "en,fr", "--no-sync-check", "--json")
    assert json.loads(done.stdout)["outcomes"][0]["added"] == ["fr"]
    for name, (content, changed) in before.items():
        assert ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) == (content, changed)
    everything = tmp_path / "at once"
    dubav("prep", film, "--lang", "en,fr", "--no-sync-check", "--cache", everything)
    other = next((everything / "movies").iterdir())
    assert (other / "mel.fr.npy").read_bytes() == (folder / "mel.fr.npy").read_bytes()
    assert json.loads((other / "movie.json").read_text()) == json.loads((folder / "movie.json").read_text())


def test_changed_parameters_are_refused_with_both_values(dubav, tmp_path):
    film = tmp_path / "film.mkv"
    make_film(film, seconds=3.5, tracks=[Track("eng"), Track("spa", seed=2)])
    assert dubav("prep", film, "--lang", "en").returncode == 0
    for arguments, text in (
        (("--lang", "es"), "primary en, now it is es"),
        (("--lang", "en", "--match-level"), "match_level False, now it is True"),
    ):
        done = dubav("prep", film, *arguments)
        assert done.returncode == 2
        assert text in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_changed_source_is_prepared_again(dubav, tmp_path):
    film = tmp_path / "film.mkv"
    make_film(film, seconds=3.5, tracks=[Track("eng")])
    dubav("prep", film, "--lang", "en")
    (old,) = (tmp_path / "cache" / "movies").iterdir()
    make_film(film, seconds=6.5, tracks=[Track("eng", seed=5)])
    done = dubav("prep", film, "--lang", "en")
    (new,) = (tmp_path / "cache" / "movies").iterdir()
    assert new.name != old.name
    assert f"the source changed since it was prepared; replaces {old.name}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere", "--lang", "en"), "nowhere is not there"),
        ((".", "--lang", "en"), "no video file in"),
        (("film.mkv", "--lang", "en,frnech"), "'frnech' is no ISO 639 language; did you mean french (fr)?"),
        (("film.mkv", "--lang", "en,eng"), "names en twice"),
        (("film.mkv", "--shard", "5/2"), "I/N"),
        (("film.mkv", "--fix-lag", "--no-sync-check"), "--fix-lag needs the sync check"),
        (("list.csv",), "manifest list.csv lacks the columns"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_status_2(dubav, tmp_path, arguments, text):
    if "film.mkv" in arguments:
        (tmp_path / "film.mkv").touch()
    (tmp_path / "list.csv").write_text("a,b\n")
    done = dubav("prep", *arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "cache").exists()


def test_strict_stops_at_the_first_failure(dubav, tmp_path):
    for name in ("a.mkv", "b.mkv"):
        (tmp_path / name).write_text("no film")
    done = dubav("prep", tmp_path, "--lang", "en", "--strict", "--workers", "1")
    assert done.returncode == 2
    assert "stopped at the first failure" in done.stderr
    assert len((tmp_path / "cache" / "prep.jsonl").read_text().splitlines()) == 1


def test_manifest_sidecar_and_commentary(dubav, tmp_path):
    comment = av.stream.Disposition.comment
    tracks = [
        Track("eng", title="Director's commentary", seed=7),
        Track("eng", disposition=comment, seed=8),
        Track("eng", seed=1),
        Track(None, seed=4),
    ]
    make_film(tmp_path / "film.mkv", seconds=3.5, tracks=tracks)
    make_film(tmp_path / "film.es-419.mka", seconds=3.5, video_codec=None, tracks=[Track(None, seed=2)])
    (tmp_path / "list.csv").write_text("movie,video,en,fr\nMy Film,film.mkv,film.mkv:1,film.mkv:4\n")
    assert dubav("prep", tmp_path / "film.mkv", "--lang", "en,es", "--no-sync-check").returncode == 0
    (movie,) = Cache(tmp_path / "cache").movies
    assert movie.tracks["en"]["stream"] == 3
    assert movie.tracks["es"]["found_by"] == "sidecar"
    assert movie.tracks["en"]["fingerprint"] == movie.meta["source"]["fingerprint"]
    assert movie.tracks["es"]["fingerprint"] == fingerprint(tmp_path / "film.es-419.mka")
    make_film(tmp_path / "film.es-419.mka", seconds=3.5, video_codec=None, tracks=[Track(None, seed=3)])
    for _ in range(2):  # until it is done again
        done = dubav("prep", tmp_path / "film.mkv", "--lang", "en", "--no-sync-check")
        assert "film.es-419.mka changed since it was prepared; name it in --lang to do it again" in done.stderr
    before = movie.mel("es").copy()
    done = dubav("prep", tmp_path / "film.mkv", "--lang", "en,es", "--no-sync-check")
    assert "the files of es changed since they were prepared; done again" in done.stdout
    assert not np.array_equal(Movie(movie.folder).mel("es"), before)
    done = dubav("prep", tmp_path / "list.csv", "--lang", "en,fr", "--no-sync-check", "--cache", tmp_path / "other")
    assert done.returncode == 0
    (movie,) = Cache(tmp_path / "other").movies
    assert movie.meta["title"] == "My Film"
    assert (movie.tracks["en"]["stream"], movie.tracks["fr"]["stream"]) == (1, 4)


def test_a_late_dub_is_left_out_or_corrected(dubav, tmp_path):
    shared = background(16)
    late = np.concatenate([np.zeros((2, RATE // 4), np.float32), shared], axis=1)[:, : shared.shape[1]]
    tracks = [Track("eng", sound=shared, codec="flac"), Track("spa", sound=late, codec="flac")]
    make_film(tmp_path / "film.mkv", seconds=16, tracks=tracks)
    done = dubav("prep", tmp_path / "film.mkv", "--lang", "en,es", "--keep-same")
    assert done.returncode == 0
    assert "es left out: off by 250 ms" in done.stderr
    (movie,) = Cache(tmp_path / "cache").movies
    assert movie.languages == ("en",)
    assert not (movie.folder / "mel.es.npy").exists()
    dubav("prep", tmp_path / "film.mkv", "--lang", "en,es", "--fix-lag", "--keep-same", "--cache", tmp_path / "fixed")
    (movie,) = Cache(tmp_path / "fixed").movies
    assert movie.tracks["es"]["fixed"]["lag_ms_at_start"] == pytest.approx(250, abs=1)
    difference = np.abs(movie.mel("es")[:4].astype(np.float32) - movie.mel("en")[:4].astype(np.float32))
    assert np.median(difference) < 0.05


def test_a_read_only_target_is_one_line(dubav, tmp_path):
    make_film(tmp_path / "film.mkv", seconds=3.5, tracks=[Track("eng")])
    (tmp_path / "file").touch()
    done = dubav("prep", tmp_path / "film.mkv", "--lang", "en", "--cache", tmp_path / "file" / "cache")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


ALONE = """
import sys

sys.modules["torch"] = None
from pathlib import Path

from dubcli.cache.writer import open_cache
from dubcli.media.films import Film
from dubcli.prep.config import PrepConfig
from dubcli.prep.task import FilmTask
from dubcli.prep.worker import prepare_film

config = PrepConfig(cache=Path(sys.argv[2]), languages=("en", "es"))
open_cache(config.cache, config.parameters())
task = FilmTask(film=Film(video=Path(sys.argv[1])), config=config, threads=1)
prepare_film(task, lambda *_, **__: None)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def peak_alone(film, cache):
    """kB of memory at the most, of a process that prepares one film as a worker does, and cannot import torch."""
    import subprocess
    import sys

    command = [sys.executable, "-c", ALONE, str(film), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HOPELESS_SECONDS)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_worker_needs_no_torch(films, tmp_path):
    """It takes two seconds to import, and 500 MB of each worker."""
    assert peak_alone(films / "Plain.mkv", tmp_path / "cache") < 400_000
    assert Cache(tmp_path / "cache").movies[0].languages == ("en", "es")
