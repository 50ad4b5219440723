"""``dubav probe compare``: results files as users have them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.test_bootstrap import problem, result
from dubcli.cli.app import app
from dubcli.core.compare import compare, compare_all, corrected
from dubcli.errors import UserError


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run ``dubav probe compare`` in the folder of results: -> (status, out, err)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app(["probe", "compare", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


def edit(path, **changes):
    """Other values in a results file; in a dict beside what it holds."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(content))
    return path


def test_two_results_differ_by_more_than_noise_or_not(tmp_path, command):
    made = problem()
    result(made, tmp_path / "worse.json", noise=1.5)
    result(made, tmp_path / "better.json", noise=0.5, seed=1)
    result(made, tmp_path / "like.json", noise=0.5, seed=3)
    found = compare(tmp_path / "worse.json", tmp_path / "better.json")
    assert found.more_than_noise
    assert found.notices == ()
    assert found.interval[0] < found.difference < found.interval[1]
    assert not compare(tmp_path / "better.json", tmp_path / "like.json").more_than_noise
    status, out, err = command("worse.json", "better.json")
    assert status == 0, err
    assert ": more than noise" in out
    assert "sign-flip test" in out
    assert json.loads(command("worse.json", "like.json", "--json")[1])["more_than_noise"]


def test_paired_draws_see_what_unpaired_would_miss(tmp_path):
    first = result(problem(), tmp_path / "a.json", noise=1.0)
    second = result(problem(), tmp_path / "b.json", noise=1.0)  # the same mistakes
    found = compare(first.path, second.path)
    assert found.interval == pytest.approx((-0.0122, 0.0122), abs=1e-4)  # of 300 clips that do not differ
    assert found.p_value == 1.0


def test_what_cannot_be_compared_is_refused(tmp_path, command):
    result(problem(), tmp_path / "a.json", noise=1.0)
    result(problem("multilabel"), tmp_path / "b.json", noise=1.0)
    with pytest.raises(UserError, match="compare two models on one task"):
        compare(tmp_path / "a.json", tmp_path / "b.json")
    other = problem()
    other.labels[:] = other.labels[::-1]
    result(other, tmp_path / "c.json", noise=1.0)
    with pytest.raises(UserError, match="different clips"):
        compare(tmp_path / "a.json", tmp_path / "c.json")
    result(problem(), tmp_path / "d.json", noise=1.0)
    edit(tmp_path / "d.json", metric="d_prime")
    edit(tmp_path / "c.json", metric="d_prime")
    with pytest.raises(UserError, match="d_prime cannot be compared clip by clip"):
        compare(tmp_path / "d.json", tmp_path / "c.json")
    (tmp_path / "a.predictions.npz").unlink()
    with pytest.raises(UserError, match="a.predictions.npz cannot be read"):
        compare(tmp_path / "a.json", tmp_path / "c.json")
    status, _, err = command("a.json")
    assert (status, err.count("\n")) == (2, 1)
    assert "give two results files" in err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", None])
