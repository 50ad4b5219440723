"""A run killed with SIGKILL leaves nothing half, and the next one does only what is missing."""

import json
import subprocess
import sys

import pytest
import soundfile

from dubcli.cache import layout
from dubcli.cache.reader import Cache
from dubcli.cache.writer import open_cache
from helpers.nospeech import RATE, add_movie, surround, write_film
from helpers.sounds import noise
from helpers.waiting import wait_until


def arguments(target, repo):
    return ["separate", *map(str, target), "--model", "faster", "--model-repo", str(repo), "--device", "cpu", "--quiet"]


def kill_when(reached, command, cwd):
    """Run ``command`` until ``reached()``, then kill it; its worker sees that and ends by itself."""
    run = subprocess.Popen([sys.executable, "-m", "dubcli", *command], cwd=cwd, stderr=subprocess.PIPE)
    wait_until(reached, run)
    run.kill()
    run.communicate()  # the worker has its stderr too: this returns when it is gone


@pytest.mark.slow
def test_killed_over_files(dubav, model_repo, tmp_path):
    names = [f"{number}.wav" for number in range(4)]
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, noise(30, RATE, 2, seed=number), RATE)
    out = tmp_path / "out"
    command = arguments([*names, "--out", "out"], model_repo)
    kill_when(lambda: (out / "1.vocals.flac").exists(), command, tmp_path)
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*.flac")}
    assert 3 <= len(whole) < 8
    assert all(soundfile.info(out / name).frames == 30 * RATE for name in whole)
    done = dubav(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"] == len(whole) // 2
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.flac")}
    assert sorted(kept) == sorted(f"{n}.{stem}.flac" for n in range(4) for stem in ("vocals", "no_vocals"))
    for name in ("0.vocals.flac", "0.no_vocals.flac"):
        assert kept[name] == whole[name]
    assert not list(out.rglob(".tmp*"))


@pytest.mark.slow
def test_killed_over_films(dubav, model_repo, tmp_path):
    cache = open_cache(tmp_path / "cache", {})
    film = write_film(tmp_path / "film.mkv", surround(30))
    folders = [add_movie(cache, film, name, n_clips=10) for name in "abcd"]
    command = arguments(["--cache", "cache"], model_repo)
    mel = layout.mel_file("en-nospeech")
    kill_when(lambda: (folders[1] / mel).exists(), command, tmp_path)
    done_before = {movie.id for movie in Cache(cache).movies if movie.has("en-nospeech")}
    assert {"a"} <= done_before < set("abcd")
    made = (folders[0] / mel).stat().st_mtime_ns
    done = dubav(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"] == len(done_before)
    movies = Cache(cache).movies
    assert [movie.mel("en-nospeech").shape[0] for movie in movies] == [10] * 4
    assert len({(folder / mel).read_bytes() for folder in folders}) == 1
    assert (folders[0] / mel).stat().st_mtime_ns == made
    assert not [path for folder in folders for path in folder.glob(".*")]
