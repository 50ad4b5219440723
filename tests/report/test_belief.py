"""Intervals, chance, and marks that paired tests stand behind; what is damaged costs itself and a line."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from dubcli.core.compare import ResultFile, compare_classes, compare_files, pooled, read_result_file
from dubcli.report import ReportConfig, report
from dubcli.report.belief import BEST, TIED, WORST, Predictions
from dubcli.report.collect import collect
from dubcli.report.scores import class_tables, score_tables
from report.conftest import trained, write_result, write_run

CLIPS = 200


def answers(count):
    """The first ``count`` of the clips, spread over both classes."""
    return np.arange(CLIPS) < count


def marks(folder):
    (table,) = score_tables(collect([folder]).results, Predictions(), with_paper=False)
    return {name: cell.mark for name, cell in zip(table.columns, table.rows[0], strict=True)}, table


def models(folder, **right):
    for name, count in right.items():
        write_result(folder, "esc50", f"{name}-ckpt", count / CLIPS, right=answers(count),
                     features=trained(variant=name))  # fmt: skip


def test_bold_only_where_the_paired_test_says_so(tmp_path):
    models(tmp_path / "clear", mono=80, es=120, efj=180)
    found, _ = marks(tmp_path / "clear")
    assert (found["efj"], found["es"], found["mono"]) == (BEST, "", WORST)
    models(tmp_path / "noise", mono=80, es=178, efj=180)  # two clips more
    found, _table = marks(tmp_path / "noise")
    assert (found["efj"], found["es"], found["mono"]) == (TIED, TIED, WORST)
    models(tmp_path / "equal", mono=100, efj=100)
    found, _ = marks(tmp_path / "equal")
    assert (found["efj"], found["mono"]) == (TIED, TIED)


def test_p_is_corrected_for_the_columns(tmp_path):
    """Six clips more are p = .031 of one test, and no more than noise among three."""
    assert binomtest(6, 6).pvalue < 0.05
    models(tmp_path / "two", mono=100, efj=106)
    assert marks(tmp_path / "two")[0]["efj"] == BEST
    models(tmp_path / "three", mono=100, es=100, efj=106)
    assert marks(tmp_path / "three")[0]["efj"] == TIED


def test_nothing_is_marked_without_predictions(tmp_path):
    for name, mean in (("mono", 0.1), ("efj", 0.9)):
        write_result(tmp_path, "esc50", f"{name}-ckpt", mean, features=trained(variant=name))
    found, _table = marks(tmp_path)
    assert (found["efj"], found["mono"]) == ("", "")
    summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    assert any("no predictions are beside" in note and "1 more" in note for note in summary.notes)


def test_chance_and_intervals_stand_beside_scores(tmp_path):
    write_result(tmp_path, "esc50", "efj-ckpt", 0.5, right=answers(100), features=trained(), interval=[0.43, 0.57])
    (table,) = score_tables(collect([tmp_path]).results, Predictions(), with_paper=False)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["chance"].text == "0.500"
    assert row["efj"].interval == (0.43, 0.57)
    report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    assert "0.430 to 0.570" in (tmp_path / "out" / "index.html").read_text()
    head, line = (tmp_path / "out" / "table1.csv").read_text().splitlines()
    assert "efj (95 % from),efj (95 % to)" in head
    assert "0.4300,0.5700" in line


def test_the_interval_over_seeds_is_of_clips_and_seeds(tmp_path):
    for seed, count in enumerate((90, 110, 130)):
        write_result(tmp_path, "esc50", f"efj-seed{seed}-ckpt", count / CLIPS, right=answers(count),
                     features=trained(seed), interval=[0.0, 1.0])  # fmt: skip
    (table,) = score_tables(collect([tmp_path]).results, Predictions(), with_paper=False)
    low, high = table.rows[0][-1].interval
    # of the clips alone it is 0.069 to each side, of three seeds that differ by 0.1 (Student's t) 0.248
    assert 0.55 - 0.25 < low < 0.55 - 2 * 0.069
    assert 0.55 + 0.25 > high > 0.55 + 2 * 0.069


def test_seeds_are_tested_side_by_side(tmp_path):
    for seed in range(3):
        write_result(tmp_path, "esc50", f"mono-seed{seed}-ckpt", 0.4, right=answers(80 + seed),
                     features=trained(seed, variant="mono"))  # fmt: skip
        write_result(tmp_path, "esc50", f"efj-seed{seed}-ckpt", 0.9, right=answers(180 + seed), features=trained(seed))
    write_result(tmp_path, "esc50", "random-seed0", 0.1, right=answers(20),
                 features=trained(variant="random") | {"kind": "random"})  # fmt: skip
    found, _ = marks(tmp_path)
    assert (found["efj"], found["mono"], found["random"]) == (BEST, "", WORST)
    files = [read_result_file(tmp_path / "esc50" / f"efj-seed{seed}-ckpt.json") for seed in range(3)]
    one = pooled(files)
    assert one.splits == ["seed 0 test", "seed 1 test", "seed 2 test"]
    same = compare_files(one, pooled(files))
    assert (same.difference, same.p_value) == (0.0, 1.0)


def test_differences_by_class(tmp_path):
    """dog (even clips): the second finds all that the first does not; rain: both alike."""
    even = np.arange(CLIPS) % 2 == 0
    write_result(tmp_path, "esc50", "mono-ckpt", 0.5, right=~even, features=trained(variant="mono"))
    write_result(tmp_path, "esc50", "efj-ckpt", 1.0, right=np.ones(CLIPS, bool), features=trained())
    (table,) = class_tables(collect([tmp_path]).results, Predictions(), "mono")
    assert table.title == "esc50 by class: efj against mono"
    assert next([cell.text for cell in row] for row in table.rows)[:5] == ["dog", "100", "0.000", "1.000", "+1.000"]
    assert [row[-1].text for row in table.rows] == ["yes", "no"]
    assert table.rows[1][4].value == 0.0


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_average_precision_by_class_is_that_of_scikit_learn(kind):
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(0)
    one_hot = (random.random((120, 3)) < 0.3).astype(np.uint8)
    labels = random.integers(0, 3, 120)
    one_hot = one_hot if kind == "multilabel" else np.eye(3, dtype=np.uint8)[labels]
    files = []
    for noise in (2.0, 0.1):
        arrays = {"test.rows": np.arange(120), "test.labels": one_hot if kind == "multilabel" else labels,
                  "test.scores.0": one_hot + noise * random.normal(size=(120, 3))}  # fmt: skip
        content = {"task": "t", "metric": "mAP", "kind": kind, "classes": ["a", "b", "c", "never"][:3],
                   "splits": [{"name": "test"}], "identity": {}, "model": "m"}  # fmt: skip
        files.append(ResultFile(Path("m.json"), content, arrays))
    found = compare_classes(*files)
    for number, one in enumerate(found):
        for side, score in zip(files, one.scores, strict=True):
            wanted = average_precision_score(one_hot[:, number], side.arrays["test.scores.0"][:, number])
            assert score == pytest.approx(wanted, abs=1e-9)
        assert one.difference == pytest.approx(one.scores[1] - one.scores[0])
        assert one.interval[0] < one.difference < one.interval[1]
        assert one.more_than_noise


def test_damage_costs_its_own_row_and_a_line(project, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(project, home)
    results = home / "results" / "esc50"
    (results / "mono-ckpt.predictions.npz").write_bytes(b"no zip")
    (results / "broken-ckpt.json").write_text('{"task": "esc50", "model": "broken-ckpt", "mean": [1]}')
    (results / "odd-ckpt.json").write_text(json.dumps({"task": "esc50", "model": "odd", "mean": 1.0, "identity": [3]}))
    shutil.copy(results / "fr-ckpt.predictions.npz", results / "nothing-ckpt.predictions.npz")
    (results / "nothing-ckpt.json").write_text("null")
    write_run(home / "runs" / "silent")
    (home / "runs" / "silent" / "metrics.jsonl").rename(home / "runs" / "silent" / "ckpt.pt")
    write_run(home / "runs" / "null")
    with open(home / "runs" / "null" / "metrics.jsonl", "a") as file:
        file.write('\nnull\n[1]\n{"step": 40, "epoch": null, "loss": 1.0}\n{"step": 41, "loss": NaN}\n')
    write_run(home / "runs" / "torn")
    (home / "runs" / "torn" / "config.json").write_text('{"variant": ')
    write_run(home / "runs" / "cut")
    (home / "runs" / "cut" / "ckpt.pt").write_bytes(b"half a checkpoint")
    movies = home / "cache" / "movies"
    shutil.copytree(next(movies.iterdir()), movies / "damaged-00000000")
    (movies / "damaged-00000000" / "movie.json").write_text("{")
    summary = report([home], tmp_path / "out", ReportConfig(gallery=1))
    for name in ("mono-ckpt.predictions.npz", "broken-ckpt.json", "odd-ckpt.json", "torn/config.json", "runs/cut",
                 "damaged-00000000", "nothing-ckpt.json"):  # fmt: skip
        assert sum(name in line for line in summary.ignored) == 1, name
    assert len(summary.ignored) == 7
    assert any("null/metrics.jsonl: 3 of 28 lines are damaged" in note for note in summary.notes)
    assert any("silent is a run without metrics.jsonl" in note for note in summary.notes)
    assert any("runs/null: it has no ckpt.pt" in note for note in summary.notes)
    assert {"table1", "tableB4", "loss"} <= {*summary.tables, *summary.plots}
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("Left out: ") == 7
    assert "Retrieval gallery" in page


@pytest.mark.parametrize("name", ["cost_$5_and_$6", "日本語のタスク", "a" * 120, "_hidden", "x^{2}_\\frac"])
def test_names_are_no_formulas(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_result(tmp_path, name, f"{name}-ckpt", 0.5, right=answers(100), features=trained(variant=name[:40]))
        write_run(tmp_path / "runs" / name, variant=name)
        summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    assert not summary.ignored
    assert {"loss", "retrieval"} <= set(summary.plots)
    page = (tmp_path / "out" / "index.html").read_text()
    assert name in page


def test_file_names_are_distinct_where_case_and_signs_are_all_that_differs(tmp_path):
    for task in ("Mine", "mine", "mi ne", "mi-ne"):
        write_result(tmp_path, task, "efj-ckpt", 0.5, right=answers(100), features=trained())
    summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    names = [plot.casefold() for plot in summary.plots]
    assert len(names) == len(set(names)) == 4
    assert len(list((tmp_path / "out").glob("confusion-*.png"))) == 4


def test_confusions_of_few_clips_and_long_names_draw_without_warnings(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_result(tmp_path, "mine", "efj-ckpt", 0.5, right=answers(2)[:4], features=trained(),
                     classes=["a very long name of a class, as in VGGSound's list of them", "b"])  # fmt: skip
        report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))


def test_own_results_stand_above_other_peoples(tmp_path):
    models(tmp_path, mono=80, efj=180)
    write_result(tmp_path, "vggsound", "efj-ckpt-a", 0.9, modality="A", features=trained(name="efj-ckpt"))
    write_result(tmp_path, "vggsound", "efj-ckpt-av", 0.4, modality="AV", features=trained(name="efj-ckpt"))
    report([tmp_path], tmp_path / "out", ReportConfig(gallery=0, outside=True))
    lines = {
        name: (tmp_path / "out" / f"{name}.csv").read_text().splitlines() for name in ("tableA1", "tableA2", "tableA3")
    }
    assert lines["tableA1"][1:3] == ["This report: efj,0.400,", "The paper,0.323,X3D-M + Acoustic ResNet50"]
    assert lines["tableA2"][1].startswith("The paper,0.884")
    assert lines["tableA3"][1] == "This report,-,0.900 efj,-,-,-,-,"