def test_damaged_predictions_are_a_line(tmp_path, command, content):
    for name in "ab":
        result(problem(), tmp_path / f"{name}.json", noise=1.0)
    if content is None:  # a file of another result
        np.savez(tmp_path / "b.predictions.npz", **{"fold0.rows": np.arange(3)})
    else:
        whole = (tmp_path / "b.predictions.npz").read_bytes()
        (tmp_path / "b.predictions.npz").write_bytes(content + whole[len(content) : len(whole) // 2])
    status, _, err = command("a.json", "b.json")
    assert (status, err.count("\n")) == (2, 1), err
    assert "probe it again with --again" in err


def test_clips_are_paired_by_name_and_those_of_one_alone_left_out(tmp_path):
    """Where clips could not be embedded the numbers of those after them are others."""
    made = problem()
    names = [f"clip-{number:03}.wav" for number in range(len(made.labels))]
    whole = result(made, tmp_path / "whole.json", noise=0.8, clips=names)
    kept = np.delete(np.arange(len(names)), [3, 200])
    place = {old: new for new, old in enumerate(kept)}
    rows = [np.array([place[row] for row in split.test if row in place]) for split in made.splits]
    splits = [replace(split, train=own, valid=own, test=own) for split, own in zip(made.splits, rows, strict=True)]
    smaller = replace(made, labels=made.labels[kept], features=made.features[kept], splits=tuple(splits))
    predictions = np.load(whole.path.with_suffix(".predictions.npz"))
    scores = np.concatenate([predictions[f"{split.name}.scores.0"] for split in made.splits])[kept]
    less = result(smaller, tmp_path / "less.json", scores=scores, clips=[names[number] for number in kept])
    found = compare(whole.path, less.path)
    assert found.clips == len(names) - 2
    assert found.difference == 0.0
    assert found.interval == pytest.approx((-0.0123, 0.0123), abs=1e-4)
    assert found.notices == (f"clips differ: the {len(names) - 2} that both were tested on count, 2 are left out",)


def test_what_else_differs_is_noted(tmp_path, command):
    for name in "ab":
        result(problem(), tmp_path / f"{name}.json", noise=1.0, seed=ord(name))
    same = {"data": "4d", "modalities": ["audio"], "seed": 0, "chunks": "half", "content_hash": "not of it"}
    edit(tmp_path / "a.json", identity=same, protocol={"max_steps": 10})
    edit(
        tmp_path / "b.json",
        protocol={"name": "hear"},
        identity={**same, "data": "5e", "modalities": ["video"], "seed": 1, "chunks": "padded"},
    )
    status, out, _ = command("a.json", "b.json")
    assert status == 0
    for line in ("protocol differs: knn and hear", "protocol differs in max_steps: 10 and None",
                 "modality differs: A and V",
                 "data (their fingerprints) differ: 4d and 5e", "seed of the heads differ: 0 and 1",
                 "chunk rules (--chunks) differ: half and padded"):  # fmt: skip
        assert f"  note: {line}\n" in out
    edit(tmp_path / "b.json", format=1)
    assert (
        compare(tmp_path / "a.json", tmp_path / "b.json")
        .notices[-1]
        .startswith(f"{tmp_path / 'b.json'} was written by an earlier dubav, without")
    )


def test_a_table_of_tests_is_corrected_for_their_number(tmp_path, command):
    for name, noise in (("mono", 0.9), ("es", 0.8), ("fr", 0.85), ("efj", 0.3)):
        result(problem(), tmp_path / f"{name}.json", noise=noise, seed=ord(name[0]))
    found = compare_all([tmp_path / f"{name}.json" for name in ("mono", "es", "fr", "efj")])
    assert [one.models for one in found] == [("mono", "es"), ("mono", "fr"), ("mono", "efj")]
    assert found[2].p_holm == pytest.approx(3 * found[2].p_value)
    assert [one.more_than_noise for one in found] == [False, False, True]
    status, out, _ = command("mono.json", "es.json", "efj.json")
    assert (status, "2 tests: of as many between equals about 0.1 would have p below 0.05" in out) == (0, True)
    assert len(json.loads(command("mono.json", "es.json", "efj.json", "--json")[1])["comparisons"]) == 2
    alone = edit(result(problem(), tmp_path / "other.json", noise=1.0).path, task="another")
    status, _, err = command("mono.json", "es.json", alone)
    assert (status, "other.json is the only file of its task and modality" in err) == (2, True)


def test_holms_correction(tmp_path):
    for name in "ab":
        result(problem(), tmp_path / f"{name}.json", noise=1.0)
    one = compare(tmp_path / "a.json", tmp_path / "b.json")
    found = corrected([replace(one, p_value=p_value) for p_value in (0.01, 0.04, 0.03, 0.005)])
    assert [one.p_holm for one in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])  # p.adjust(..., "holm") of R
    assert [one.more_than_noise for one in found] == [True, False, False, True]
