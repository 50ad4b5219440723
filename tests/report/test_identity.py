"""Which results are one model over its seeds, which are two models, and how they are told apart."""

import dataclasses
import json

import pytest

from dubcli.pretrain.config import PretrainConfig
from dubcli.report import ReportConfig, report
from dubcli.report.belief import Predictions
from dubcli.report.collect import collect
from dubcli.report.columns import WHERE_ONLY
from dubcli.report.scores import all_results, score_tables, table_d6
from report.conftest import trained, write_result

NOT_LABELS = {"task", "type", "M", "metric", "chance"}


def tables(folder, **options):
    return score_tables(collect([folder]).results, Predictions(), with_paper=False, **options)


def columns(table):
    """{label: [its cells]} in the order of the rows."""
    return {
        name: [row[place].text for row in table.rows]
        for place, name in enumerate(table.columns)
        if name not in NOT_LABELS
    }


def test_options_that_only_say_where_a_run_is():

    config = PretrainConfig()
    kinds = [getattr(config, field.name) for field in dataclasses.fields(config)]

    named = {option.name for part in kinds for option in dataclasses.fields(part) if not option.metadata["result"]}
    assert named == WHERE_ONLY


def test_seeds_are_models_whose_training_differs_in_the_seed_alone(tmp_path):
    for folder, seed, mean in (("one", 0, 0.2), ("two", 1, 0.4), ("three", 7, 0.6)):
        write_result(tmp_path / "r", "esc50", f"{folder}-ckpt", mean, features=trained(seed, cache=f"/{folder}/cache"))
    (table,) = tables(tmp_path)
    assert columns(table) == {"efj": ["0.400±0.200"]}
    assert "models whose training differs in its seed alone (efj: 0, 1, 7)" in table.note


@pytest.mark.parametrize(
    ("one", "other", "labels"),
    [
        ({}, {"learning_rate": 0.01}, {"efj (learning_rate unknown)", "efj (learning_rate 0.01)"}),
        ({"film_set": "aa"}, {"film_set": "bb"}, {"efj (films aa)", "efj (films bb)"}),
        ({"epochs": 5}, {"epochs": 10}, {"efj (epochs 5)", "efj (epochs 10)"}),
        ({"precision": "float32"}, {"precision": "bfloat16"}, {"efj (precision float32)", "efj (precision bfloat16)"}),
        ({"preset": "tiny"}, {"preset": "paper"}, {"efj (A)", "efj (B)"}),
    ],
)
def test_names_with_seeds_do_not_pool_what_was_trained_otherwise(tmp_path, one, other, labels):
    for seed, (folder, more) in enumerate((("A", one), ("B", other))):
        write_result(tmp_path / folder, "esc50", f"efj-seed{seed}-ckpt", 0.2 + seed, features=trained(seed, **more))
    (table,) = tables(tmp_path)
    assert set(columns(table)) == labels


def test_two_models_of_one_name_seed_and_training_are_two_columns(tmp_path):
    """They were trained twice, on two machines, say: other weights."""
    for folder, mean in (("A", 0.3), ("B", 0.6)):
        write_result(tmp_path / folder / "results", "esc50", "efj-ckpt", mean,
                     features=trained(content_hash=folder), right=[True] * 4)  # fmt: skip
        write_result(
            tmp_path / folder / "results", "fsd50k", "efj-ckpt", mean / 2, features=trained(content_hash=folder)
        )
    (table,) = tables(tmp_path)
    assert columns(table) == {"efj (A)": ["0.300", "0.150"], "efj (B)": ["0.600", "0.300"]}
    summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    names = [plot for plot in summary.plots if plot.startswith("confusion")]
    assert names == ["confusion-esc50-efj-A-efj-ckpt", "confusion-esc50-efj-B-efj-ckpt"]
    assert all((tmp_path / "out" / f"{name}.png").is_file() for name in names)


def test_a_copy_counts_once_and_is_told(tmp_path):
    for folder in ("A", "B"):
        write_result(tmp_path / folder, "esc50", "efj-ckpt", 0.3, features=trained())
    summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    assert [note for note in summary.notes if "is a copy of" in note]
    assert summary.results == 1


