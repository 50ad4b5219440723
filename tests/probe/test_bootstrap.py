"""Bootstrap intervals and the comparison of two results."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dubcli.errors import UserError
from dubcli.probe.bootstrap import _mean_average_precision, _top1, compare, interval
from dubcli.probe.metrics import per_class, score
from dubcli.probe.problem import Problem, Split
from dubcli.probe.protocols import ProbeScores, SplitScores
from dubcli.probe.results import prediction_arrays, save_result, summary

CLIPS, CLASSES = 300, 4


def problem(kind="multiclass"):
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, CLIPS)
    if kind == "multilabel":
        labels = (random.random((CLIPS, CLASSES)) < 0.3).astype(np.uint8)
    halves = np.array_split(np.arange(CLIPS), 2)
    splits = tuple(Split(name=f"fold{i}", train=half, valid=half, test=half) for i, half in enumerate(halves))
    return Problem(
        name="made", features=np.zeros((CLIPS, 2), np.float32), labels=labels, kind=kind,
        classes=tuple("abcd"), splits=splits, metrics=("mAP" if kind == "multilabel" else "top1_acc",),
    )  # fmt: skip


def result(made, path, *, noise, seed=0, ties=False):
    random = np.random.default_rng(seed)
    one_hot = made.labels if made.kind == "multilabel" else np.eye(CLASSES)[made.labels]
    predictions = (one_hot + noise * random.normal(size=one_hot.shape)).astype(np.float32)
    if ties:
        predictions = predictions.round()
    splits = tuple(
        SplitScores(name=s.name, metrics=score(made, (predictions[s.test],), s.test), test=s.test,
                    predictions=(predictions[s.test],), chosen={}) for s in made.splits
    )  # fmt: skip
    scores = ProbeScores(protocol={"name": "knn"}, splits=splits)
    content = {"task": "made", "model": path.stem, "identity": {}, **summary(made, scores)}
    return save_result(path, content, prediction_arrays(made, scores))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("ties", [False, True])
def test_weighted_scores_are_those_of_repeated_clips(kind, ties):
    random = np.random.default_rng(1)
    made = problem(kind)
    predictions = random.random((CLIPS, CLASSES)).round(1 if ties else 9)
    weights = random.multinomial(CLIPS, np.full(CLIPS, 1 / CLIPS), 3).astype(float)
    found = _mean_average_precision(kind, made.labels, (predictions,))(weights)
    one_hot = made.labels if kind == "multilabel" else np.eye(CLASSES)[made.labels]
    for draw, value in zip(weights.astype(int), found, strict=True):
        drawn = np.repeat(np.arange(CLIPS), draw)
        assert value == pytest.approx(average_precision_score(one_hot[drawn], predictions[drawn], average="macro"))


def test_interval_of_top1_is_the_binomials():
    random = np.random.default_rng(2)
    right = random.random(1000) < 0.7
    arrays = {"test.labels": np.zeros(1000, int), "test.rows": np.arange(1000),
              "test.scores.0": np.stack([right, ~right], axis=1).astype(float)}  # fmt: skip
    low, high = interval("top1_acc", "multiclass", arrays, ["test"])
    error = (right.mean() * (1 - right.mean()) / 1000) ** 0.5
    assert low == pytest.approx(right.mean() - 1.96 * error, abs=0.006)
    assert high == pytest.approx(right.mean() + 1.96 * error, abs=0.006)
    assert interval("d_prime", "multiclass", arrays, ["test"]) is None


def test_interval_holds_the_score_where_classes_are_rare():
    """Two clips of each of 40 classes: drawn clips come several times, which alone raises a draw's precision."""
    random = np.random.default_rng(4)
    labels = np.zeros((80, 40), np.uint8)
    labels[np.arange(80), np.arange(80) % 40] = 1
    arrays = {"test.labels": labels, "test.rows": np.arange(80), "test.scores.0": random.random((80, 40))}
    low, high = interval("mAP", "multilabel", arrays, ["test"])
    assert 0 <= low < average_precision_score(labels, arrays["test.scores.0"], average="macro") < high


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_results_say_how_sure_they_are_and_predictions_remake_them(kind, tmp_path):
    made = problem(kind)
    content = result(made, tmp_path / "a.json", noise=1.0).content
    written = json.loads((tmp_path / "a.json").read_text())
    low, high = written["interval"]
    assert low < written["mean"] < high
    assert [row["class"] for row in written["per_class"]] == list("abcd")
    with np.load(tmp_path / "a.predictions.npz", allow_pickle=False) as arrays:
        again = [
            score(made, (arrays[f"{s.name}.scores.0"],), arrays[f"{s.name}.rows"])[made.metrics[0]] for s in made.splits
        ]
    assert again == pytest.approx(content["scores"])


