"""How a rank computes: half precision with a scaler, deterministic kernels, compiled or not; and what is said of it."""

import json
import os

import pytest
import torch

from dubcli.core import machine
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.pretrain import train
from dubcli.pretrain.learner import Learner
from helpers.runs import SignalAfter, assert_same_state, losses, metrics, pretrain, small_config


@pytest.fixture
def half(monkeypatch):
    """fp16 on the CPU, where no user gets it."""
    monkeypatch.setattr(machine, "choose_precision", lambda asked, device: "fp16")


@pytest.mark.slow
def test_half_precision_goes_on_to_the_same_bits_with_its_scale(cache, tmp_path, half):
    options = {"variant": "es", "max_steps": 6, "clip_gradient": 1.0, "precision": "fp16"}
    straight = small_config(cache, tmp_path / "straight", **options)
    train(straight, device="cpu")
    state = torch.load(straight.folder / "ckpt.pt", weights_only=True)
    assert state["scaler"]["scale"] > 1
    assert json.loads((straight.folder / "config.json").read_text())["precision_used"] == "fp16"
    config = small_config(cache, tmp_path / "run", **options)
    assert train(config, SignalAfter(3, 15), device="cpu").step == 3
    train(config, device="cpu")
    assert losses(config.folder) == losses(straight.folder)
    assert_same_state(config.folder, straight.folder)
    assert "scaler" not in torch.load(config.folder / "epoch-01.pt", weights_only=True)


