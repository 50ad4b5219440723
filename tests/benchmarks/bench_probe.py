r"""The probe's heads in one pass against one head at a time with PyTorch Lightning, as hear-eval-kit trains them.

    flock /tmp/bench.lock taskset -c 0,1 python tests/benchmarks/bench_probe.py \
        [linear hear hares] [--full] [--fast] [--rounds N] [--cpu-time] [--one-metric]
    python tests/benchmarks/bench_probe.py hear --device cuda

Needs `pip install '.[bench]'`. Problems: ESC-50's shape (2000 x 1024, 5 folds, 50 classes) and FSD50K's with fewer rows
(multilabel, 5000 x 1024, 200 classes), classes that overlap so that accuracy is near 60 %. Both sides do the same work
(the protocol's 8 grid points on the first fold, the best one on the others) with the same rule for stopping. Without
--full, every head trains for a fixed number of epochs, since the reference of `hear` takes over half an hour for all.
Like the kit, the reference computes all four metrics of the task at every validation; with --one-metric only the one
that decides, as ours does.
The sides take turns, and the rate of products is measured before and after ours. Prints both sides' scores and, last,
the ratios (median and range over the rounds). On a machine that is busy with other work, --cpu-time still
compares: one thread, and the time that it was on a core.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import statistics
import tempfile
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from dubcli.core.precision import fast_products
from dubcli.probe.heads.protocol import run_heads
from dubcli.probe.heads.settings import HARES, HEAR, LINEAR, EpochRecipe, Point
from dubcli.probe.metrics import score
from dubcli.probe.problem import Problem, Split
from dubcli.probe.training import Training

HEAR_EPOCHS, LINEAR_EPOCHS = 12, 60
KIT_METRICS = ("mAP", "d_prime", "aucroc", "top1_acc")
clock = time.perf_counter


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["linear", "hear", "hares"])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--fast", action="store_true", help="ours with --fast-heads")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--one-metric", action="store_true")
    parser.add_argument("--device", default="cpu", help="of both sides")
    arguments = parser.parse_args()
    if arguments.cpu_time:
        global clock
        clock = time.process_time
        torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    rate = matrix_rate(arguments.device) / 1e9
    print(f"{torch.get_num_threads()} threads; products of 1024 x 1024: float32 {rate:.0f} GFLOP/s")
    more = {
        "fast": arguments.fast,
        "rounds": arguments.rounds,
        "one_metric": arguments.one_metric,
        "device": arguments.device,
    }
    ratios = []
    if "linear" in arguments.parts:
        for problem in (esc50_like(), fsd50k_like()):
            recipe = LINEAR if arguments.full else replace(LINEAR, max_epochs=LINEAR_EPOCHS)
            ratios.append(compare("linear", problem, recipe, **more)[0])
    if "hear" in arguments.parts:
        recipe = HEAR if arguments.full else replace(HEAR, max_epochs=HEAR_EPOCHS)
        ratios.append(compare("hear", esc50_like(), recipe, **more)[0])
    if "hares" in arguments.parts:
        ten = esc50_like(classes=10, folds=1)
        begun = clock()
        run_heads(ten, HARES, Training(device=arguments.device))
        print(f"hares: {HARES.steps} steps of a 10-class task in {clock() - begun:.0f} s")
    for line in ratios:
        print(line)


def esc50_like(classes: int = 50, folds: int = 5) -> Problem:
    """2000 rows in 5 equal folds."""
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(classes), 2000 // classes)
    features = 0.19 * random.normal(size=(classes, 1024))[labels] + random.normal(size=(2000, 1024))
    parts = np.array_split(random.permutation(2000), 5)
    splits = []
    for test in range(folds):
        valid = (test + 1) % 5
        train = np.concatenate([parts[i] for i in range(5) if i not in (test, valid)])
        splits.append(Split(name=f"fold{test}", train=train, valid=parts[valid], test=parts[test]))
    return _problem("esc50-like", features, labels, "multiclass", classes, splits, ("top1_acc", *KIT_METRICS[:3]))


def fsd50k_like(rows: int = 5000, classes: int = 200) -> Problem:
    """One split; about three labels a row."""
    random = np.random.default_rng(0)
    labels = (random.random((rows, classes)) < 3 / classes).astype(np.uint8)
    features = 0.3 * labels @ random.normal(size=(classes, 1024)) + random.normal(size=(rows, 1024))
    train, valid, test = np.array_split(random.permutation(rows), [int(0.7 * rows), int(0.8 * rows)])
    split = Split(name="test", train=train, valid=valid, test=test)
    return _problem("fsd50k-like", features, labels, "multilabel", classes, [split], KIT_METRICS)


def _problem(name: str, features: Any, labels: Any, kind: str, classes: int, splits: Any, metrics: Any) -> Problem:
    return Problem(
        name=name,
        features=features.astype(np.float32),
        labels=labels,
        kind=kind,
        classes=tuple(str(i) for i in range(classes)),
        splits=tuple(splits),
        metrics=metrics,
    )


def compare(
    name: str, problem: Problem, recipe: EpochRecipe, *, device: str = "cpu", fast: bool = False, rounds: int = 1,
    one_metric: bool = False,
) -> tuple[str, float]:  # fmt: skip
    """Both sides on one problem, in turns; the line with the ratio, and its median."""
    ratios, shares, per_epoch = [], [], []
    if one_metric:
        problem = replace(problem, metrics=problem.metrics[:1])
    for _ in range(rounds):
        rate = matrix_rate(device, fast)
        begun = clock()
        ours = run_heads(problem, recipe, Training(device=device, fast=fast))
        our_seconds = clock() - begun
        rate = (rate + matrix_rate(device, fast)) / 2
        begun = clock()
        theirs, their_epochs = reference(problem, recipe, device)
        ratios.append((clock() - begun) / our_seconds)
        trained = [(entry["point"], entry["epochs"]) for entry in ours[0][1]["grid"]]
        trained += [(chosen["point"], chosen["epochs"]) for _, chosen in ours[1:]]
        our_epochs = sum(count for _, count in trained)
        work = sum(flops(point, problem, recipe.validate_every) * count for point, count in trained)
        shares.append(work / our_seconds / rate)
        per_epoch.append(ratios[-1] / their_epochs * our_epochs)
        print(f"{name} {problem.name}: ours {our_seconds:.1f} s, lightning {our_seconds * ratios[-1]:.1f} s")
    show_scores(f"{name} {problem.name}", problem, [found for found, _ in ours], theirs)
    print(f"{name} {problem.name}: head-epochs ours {our_epochs}, lightning {their_epochs}; ours has products at "
          f"{spread(shares, '.0%')} of the rate measured for {'bfloat16' if fast else 'float32'}")  # fmt: skip
    per_epoch_text = f"per epoch of a head {spread(per_epoch, '.1f')}"
    text = f"{name} {problem.name}: lightning / ours {spread(ratios, '.1f')} ({per_epoch_text})"
    return text, statistics.median(ratios)


def spread(values: list[float], form: str) -> str:
    """The median, and the range of several."""
    middle = f"{statistics.median(values):{form}}"
    return middle if len(values) == 1 else f"{middle} [{min(values):{form}} to {max(values):{form}}]"


def show_scores(name: str, problem: Problem, ours: list[Any], theirs: list[Any]) -> None:
    """Mean and standard deviation over the folds for both sides."""
    metric = problem.metrics[0]
    for who, side in (("ours", ours), ("lightning", theirs)):
        values = [score(problem, found, split.test)[metric] for found, split in zip(side, problem.splits, strict=True)]
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name} {who}: {metric} {statistics.mean(values):.4f} +- {deviation:.4f}")


def flops(point: dict[str, Any], problem: Problem, validate_every: int) -> float:
    """Of an epoch's products: forward, backward without the gradient of the features, and its part of a validation."""
    dim, classes = problem.features.shape[1], len(problem.classes)
    sizes = [dim, *[point["hidden"]] * point["layers"], classes]
    forward = [2 * a * b for a, b in itertools.pairwise(sizes)]
    split = problem.splits[0]
    trained = len(split.train) * (2 * forward[0] + 3 * sum(forward[1:]))
    return trained + len(split.valid) / validate_every * sum(forward)


