"""Nothing is lost: kills, two runs at once, a full disk, films that change, vanish or are no films."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dubcli.cache.reader import Cache
from dubcli.cli.app import app  # noqa: F401  imported here once, not within a test
from helpers.containers import Track, make_film
from helpers.prepping import findings, log_lines, prepare_here
from helpers.waiting import HOPELESS_SECONDS, wait_until


def films_for_killing(folder):
    for number in range(4):
        tracks = [Track("eng", seed=number), Track("spa", seed=10 + number)]
        make_film(folder / f"film {number}.mkv", seconds=9 + number, size=(96, 54), tracks=tracks)
    (folder / "no film.mkv").write_bytes(bytes(1000))
    return folder


def command(folder, cache, *options):
    words = ["prep", folder, "--lang", "en,es", "--cache", cache, "--workers", "2", "--quiet", *options]
    return [sys.executable, "-m", "dubcli", *map(str, words)]


def snapshot(cache):
    """Every file's bytes, but the log and the lock."""
    paths = [path for path in cache.rglob("*") if path.is_file() and path.name not in ("prep.jsonl", ".lock")]
    return {str(path.relative_to(cache)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(the films' folder, the files of a cache made of them in one go)."""
    folder = films_for_killing(tmp_path_factory.mktemp("films"))
    cache = tmp_path_factory.mktemp("whole") / "cache"
    assert subprocess.run(command(folder, cache), capture_output=True, timeout=HOPELESS_SECONDS).returncode == 1
    assert findings(cache) == []
    return folder, snapshot(cache)


def kill_at_random(folder, cache, kills, generator):
    """Start prep again and again and end it with -9; how often it was in the middle of a film."""
    in_the_middle = 0
    for _ in range(kills):
        running = subprocess.Popen(command(folder, cache), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda running=running: running.poll() is not None or list(cache.glob("movies/.tmp-*")))
        time.sleep(float(generator.uniform(0, 0.6)))
        running.kill()
        running.wait()
        in_the_middle += bool(list(cache.glob("movies/.tmp-*")))
        assert findings(cache) == []  # it reads at every moment
    return in_the_middle


def check_kills(undisturbed, tmp_path, kills, seed):
    folder, whole = undisturbed
    cache = tmp_path / "cache"
    in_the_middle = kill_at_random(folder, cache, kills, np.random.default_rng(seed))
    assert in_the_middle > 0
    assert subprocess.run(command(folder, cache), capture_output=True, timeout=HOPELESS_SECONDS).returncode == 1
    assert snapshot(cache) == whole
    assert {Path(line["source"]).name for line in log_lines(cache)} == {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_kill_9_and_again_gives_the_same_cache(undisturbed, tmp_path):
    check_kills(undisturbed, tmp_path, kills=3, seed=1)


@pytest.mark.slow
def test_twenty_kills_and_again_give_the_same_cache(undisturbed, tmp_path):
    check_kills(undisturbed, tmp_path, kills=20, seed=2)


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_film_alone(undisturbed, tmp_path):
    folder, whole = undisturbed
    cache = tmp_path / "cache"
    running = subprocess.Popen(command(folder, cache), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: list(cache.glob("movies/.tmp-*")), running)
    begun = list(cache.glob("movies/.tmp-*"))
    os.kill(int(begun[0].name.split("-")[2]), signal.SIGKILL)
    assert running.wait(timeout=HOPELESS_SECONDS) == 1
    failed = [line["reason"] for line in log_lines(cache) if line["status"] == "failed"]
    assert len(failed) == 2
    assert any("the worker process died (SIGKILL)" in reason for reason in failed)
    assert len(Cache(cache).movies) == 3
    assert not list(cache.rglob(".tmp-*"))
    assert subprocess.run(command(folder, cache), capture_output=True, timeout=HOPELESS_SECONDS).returncode == 1
    assert snapshot(cache) == whole


def test_two_at_once_do_no_harm(undisturbed, tmp_path):
    folder, whole = undisturbed
    cache = tmp_path / "cache"
    both = [subprocess.Popen(command(folder, cache), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for running in both:
        _, errors = running.communicate(timeout=HOPELESS_SECONDS)
        assert (running.returncode, "Traceback" in errors) == (1, False)
    assert snapshot(cache) == whole
    statuses = [line["status"] for line in log_lines(cache)]
    assert len(statuses) == 10
    assert statuses.count("failed") == 2


@contextlib.contextmanager
def small_disk(path, megabytes):
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield path
    finally:
        os.chdir("/")
        subprocess.run(["umount", str(path)], check=True)


def one_line(done, after=0):
    """The error, one line after those of ``after`` failed films."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    *before, line = done.stderr.strip().splitlines()
    assert len(before) == after
    return line


@pytest.mark.parametrize("kilobytes", [0, 40, 1500])
def test_a_full_disk_is_one_line_and_the_rest_goes_on_later(dubav, tmp_path, kilobytes):
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3):
        make_film(folder / f"{number}.mkv", seconds=12.2, size=(64, 36), tracks=[Track("eng", seed=number)])
    with small_disk(tmp_path / "disk", 3) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(3 * 2**20 - kilobytes * 1024 - 8192))
        arguments = ("prep", folder, "--lang", "en", "--cache", disk / "cache", "--quiet")
        line = one_line(dubav(*arguments))
        assert "disk is full" in line or "No space left" in line
        with contextlib.suppress(OSError):
            assert findings(disk / "cache") == []
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        done = dubav(*arguments)
        assert done.returncode == 0, done.stderr
        assert len(Cache(disk / "cache").movies) == 3
        assert findings(disk / "cache") == []
        assert not list(disk.rglob(".tmp-*"))
        assert sorted(line["status"] for line in log_lines(disk / "cache"))[-1] in ("ok", "skipped")


def test_a_limit_on_the_size_of_files_is_one_line(undisturbed, tmp_path):
    folder, _ = undisturbed

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    cache = tmp_path / "cache"
    done = subprocess.run(
        command(folder, cache), capture_output=True, text=True, timeout=HOPELESS_SECONDS, preexec_fn=limit
    )
    assert "limit of a file's size" in one_line(done)
    assert findings(cache) == []


def test_a_target_that_turns_read_only_is_one_line(dubav, tmp_path):
    make_film(tmp_path / "film.mkv", seconds=3.5)
    with small_disk(tmp_path / "disk", 9) as disk:
        arguments = ("prep", tmp_path / "film.mkv", "--lang", "en", "--cache", disk / "cache", "--quiet")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "Read-only" in one_line(dubav(*arguments))
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert dubav(*arguments).returncode == 0


def test_a_film_that_vanishes_or_changes_while_it_is_read(monkeypatch, tmp_path):
    from dubcli.prep import film as module

    film = tmp_path / "film.mkv"
    make_film(film, seconds=3.5)
    decode = module.decode_film

    def grow(*arguments, **options):
        with film.open("ab") as file:
            file.write(bytes(1000))
        return decode(*arguments, **options)

    monkeypatch.setattr(module, "decode_film", grow)
    (outcome,) = prepare_here(monkeypatch, [film], tmp_path / "cache").values()
    assert (outcome.status, "changed while it was read" in outcome.reason) == ("failed", True)

    def vanish(*arguments, **options):
        film.unlink()
        return decode(*arguments, **options)

    monkeypatch.setattr(module, "decode_film", vanish)
    (outcome,) = prepare_here(monkeypatch, [film], tmp_path / "cache").values()
    assert (outcome.status, outcome.reason) == ("failed", "cannot be read: No such file or directory")
    assert Cache(tmp_path / "cache").movies == []


def test_films_of_a_manifest_that_are_not_there_are_listed(dubav, tmp_path):
    make_film(tmp_path / "here.mkv", seconds=3.5)
    (tmp_path / "list.csv").write_text("movie,video\nA,here.mkv\nB,gone.mkv\n")
    assert dubav("prep", "list.csv", "--lang", "en").returncode == 1
    assert [(line["source"], line["status"]) for line in log_lines(tmp_path / "cache")] == [
        ("A", "ok"),
        ("B", "failed"),
    ]


ENCRYPTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


def bad_films(folder):
    """{file name: what its reason must say}."""
    make_film(folder / "good.mkv", seconds=7)
    whole = (folder / "good.mkv").read_bytes()
    (folder / "nothing.mkv").touch()
    (folder / "header.mkv").write_bytes(whole[:300])
    (folder / "half.mkv").write_bytes(whole[: len(whole) // 4])
    generator = np.random.default_rng(5)
    for ending in ("mkv", "mp4", "ts", "avi", "mpg"):
        (folder / f"noise.{ending}").write_bytes(generator.bytes(200_000))
    (folder / "locked.ts").write_bytes(b"".join(b"\x47\x01\x00\x90" + generator.bytes(184) for _ in range(2000)))
    make_film(folder / "mute.mkv", seconds=4, tracks=[])
    make_film(folder / "blind.mkv", seconds=4, video_codec=None)
    make_film(folder / "locked.mp4", seconds=4, tracks=[Track("eng", codec="aac")], container_options=ENCRYPTED)
    make_film(folder / "moov.mp4", seconds=4, tracks=[Track("eng", codec="aac")])
    data = (folder / "moov.mp4").read_bytes()
    (folder / "moov.mp4").write_bytes(data[: data.index(b"moov") - 4])
    return {
        "nothing.mkv": "the file is empty",
        "header.mkv": "",
        "half.mkv": "s of picture could be decoded, a clip has 3",
        **{f"noise.{ending}": "" for ending in ("mkv", "mp4", "ts", "avi", "mpg")},
        "locked.ts": "",
        "mute.mkv": "no en track",
        "blind.mkv": "no video stream, only sound",
        "locked.mp4": "encrypted",
        "moov.mp4": "cut before its header",
    }


def test_what_is_no_film_is_listed_with_its_reason(monkeypatch, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    expected = bad_films(folder)
    outcomes = prepare_here(monkeypatch, [folder], tmp_path / "cache")
    found = {Path(name).name: outcome for name, outcome in outcomes.items()}
    assert found.pop("good.mkv").status == "ok"
    assert found.keys() == expected.keys()
    for name, outcome in found.items():
        assert outcome.status == "failed", name
        assert "traceback" not in outcome.details, outcome.details["traceback"]
        assert len(outcome.reason.splitlines()) == 1
        assert expected[name] in outcome.reason, (name, outcome.reason)
    logged = {Path(line["source"]).name: line.get("reason") for line in log_lines(tmp_path / "cache")}
    assert logged == {"good.mkv": None, **{name: outcome.reason for name, outcome in found.items()}}
    assert findings(tmp_path / "cache") == []


def test_max_failures_and_strict_stop_the_run(dubav, tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.mkv").write_bytes(b"no film")
    make_film(tmp_path / "x.mkv", seconds=3.5)
    line = one_line(dubav("prep", tmp_path, "--lang", "en", "--max-failures", 2, "--cache", tmp_path / "a"), after=3)
    assert "3 inputs failed, more than --max-failures 2" in line
    assert len(log_lines(tmp_path / "a")) == 3
    assert dubav("prep", tmp_path, "--lang", "en", "--max-failures", 4, "--cache", tmp_path / "b").returncode == 1
    line = one_line(dubav("prep", tmp_path, "--lang", "en", "--strict", "--cache", tmp_path / "c"), after=1)
    assert "stopped at the first failure because of --strict" in line
    assert len(log_lines(tmp_path / "c")) == 1


def test_shards_cover_everything_once(dubav, tmp_path):
    for number in range(5):
        make_film(tmp_path / f"{number}.mkv", seconds=3.2, tracks=[Track("eng", seed=number)])
    for shard in range(1, 4):
        assert dubav("prep", tmp_path, "--lang", "en", "--shard", f"{shard}/3").returncode == 0
    names = [Path(line["source"]).name for line in log_lines(tmp_path / "cache") if line["status"] == "ok"]
    assert sorted(names) == [f"{number}.mkv" for number in range(5)]
    assert len(Cache(tmp_path / "cache").movies) == 5
    shutil.rmtree(tmp_path / "cache")


def test_a_truncated_film_keeps_its_whole_clips(monkeypatch, tmp_path):
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    make_film(whole, seconds=12.2)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    prepare_here(monkeypatch, [whole], tmp_path / "a")
    (outcome,) = prepare_here(monkeypatch, [cut], tmp_path / "b").values()
    (all_of_it,), (part,) = Cache(tmp_path / "a").movies, Cache(tmp_path / "b").movies
    assert "cut short" in outcome.warning
    assert part.n_clips == 2
    for clip in range(2):
        assert part.frame_bytes(clip) == all_of_it.frame_bytes(clip)
        assert np.array_equal(part.mel("en")[clip], all_of_it.mel("en")[clip])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("whom", ["the command", "all processes"])
def test_an_end_that_is_asked_for_leaves_nothing_half_written(undisturbed, tmp_path, number, status, whom):
    """A scheduler's SIGTERM and Ctrl-C, to the command or, as terminals and containers do, to its workers as well."""
    folder, whole = undisturbed
    cache = tmp_path / "cache"
    running = subprocess.Popen(command(folder, cache), stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(cache.glob("movies/.tmp-*")):
        assert running.poll() is None
        time.sleep(0.005)
    (os.killpg if whom == "all processes" else os.kill)(running.pid, number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == status
    assert len(errors.strip().splitlines()) == 1, errors  # no traceback, no leaked semaphores
    assert not list(cache.rglob(".tmp-*"))
    if (cache / "prep.jsonl").exists():
        assert not [line for line in log_lines(cache) if "died" in line.get("reason", "")]
    assert subprocess.run(command(folder, cache), capture_output=True, timeout=300).returncode == 1
    assert snapshot(cache) == whole
