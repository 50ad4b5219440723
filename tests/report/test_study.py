"""What a study needs of a report: figure C2 with its last epoch, and a word where columns saw different films."""

import json

import pytest

from dubcli.pages.charts import SERIES
from dubcli.report.belief import Predictions
from dubcli.report.collect import collect
from dubcli.report.plots import epoch_plots
from dubcli.report.scores import score_tables


def result(folder, model, mean, *, epochs=None, film_set="", variant="mono"):
    content = {
        "task": "esc50", "model": model, "metric": "top1_acc", "mean": mean, "std": 0.01, "scores": [mean],
        "protocol": {"name": "hear"}, "identity": {},
        "features": {"variant": variant, "epochs": epochs, "film_set": film_set},
    }  # fmt: skip
    path = folder / "esc50" / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def points(results):
    """(run, epochs, scores) of every line, and the point with a circle."""
    lines, circles = {}, []
    for chart in epoch_plots(results):
        for value in chart.spec["data"]["values"]:
            line = lines.setdefault(value[SERIES], (value[SERIES], [], []))
            line[1].append(value["epoch"])
            line[2].append(value["score"])
            circles += [(value["epoch"], value["score"])] if value["best"] else []
    return list(lines.values()), circles


def test_figure_c2_has_the_last_epoch(tmp_path):
    for epoch, mean in ((2, 0.3), (4, 0.4), (6, 0.5), (8, 0.6)):
        result(tmp_path, f"mono-epoch-{epoch:02d}", mean, epochs=epoch)
    result(tmp_path, "mono-ckpt", 0.7, epochs=10)
    lines, circles = points(collect([tmp_path]).results)
    assert lines == [("mono", [2.0, 4.0, 6.0, 8.0, 10.0], [0.3, 0.4, 0.5, 0.6, 0.7])]
    assert circles == [(10.0, 0.7)]


def test_the_same_epoch_under_two_names_is_one_point(tmp_path):
    result(tmp_path, "mono-epoch-01", 0.4, epochs=1)
    result(tmp_path, "mono-epoch-02", 0.5, epochs=2)
    result(tmp_path, "mono-ckpt", 0.5, epochs=2)
    result(tmp_path, "es-ckpt", 0.6, variant="es")  # an older result, which does not say
    lines, _ = points(collect([tmp_path]).results)
    assert lines == [("mono", [1.0, 2.0], [0.4, 0.5])]


@pytest.mark.parametrize("other", ["aaa", "bbb", ""])
def test_columns_of_different_films_are_flagged(tmp_path, other):
    result(tmp_path, "mono-ckpt", 0.5, film_set="aaa")
    result(tmp_path, "es-ckpt", 0.6, film_set=other, variant="es")
    results = collect([tmp_path]).results
    (table,) = score_tables(results, Predictions(), with_paper=False)
    assert ("NOT TRAINED ON THE SAME FILMS" in table.note) == (other == "bbb")
    if other == "bbb":
        assert table.note.endswith("(mono: aaa; es: bbb).")
