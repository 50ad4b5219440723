"""scikit-learn's protocols on features as models give them: dead units, any scale, few clips."""

import numpy as np
import pytest

from dubcli.probe.checks import odd_scale
from dubcli.probe.problem import Problem, Split
from dubcli.probe.protocols import run_protocol
from dubcli.probe.scikit import standardised

CLASSES = 10


def halves(features, labels, metrics=("top1_acc",)):
    """The first quarter trains, the second validates, the rest tests."""
    train, valid, test = np.split(np.arange(len(labels)), [len(labels) // 4, len(labels) // 2])
    split = Split(name="test", train=train, valid=valid, test=test)
    return Problem(name="made", features=features.astype(np.float32), labels=labels, kind="multiclass",
                   classes=tuple(map(str, range(CLASSES))), splits=(split,), metrics=metrics)  # fmt: skip


@pytest.fixture
def made():
    """Features of 64 live units, and their classes."""
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(CLASSES), 20)
    centres = random.standard_normal((CLASSES, 64))
    return np.maximum(0, centres[labels] + random.standard_normal((len(labels), 64))), labels


def top1(features, labels, protocol):
    return run_protocol(halves(features, labels), protocol).splits[0].metrics["top1_acc"]


@pytest.mark.parametrize("protocol", ["knn", "logreg"])
@pytest.mark.parametrize("size", [1e-8, 0.0, 0.1])
def test_units_dead_in_training_do_not_drown_the_others(made, protocol, size):
    """A feature constant in training was divided by 1e-8 in test: chance, 0.1."""
    features, labels = made
    plain = top1(features, labels, protocol)
    dead = np.random.default_rng(1).exponential(2, (len(labels), 20))
    dead[: len(labels) // 4] = size
    dead[0, 1] += 1e-6  # one that is as good as dead
    assert plain > 0.85
    assert top1(np.hstack([features, dead]), labels, protocol) == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize("protocol", ["knn", "logreg"])
@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e30, 3e37])
def test_features_of_any_scale_score_the_same(made, protocol, scale):
    features, labels = made
    assert top1(features * scale, labels, protocol) == pytest.approx(top1(features, labels, protocol), abs=0.01)
    mixed = np.concatenate([features[:, :32] * scale, features[:, 32:]], axis=1)
    assert top1(mixed, labels, protocol) == pytest.approx(top1(features, labels, protocol), abs=0.01)


def test_features_that_a_head_does_not_standardise_and_hardly_learns_from_are_said(made):
    assert odd_scale(made[0], "hear") is None
    assert odd_scale(made[0] * 1e-9, "logreg") is None
    for protocol, scale in (("hear", 1e-9), ("hares", 1e9)):
        assert f"{protocol} does not standardise; logreg and knn do" in odd_scale(made[0] * scale, protocol)


def test_standardised_is_scikit_learns_where_features_vary(made):
    from sklearn.preprocessing import StandardScaler

    features = made[0] + 100
    train = np.arange(50)
    expected = StandardScaler().fit(features[train]).transform(features)
    assert np.abs(expected[train]).max() < 50**0.5 < np.abs(expected).max()  # no training row can be further out
    expected = expected.clip(-(50**0.5), 50**0.5)
    np.testing.assert_allclose(standardised(features.astype(np.float32), train), expected, atol=2e-4)


def test_a_value_is_chosen_where_the_first_tried_is_not_defined(monkeypatch, made):
    """NaN compares with nothing: the first value stayed the best whatever came after it."""
    scores = iter([float("nan"), 0.5, 0.9, 0.7])
    monkeypatch.setattr("dubcli.probe.scikit.score", lambda *_: {"top1_acc": next(scores)})
    assert run_protocol(halves(*made), "knn").splits[0].chosen == {"k": 10, "validation": 0.9}
