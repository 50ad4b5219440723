"""Embedding on several devices, one process each: the same bytes as with one, also where a process dies."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from dubcli.embed import EmbedConfig, Embedder, embed, load_features
from dubcli.embed import blocks as blocks_module
from dubcli.embed.chunks import Chunk
from dubcli.embed.inputs import MediaItem
from dubcli.embed.pipeline import Pipeline, _Open
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import SilentProgress
from helpers.sounds import noise
from helpers.waiting import wait_until

TINY = EmbedConfig(preset="tiny")
SOUNDS = 24


@pytest.fixture
def several(monkeypatch):
    """Make this machine one of three devices, which are the CPU, and each block three inputs."""
    monkeypatch.setattr("dubcli.embed.inputs._BLOCK_ITEMS", 3)
    monkeypatch.setattr(blocks_module, "_BLOCKS_PER_PROCESS", 1)

    def see(count):
        monkeypatch.setattr(blocks_module, "choose_devices", lambda asked, gpus: [torch.device("cpu")] * count)

    return see


@pytest.fixture
def folder(write_sound, tmp_path):
    """Sounds of many lengths, and one that is none."""
    for number in range(SOUNDS):
        write_sound(f"in/{number:02}.wav", noise(0.4 + number / 4, 16000, seed=number), 16000)
    (tmp_path / "in/words.wav").write_text("these are words")
    return tmp_path / "in"


def contents(out):
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != "embed.json"}


class Heard(SilentProgress):
    """Keeps the lines, and the numbers of files done."""

    def __init__(self):
        self.lines, self.done = [], []

    def message(self, text):
        self.lines.append(text)

    def update(self, task, completed, **fields):
        self.done.append(completed)


@pytest.mark.slow
def test_features_are_the_same_bytes_with_one_process_and_with_several(folder, tmp_path, several):
    several(1)
    embed(folder, "random", tmp_path / "one", TINY)
    several(2)
    heard = Heard()
    summary = embed(folder, "random", tmp_path / "two", TINY, JobOptions(workers=2), heard)
    assert (summary.ok, summary.failed) == (SOUNDS, 1)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert (
        load_features(tmp_path / "one").description["identity"]
        == (load_features(tmp_path / "two").description["identity"])
    )
    assert [line for line in heard.lines if "words.wav" in line] == heard.lines
    assert heard.done == list(range(1, SOUNDS + 2))
    again = embed(folder, "random", tmp_path / "two", TINY)
    assert (again.ok, again.skipped, again.failed) == (0, SOUNDS, 1)


def test_model_in_memory_reaches_the_processes(folder, tmp_path, several, tiny):
    several(1)
    embed(folder, tiny, tmp_path / "one", EmbedConfig(per_chunk=True))
    several(2)
    embed(folder, tiny, tmp_path / "two", EmbedConfig(per_chunk=True, gpus=2), JobOptions(workers=2))
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_embedder_stays_on_its_device_unless_told(tiny, monkeypatch):
    four = [torch.device("cuda", number) for number in range(4)]
    monkeypatch.setattr(blocks_module, "choose_devices", lambda asked, gpus: four)
    here, spread = EmbedConfig(), EmbedConfig(gpus=4)
    assert blocks_module.devices_of(tiny, here, JobOptions()) == [torch.device("cpu")]
    assert len(blocks_module.devices_of(tiny, spread, JobOptions())) == 4
    assert len(blocks_module.devices_of("random", here, JobOptions())) == 4
    with pytest.raises(UserError, match="--gpus is for this machine"):
        blocks_module.devices_of("random", spread, JobOptions(scheduler="tcp://host:1"))


@pytest.mark.slow
def test_limit_of_failures_ends_all_processes(folder, tmp_path, several):
    several(2)
    with pytest.raises(UserError, match="words.wav.*--strict"):
        embed(folder, "random", tmp_path / "out", TINY, JobOptions(strict=True, workers=2))
    assert embed(folder, "random", tmp_path / "out", TINY, JobOptions(workers=2)).failed == 1


def workers_of(pid):
    """Process ids of spawned workers of ``pid``."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                with open(f"/proc/{entry}/cmdline") as file:
                    command = file.read()
            except OSError:
                continue
            if parent == pid and "spawn_main" in command:
                found.append(int(entry))
    return found


