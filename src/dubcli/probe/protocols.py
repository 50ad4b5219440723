"""Protocols: how heads train. One table of them, which plug-ins extend; nothing heavy is imported by reading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dubcli.core import plugins
from dubcli.errors import UserError
from dubcli.probe.heads.settings import RECIPES, StepRecipe
from dubcli.probe.training import Fitted, Predictions, Training

if TYPE_CHECKING:
    import numpy as np

    from dubcli.probe.problem import Problem, Split

GROUP = "dubcli.protocols"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way to train heads and to score test clips.

    Args:
        run: (problem, training) -> for each of ``problem.splits`` its predictions and what was chosen. It trains on
            rows ``split.train`` and scores rows ``split.test`` of ``problem.features``; labels of test rows are not to
            be looked at.
        help: one line.
        needs_validation: it chooses something on rows ``split.valid``; where the data have none, a tenth of the
            training clips is taken. Otherwise ``split.valid`` may be empty.
        parameters: what stands in the results beside the protocol's name.

    >>> from dubcli.probe import Protocol
    >>> Protocol(run=lambda problem, training: [], help="answers nothing").needs_validation
    False
    """

    run: Callable[[Problem, Training], Sequence[Fitted]]
    help: str
    needs_validation: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SplitScores:
    """One split: ``metrics`` by name, the test rows, their predicted scores, what was chosen on validation."""

    name: str
    metrics: dict[str, float]
    test: np.ndarray[Any, Any]
    predictions: Predictions
    chosen: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ProbeScores:
    """What a protocol gives. ``protocol``: its name and every parameter."""

    protocol: dict[str, Any]
    splits: tuple[SplitScores, ...]


def find_protocol(name: str) -> Protocol:
    """The protocol of a name, of an entry point, or of MODULE:NAME. Raises UserError for what is none."""
    found = plugins.load(GROUP, name, PROTOCOLS, asked="--protocol")
    if not isinstance(found, Protocol):
        raise UserError(f"--protocol {name} is a {type(found).__name__}; give a dubcli.probe.protocols.Protocol")
    return found


def run_protocol(problem: Problem, name: str, training: Training = Training()) -> ProbeScores:
    """Train and test heads on every split of ``problem``.

    Raises:
        UserError: heads diverge, or a protocol's predictions have another shape than they must.
    """
    from dubcli.probe.metrics import score

    protocol = find_protocol(name)
    found = list(protocol.run(problem, training))
    if len(found) != len(problem.splits):
        raise UserError(f"--protocol {name} gave predictions of {len(found)} splits; there are {len(problem.splits)}")
    splits = []
    for split, (given, chosen) in zip(problem.splits, found, strict=True):
        predictions = _checked(name, problem, split, given)
        metrics = score(problem, predictions, split.test)
        splits.append(
            SplitScores(name=split.name, metrics=metrics, test=split.test, predictions=predictions, chosen=chosen)
        )
    common = {"seed": training.seed, "max_steps": training.max_steps, "fast_products": training.fast}
    return ProbeScores(protocol={"name": name, **protocol.parameters, **common}, splits=tuple(splits))


def _checked(name: str, problem: Problem, split: Split, given: Predictions) -> Predictions:
    """``given`` as float32 where its shapes are right."""
    import numpy as np

    classes: Any = problem.classes if problem.kind == "multioutput" else (problem.classes,)
    wanted = [(len(split.test), len(names)) for names in classes]
    predictions = tuple(np.asarray(part, dtype=np.float32) for part in given)
    if [part.shape for part in predictions] != wanted:
        shapes = [part.shape for part in predictions]
        raise UserError(f"--protocol {name} gave predictions of shapes {shapes} for {split.name}; wanted are {wanted}")
    return predictions


def _run_recipe(problem: Problem, training: Training, recipe: str) -> list[Fitted]:
    from dubcli.probe.heads.protocol import run_heads

    return run_heads(problem, replace(RECIPES[recipe], max_steps=training.max_steps), training)


def _run_scikit(problem: Problem, training: Training, fit: str, values: tuple[float, ...]) -> list[Fitted]:
    from dubcli.probe import scikit

    run = {"logreg": scikit.run_logreg, "knn": scikit.run_knn}[fit]
    return run(problem, training, values)


def _by_recipe(name: str, text: str) -> Protocol:
    recipe = RECIPES[name]
    steps = isinstance(recipe, StepRecipe)
    parameters = {**asdict(recipe), "shuffled": steps, "standardised": False}
    return Protocol(run=partial(_run_recipe, recipe=name), help=text, needs_validation=not steps, parameters=parameters)


def _by_scikit(name: str, value: str, values: tuple[float, ...], text: str) -> Protocol:
    return Protocol(
        run=partial(_run_scikit, fit=name, values=values),
        help=text,
        needs_validation=True,
        parameters={f"{value}_tried": list(values), "standardised": True},
    )


PROTOCOLS = {
    "hear": _by_recipe("hear", "hear-eval-kit's: 8 grid points, 1 or 2 hidden layers of 1024, early stopping"),
    "linear": _by_recipe("linear", "the same without hidden layers"),
    "hares": _by_recipe("hares", "linear; Adam, batch 64, 400K steps, warm-up and cosine (our reading)"),
    "sgd": _by_recipe("sgd", "linear; 200 epochs at 0.2, cosine, batch 1024"),
    "logreg": _by_scikit("logreg", "C", (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0), "scikit-learn's, in seconds"),
    "knn": _by_scikit("knn", "k", (1, 5, 10, 20), "nearest neighbours by cosine, in seconds"),
}
"""A protocol more is a line more here, or a plug-in of the group ``dubcli.protocols``."""