def matrix_rate(device: str, fast: bool = False) -> float:
    """FLOP/s of products of the size that hidden layers have."""
    a, b = torch.randn(1024, 1024, device=device), torch.randn(1024, 1024, device=device)
    best = 0.0
    with fast_products() if fast else nullcontext():
        for _ in range(5):
            begun = clock()
            for _ in range(20):
                c = a @ b
            float(c[0, 0])  # waits for the device
            best = max(best, 20 * 2 * 1024**3 / (clock() - begun))
    return best


def reference(problem: Problem, recipe: EpochRecipe, device: str) -> tuple[list[tuple[np.ndarray, ...]], int]:
    """(test predictions per split, head-epochs) of the kit's way: a Lightning trainer for every head."""
    tried = [fit(problem, problem.splits[0], point, recipe, device) for point in recipe.points]
    best = max(range(len(tried)), key=lambda i: tried[i][1])
    found, epochs = [(tried[best][0],)], sum(one[2] for one in tried)
    for split in problem.splits[1:]:
        predictions, _, more = fit(problem, split, recipe.points[best], recipe, device)
        found.append((predictions,))
        epochs += more
    return found, epochs


def fit(
    problem: Problem, split: Split, point: Point, recipe: EpochRecipe, device: str
) -> tuple[np.ndarray, float, int]:
    """(test predictions, best validation score, epochs) of one head."""
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
    from torch.utils.data import DataLoader, TensorDataset

    multilabel = problem.kind == "multilabel"
    classes = len(problem.classes)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network(problem.features.shape[1], classes, point)
            self.outputs: list[Any] = []

        def training_step(self, batch: Any, _: int) -> Any:
            x, y = batch
            if multilabel:
                return nn.functional.binary_cross_entropy_with_logits(self.net(x), y.float())
            return nn.functional.cross_entropy(self.net(x), y)

        def validation_step(self, batch: Any, _: int) -> None:
            self.outputs.append(self.net(batch[0]))

        def on_validation_epoch_end(self) -> None:
            logits = torch.cat(self.outputs).cpu()
            self.outputs = []
            if len(logits) == len(split.valid):
                scores = (logits.sigmoid() if multilabel else logits.softmax(dim=1)).numpy()
                found = score(problem, (scores,), split.valid)
                self.log_dict({"score": found[problem.metrics[0]], **found})

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=point.lr)

    def loader(rows: np.ndarray) -> Any:
        tensors = TensorDataset(torch.from_numpy(problem.features[rows]), torch.from_numpy(problem.labels[rows]))
        return DataLoader(tensors, batch_size=recipe.batch_size)

    module = Module()
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(dirpath=folder, monitor="score", mode="max")
        stop = EarlyStopping(
            monitor="score", mode="max", min_delta=0.0, patience=recipe.patience, check_on_train_epoch_end=False
        )
        trainer = pl.Trainer(
            accelerator="cpu" if device == "cpu" else "gpu", devices=1,
            max_epochs=recipe.max_epochs, check_val_every_n_epoch=recipe.validate_every,
            callbacks=[best, stop], logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0,
        )  # fmt: skip
        trainer.fit(module, loader(np.random.default_rng(0).permutation(split.train)), loader(split.valid))
        module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    module.to(device).eval()
    with torch.inference_mode():
        logits = module.net(torch.from_numpy(problem.features[split.test]).to(device)).cpu()
    predictions = (logits.sigmoid() if multilabel else logits.softmax(dim=1)).numpy()
    return predictions, float(best.best_model_score or 0.0), trainer.current_epoch


def network(dim: int, classes: int, point: Point) -> nn.Sequential:
    """The kit's layers: Linear, BatchNorm, dropout, ReLU; a last Linear."""
    sizes = [dim, *[point.hidden] * point.layers, classes]
    layers: list[nn.Module] = []
    for depth, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        linear = nn.Linear(inputs, outputs)
        init = getattr(nn.init, f"{point.init}_")
        init(linear.weight, gain=nn.init.calculate_gain("linear" if depth == 0 else "relu"))
        layers.append(linear)
        if depth < point.layers:
            layers += [nn.BatchNorm1d(outputs), nn.Dropout(point.dropout), nn.ReLU()]
    return nn.Sequential(*layers)


if __name__ == "__main__":
    main()