def kill_a_worker_when(reached, killed):
    wait_until(reached)
    killed += workers_of(os.getpid())[:1]
    os.kill(killed[0], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_killed_process_costs_nothing(folder, tmp_path, several):
    several(1)
    embed(folder, "random", tmp_path / "one", TINY)
    several(2)
    killed = []
    work = tmp_path / "two/.embed"
    killer = threading.Thread(target=kill_a_worker_when, args=(lambda: any(work.glob("[0-9a-f]*.npz")), killed))
    killer.start()
    summary = embed(folder, "random", tmp_path / "two", TINY, JobOptions(workers=2))
    killer.join()
    assert killed
    assert (summary.ok, summary.failed) == (SOUNDS, 1)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


KILLED_RUN = """
import sys
import torch
from dubcli.embed import EmbedConfig, blocks, embed
from dubcli.jobs.options import JobOptions

if __name__ == "__main__":
    import dubcli.embed.inputs
    dubcli.embed.inputs._BLOCK_ITEMS = 3
    blocks._BLOCKS_PER_PROCESS = 1
    blocks.choose_devices = lambda asked, gpus: [torch.device("cpu")] * 2
    embed(sys.argv[1], "random", sys.argv[2], EmbedConfig(preset="tiny"), JobOptions(workers=2))
"""


@pytest.mark.slow
def test_killed_run_goes_on(folder, tmp_path, several):
    (tmp_path / "run.py").write_text(KILLED_RUN)
    out = tmp_path / "two"
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(folder), str(out)], stderr=subprocess.PIPE)
    wait_until(lambda: len(list((out / ".embed").glob("[0-9a-f]*.npz"))) >= 2, run)
    run.kill()
    run.communicate()  # the workers have its stderr too: this returns when they are gone
    several(2)
    before = {path.name: path.stat().st_mtime_ns for path in (out / ".embed").glob("[0-9a-f]*.npz")}
    assert 0 < len(before) < 9
    summary = embed(folder, "random", out, TINY, JobOptions(workers=2))
    assert summary.skipped >= 3
    assert summary.ok + summary.skipped == SOUNDS
    several(1)
    embed(folder, "random", tmp_path / "one", TINY)
    assert contents(out) == contents(tmp_path / "one")


def test_batch_of_any_company_has_the_same_bits(tiny):
    sounds = [torch.from_numpy(noise(3, 48000, 2, seed=number).T.copy()).float() for number in range(8)]
    chunks = [Chunk("wave", number, 0.0, 3.0, 0.0, sound) for number, sound in enumerate(sounds)]
    full = tiny.start(chunks, fill=True).result()
    for count in (1, 2, 3, 7):
        part = tiny.start(chunks[:count], fill=True).result()[:count]
        np.testing.assert_array_equal(part, full[:count])


class Late:
    """Features that are not there until they are asked for, as those of a GPU."""

    is_there = False

    def __init__(self, events, number, rows):
        self.events, self.number, self.rows = events, number, rows

    def result(self):
        self.events.append(f"result {self.number}")
        return torch.full((self.rows, 1024), float(self.number))


def test_next_batch_is_started_before_the_last_ones_features_are_asked_for(tiny, monkeypatch):
    events = []

    def start(chunks, left=0.0, fill=False):
        number = len([event for event in events if event.startswith("start")])
        events.append(f"start {number}")
        return Late(events, number, len(chunks))

    embedder = Embedder(tiny.trained)
    monkeypatch.setattr(embedder, "start", start)
    features = embedder.audio(np.zeros((20, 48000)), 48000)
    in_turn = ["start 0", "start 1", "result 0", "start 2", "result 1", "result 2"]
    assert events == in_turn
    np.testing.assert_array_equal(features[:, 0], [0] * 8 + [1] * 8 + [2] * 4)
    events.clear()
    pipeline = Pipeline(embedder, blocks_module.wanted_of(embedder, TINY), threads=1)
    items = [_Open(MediaItem(f"{number}.wav", "file", 1, 1)) for number in range(3)]
    for number, opened in enumerate(items):
        opened.waiting, opened.ended = 1, True
        pipeline._run_batch([(opened, Chunk("wave", 0, 0.0, 1.0, 0.0, torch.zeros(2, 48000)))])
        assert opened.done == 0
        assert [one.done for one in items[:number]] == [1] * number
    pipeline._flush()
    assert events == in_turn
    assert [float(one.sums["audio"][0]) for one in items] == [0, 1, 2]


def test_out_of_memory_is_one_line_with_a_batch_size_that_fits(folder, tmp_path, monkeypatch, several):
    several(1)
    embedder = Embedder("random", preset="tiny", batch_size=8)
    start = embedder._start

    def little_memory(batch, kind, left):
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return start(batch, kind, left)

    monkeypatch.setattr(embedder, "_start", little_memory)
    with pytest.raises(UserError, match="out of memory on cpu with batches of 8; --batch-size 2 fits"):
        embed(folder, embedder, tmp_path / "out", EmbedConfig(per_chunk=True))
    fitting = EmbedConfig(per_chunk=True, preset="tiny", batch_size=2)
    assert embed(folder, "random", tmp_path / "out", fitting).failed == 1
