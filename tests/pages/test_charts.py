"""Charts as pages and papers hold them: safe as JSON, drawn of any names, long logs thinned and said."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from dubcli.pages.charts import SERIES, Chart, library
from dubcli.report.collect import Run
from dubcli.report.plots import MOST_POINTS, training_plots


def loss_plot(tmp_path, *runs):
    """The plot of runs, each a name and its losses."""
    made = [
        Run(tmp_path / name, {"variant": name}, [{"step": step, "epoch": step / 10, "loss": loss}
            for step, loss in enumerate(losses)])
        for name, losses in runs
    ]  # fmt: skip
    (plot,) = training_plots(made)
    return plot


def test_a_name_cannot_end_the_page_s_script(tmp_path):
    plot = loss_plot(tmp_path, ("x</script><b>", [1.0, 2.0]))
    assert "<" not in plot.json
    assert json.loads(plot.json)["data"]["values"][0][SERIES] == "script><b>"  # a folder's name has no slash


def test_long_logs_are_means_that_follow_each_other_and_it_is_said(tmp_path):
    losses = np.sin(np.arange(10 * MOST_POINTS - 3)).tolist()
    plot = loss_plot(tmp_path, ("long", losses), ("short", [1.0, 2.0]))
    drawn = [value["value"] for value in plot.spec["data"]["values"] if value[SERIES] == "long"]
    wanted = [np.mean(losses[at : at + 10]) for at in range(0, len(losses), 10)]
    assert drawn == pytest.approx(wanted)
    assert "a point is the mean of up to 10 lines of the log" in plot.description
    assert [value["value"] for value in plot.spec["data"]["values"] if value[SERIES] == "short"] == [1.0, 2.0]


def test_baselines_are_dashed_by_their_variant_and_ends_are_told(tmp_path):
    plot = loss_plot(tmp_path, ("mono", [3.0, 1.5]), ("fr", [3.0, 1.25]))
    assert {(value[SERIES], value["baseline"]) for value in plot.spec["data"]["values"]} == {
        ("mono", True), ("fr", False),
    }  # fmt: skip
    assert plot.description == "Loss by epoch; at the end: mono 1.5, fr 1.25; baselines are dashed."


def test_the_paper_s_picture_is_drawn_of_the_same_description(tmp_path):
    names = ("cost $5 and $6", "日本語の名前", "n" * 120)
    plot = loss_plot(tmp_path, *((name, [3.0 - place, 1.0]) for place, name in enumerate(names)))
    picture = np.asarray(Image.open(io.BytesIO(plot.png())).convert("RGB"), int)
    coloured = (picture.max(axis=2) - picture.min(axis=2) > 60).sum()
    assert picture.shape[1] > 1000
    assert coloured > 1000  # the lines


def test_many_points_are_drawn_on_a_canvas():
    values = [{"x": number} for number in range(5000)]
    assert '"canvas"' in Chart("many", "many", "", {"data": {"values": values}}).json
    assert '"canvas"' not in Chart("few", "few", "", {"data": {"values": values[:10]}}).json


def test_the_library_leaves_one_name_in_the_page():
    assert library().startswith("(() => {")
    assert "window.vegaEmbed" in library()
