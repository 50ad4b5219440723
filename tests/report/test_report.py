"""Tables, plots and files: the right numbers in the right places, best and worst marked, damage named."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dubcli.cache.reader import Cache
from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT
from dubcli.report import ReportConfig, report
from dubcli.report.belief import Predictions
from dubcli.report.collect import collect
from dubcli.report.gallery import galleries
from dubcli.report.paper import KINDS_1, KINDS_2, TABLE_1, TABLE_2, VARIANTS
from dubcli.report.plots import confusion
from dubcli.report.scores import score_tables
from dubcli.report.tables import table_b4
from helpers.caches import TAGS, make_cache
from report.conftest import write_result, write_run


def cells(table, task):
    row = next(row for row in table.rows if row[0].text == task)
    return dict(zip(table.columns, row, strict=True))


def test_table_1_has_means_spreads_marks_and_the_papers_values(project):
    tables = {table.key: table for table in score_tables(collect([project]).results, Predictions(), with_paper=True)}
    esc50 = cells(tables["table1"], "esc50")
    assert [name for name in tables["table1"].columns if name not in ("task", "type", "M", "metric", "chance")] == [
        "random", "mono", "fr",
    ]  # fmt: skip
    assert (esc50["fr"].text, esc50["fr"].mark, esc50["fr"].paper) == ("0.750±0.010", "best", "0.575±0.031")
    assert (esc50["random"].mark, esc50["random"].paper) == ("worst", "")
    assert esc50["mono"].mark == ""
    assert tables["table2"].rows[0][0].text == "fluent-speech-commands"
    assert tables["tasks"].rows[0][0].text == "folder-mine"


def test_seeds_of_one_run_stand_in_one_column(tmp_path):
    for seed, mean in enumerate((0.2, 0.4, 0.6)):
        write_result(tmp_path, "esc50", f"efj-seed{seed}-ckpt", mean, variant="efj")
    (table,) = score_tables(collect([tmp_path]).results, Predictions(), with_paper=False)
    assert cells(table, "esc50")["efj"].text == "0.400±0.200"
    assert "(efj: 0, 1, 2, by their names alone)" in table.note


def test_protocols_stand_in_rows_of_their_own_and_nothing_counts_twice(tmp_path):
    write_result(tmp_path / "hear", "esc50", "efj-ckpt", 0.2, variant="efj")
    write_result(tmp_path / "knn", "esc50", "efj-ckpt", 0.6, variant="efj", protocol={"name": "knn"})
    (tmp_path / "again").symlink_to(tmp_path / "knn")
    found = collect([tmp_path, tmp_path / "knn" / "esc50", tmp_path / "again"])
    (table,) = score_tables(found.results, Predictions(), with_paper=False)
    assert [[row[0].text, row[-1].text] for row in table.rows] == [["esc50 (hear)", "0.200"], ["esc50 (knn)", "0.600"]]


def test_the_papers_tables_are_whole():
    assert (len(TABLE_1), len(TABLE_2)) == (8, 7)
    assert TABLE_1["esc50"]["ja"] == (0.590, 0.036)
    assert TABLE_2["ucf101"] == dict(zip(("mono", "sep", "es", "fr", "ja", "efj"),
                                         ((s, None) for s in (0.531, 0.496, 0.540, 0.523, 0.538, 0.542)),
                                         strict=True))  # fmt: skip
    # section 4: for all tasks of table 1 one or more dub-augmented models outperform the monolingual one
    dubbed = [name for name in VARIANTS if name in ("es", "fr", "ja", "efj")]
    assert all(max(row[name][0] for name in dubbed) > row["mono"][0] for row in TABLE_1.values())


def test_the_papers_task_names_are_those_of_probe():
    from dubcli.probe.tasks.registry import TASKS

    assert {*KINDS_1, *KINDS_2} <= set(TASKS)


def test_language_subsets(project):
    table = table_b4(collect([project / "cache"]).caches, with_paper=True)
    assert [[cell.text for cell in row] for row in table.rows] == [["EN+FR", "1", "0.00"]]
    assert table.rows[0][1].paper == "1767"


def test_language_subsets_of_25_languages(tmp_path):
    """2^24 sets would be rows of this table."""
    cache = make_cache(tmp_path / "cache", films=1, clips=1, languages=TAGS[:25])
    summary = report([cache], tmp_path / "out", ReportConfig(gallery=0))
    assert "tableB4" in summary.tables
    lines = (tmp_path / "out" / "tableB4.csv").read_text().splitlines()
    assert len(lines) == 1 + 24 + 1  # the head, the pairs, and all that the title has
    assert "Not every set" in (tmp_path / "out" / "index.html").read_text()


def test_confusion_counts_predictions(project):
    result = next(result for result in collect([project]).results if result.model == "mono-ckpt")
    matrix, classes = confusion(result, Predictions())
    assert matrix.tolist() == [[20, 20], [20, 20]]
    assert classes == ["dog", "<b>rain</b>"]


def test_all_files_are_written(project, tmp_path):
    summary = report([project], tmp_path / "out", ReportConfig(paper=True, outside=True, gallery=2))
    wanted = {"table1", "table2", "tableD6", "tableB4", "tableB1", "tableA1", "tableA2", "tableA3", "results"}
    assert wanted <= set(summary.tables)
    assert {"loss", "retrieval", "alignment", "epochs-esc50", "durations", "confusion-esc50-fr-ckpt"} <= set(
        summary.plots
    )
    for key in summary.tables:
        with open(tmp_path / "out" / f"{key}.csv", newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == len(summary.plots)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "**0.750±0.010** [0.650 to 0.850] (0.575±0.031)" in text
    assert "| fluent-speech-commands |  | fr | 0.400 (0.402) | 0.300 (0.284) |" in text
    d6 = (tmp_path / "out" / "tableD6.csv").read_text()
    assert d6.splitlines()[0] == "task,M,model,+Speech,+Speech (paper),-Speech,-Speech (paper)"


def test_the_page_needs_no_network_and_escapes_names(project, tmp_path):
    report([project], tmp_path / "out", ReportConfig(gallery=2, title="<i>mine</i>"))
    page = (tmp_path / "out" / "index.html").read_text()
    page = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # the library's own words
    outside = [url for url in re.findall(r'(?:src|href)="([^"#]+)', page) if not url.startswith("data:")]
    assert outside == []
    assert "&lt;i&gt;mine&lt;/i&gt;" in page
    assert "<b>rain</b>" not in page
    assert page.count("<audio") >= 6  # 2 x 5 sounds and 2 queries, as far as there are clips
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_gallery_marks_the_same_instant_in_other_languages(project):
    found = collect([project])
    (shelf,) = galleries([("fr", found.runs[0])], found.caches, ReportConfig(gallery=1), SILENT)
    assert [query.direction for query in shelf.queries] == ["pictures -> sounds", "sounds -> pictures"]
    (answer,) = shelf.queries[0].answers
    assert [hit.cosine for hit in answer.hits] == sorted((hit.cosine for hit in answer.hits), reverse=True)
    asked = shelf.queries[0].item
    assert all(hit.same == (hit.item.caption.rsplit(" ", 1)[0] == asked.caption) for hit in answer.hits)
    ranks = [place for place, hit in enumerate(answer.hits, 1) if hit.same]
    assert answer.rank == ranks[0] if ranks else answer.rank > len(answer.hits)
    items = [item for query in shelf.queries for item in (query.item, *(hit.item for hit in query.answers[0].hits))]
    for kind, start in (("picture", "data:image/jpeg"), ("mel", "data:image/png"), ("sound", "data:audio/")):
        assert all(shelf.media[getattr(item, kind)].startswith(start) for item in items), kind  # the query's too
    assert all(hit.item.caption.endswith((" en", " fr")) for hit in answer.hits)


def test_the_gallery_scores_as_validation_does(project):
    from dubcli.cache.clips import TrackClip  # fmt: skip
    from dubcli.cache.projected import project as place
    from dubcli.core.checkpoint import load_trained
    from dubcli.core.retrieval import retrieval

    found = collect([project])
    (shelf,) = galleries([("fr", found.runs[0])], found.caches, ReportConfig(gallery=1), SILENT)
    movie, trained = found.caches[0].movies[0], load_trained(found.runs[0].path)
    pictures = [TrackClip(movie, clip) for clip in range(movie.n_clips)]
    for track in ("en", "fr"):
        sounds = [TrackClip(movie, clip, track) for clip in range(movie.n_clips)]
        rows = place(trained, [*pictures, *sounds], torch.device("cpu"), lambda done: None)
        wanted = retrieval(rows[: len(pictures)], rows[len(pictures) :])["r@1"]
        (row,) = [one for one in shelf.scores.rows if [cell.text for cell in one[1:3]] == ["pictures -> sounds", track]]
        assert row[4].value == pytest.approx(wanted)
        assert row[7].text == ("0.2" if track == "fr" else "-")  # the run's last validation
    assert shelf.recalls["fr", "pictures -> sounds"] == pytest.approx(
        sum(row[4].value for row in shelf.scores.rows[:2]) / 2
    )


def test_the_gallery_names_what_it_leaves_out(project, tmp_path):
    """A frame, a mel, a checkpoint, a model that has nothing to find: each costs itself."""
    cache = tmp_path / "cache"
    shutil.copytree(project / "cache", cache)
    movie = Cache(cache).movies[0]
    with open(movie.folder / "frames.jpgs", "r+b") as file:
        file.write(bytes(200))  # of the first clip's first frame
    (movie.folder / "mel.fr.npy").write_bytes(b"no numpy file")
    for name, variant in (("bad", "fr"), ("alone", "a")):
        write_run(tmp_path / "runs" / name, variant)
    write_run(tmp_path / "runs" / "without")
    (tmp_path / "runs" / "bad" / "ckpt.pt").write_bytes(b"no checkpoint")
    model = DubModel(parse_variant("a", "en", []), "tiny")
    entries = model_entries(model, mel_mean=-6.0, mel_std=5.0, config={"variant": "a"})
    save_checkpoint(tmp_path / "runs" / "alone" / "ckpt.pt", entries)
    config = ReportConfig(gallery=1)
    summary = report([project / "runs", tmp_path / "runs", cache, project / "cache"], tmp_path / "out", config)
    said = "\n".join([*summary.ignored, *summary.notes])
    wanted = ("gallery of cache.* 0:00: frame 0", r"mel\.fr\.npy", r"bad: .*ckpt\.pt", "alone: it compares a sound",
              r"without: it has no ckpt\.pt")  # fmt: skip
    for part in wanted:
        assert re.search(part, said), (part, said)
    assert not [line for line in summary.ignored if "alone" in line]  # nothing is wrong with it
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count('<section class="gallery"') == 2
    assert "3 of 4 clips of all 1 films are searched" in page
    assert {"retrieval-cache-1", "retrieval-cache-2"} <= set(summary.tables)


def test_players_are_found_in_sources_and_missing_without(project, film, tmp_path):
    from dubcli.cache.clips import TrackClip
    from dubcli.pages.players import cut_players

    movie = Cache(project / "cache").movies[0]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / film.name).symlink_to(film)
    for track in movie.tracks.values():
        track["path"] = "/gone/colours.mkv"
    item = TrackClip(movie, 0, "en")
    assert cut_players([item], [], SILENT) == {}
    assert cut_players([item], [tmp_path], SILENT)[item].startswith("data:audio/")


def test_players_are_cut_where_their_clips_are(project, monkeypatch):
    from fractions import Fraction

    from dubcli.cache.clips import TrackClip
    from dubcli.media.sound import track_blocks
    from dubcli.pages import players

    movie = Cache(project / "cache").movies[0]
    heard, encode = [], players.encode_sound
    monkeypatch.setattr(players, "encode_sound", lambda sound: heard.append(sound) or encode(sound))
    items = [TrackClip(movie, clip, language) for language in movie.languages[:2] for clip in (movie.n_clips - 1, 0)]
    assert list(players.cut_players([*items, items[0]], [], SILENT)) == items
    for item, sound in zip(items, heard, strict=True):
        track, start = movie.tracks[item.language], Fraction(movie.meta["start_seconds"])
        path = Path(track.get("path") or movie.meta["source"]["path"])
        whole = torch.cat(list(track_blocks(path, track["stream"], start, 48000, [])), dim=1)
        assert torch.equal(sound, whole[:, item.clip * 144000 : (item.clip + 1) * 144000])


def test_what_cannot_be_read_is_named(project, tmp_path):
    with pytest.raises(UserError, match="is not there; give results"):
        collect([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no results, run folders or caches"):
        collect([tmp_path / "empty"])
    bad = write_result(tmp_path / "results", "esc50", "efj-ckpt", 0.5)
    write_result(tmp_path / "results", "esc50", "mono-ckpt", 0.4)
    bad.write_text(bad.read_text()[:40])
    found = collect([tmp_path / "results"])
    assert [result.model for result in found.results] == ["mono-ckpt"]
    assert "efj-ckpt.json cannot be read as JSON" in found.ignored[0]


def test_a_page_that_cannot_be_written_is_one_line(project, tmp_path):
    (tmp_path / "out" / "index.html").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot write .*index\.html.*: Is a directory; give another --out"):
        report([project / "runs"], tmp_path / "out", ReportConfig(gallery=0))


def test_the_column_to_be_held_against_is_one_of_those_there(tmp_path, dubav):
    for name, right in (("random-seed0", 0.1), ("fr-ckpt", 0.5), ("efj-ckpt", 0.9)):
        write_result(tmp_path / "r", "esc50", name, right, variant=name.split("-")[0], right=np.arange(20) < 20 * right)
    for asked, words in (("efk", " (did you mean efj?)"), ("es", ""), ("FR", " (did you mean fr?)")):
        done = dubav("report", tmp_path / "r", "--out", tmp_path / "page", "--against", asked)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"dubav: --against is '{asked}'{words}; give one of efj, fr, random\n"
    assert not list((tmp_path / "page").iterdir())
    for asked, first in ((["--against", "random"], "random"), ([], "fr")):  # without mono the next highest
        assert dubav("report", tmp_path / "r", "--out", tmp_path / "page", *asked).returncode == 0
        assert (tmp_path / "page" / "classes-esc50.csv").read_text().startswith(f"class,test clips,{first},efj")


def test_command(project, tmp_path, dubav):
    done = dubav("report", project / "results", "--out", tmp_path / "out", "--json", "--gallery", 0)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["results"] == 8
    assert (tmp_path / "out" / "index.html").is_file()
    (tmp_path / "torn.json").write_text('{"task": "esc50", ')
    done = dubav("report", project / "results", tmp_path / "torn.json", "--out", tmp_path / "out", "--gallery", 0)
    assert (done.returncode, "8 results" in done.stdout, "left out: " in done.stderr) == (0, True, True)
    done = dubav("report", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "is not there" in done.stderr
    assert "Traceback" not in done.stderr
