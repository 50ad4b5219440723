"""Devices, precision, ranks and cores, against machines and launchers that are not here."""

import os

import pytest
import torch

from dubcli.core import machine
from dubcli.core.machine import Ranks, choose_device, choose_devices, choose_precision, parse_precision, ranks_of
from dubcli.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpus(monkeypatch):
    """``gpus(4, native_bf16=False)``: torch sees so many GPUs; tensors on them are made on the CPU."""

    def see(count, *, native_bf16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: native_bf16 or including_emulation
        )
        made = torch.zeros
        monkeypatch.setattr(torch, "zeros", lambda *sizes, device=None: made(*sizes))

    return see


def ranks(rank, world_size, local_rank, local_world_size, started_by):
    return Ranks(rank=rank, world_size=world_size, local_rank=local_rank, local_world_size=local_world_size,
                 started_by=started_by)  # fmt: skip


STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "7", "SLURM_STEP_TASKS_PER_NODE": "2(x2),3", "SLURM_NTASKS": "7"}
ORTED = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_PROCID": "1",
         "SLURM_LOCALID": "0", "SLURM_NODEID": "1"}  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, ranks(5, 8, 1, 4, "torchrun")),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, ranks(0, 1, 0, 1, "torchrun")),
        ({"RANK": "3", "WORLD_SIZE": "4"}, ranks(3, 4, 3, 4, "torchrun")),
        ({"RANK": "", "WORLD_SIZE": "4"}, None),
        # a wrapper that sets two of torchrun's variables in each task of a step
        ({**STEP, "RANK": "5", "WORLD_SIZE": "7", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "2"},
         ranks(5, 7, 1, 3, "torchrun")),
        # srun -n 7
        ({**STEP, "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}, ranks(3, 7, 1, 2, "slurm")),
        ({**STEP, "SLURM_PROCID": "6", "SLURM_LOCALID": "2", "SLURM_NODEID": "2"}, ranks(6, 7, 2, 3, "slurm")),
        # the batch script itself, an interactive shell, a step of one task
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "9"}, None),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_STEP_ID": "4294967290",
          "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_TASKS_PER_NODE": "1"}, None),
        # torchrun inside a step of one task per node
        ({**ORTED, "RANK": "6", "WORLD_SIZE": "8", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"},
         ranks(6, 8, 2, 4, "torchrun")),
        # OpenMPI's daemons are started by Slurm, the ranks by them
        ({**ORTED, "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
          "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, ranks(5, 8, 1, 4, "mpi")),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}, None),
        ({"MV2_COMM_WORLD_RANK": "2", "MV2_COMM_WORLD_SIZE": "4", "MV2_COMM_WORLD_LOCAL_RANK": "0",
          "MV2_COMM_WORLD_LOCAL_SIZE": "2"}, ranks(2, 4, 0, 2, "mpi")),
        # MPICH and Intel MPI
        ({"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}, ranks(3, 4, 1, 2, "mpi")),
        # srun --mpi=pmi2
        ({**STEP, "PMI_RANK": "6", "PMI_SIZE": "7", "SLURM_PROCID": "6", "SLURM_LOCALID": "2", "SLURM_NODEID": "2"},
         ranks(6, 7, 2, 3, "mpi")),
    ],
)  # fmt: skip
def test_place_in_a_run_of_several_processes(environment, expected):
    assert ranks_of(environment) == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [("auto", "auto"), ("bf16", "bf16"), ("bfloat16", "bf16"), ("float16", "fp16"), ("half", "fp16"), ("FP32 ", "fp32"),
     ("float32", "fp32"), ("float", "fp32")],
)  # fmt: skip
def test_words_of_precision(text, word):
    assert parse_precision(text) == word


@pytest.mark.parametrize(
    ("text", "near"), [("bf61", "bf16"), ("float61", "float16"), ("fp23", "fp32"), ("bloat16", "bfloat16")]
)
def test_misspelt_precision_names_the_nearest_word(text, near):
    with pytest.raises(UserError, match=f"--precision is '{text}' \\(did you mean {near}.*auto, bf16, fp16, fp32"):
        parse_precision(text)
    with pytest.raises(UserError, match="give one of auto, bf16, fp16, fp32"):
        parse_precision("xyz")


def test_precision_by_device(gpus):
    assert [choose_precision(word, CPU) for word in ("auto", "bfloat16", "fp32")] == ["fp32", "bf16", "fp32"]
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        choose_precision("float16", CPU)
    gpus(1)
    assert [choose_precision(word, CUDA) for word in ("auto", "bf16", "float16", "fp32")] == [
        "bf16", "bf16", "fp16", "fp32",
    ]  # fmt: skip


def test_emulated_bfloat16_is_not_chosen(gpus):
    gpus(1, native_bf16=False)  # a T4: torch.cuda.is_bf16_supported() is True there
    assert torch.cuda.is_bf16_supported()
    assert [choose_precision(word, CUDA) for word in ("auto", "fp16")] == ["fp32", "fp16"]


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_computes_in_the_precision(precision, expected):
    layer = torch.nn.Linear(3, 3)
    with torch.no_grad(), machine.autocast(CPU, precision):
        assert layer(torch.ones(1, 3)).dtype == expected == machine.torch_type(precision)


@pytest.mark.parametrize("name", ["cuda", "cuda:99", "nonsense", "meta", "mps", "cuda:x"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_devices_that_are_not_there_are_one_line(name):
    for choose in (choose_device, choose_devices):
        with pytest.raises(UserError) as error:
            choose(name)
        text = str(error.value)
        assert text.startswith(f"--device {name} ")
        assert "give cpu" in text
        assert "\n" not in text


def test_devices_of_machines_with_gpus(gpus):
    assert choose_device() == choose_device("cpu") == CPU
    assert choose_devices() == choose_devices("cpu") == choose_devices(gpus=0) == [CPU]
    gpus(1)
    assert choose_device() == CUDA
    assert choose_devices() == choose_devices("cuda") == [torch.device("cuda:0")]
    gpus(4)
    four = [torch.device("cuda", number) for number in range(4)]
    assert choose_devices() == choose_devices("cuda") == four
    assert choose_devices(gpus=2) == choose_devices("cuda", 2) == four[:2]
    assert choose_devices("cuda:3") == choose_devices("cuda:3", 1) == [four[3]]
    assert choose_devices("cpu") == choose_devices(gpus=0) == choose_devices("cpu", 0) == [CPU]
    with pytest.raises(UserError, match="this machine has 4 GPUs \\(cuda:0 to cuda:3\\)"):
        choose_device("cuda:99")


@pytest.mark.parametrize(
    ("there", "asked", "number", "reason"),
    [
        (0, None, 1, "--gpus 1, but this machine has no GPU"),
        (4, None, 5, "--gpus 5, but this machine has 4 GPUs"),
        (1, None, 2, r"--gpus 2, but this machine has 1 GPU \(cuda:0\)"),
        (4, None, -1, "--gpus is -1"),
        (4, "cuda:1", 2, "contradict"),
        (4, "cuda:1", 0, "contradict"),
        (4, "cuda", 0, "contradict"),
        (4, "cpu", 1, "contradict"),
        (0, "cuda", None, "no GPU"),
    ],
)
def test_numbers_of_gpus_that_cannot_be(gpus, there, asked, number, reason):
    gpus(there)
    with pytest.raises(UserError, match=reason):
        choose_devices(asked, number)


def test_gpu_that_does_not_answer_says_why(gpus, monkeypatch):
    gpus(1)

    def fail(*sizes, device):
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nmore lines")

    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(UserError, match=r"--device cuda cannot be used here \(CUDA error: all .* busy\); give cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(("text", "cores"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("", 8)])
def test_quota_of_a_container_counts(monkeypatch, tmp_path, text, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_QUOTA_FILE", tmp_path / "cpu.max")
    assert machine.usable_cores() == 8
    (tmp_path / "cpu.max").write_text(text)
    assert machine.usable_cores() == cores


def test_loader_workers_by_the_ranks_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_QUOTA_FILE", tmp_path / "no quota")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert machine.usable_cores() == 64
    assert machine.loader_workers("cuda", 8) == 8  # two nodes of 8: not 64 / 16
    assert machine.loader_workers("cuda", 1) == machine.MAX_LOADER_WORKERS
    assert machine.loader_workers("cuda", 100) == 1
    assert machine.loader_workers("cpu", 4) == 2
    assert [machine.loader_workers("cuda", 8, asked) for asked in (0, 3)] == [0, 3]
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5})
    assert machine.loader_workers("cpu", 1) == 0


def test_shared_memory(monkeypatch):
    assert (machine.shared_memory_free() or 0) >= 0
    monkeypatch.setattr(os, "statvfs", lambda path: (_ for _ in ()).throw(OSError("no such place")))
    assert machine.shared_memory_free() is None
