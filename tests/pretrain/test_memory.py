"""Memory that does not suffice: a device's, and the one that processes share."""

import json
import os
import shutil
import subprocess

import pytest
import torch

from dubcli.core.models import DubModel
from dubcli.pretrain import loading
from dubcli.pretrain.loader import ClipDataset
from dubcli.pretrain.training_films import read_training_films
from helpers.faults import Dies, Sleeps, hold_clips
from helpers.runs import command, environment, losses, pretrain, slurm, small_config, start
from helpers.waiting import HOPELESS_SECONDS

NAMESPACE = ("unshare", "-m", "bash", "-c", 'mount -t tmpfs -o size=$0 tmpfs /dev/shm && exec "$@"')


@pytest.fixture
def holds_three_clips(monkeypatch):
    hold_clips(3, monkeypatch.setattr)


def test_a_batch_too_large_is_answered_with_one_that_fits(cache, tmp_path, holds_three_clips):
    done = pretrain(cache, tmp_path / "run", "--variant", "es", "--batch-size", 6)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("--batch-size 3 --accumulate 2 fits")
    assert len(done.stderr.strip().splitlines()) == 1
    sizes = ("--batch-size", 3, "--accumulate", 2, "--max-steps", 2)  # which is no empty promise
    assert pretrain(cache, tmp_path / "other", "--variant", "es", *sizes).returncode == 0
    done = pretrain(cache, tmp_path / "dry", "--variant", "es", "--batch-size", 6, "--dry-run")
    assert (done.returncode, "--batch-size 3 --accumulate 2 fits" in done.stderr) == (2, True)


def test_where_not_even_two_clips_fit_no_size_is_named(cache, tmp_path, monkeypatch):
    def never(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(DubModel, "forward", never)
    done = pretrain(cache, tmp_path / "run", "--variant", "es", "--batch-size", 6)
    assert (done.returncode, "give a smaller --preset" in done.stderr) == (2, True)


@pytest.mark.parametrize("extra", [(), ("--dry-run",)])
def test_a_device_without_room_for_the_model_is_one_line(cache, tmp_path, monkeypatch, extra):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("dubcli.pretrain.learner.lay_out", full)  # which brings it there
    done = pretrain(cache, tmp_path / "run", "--variant", "es", *extra)
    assert (done.returncode, "for the model alone" in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_other_errors_keep_their_traceback(cache, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(DubModel, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        pretrain(cache, tmp_path / "run", "--variant", "es")


def test_two_ranks_without_memory_end_in_one_line(cache, tmp_path):
    options = ("--variant", "mono", "--batch-size", 5)
    first = "import helpers.faults\nhelpers.faults.hold_clips(3)"
    ranks = [start(cache, tmp_path / "run", *options, first=first, **slurm(rank, 2)) for rank in (0, 1)]
    for process in ranks:
        _, errors = process.communicate(timeout=HOPELESS_SECONDS)
        assert process.returncode == 2, errors
        assert "--batch-size 2 --accumulate 3 fits" in errors
        assert len(errors.strip().splitlines()) == 1


@pytest.mark.slow
def test_ranks_of_torchs_launcher_without_memory_end_in_one_line(cache, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import helpers.faults\nhelpers.faults.hold_clips(3)\n")  # in all ranks
    path = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    options = ("--procs", 2, "--preset", "tiny", "--variant", "mono", "--batch-size", 5, "--val-fraction", 0)
    process = start(cache, tmp_path / "run", *options, PYTHONPATH=path)
    _, errors = process.communicate(timeout=HOPELESS_SECONDS)
    assert process.returncode == 2, errors
    assert "--batch-size 2 --accumulate 3 fits" in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def with_shared_memory(size, cache, out, *options):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to mount a small /dev/shm")
    if subprocess.run([*NAMESPACE, size, "true"], capture_output=True).returncode:
        pytest.skip("cannot mount a small /dev/shm here")
    line = [*NAMESPACE, size, *command(cache, out, *options)]
    return subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=HOPELESS_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["pipes", "shared memory"])
def test_batches_larger_than_the_shared_memory_go_through_pipes(cache, tmp_path, sharing):
    """A batch of 4 clips of 32 x 32 has 626 kB."""
    options = ("--variant", "es", "--loader-workers", 2, "--max-steps", 3)
    size = "500k" if sharing == "pipes" else "64m"
    done = with_shared_memory(size, cache, tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["loader_processes"], config["loader_sharing"]) == (2, sharing)
    assert pretrain(cache, tmp_path / "plain", *options).returncode == 0
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")


def test_no_shared_memory_at_all_is_one_line(cache, tmp_path):
    out = tmp_path / "run"
    done = with_shared_memory("4k", cache, out, "--variant", "es", "--loader-workers", 2, "--max-steps", 3)
    assert done.returncode == 2, done.stderr
    assert "--loader-workers 0" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_what_goes_through_pipes_is_said(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(loading.machine, "shared_memory_free", lambda: 1 << 20)
    config = small_config(cache, tmp_path, variant="es", loader_workers=2)
    films = read_training_films(cache, "es", 0.0)
    dataset = ClipDataset(films.train, films.variant, config, on_device=True)
    sound, picture = 2 * 2 * 96 * 280 * 2, 16 * 3 * 64 * 36
    assert dataset.batch_bytes(4) == 4 * (sound + picture)
    found = loading.choose_loading(dataset, config, torch.device("cpu"), 3)
    assert found.sharing == "pipes"
    assert f"{dataset.batch_bytes(4) * 7 * 3 / 1e6:.0f} MB" in found.note
    assert "--shm-size" in found.note


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "text"), [(Sleeps, "no batch came in 3"), (Dies, "batches died")])
def test_a_loader_that_gives_no_sign_of_life_ends_the_run_in_one_line(cache, tmp_path, monkeypatch, dataset, text):
    monkeypatch.setattr(loading, "PATIENCE_SECONDS", 3.0 if dataset is Sleeps else 120.0)
    monkeypatch.setattr(loading, "_LOOK_SECONDS", 1.0)
    monkeypatch.setattr("dubcli.pretrain.trainer.ClipDataset", dataset)
    done = pretrain(cache, tmp_path / "run", "--variant", "a", "--loader-workers", 1)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
