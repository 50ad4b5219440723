"""Workers settle among themselves which of several devices each takes."""

import multiprocessing
import os
import signal
import tempfile

import pytest
import torch

from dubcli.errors import UserError
from dubcli.jobs import devices
from dubcli.jobs.devices import Devices, claim, devices_for_workers

SPAWN = multiprocessing.get_context("spawn")


def hold(given, taken):
    """A worker: claim, tell, and stay until it is killed."""
    taken.put(claim(given))
    signal.pause()


class Workers:
    """Processes that hold their devices; killed at the end."""

    def __init__(self, given):
        self.given, self.running = given, []

    def start(self):
        """Start one, and return its device."""
        taken = SPAWN.SimpleQueue()
        self.running.append(SPAWN.Process(target=hold, args=(self.given, taken), daemon=True))
        self.running[-1].start()
        return taken.get()

    def kill(self, number):
        """End the worker of that number, as the kernel does where memory ends."""
        self.running[number].kill()
        self.running[number].join()


@pytest.fixture
def workers():
    made = []

    def make(given):
        made.append(Workers(given))
        return made[-1]

    yield make
    for one in made:
        for number in range(len(one.running)):
            one.kill(number)


def test_each_device_is_taken_before_one_is_taken_twice(workers, tmp_path):
    two = workers(Devices(names=("gpu:0", "gpu:1"), locks=str(tmp_path)))
    assert [two.start() for _ in range(3)] == ["gpu:0", "gpu:1", "gpu:0"]
    two.kill(1)
    assert two.start() == "gpu:1"  # who comes in a dead worker's place takes what it held


def test_workers_of_a_cluster_spread_over_the_gpus_of_their_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "choose_devices", lambda asked: [torch.device("cuda", n) for n in range(2)])
    taken, held = [], []
    for _ in range(3):
        monkeypatch.setattr(devices, "_held", {})
        taken.append(claim(Devices()))
        held.append(devices._held)
        assert claim(Devices()) == taken[-1]  # the same for all tasks of a process
    assert taken == ["cuda:0", "cuda:1", "cuda:0"]
    assert (tmp_path / f"dubav-devices-{os.getuid()}").stat().st_mode & 0o077 == 0


def test_cards_are_told_apart_whatever_they_are_called(tmp_path, monkeypatch):
    """Dask-CUDA gives its workers CUDA_VISIBLE_DEVICES 0,1 and 1,0: the first of each is another card."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    taken = []
    held = []
    for cards in (("A", "B"), ("B", "A"), ("A", "B")):

        def properties(name, cards=cards):
            return type("Properties", (), {"uuid": cards[int(name[-1])]})

        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        monkeypatch.setattr(devices, "_held", {})
        taken.append(claim(Devices(names=("cuda:0", "cuda:1"), locks=str(tmp_path))))
        held.append(devices._held)
    assert taken == ["cuda:0", "cuda:0", "cuda:0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.0", "A.1", "B.0"]


def test_devices_and_workers_of_this_machine(monkeypatch):
    with devices_for_workers("cpu", None, None, None) as (given, count):
        assert (given.names, count, given.threads) == (("cpu",), 1, devices.threads_for(1))
    with devices_for_workers("cpu", 0, 3, None) as (given, count):
        assert (given.names, count, given.threads) == (("cpu",), 3, devices.threads_for(3))
    monkeypatch.setattr(devices, "choose_devices", lambda asked, gpus: [torch.device("cuda", n) for n in range(4)])
    with devices_for_workers(None, None, None, None) as (given, count):
        assert (given.names, count, given.threads) == (("cuda:0", "cuda:1", "cuda:2", "cuda:3"), 4, None)
    with devices_for_workers(None, None, None, "tcp://host:8786") as (given, count):
        assert (given, count) == (Devices(), 1)
    with (
        pytest.raises(UserError, match="--gpus is for this machine"),
        devices_for_workers(None, 2, None, "tcp://host:8786"),
    ):
        pass