def test_steps_whose_gradients_overflow_are_left_out_counted_and_told(cache, tmp_path, half, monkeypatch):
    init = torch.amp.GradScaler.__init__

    def too_large(self, *arguments, **options):
        init(self, *arguments, **{"init_scale": 2.0**40, "growth_interval": 2000, **options})

    monkeypatch.setattr(torch.amp.GradScaler, "__init__", too_large)
    config = small_config(cache, tmp_path / "run", variant="mono", max_steps=4)
    train(config, device="cpu")
    skipped = [line["skipped_steps"] for line in metrics(config.folder) if "loss" in line]
    assert skipped == [1, 2, 3, 4]
    state = torch.load(config.folder / "ckpt.pt", weights_only=True)
    assert state["scaler"]["scale"] == 2.0**36  # halved each time
    torch.manual_seed(0)
    fresh = DubModel(parse_variant("mono", "en", ["en"]), "minute").state_dict()
    weights = [name for name in fresh if name.endswith("conv.weight")]
    assert weights
    assert all(torch.equal(state["model"][name], fresh[name]) for name in weights)  # no step moved them


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_scale_cancels_out_before_gradients_are_clipped(tmp_path, monkeypatch, accumulate):
    """In float32 all is exact but for the scale: powers of two in, the same gradients out."""
    found = []
    for precision in ("fp32", "fp16"):
        monkeypatch.setattr(machine, "choose_precision", lambda asked, device, precision=precision: precision)
        monkeypatch.setattr(machine, "autocast", lambda device, precision: torch.autocast("cpu", enabled=False))
        config = small_config(tmp_path, tmp_path, variant="a-efj", batch_size=2, accumulate=accumulate,
                              clip_gradient=0.1)  # fmt: skip
        variant = parse_variant("a-efj", "en", ["en", "es", "fr", "ja"])
        learner = Learner(variant, config, torch.device("cpu"), (0.0, 1.0))
        generator = torch.Generator().manual_seed(5)
        mels = [torch.randn(2 * accumulate, 2, 96, 280, generator=generator) for _ in range(2)]
        monkeypatch.setattr(learner, "_inputs", lambda batch, mels=mels: (None, *mels))
        learner.step(None, 1e-3)
        norm = torch.stack([p.grad.norm() for p in learner.model.parameters()]).norm()
        assert float(norm) == pytest.approx(0.1, rel=1e-3)
        found.append([p.detach().clone() for p in learner.model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_full_precision_counts_no_skipped_steps(cache, tmp_path):
    train(small_config(cache, tmp_path, variant="a", max_steps=1), device="cpu")
    assert "skipped_steps" not in metrics(tmp_path)[0]


def settings():
    import torch._inductor.config as inductor

    cudnn, strict = torch.backends.cudnn, torch.are_deterministic_algorithms_enabled()
    return (
        strict,
        cudnn.deterministic,
        cudnn.benchmark,
        inductor.deterministic,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


def test_deterministic_kernels_are_chosen_recorded_and_the_caller_s_are_put_back(cache, tmp_path, monkeypatch):
    """A notebook that trains goes on with its own choices, also where training failed."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before, within = settings(), []
    step = Learner.step
    monkeypatch.setattr(Learner, "step", lambda *given: (within.append(settings()), step(*given))[1])
    train(small_config(cache, tmp_path / "run", variant="a", max_steps=2, deterministic=True), device="cpu")
    assert within == [(True, True, False, True, ":4096:8")] * 2
    assert settings() == before != within[0]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["deterministic"] is True
    with pytest.raises(UserError, match="has deterministic True, this one False"):
        train(small_config(cache, tmp_path / "run", variant="a", max_steps=2), device="cpu")

    def fails(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(Learner, "step", fails)
    with pytest.raises(RuntimeError, match="broken"):
        train(small_config(cache, tmp_path / "new", variant="a", max_steps=2, deterministic=True), device="cpu")
    assert settings() == before


def test_fixed_shapes_are_timed_on_a_gpu_unless_bits_are_promised():
    before = settings()
    with machine.kernels(False, torch.device("cuda")):
        assert torch.backends.cudnn.benchmark
        with machine.kernels(True, torch.device("cuda")):
            assert not torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.benchmark
    assert settings() == before


def fails_to_compile(monkeypatch):
    """A compiler that breaks when the model first runs, as one does on a machine without a C compiler."""
    compile_model = torch.compile

    def backend(graph, inputs):
        raise OSError("no C compiler here")

    monkeypatch.setattr(torch, "compile", lambda model: compile_model(model, backend=backend))


@pytest.mark.slow
def test_a_model_that_cannot_be_compiled_trains_with_a_line_or_not_at_all(cache, tmp_path, monkeypatch):
    config = small_config(cache, tmp_path / "run", variant="a", max_steps=1)
    train(small_config(cache, tmp_path / "plain", variant="a", max_steps=1), device="cpu")
    fails_to_compile(monkeypatch)
    done = pretrain(cache, tmp_path / "asked", "--variant", "a", "--compile", "--max-steps", 1)
    assert done.returncode == 2
    assert "no C compiler here" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "asked").exists()
    # nobody asked for it: as on CUDA, where it is the default
    monkeypatch.setattr("dubcli.pretrain.learner.Learner.compiles", property(lambda self: True))
    heard = []
    listener = SignalAfter(99, 15)
    listener.message = heard.append
    train(config, listener, device="cpu")
    written = json.loads((config.folder / "config.json").read_text())
    assert written["compiled"] is False
    assert "no C compiler here" in written["why_not_compiled"]
    assert len(heard) == 1
    assert "no C compiler here" in heard[0]
    assert losses(config.folder) == losses(tmp_path / "plain")


@pytest.mark.slow
def test_a_compiled_run_says_so_and_its_first_step_is_not_the_trial(cache, tmp_path, monkeypatch):
    compile_model = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_model(model, backend="eager"))
    train(small_config(cache, tmp_path / "plain", variant="a", max_steps=2), device="cpu")
    train(small_config(cache, tmp_path / "run", variant="a", max_steps=2, compile=True), device="cpu")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["compiled"] is True
    assert losses(tmp_path / "run") == losses(tmp_path / "plain")
    done = pretrain(cache, tmp_path / "dry", "--variant", "a", "--compile", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["summary"]["compiled"] is True


def test_what_ran_is_written_down(cache, tmp_path):
    train(small_config(cache, tmp_path, variant="es", max_steps=1), device="cpu")
    written = json.loads((tmp_path / "config.json").read_text())
    names = ("device", "precision_used", "compiled", "layout_used", "torch", "loader_processes", "loader_sharing")
    assert [written[name] for name in names] == [
        "cpu", "fp32", False, "channels last", torch.__version__, 0, "none"]  # fmt: skip
    assert metrics(tmp_path)[0]["peak_memory_gb"] > 0


def test_torch_switched_off_counts_as_not_compiled(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: model)
    with pytest.raises(UserError, match="switched off"):
        train(small_config(cache, tmp_path, variant="a", max_steps=1, compile=True), device="cpu")
