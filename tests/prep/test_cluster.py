"""prep on a Dask cluster of two workers, one of which is killed in the middle of a film."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dubcli.cache.reader import Cache
from dubcli.jobs.options import JobOptions
from dubcli.prep import PrepConfig, prepare
from helpers.containers import Track, make_film
from helpers.prepping import findings, log_lines, prepare_here
from helpers.waiting import HOPELESS_SECONDS

distributed = pytest.importorskip("distributed")
FILMS = 4


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for number in range(FILMS):
        tracks = [Track("eng", seed=number), Track("spa", seed=20 + number)]
        make_film(folder / f"{number}.mkv", seconds=9.5, size=(96, 54), tracks=tracks)
    (folder / "bad.mkv").write_bytes(b"no film")
    return folder


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_costs_no_film(films, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    killed = []

    def kill_in_the_middle():
        while not killed:
            for folder in cache.glob("movies/.tmp-*"):
                killed.append(int(folder.name.split("-")[2]))
                os.kill(killed[0], signal.SIGKILL)
                return
            time.sleep(0.005)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        killer = threading.Thread(target=kill_in_the_middle, daemon=True)
        killer.start()
        options = JobOptions(scheduler=cluster.scheduler_address)
        summary = prepare([films], PrepConfig(languages=("en", "es"), cache=cache), options)
        killer.join(timeout=HOPELESS_SECONDS)
    assert killed
    assert (summary.ok + summary.skipped, summary.failed) == (FILMS, 1)
    assert len(Cache(cache).movies) == FILMS
    assert findings(cache) == []
    assert not list(cache.rglob(".tmp-*"))
    assert len(log_lines(cache)) == FILMS + 1
    prepare_here(monkeypatch, [films], tmp_path / "here", "en,es")
    for one, other in zip(Cache(cache).movies, Cache(tmp_path / "here").movies, strict=True):
        for name in ("frames.jpgs", "mel.en.npy", "mel.es.npy"):
            assert Path(one.folder / name).read_bytes() == Path(other.folder / name).read_bytes()
