"""How sure scores and their differences are."""

import itertools
import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score

from dubcli.core.bootstrap import _mean_average_precision, _top1, class_differences, interval, score_difference
from dubcli.probe.metrics import per_class, score
from dubcli.probe.problem import Problem, Split
from dubcli.probe.protocols import ProbeScores, SplitScores
from dubcli.probe.results import prediction_arrays, save_result, score_summary

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


def result(made, path, *, noise=1.0, seed=0, ties=False, scores=None, clips=()):
    random = np.random.default_rng(seed)
    one_hot = made.labels if made.kind == "multilabel" else np.eye(CLASSES)[made.labels]
    predictions = (one_hot + noise * random.normal(size=one_hot.shape)).astype(np.float32) if scores is None else scores
    if ties:
        predictions = predictions.round()
    splits = tuple(
        SplitScores(name=s.name, metrics=score(made, (predictions[s.test],), s.test), test=s.test,
                    predictions=(predictions[s.test],), chosen={}) for s in made.splits
    )  # fmt: skip
    probed = ProbeScores(protocol={"name": "knn"}, splits=splits)
    content = {"task": "made", "model": path.stem, "identity": {}, **score_summary(made, probed)}
    return save_result(path, content, prediction_arrays(made, probed, clips))


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


def answers(*right, clips=None):
    """Arrays of splits on the same clips (or on those given) where these answers are right."""
    found = {}
    for split, own in enumerate(right):
        scores = np.stack([own, ~np.asarray(own)], axis=1).astype(np.float32)
        rows = np.arange(len(own)) if clips is None else clips[split]
        parts = {"rows": rows, "labels": np.zeros(len(own), int), "scores.0": scores}
        found |= {f"draw{split}.{name}": part for name, part in parts.items()}
    return found, [f"draw{split}" for split in range(len(right))]


def drawn(random, clips, draws, spread=0.0):
    """Answers of a model of share 0.6: clips differ in how hard they are, training sets in how much they teach."""
    hard = random.beta(0.6, 0.4, clips)
    return [random.random(clips) < np.clip(hard + random.normal(0, spread), 0, 1) for _ in range(draws)]