def test_per_class_is_the_share_found():
    made = problem()
    predictions = np.eye(CLASSES)[np.zeros(CLIPS, int)]
    rows = per_class(made, (predictions,), np.arange(CLIPS))
    assert [row["score"] for row in rows] == [1.0, 0.0, 0.0, 0.0]
    assert [row["test_clips"] for row in rows] == np.bincount(made.labels).tolist()


def test_two_results_differ_by_more_than_noise_or_not(tmp_path, dubav):
    made = problem()
    result(made, tmp_path / "worse.json", noise=1.5)
    result(made, tmp_path / "better.json", noise=0.5, seed=1)
    result(made, tmp_path / "like.json", noise=0.5, seed=3)
    found = compare(tmp_path / "worse.json", tmp_path / "better.json")
    assert found.more_than_noise
    assert found.interval[0] < found.difference < found.interval[1]
    assert not compare(tmp_path / "better.json", tmp_path / "like.json").more_than_noise
    done = dubav("probe", "compare", tmp_path / "worse.json", tmp_path / "better.json")
    assert done.returncode == 0, done.stderr
    assert "more than noise" in done.stdout
    assert json.loads(dubav("probe", "compare", tmp_path / "worse.json", tmp_path / "like.json", "--json").stdout)[
        "more_than_noise"
    ]


def test_paired_draws_see_what_unpaired_would_miss(tmp_path):
    made = problem()
    first = result(made, tmp_path / "a.json", noise=1.0)
    second = result(made, tmp_path / "b.json", noise=1.0)  # the same mistakes
    low, high = compare(first.path, second.path).interval
    assert low == high == 0.0


def test_what_cannot_be_compared_is_refused(tmp_path, dubav):
    result(problem(), tmp_path / "a.json", noise=1.0)
    result(problem("multilabel"), tmp_path / "b.json", noise=1.0)
    with pytest.raises(UserError, match="compare two models on one task"):
        compare(tmp_path / "a.json", tmp_path / "b.json")
    other = problem()
    other.labels[:] = other.labels[::-1]
    result(other, tmp_path / "c.json", noise=1.0)
    with pytest.raises(UserError, match="different clips"):
        compare(tmp_path / "a.json", tmp_path / "c.json")
    (tmp_path / "a.predictions.npz").unlink()
    with pytest.raises(UserError, match="a.predictions.npz cannot be read"):
        compare(tmp_path / "a.json", tmp_path / "c.json")
    done = dubav("probe", "compare", tmp_path / "a.json")
    assert done.returncode == 2
    assert "give two results files" in done.stderr


def test_top1_of_several_outputs_needs_all():
    labels = np.array([[0, 1], [1, 0]])
    predictions = (np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert _top1("multioutput", labels, predictions)(np.ones((1, 2))) == pytest.approx(0.5)


def test_average_precision_is_scikit_learns_with_ties_and_absent_classes():
    from sklearn.metrics import average_precision_score

    from dubcli.probe.metrics import mean_average_precision

    random = np.random.default_rng(0)
    for levels in (3, 1000):
        scores = random.integers(levels, size=(60, 5)).astype(np.float32)
        labels = (random.random((60, 5)) < 0.2).astype(np.uint8)
        labels[:, 3] = 0
        there = labels.any(axis=0)
        expected = average_precision_score(labels[:, there], scores[:, there], average="macro")
        assert mean_average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(mean_average_precision(np.zeros((4, 2)), np.ones((4, 2))))
