"""Heads trained together: against torch.nn one at a time, alone against in company, stopping, schedules, protocols."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn

from dubcli.core.answers import mean_average_precision
from dubcli.core.schedule import warmup_cosine
from dubcli.errors import UserError
from dubcli.probe.heads.network import Head, HeadBank
from dubcli.probe.heads.objective import Objective, average_precision_on_device
from dubcli.probe.heads.optimizer import Adam
from dubcli.probe.heads.protocol import run_heads
from dubcli.probe.heads.settings import HARES, HEAR, LINEAR, SGD, EpochRecipe, Point, StepRecipe
from dubcli.probe.heads.train import Rows, batch_bounds, train_until_flat
from dubcli.probe.problem import Problem, Split
from dubcli.probe.protocols import run_protocol
from dubcli.probe.training import Training

DIM, CLASSES, ROWS = 12, 5, 40


def problem(kind="multiclass", *, rows=ROWS, splits=2, metrics=("top1_acc",), noise=1.0, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, rows)
    features = random.normal(size=(CLASSES, DIM))[labels] + noise * random.normal(size=(rows, DIM))
    classes = tuple(f"class{i}" for i in range(CLASSES))
    if kind == "multilabel":
        labels = (np.eye(CLASSES)[labels] + (random.random((rows, CLASSES)) < 0.15)).clip(0, 1).astype(np.uint8)
    if kind == "multioutput":
        labels = np.stack([labels, labels % 2], axis=1)
        classes = (classes, ("even", "odd"))
    parts = [np.array_split(random.permutation(rows), [rows // 2, 3 * rows // 4]) for _ in range(splits)]
    made = tuple(Split(name=f"fold{i}", train=a, valid=b, test=c) for i, (a, b, c) in enumerate(parts))
    return Problem(
        name="made", features=features.astype(np.float32), labels=labels, kind=kind, classes=classes,
        splits=made, metrics=metrics,
    )  # fmt: skip


def point(layers=1, lr=1e-2, init="xavier_normal", dropout=0.0, hidden=8):
    return Point(layers=layers, lr=lr, init=init, dropout=dropout, hidden=hidden)


def as_modules(bank, place):
    """The head as torch.nn modules with copies of its parameters."""
    modules = []
    for layer in bank.layers:
        _, out, inputs = layer.weight.shape
        linear = nn.Linear(inputs, out, dtype=torch.float64)
        linear.weight.data, linear.bias.data = layer.weight[place].clone(), layer.bias[place].clone()
        modules.append(linear)
        if layer.norm:
            modules += [nn.BatchNorm1d(out, dtype=torch.float64), nn.ReLU()]
    return nn.Sequential(*modules)


def losses(kind, logits, labels):
    if kind == "multilabel":
        return nn.functional.binary_cross_entropy_with_logits(logits, labels.double())
    if kind == "multioutput":
        first = nn.functional.cross_entropy(logits[:, :CLASSES], labels[:, 0])
        return first + nn.functional.cross_entropy(logits[:, CLASSES:], labels[:, 1])
    return nn.functional.cross_entropy(logits, labels)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "multioutput"])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_fifty_steps_equal_torch_one_head_at_a_time(kind, layers):
    made = problem(kind)
    objective = Objective(made)
    x, labels = torch.from_numpy(made.features).double(), torch.from_numpy(made.labels)
    targets = objective.targets(labels.double() if kind == "multilabel" else labels)
    heads = [Head(point=point(layers, lr), split=0, key=(0, 0, i)) for i, lr in enumerate((1e-2, 1e-3, 3e-2))]
    bank = HeadBank(heads, DIM, objective.outputs, dtype=torch.float64, device="cpu")
    references = [as_modules(bank, i) for i in range(3)]
    optimizer = Adam(bank.parameters, torch.tensor([head.point.lr for head in heads], dtype=torch.float64))
    for step in range(50):
        low = 20 * (step % 2)
        rows = [(0, 3, x[low : low + 20])]
        logits, caches = bank.forward(rows)
        gradient = objective.gradient(logits, [(0, 3, targets[low : low + 20])])
        optimizer.step(bank.parameters, bank.backward(rows, caches, gradient))
    for place, (head, reference) in enumerate(zip(heads, references, strict=True)):
        adam = torch.optim.Adam(reference.parameters(), lr=head.point.lr)
        for step in range(50):
            low = 20 * (step % 2)
            adam.zero_grad()
            losses(kind, reference(x[low : low + 20]), labels[low : low + 20]).backward()
            adam.step()
        reference.eval()
        found = bank.predict([(0, 3, x)])[place]
        assert (found - reference(x)).abs().max() < 1e-9


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_head_alone_equals_itself_in_company(layers):
    made = problem(splits=3)
    recipe = EpochRecipe(points=(), batch_size=10, max_epochs=25, validate_every=100)  # 50 steps, never validated
    objective = Objective(made)
    x, labels = torch.from_numpy(made.features).double(), torch.from_numpy(made.labels)
    splits = [
        Rows(train=x[s.train], train_targets=objective.targets(labels[s.train]), valid=x[s.valid],
             valid_targets=objective.targets(labels[s.valid]), test=x[s.test]) for s in made.splits
    ]  # fmt: skip
    heads = [
        Head(point=point(layers, lr, init, dropout=0.1), split=split, key=(7, split, i))
        for split in (0, 2)
        for i, (lr, init) in enumerate([(1e-2, "xavier_uniform"), (1e-3, "xavier_normal")])
    ]
    together = train_until_flat(heads, splits, objective, recipe, lambda *_: None)
    for one in together:
        (alone,) = train_until_flat([one.head], splits, objective, recipe, lambda *_: None)
        assert (alone.logits - one.logits).abs().max() < 1e-6
    if layers:  # and dropout does something, differently in each head
        dry = Head(point=point(layers, heads[0].point.lr, "xavier_uniform"), split=0, key=heads[0].key)
        (other,) = train_until_flat([dry], splits, objective, recipe, lambda *_: None)
        assert (other.logits - together[0].logits).abs().max() > 1e-3


def test_dropout_keeps_nine_in_ten_and_their_sum():
    heads = [Head(point=point(hidden=500, dropout=0.1), split=0, key=(i,)) for i in range(2)]
    bank = HeadBank(heads, DIM, 3, dtype=torch.float64, device="cpu")
    like = torch.ones(401, 501, dtype=torch.float64)
    kept, other = (mask.draw(like, 0.1) for mask in bank._random)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert abs(kept.mean() - 0.9) < 0.003
    assert not torch.equal(kept, other)


def test_stopped_heads_leave_the_products_and_keep_their_best_state(monkeypatch):
    made = problem(rows=80, splits=1, noise=2.0)
    widths = []
    original = HeadBank.forward

    def counting(self, rows):
        widths.append(len(self.heads))
        return original(self, rows)

    monkeypatch.setattr(HeadBank, "forward", counting)
    # a rate of 0 never gains after its first validation; the others go on for longer
    recipe = EpochRecipe(
        points=(point(0, 0.0), point(0, 1e-3), point(0, 1e-2)),
        batch_size=64,
        max_epochs=60,
        validate_every=3,
        patience=3,
    )
    ((_, chosen),) = run_heads(made, recipe, Training(device="cpu"))
    assert widths[0] == 3
    assert widths.count(3) == 12  # epochs: a first gain in epoch 3, then three validations without one
    assert widths == sorted(widths, reverse=True)
    assert chosen["validation"] == max(entry["validation"] for entry in chosen["grid"])
    lazy = chosen["grid"][0]
    assert lazy["epoch"] == 3


def test_the_state_that_is_tested_is_that_of_the_best_validation():
    made = problem(rows=60, splits=1, noise=1.5)
    recipe = EpochRecipe(points=(point(lr=3e-2),), batch_size=64, max_epochs=90, validate_every=3)
    (long,) = run_heads(made, recipe, Training(device="cpu"))
    best = long[1]["epoch"]
    short = dataclasses.replace(recipe, max_epochs=best)
    (again,) = run_heads(made, short, Training(device="cpu"))
    assert again[1]["epoch"] == best
    np.testing.assert_array_equal(again[0][0], long[0][0])


def test_the_best_point_of_the_first_split_trains_the_others():
    made = problem(rows=120, splits=3)
    recipe = EpochRecipe(points=(point(lr=1e-5), point(lr=1e-2)), batch_size=64, max_epochs=30, patience=20)
    found = run_heads(made, recipe, Training(device="cpu"))
    assert [chosen["point"]["lr"] for _, chosen in found] == [1e-2] * 3
    assert len(found[0][1]["grid"]) == 2
    assert all("grid" not in chosen for _, chosen in found[1:])


@pytest.mark.parametrize("ties", [False, True])
def test_mean_average_precision_is_sklearns(ties):
    random = np.random.default_rng(3)
    labels = random.random((200, 7)) < 0.2
    labels[:, 6] = False
    scores = random.random((200, 7)).astype(np.float32)
    if ties:
        scores = scores.round(1)
    wanted = average_precision_score(labels[:, :6], scores[:, :6], average="macro")
    on_device = average_precision_on_device(torch.from_numpy(labels), torch.from_numpy(scores))
    assert float(on_device) == pytest.approx(wanted)
    assert mean_average_precision(labels, scores) == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_validation_scores_are_the_results_scores(kind):
    from dubcli.probe.metrics import score

    for metric in ("top1_acc", "mAP"):
        made = problem(kind, metrics=(metric,))
        objective = Objective(made)
        logits = torch.randn(3, ROWS, CLASSES, generator=torch.Generator().manual_seed(0))
        labels = torch.from_numpy(made.labels)
        targets = objective.targets(labels.float() if kind == "multilabel" else labels)
        found = objective.scores(logits, targets)
        for head in range(3):
            predictions = (objective.probabilities(logits.clone())[0][head].numpy(),)
            assert float(found[head]) == pytest.approx(score(made, predictions, np.arange(ROWS))[metric])


def test_recipes_are_the_papers_and_the_kits():
    assert len(HEAR.points) == len(LINEAR.points) == 8
    assert {p.layers for p in HEAR.points} == {1, 2}
    assert {p.layers for p in LINEAR.points} == {0}
    assert (HEAR.batch_size, HEAR.max_epochs, HEAR.validate_every, HEAR.patience) == (1024, 500, 3, 20)
    assert (HARES.steps, HARES.warmup_steps, HARES.lr, HARES.batch_size) == (400_000, 5_000, 2e-4, 64)
    assert (SGD.epochs, SGD.lr, SGD.batch_size) == (200, 0.2, 1024)


def test_schedule_warms_up_and_ends_at_nothing():
    rates = [warmup_cosine(step, 400_000, HARES.warmup_steps) for step in (0, 2499, 4999, 5000, 202_500, 399_999)]
    assert rates[:4] == pytest.approx([1 / 5000, 0.5, 1.0, 1.0])
    assert rates[4] == pytest.approx(0.5)
    assert rates[5] < 1e-10


def test_a_last_row_alone_joins_the_batch_before():
    assert batch_bounds(2049, 1024) == [(0, 1024), (1024, 2049)]
    assert batch_bounds(2050, 1024) == [(0, 1024), (1024, 2048), (2048, 2050)]
    assert batch_bounds(1, 1024) == [(0, 1)]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "multioutput"])
def test_steps_reach_what_torch_reaches(kind):
    """A convex problem: Adam over a cosine ends where L-BFGS does."""
    made = problem(kind, rows=1200, splits=1, noise=3.0)  # no plane separates it, so there is one optimum
    recipe = StepRecipe(optimizer="adam", lr=5e-2, batch_size=300, steps=1500, warmup_steps=50)
    ((predictions, _),) = run_heads(made, recipe, Training(device="cpu"))
    split = made.splits[0]
    x, labels = torch.from_numpy(made.features).double(), torch.from_numpy(made.labels)
    linear = nn.Linear(DIM, Objective(made).outputs, dtype=torch.float64)
    lbfgs = torch.optim.LBFGS(linear.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        lbfgs.zero_grad()
        loss = losses(kind, linear(x[split.train]), labels[split.train])
        loss.backward()
        return loss

    lbfgs.step(closure)
    wanted = Objective(made).probabilities(linear(x[split.test]).detach())
    for found, part in zip(predictions, wanted, strict=True):
        assert np.abs(found - part.numpy()).max() < 0.05


def test_sgd_on_features_too_large_is_refused_in_a_line():
    made = problem(rows=64, splits=1)
    huge = Problem(**{**made.__dict__, "features": made.features * np.float32(1e25)})
    with pytest.raises(UserError, match="diverged .* --protocol logreg or knn"):
        run_heads(huge, StepRecipe(optimizer="sgd", lr=0.2, batch_size=64, epochs=30), Training(device="cpu"))


@pytest.mark.parametrize(("wide", "threads"), [(1, 1), (4000, 2)])
def test_small_steps_run_on_one_thread(wide, threads, monkeypatch):
    made = problem(rows=600, splits=1)
    made = Problem(**{**made.__dict__, "features": np.repeat(made.features, wide, axis=1)})
    used = []
    before = torch.get_num_threads()
    original = HeadBank.forward
    monkeypatch.setattr(HeadBank, "forward", lambda *given: (used.append(torch.get_num_threads()), original(*given))[1])
    torch.set_num_threads(2)
    recipe = StepRecipe(optimizer="adam", lr=1e-4, batch_size=300, steps=2)
    try:
        run_heads(made, recipe, Training(device="cpu"))
        assert used == [threads] * 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_validation_without_a_score_still_ends_with_a_head():
    made = problem("multilabel", rows=64, splits=1, metrics=("mAP",))
    made.labels[made.splits[0].valid] = 0  # no class has a positive there, so mAP is not defined
    recipe = EpochRecipe(points=(point(),), batch_size=64, max_epochs=30, validate_every=1, patience=3)
    (((predictions,), chosen),) = run_heads(made, recipe, Training(device="cpu"))
    assert chosen["epochs"] == 4
    assert chosen["epoch"] == 1
    assert np.isfinite(predictions).all()


def test_a_grid_on_features_too_large_is_refused_in_a_line():
    made = problem(rows=64, splits=1)
    huge = Problem(**{**made.__dict__, "features": np.sign(made.features) * np.float32(3e38)})
    with pytest.raises(UserError, match="diverged: .* logreg"):
        run_heads(huge, EpochRecipe(points=(point(0),), max_epochs=6), Training(device="cpu"))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "multioutput"])
@pytest.mark.parametrize("protocol", ["linear", "hear", "sgd"])
def test_protocols_score_a_problem(kind, protocol, monkeypatch):
    from dubcli.probe import protocols

    recipe = protocols.RECIPES[protocol]
    if isinstance(recipe, EpochRecipe):  # the real grid, narrower and shorter
        points = tuple(point(p.layers, p.lr, p.init, p.dropout, hidden=32) for p in recipe.points)
        monkeypatch.setitem(protocols.RECIPES, protocol, EpochRecipe(points=points, max_epochs=90))
    made = problem(kind, rows=300, splits=2, metrics=("top1_acc",) if kind != "multilabel" else ("mAP",), noise=0.5)
    scores = run_protocol(made, protocol, Training(seed=1))
    assert scores.protocol["name"] == protocol
    assert scores.protocol["shuffled"] is (protocol == "sgd")
    assert len(scores.splits) == 2
    for split in scores.splits:
        # labels added at random cannot be learnt; parity is learnt by no plane but with the classes
        assert split.metrics[made.metrics[0]] > {"multiclass": 0.9, "multilabel": 0.65, "multioutput": 0.6}[kind]
        assert all(math.isfinite(value) for part in split.predictions for value in part.ravel())
    again = run_protocol(made, protocol, Training(seed=1))
    np.testing.assert_array_equal(again.splits[1].predictions[0], scores.splits[1].predictions[0])


def test_fast_heads_score_alike_and_leave_the_setting_as_it_was():
    made = problem(rows=300, splits=2, noise=2.5)
    recipe = EpochRecipe(points=(point(1, 1e-2, hidden=64),), batch_size=256, max_epochs=60)
    before = torch.backends.mkldnn.matmul.fp32_precision
    exact = run_heads(made, recipe, Training(device="cpu"))
    fast = run_heads(made, recipe, Training(device="cpu", fast=True))
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    agree = [(a[0][0].argmax(1) == b[0][0].argmax(1)).mean() for a, b in zip(exact, fast, strict=True)]
    assert min(agree) > 0.8


@pytest.mark.parametrize("max_steps", [3, 40, 10_000])
def test_fewer_steps_keep_the_schedule_in_proportion(max_steps, monkeypatch):
    from dubcli.probe.heads import train

    factors = []
    inner = warmup_cosine
    monkeypatch.setattr(train, "warmup_cosine", lambda *given: factors.append(inner(*given)) or factors[-1])
    made = problem(rows=50, splits=1)
    recipe = StepRecipe(optimizer="sgd", lr=0.1, batch_size=64, steps=400, warmup_steps=100, max_steps=max_steps)
    run_heads(made, recipe, Training(device="cpu"))
    assert len(factors) == min(400, max_steps)
    assert int(np.argmax(factors)) in range(min(400, max_steps) // 4 - 1, min(400, max_steps) // 4 + 1)
    assert factors[-1] < 0.8


def test_fewer_steps_end_the_epochs(monkeypatch):
    made = problem(rows=80, splits=1)
    recipe = EpochRecipe(points=(point(0, 1e-3),), batch_size=16, max_epochs=90, patience=99, max_steps=20)
    ((_, chosen),) = run_heads(made, recipe, Training(device="cpu"))
    batches = len(batch_bounds(len(made.splits[0].train), 16))
    assert chosen["epochs"] <= -(-20 // batches)
