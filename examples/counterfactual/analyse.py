"""What the scores say: differences with intervals, tests over seeds, and the verdict that was written down before.

Chance is in the test films and in the seeds: a draw takes films with replacement, the same for both models, and of each
pair of models seeds with replacement.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from measure import FACTORS, scores_file
from study import MAIN, RANDOM, SUPERVISED, Model, Study

from dubcli.core.atomic import read_json

Array = np.ndarray[Any, Any]
DRAWS = 4000
LEVELS = (0.90, 0.95)
ENOUGH = 0.02
PLACES_AND_EVENTS, SPEAKERS = ("place", "event"), ("voice",)


class Scores:
    """All that was measured so far: right answers by test film, of each kind of model and seed."""

    def __init__(self, study: Study, epoch: int | None = None) -> None:
        self.by_kind: dict[str, dict[int, dict[str, Any]]] = {}
        for model in study.models:
            file = scores_file(study, model, epoch)
            if file.exists():
                self.by_kind.setdefault(model.kind, {})[model.seed] = read_json(file)["scores"]

    def accuracies(self, kind: str, factor: str, head: str = "mixed") -> dict[int, float]:
        """{seed: share of right answers}."""
        return {seed: found[factor][head]["accuracy"] for seed, found in self.by_kind.get(kind, {}).items()}

    def table(self, kind: str, factor: str, head: str, seeds: list[int]) -> tuple[Array, Array]:
        """(seeds, films) right answers and answers."""
        cells = [self.by_kind[kind][seed][factor][head] for seed in seeds]
        return np.array([cell["right"] for cell in cells]), np.array([cell["total"] for cell in cells])


def difference(scores: Scores, first: str, second: str, factor: str, head: str = "mixed") -> dict[str, Any] | None:
    """``second``'s accuracy minus ``first``'s over the seeds that both have; None where there are none."""
    seeds = sorted(set(scores.by_kind.get(first, {})) & set(scores.by_kind.get(second, {})))
    if not seeds:
        return None
    right_a, total = scores.table(first, factor, head, seeds)
    right_b, _ = scores.table(second, factor, head, seeds)
    by_seed = (right_b.sum(1) - right_a.sum(1)) / total.sum(1)
    draw = np.random.default_rng(0)
    seed_count, film_count = right_a.shape
    draws = np.empty(DRAWS)
    for number in range(DRAWS):
        films = np.bincount(draw.integers(0, film_count, film_count), minlength=film_count)
        chosen = draw.integers(0, seed_count, seed_count)
        gained = ((right_b - right_a)[chosen] * films).sum(1) / (total[chosen] * films).sum(1)
        draws[number] = gained.mean()
    above, below = int((by_seed > 0).sum()), int((by_seed < 0).sum())
    return {
        "first": first, "second": second, "factor": factor, "head": head, "seeds": seeds,
        "mean": float(by_seed.mean()), "by_seed": by_seed.tolist(), "above": above,
        "sign_test_p": _sign_test(above, below),
        **{f"interval_{int(100 * level)}": np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]).tolist()
           for level in LEVELS},
    }  # fmt: skip


def _sign_test(above: int, below: int) -> float:
    """Two-sided, of as many or more of one sign, were both equally likely."""
    count, most = above + below, max(above, below)
    tail = sum(comb(count, k) for k in range(most, count + 1)) / 2**count if count else 1.0
    return min(1.0, 2 * tail)


def verdict(scores: Scores, seeds_planned: int) -> dict[str, Any]:
    """Of the question: shown, refuted or undecided, by ``preregistration.md``; open while models are missing."""
    found = {factor: difference(scores, "mono", "efj", factor) for factor in (*PLACES_AND_EVENTS, *SPEAKERS)}
    known = {factor: one for factor, one in found.items() if one is not None}
    if len(known) < len(found) or any(len(one["seeds"]) < seeds_planned for one in known.values()):
        return {"verdict": "open", "why": "models are missing", "differences": known}
    gained = {f: one["above"] == seeds_planned and one["mean"] >= ENOUGH for f, one in known.items()}
    equal = {f: max(map(abs, one["interval_90"])) <= ENOUGH for f, one in known.items()}
    if any(gained[f] for f in PLACES_AND_EVENTS) and all(gained[f] for f in SPEAKERS):
        word = "shown"
    elif all(equal.values()):
        word = "refuted"
    else:
        word = "undecided"
    return {"verdict": word, "gained": gained, "equal": equal, "differences": known}


def analysis(study: Study) -> dict[str, Any]:
    """Everything that the README's tables and figures are made of."""
    scores = Scores(study)
    kinds = list(dict.fromkeys(model.kind for model in study.models))
    pairs = [(_reference(kind), kind) for kind in kinds if kind not in ("mono", "a", RANDOM, SUPERVISED)]
    pairs += [(RANDOM, "mono"), (RANDOM, SUPERVISED), ("a", "mono")]
    differences = []
    for first, second in pairs:
        for factor in FACTORS:
            for head in ("mixed", "transfer"):
                if head == "transfer" and factor in ("language", "words"):
                    continue
                differences.append(difference(scores, first, second, factor, head))
    planned = len({model.seed for model in study.models if model.kind == "efj"})
    last = study.training["epochs"]
    steps = {str(epoch): _summary(Scores(study, epoch)) for epoch in study.epochs_shown if epoch < last}
    steps[str(last)] = _summary(scores)
    return {
        "answer": verdict(scores, planned), "scores": _summary(scores), "differences": [d for d in differences if d],
        "epochs": steps, "missing": _missing(study),
    }  # fmt: skip


def _reference(kind: str) -> str:
    """What a kind of model is compared with: the same without dubs."""
    variant, _, corpus = kind.partition("@")
    without = "a" if variant.startswith("a-") else "mono"
    # only the dubs are other than the main corpus's there, so that mono is the same model
    return without if corpus in ("", MAIN, "same", "wrong") or variant == "mono" else f"{without}@{corpus}"


def _summary(scores: Scores) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, by_seed in scores.by_kind.items():
        heads = next(iter(by_seed.values()))
        found[kind] = {f"{factor} {head}": list(scores.accuracies(kind, factor, head).values())
                       for factor in heads for head in heads[factor]}  # fmt: skip
    return found


def _missing(study: Study) -> list[str]:
    return [model.name for model in study.models if not scores_file(study, model).exists()]


def answer_in_words(answer: dict[str, Any]) -> str:
    """A line for each factor of the question, and the verdict."""
    lines = []
    for factor, one in answer["differences"].items():
        low, high = one["interval_90"]
        lines.append(
            f"{factor}: efj - mono {one['mean']:+.3f}, 90 % interval {low:+.3f} to {high:+.3f}, "
            f"above in {one['above']} of {len(one['seeds'])} seeds (sign test p {one['sign_test_p']:.3f})"
        )
    return "\n".join([*lines, f"verdict: {answer['verdict']}"])


def models_of(study: Study, stages: list[str]) -> list[Model]:
    """The models of these stages, or of all."""
    return [model for name, models in study.stages.items() if not stages or name in stages for model in models]