def test_old_results_are_seeds_by_names_alone(tmp_path):
    for folder in ("A", "B"):
        write_result(tmp_path / folder, "esc50", "efj-ckpt", {"A": 0.3, "B": 0.6}[folder], variant="efj")
        write_result(tmp_path / folder, "esc50", "mono-seed0-ckpt" if folder == "A" else "mono-seed1-ckpt", 0.5,
                     variant="mono")  # fmt: skip
    found = collect([tmp_path])
    (table,) = score_tables(found.results, Predictions(), with_paper=False)
    assert columns(table) == {"mono": ["0.500±0.000"], "efj (A)": ["0.300"], "efj (B)": ["0.600"]}
    assert "mono: 0, 1, by their names alone" in table.note
    assert len([note for note in found.notes if "was written by an earlier dubav" in note]) == 1


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({"identity": {"seed": 5}}, ["esc50 (head seed 0)", "esc50 (head seed 5)"]),
        ({"identity": {"seed": 0, "shots": 5}}, ["esc50", "esc50 (shots 5)"]),
        ({"data": {"fingerprint": "bb"}}, ["esc50 (data aa)", "esc50 (data bb)"]),
        ({"protocol": {"name": "hear", "max_steps": 9}}, ["esc50", "esc50 (protocol's max_steps 9)"]),
        ({"modality": "AV"}, ["esc50", "esc50"]),
    ],
)
def test_what_was_measured_otherwise_is_a_row_of_its_own(tmp_path, other, names):
    same = {"data": {"fingerprint": "aa"}, "modality": "A"}
    write_result(tmp_path, "esc50", "efj-ckpt", 0.3, features=trained(), **same)
    write_result(tmp_path, "esc50", "efj-seed1-ckpt", 0.6, features=trained(1), **(same | other))
    (table,) = tables(tmp_path)
    assert sorted(row[0].text for row in table.rows) == names
    assert columns(table)["efj"] in (["0.300", "0.600"], ["0.600", "0.300"])
    if "modality" in other:
        assert [row[2].text for row in table.rows] == ["A", "AV"]


def test_a_model_is_one_column_over_its_modalities(tmp_path):
    for modality, mean in (("a", 0.2), ("v", 0.3), ("av", 0.4)):
        write_result(tmp_path, "vggsound", f"efj-ckpt-{modality}", mean, modality=modality.upper(),
                     features=trained(name="efj-ckpt"))  # fmt: skip
        write_result(tmp_path, "vggsound", f"efj-epoch-02-{modality}", mean / 2, modality=modality.upper(),
                     features=trained(name="efj-epoch-02", epochs=2))  # fmt: skip
    (table,) = score_tables(collect([tmp_path]).results, Predictions(), with_paper=True)
    assert columns(table) == {"efj": ["0.200", "0.300", "0.400"]}
    assert [row[2].text for row in table.rows] == ["A", "V", "AV"]
    assert [row[-1].paper for row in table.rows] == ["", "", "0.311"]  # the paper's is of both
    made = all_results(collect([tmp_path]).results)
    assert made.columns[1] == "M"
    summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    assert {"epochs-vggsound-A", "epochs-vggsound-V", "epochs-vggsound-AV"} <= set(summary.plots)


def test_other_peoples_models_are_columns_by_what_was_asked_for(tmp_path):
    """Their hash may be of the features, another for each task."""
    for task in ("esc50", "fsd50k"):
        for name in ("byola", "yamnet"):
            about = {"kind": "hear", "argument": f"hear:{name}", "content_hash": f"{task}{name}"}
            write_result(tmp_path, task, f"hear-{name}", 0.5, features=about)
    (table,) = tables(tmp_path)
    assert set(columns(table)) == {"hear-byola", "hear-yamnet"}
    assert len(table.rows) == 2


def test_speech_and_no_speech_of_one_model_are_paired(tmp_path):
    for folder, mean in (("A", 0.3), ("B", 0.6)):
        for task, kind, less in (
            ("fluent-speech-commands", "speech", 0.0),
            ("fluent-speech-commands-nospeech", "nospeech", 0.1),
        ):
            write_result(tmp_path / folder, task, "efj-ckpt", mean - less, modality="A",
                         features=trained(content_hash=folder), identity={"data_variant": kind, "seed": 0})  # fmt: skip
    table = table_d6(collect([tmp_path]).results, Predictions(), with_paper=False)
    assert table.columns == ("task", "M", "model", "+Speech", "-Speech")
    assert [[cell.text for cell in row[1:]] for row in table.rows] == [
        ["A", "efj (A)", "0.300", "0.200"], ["A", "efj (B)", "0.600", "0.500"],
    ]  # fmt: skip


def test_infinite_and_undefined_scores(tmp_path):
    write_result(tmp_path, "mine", "efj-ckpt", "Infinity", metric="d_prime", features=trained())
    write_result(tmp_path, "mine", "mono-ckpt", None, metric="d_prime", features=trained(variant="mono"))
    write_result(tmp_path, "mine", "es-ckpt", 2.0, metric="d_prime", features=trained(variant="es"))
    summary = report([tmp_path], tmp_path / "out", ReportConfig(gallery=0))
    assert not summary.ignored
    (table,) = tables(tmp_path)
    assert columns(table) == {"mono": ["undefined"], "es": ["2.000"], "efj": ["infinite"]}
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'data-value="Infinity"' in page
    assert "nan" not in page.split("<script>")[0]


def test_command_tells_notes(tmp_path, dubav):
    write_result(tmp_path / "results", "esc50", "efj-ckpt", 0.3, variant="efj")
    done = dubav("report", tmp_path / "results", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert any("was written by an earlier dubav" in note for note in json.loads(done.stdout)["notes"])
    (tmp_path / "file").write_text("")
    done = dubav("report", tmp_path / "results", "--out", tmp_path / "file")
    assert (done.returncode, "cannot write" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