@pytest.mark.parametrize(("draws", "spread"), [(1, 0.0), (10, 0.0), (10, 0.06)])
def test_intervals_hold_the_truth_as_often_as_they_say(draws, spread):
    """Ten draws of few-shot are tested on the same clips. Drawn apart their interval held the truth in 0.5 of cases."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        low, high = interval("top1_acc", "multiclass", *answers(*drawn(random, 100, draws, spread)))
        held += low <= 0.6 <= high
    assert 0.905 <= held / 200 <= 0.99


@pytest.mark.parametrize("draws", [1, 10])
def test_equal_models_are_told_apart_in_one_of_twenty_cases(draws):
    random = np.random.default_rng(6)
    apart = 0
    for _ in range(100):
        both, splits = zip(*(answers(*drawn(random, 60, draws)) for _ in range(2)), strict=True)
        found = score_difference("top1_acc", "multiclass", both, splits[0])
        apart += found.p_value <= 0.05
        assert (found.p_value <= 0.05) == (not found.interval[0] <= 0 <= found.interval[1])
    assert apart / 100 <= 0.11


@pytest.mark.parametrize(("better", "worse", "clips"), [(1, 0, 20), (1, 0, 1000), (2, 0, 50), (3, 0, 100), (6, 0, 100),
                                                        (9, 2, 40), (13, 1, 300), (60, 35, 200)])  # fmt: skip
def test_with_one_split_the_test_is_mcnemars(better, worse, clips):
    """One clip of difference was called more than noise."""
    first, second = np.zeros(clips, bool), np.zeros(clips, bool)
    second[:better] = first[better : better + worse] = first[-1] = second[-1] = True
    both = [answers(own)[0] for own in (first, second)]
    found = score_difference("top1_acc", "multiclass", both, ["draw0"])
    expected = binomtest(better, better + worse).pvalue
    few = better + worse <= 14
    assert found.p_value == pytest.approx(expected, abs=1e-12 if few else 0.004)
    assert found.test.startswith("exact") == few
    assert found.value == pytest.approx((better - worse) / clips)
    assert found.interval[0] <= found.value <= found.interval[1]
    assert (found.p_value <= 0.05) == (not found.interval[0] <= 0 <= found.interval[1])


def discordant(clips, better, worse):
    """The difference of two results of so many clips of which one, or the other, answers so many alone."""
    first, second = np.zeros(clips, bool), np.zeros(clips, bool)
    second[:better] = first[better : better + worse] = True
    return score_difference("top1_acc", "multiclass", [answers(own)[0] for own in (first, second)], ["draw0"])


@pytest.mark.parametrize("clips", [1, 2, 20, 300])
def test_where_no_clip_differs_the_interval_is_clopper_pearsons_at_least(clips):
    """It was [0, 0], as if no further clip ever could."""
    found = discordant(clips, 0, 0)
    share = binomtest(0, clips).proportion_ci().high
    assert (found.value, found.p_value) == (0.0, 1.0)
    assert found.interval[1] == -found.interval[0] >= share - 1e-6
    assert found.interval[1] <= max(1.3 * share, 1 if clips < 10 else 0)


@pytest.mark.parametrize(
    ("clips", "better", "worse"),
    [(1, 1, 0), (3, 3, 0), (5, 5, 0), (6, 6, 0), (9, 8, 1), (30, 30, 0), (300, 1, 0), (300, 5, 0), (300, 6, 0)],
)
def test_intervals_of_few_clips_or_few_that_differ(clips, better, worse):
    found = discordant(clips, better, worse)
    assert (found.p_value <= 0.05) == (not found.interval[0] <= 0 <= found.interval[1])
    assert -1 <= found.interval[0] < found.value <= found.interval[1] <= 1
    if better < clips:  # as wide as Bonett and Price (2012) have it
        more, fewer = (better + 1) / (clips + 2), (worse + 1) / (clips + 2)
        half = 1.96 * ((more + fewer - (more - fewer) ** 2) / (clips + 2)) ** 0.5
        assert found.interval[1] >= min(more - fewer + half, 1) - 1e-9


@pytest.mark.parametrize(
    ("clips", "better", "worse"),
    [(50, 0.01, 0.01), (100, 0.02, 0), (300, 0.01, 0), (10, 0.2, 0.1), (10, 0.9, 0)],
)
def test_intervals_of_differences_hold_the_truth_as_often_as_they_say(clips, better, worse):
    """Those of the test alone held a difference of 0.01 on 300 clips in 82 of 100 cases."""
    random = np.random.default_rng(9)
    drawn = random.multinomial(clips, [better, worse, 1 - better - worse], 500)
    counts, times = np.unique(drawn[:, :2], axis=0, return_counts=True)
    held = 0
    for (more, fewer), count in zip(counts, times, strict=True):
        low, high = discordant(clips, more, fewer).interval
        held += int(count) * (low <= better - worse <= high)
    assert held / 500 >= 0.925


def test_mean_average_precision_that_does_not_differ_is_no_certainty():
    random = np.random.default_rng(10)
    labels = (random.random((200, 3)) < 0.4).astype(np.uint8)
    one = {"draw.rows": np.arange(200), "draw.labels": labels, "draw.scores.0": labels + random.normal(size=(200, 3))}
    same = score_difference("mAP", "multilabel", (one, one), ["draw"])
    assert (same.value, same.p_value) == (0.0, 1.0)
    assert 0.005 < same.interval[1] == -same.interval[0] < 0.05
    rare = {**one, "draw.labels": labels * (np.cumsum(labels, axis=0) <= 2)}  # two clips of each class say less
    assert score_difference("mAP", "multilabel", (rare, rare), ["draw"]).interval[1] > 0.2
    classes = class_differences("mAP", "multilabel", (rare, rare), ["draw"], 3)
    assert all(found[1].interval[1] > 0.5 for found in classes)


def test_folds_of_unequal_size_are_flipped_clip_by_clip():
    random = np.random.default_rng(7)
    clips = [np.arange(7), np.arange(7, 12), np.arange(3, 15)]  # the third shares clips with both others
    right = [[random.random(len(own)) < 0.6 for own in clips] for _ in range(2)]
    both = [answers(*own, clips=clips)[0] for own in right]
    found = score_difference("top1_acc", "multiclass", both, ["draw0", "draw1", "draw2"])
    each = np.zeros(15)
    for own, first, second in zip(clips, *right, strict=True):
        each[own] += (second.astype(float) - first) / len(own) / 3
    differing = each[each != 0]
    assert len(differing) <= 14
    sums = [abs(differing @ signs) for signs in itertools.product((1, -1), repeat=len(differing))]
    assert found.p_value == np.mean(np.array(sums) >= abs(each.sum()) - 1e-12)
    assert found.value == pytest.approx(each.sum())


def test_an_interval_keeps_its_width_where_all_answers_are_right():
    low, high = interval("top1_acc", "multiclass", *answers(np.ones(20, bool)))
    expected = binomtest(20, 20).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(expected.low, abs=0.02), 1.0)
    labels = np.tile(np.eye(2, dtype=np.uint8), (10, 1))
    arrays = {"a.rows": np.arange(20), "a.labels": labels, "a.scores.0": labels.astype(float)}
    assert interval("mAP", "multilabel", arrays, ["a"]) == pytest.approx((expected.low, 1.0), abs=1e-6)
    low, high = interval("top1_acc", "multiclass", *answers(np.arange(50) < 40))
    expected = binomtest(40, 50).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_average_precision_of_equal_splits_is_as_sure_as_of_one():
    random = np.random.default_rng(8)
    labels = (random.random((80, 3)) < 0.4).astype(np.uint8)
    one = {"rows": np.arange(80), "labels": labels, "scores.0": labels + random.normal(size=(80, 3))}
    arrays = {f"{split}.{name}": part for split in "abcd" for name, part in one.items()}
    assert interval("mAP", "multilabel", arrays, "abcd") == interval("mAP", "multilabel", arrays, "a")
    other = arrays | {f"{split}.scores.0": labels + random.normal(size=(80, 3)) for split in "abcd"}
    for split in "bcd":
        other[f"{split}.scores.0"] = other["a.scores.0"]
    four, single = (score_difference("mAP", "multilabel", (arrays, other), splits) for splits in ("abcd", "a"))
    assert four.interval == single.interval
    assert four.p_value == pytest.approx(single.p_value)


def test_a_score_that_is_not_defined_has_no_interval():
    arrays = {"a.rows": np.arange(4), "a.labels": np.zeros((4, 2), np.uint8), "a.scores.0": np.ones((4, 2))}
    assert interval("mAP", "multilabel", arrays, ["a"]) is None


def test_top1_of_several_outputs_needs_all():
    labels = np.array([[0, 1], [1, 0]])
    predictions = (np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert _top1("multioutput", labels, predictions)(np.ones((1, 2))) == pytest.approx(0.5)


def test_average_precision_is_scikit_learns_with_ties_and_absent_classes():
    from sklearn.metrics import average_precision_score

    from dubcli.core.answers import mean_average_precision

    random = np.random.default_rng(0)
    for levels in (3, 1000):
        scores = random.integers(levels, size=(60, 5)).astype(np.float32)
        labels = (random.random((60, 5)) < 0.2).astype(np.uint8)
        labels[:, 3] = 0
        there = labels.any(axis=0)
        expected = average_precision_score(labels[:, there], scores[:, there], average="macro")
        assert mean_average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(mean_average_precision(np.zeros((4, 2)), np.ones((4, 2))))
