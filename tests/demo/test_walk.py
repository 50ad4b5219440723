"""The whole way on a corpus of four films: every stage's results are there, and the page shows them."""

import csv
import dataclasses
import json
import re
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from dubcli.cache.reader import Cache
from dubcli.core.atomic import write_json
from dubcli.core.checkpoint import load_trained
from dubcli.core.compare import compare, holm
from dubcli.core.transforms import normalise_mels
from dubcli.demo import DemoConfig, demo_corpus, run_demo
from dubcli.demo.walk import Walk
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT
from dubcli.pretrain import RunSummary
from helpers.browser import browser, complaints, emulate  # noqa: F401 - a fixture
from helpers.corpora import SMALL
from helpers.prepping import run_here

LANGUAGES = ("en", "es", "fr", "ja")


class Told:
    """Keeps what is said."""

    def __init__(self):
        self.messages = []

    def start(self, task, total, unit):
        pass

    def update(self, task, completed, **fields):
        pass

    def finish(self, task):
        pass

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def walk(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk") / "demo"
    config = DemoConfig(
        out=folder, corpus=dataclasses.replace(SMALL, films=4, heldout=6), factors=("event", "language"), steps=2,
        workers=2,
    )  # fmt: skip
    folder.mkdir()
    shutil.copytree(corpus.folder, folder / "corpus")  # it has two films of each kind, and its lines are spoken
    write_json(folder / "demo.json", config.recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dubcli.jobs.local.run_in_processes", run_here)
        told = Told()
        return config, run_demo(config, told), told


def test_each_stage_says_in_a_sentence_what_happens(walk):
    _, summary, told = walk
    steps = ["corpus", "prep", "pretrain mono", "pretrain efj", "tracks", "probe", "page"]
    assert list(summary.seconds) == steps
    sentences = [line for line in told.messages if line.split(": ")[0] in steps]
    assert [line.split(": ")[0] for line in sentences] == steps
    assert all(line.endswith(".") and len(line) > 60 for line in sentences)
    assert "English, Spanish, French and Japanese" in sentences[0]


def test_everything_is_there_and_the_folder_needs_nothing_else(walk):
    config, summary, _ = walk
    assert summary.page == config.out / "index.html"
    assert (summary.films, summary.clips) == (4, 16)
    for variant in ("mono", "efj"):
        assert (config.out / "runs" / variant / "ckpt.pt").is_file()
    saved = json.loads((config.out / "summary.json").read_text())
    assert saved["questions"] == json.loads(json.dumps(summary.as_dict()["questions"]))
    with Image.open(summary.picture) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1280
    text = summary.page.read_text()
    assert text.count("<audio") >= 4 + 3 * 4
    assert not re.search(r"""(src|href)=["']https?:""", text)


def test_likeness_is_of_the_features_by_hand(walk):
    config, summary, _ = walk
    told = json.loads((config.out / "runs" / "efj" / "config.json").read_text())
    trained = load_trained(config.out / "runs" / "efj")
    kept = [movie for movie in Cache(config.out / "cache").movies if movie.id in told["held_out_films"]]
    learnt = [movie for movie in Cache(config.out / "cache").movies if movie.id not in told["held_out_films"]]
    assert (len(kept), len(learnt)) == (1, 3)
    for movies, found in ((kept, summary.kept[-1]), (learnt, summary.learnt[-1])):
        features = {}
        for language in ("es", "ja"):
            mels = torch.from_numpy(np.concatenate([movie.mel(language) for movie in movies]))
            with torch.no_grad():
                rows = trained.model.embed_audio(normalise_mels(mels, trained.mel_mean, trained.mel_std)).double()
            features[language] = (rows / rows.norm(dim=1, keepdim=True)).numpy()
        cosines = features["es"] @ features["ja"].T
        same = np.diagonal(cosines).mean()
        others = cosines[~np.eye(len(cosines), dtype=bool)].mean()
        assert found.model == "efj"
        assert found.languages == LANGUAGES
        assert found.clips == len(cosines)
        assert found.same[1][3] == pytest.approx(same, abs=1e-4)
        assert found.others[1][3] == pytest.approx(others, abs=1e-4)
        assert found.shared[1][3] == pytest.approx((same - others) / (1 - others), abs=2e-2)


def test_the_table_is_the_results_files_and_its_rule_that_of_compare(walk):
    config, summary, _ = walk
    by_key = {one.key: one for one in summary.questions}
    assert list(by_key)[:7] == [
        "es-by-en", "fr-by-en", "ja-by-en", "en-by-pictures", "es-by-pictures", "fr-by-pictures", "ja-by-pictures",
    ]  # fmt: skip
    results = config.out / "results" / "folder-language"
    language = by_key["language"]
    for model, name in (("mono", "mono-ckpt"), ("random", "demo-untrained")):
        content = json.loads((results / f"{name}.json").read_text())
        assert language.scores[model] == content["mean"]
    alone = compare(results / "mono-ckpt.json", results / "efj-ckpt.json")
    assert language.compared.difference == alone.difference
    assert language.compared.interval == alone.interval
    p_values = [one.compared.p_value for one in summary.questions]
    assert [one.compared.p_holm for one in summary.questions] == holm(p_values)
    assert all(one.compared.more_than_noise == (one.compared.p_holm <= 0.05) for one in summary.questions)


def test_found_by_pictures_counts_what_validation_counts(walk):
    _, summary, _ = walk
    by_key = {one.key: one for one in summary.questions}
    for language in LANGUAGES:
        for one in summary.learnt:
            at_first = by_key[f"{language}-by-pictures"].scores[one.model]
            assert at_first == pytest.approx(one.found[language]["r@1"], abs=1 / one.clips)  # ties count half there


def test_the_same_again_makes_nothing_again(walk):
    config, summary, _ = walk
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*.pt")}
    again = run_demo(config)
    assert again.questions == summary.questions
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*.pt")} == before


def test_other_settings_are_refused_with_both_values(walk):
    config, _, _ = walk
    with pytest.raises(UserError, match=r"holds a demo with steps 2, now it is 3; give the same options .* --out"):
        run_demo(dataclasses.replace(config, steps=3))


def test_the_page_plays_in_a_browser(browser, walk):  # noqa: F811
    _, summary, _ = walk
    for width, dark in ((1400, False), (360, True)):
        emulate(browser, width=width, dark=dark)
        browser.get(summary.page.resolve().as_uri())
        drawn = browser.execute_async_script(  # each when it comes into sight
            "const done = arguments[0], charts = [...document.querySelectorAll('.chart')];"
            "const look = () => { const open = charts.find(one => !one.querySelector('svg.marks'));"
            "if (!open) return done(charts.length); open.scrollIntoView(); setTimeout(look, 50); }; look();"
        )
        assert drawn == 6
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    players = browser.execute_script("return [...document.querySelectorAll('#scene ~ .tracks audio')].slice(0, 4)"
                                     ".map(one => one.ariaLabel)")  # fmt: skip
    assert players == ["English", "Spanish", "French", "Japanese"]
    played = browser.execute_async_script(
        "const done = arguments[0], one = document.querySelectorAll('audio')[3]; one.play();"
        "const look = () => one.currentTime > 0.1 ? done(one.duration) : setTimeout(look, 50); look();"
    )
    assert played == pytest.approx(3, abs=0.1)
    assert complaints(browser) == []
    emulate(browser)


def test_what_is_said_in_the_scene_is_the_truth(walk):
    config, summary, _ = walk
    with open(config.out / "corpus" / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    text = summary.page.read_text()
    assert sum(1 for row in rows if row["language"] == "ja" and row["text"] and row["text"] in text) >= 1


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"holds other things \(.*\); name a new folder with --out"):
        run_demo(DemoConfig(out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(UserError, match="cannot write"):
        run_demo(DemoConfig(out=tmp_path / "letter.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corpus": demo_corpus(films=3)}, "--films is 3; give 4 or more"),
        ({"corpus": demo_corpus(heldout=5)}, "--heldout is 5; give 6 or more"),
        ({"steps": 0}, "--steps is 0; give 1 or more"),
    ],
)
def test_too_little_is_refused_before_anything_is_made(options, message):
    with pytest.raises(UserError, match=message):
        DemoConfig(**options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_ends_the_walk(number, tmp_path, monkeypatch):
    stopped = RunSummary(folder=tmp_path, step=1, total_steps=2, stopped_by=number)
    monkeypatch.setattr("dubcli.pretrain.train", lambda config, progress: stopped)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Walk(DemoConfig(out=tmp_path), SILENT).pretrain("mono")
    finally:
        signal.signal(number, before)


@pytest.mark.slow
def test_as_a_newcomer_starts_it(dubav, tmp_path):
    pytest.importorskip("py_nanotts", reason="the extra [demo] is not installed")
    done = dubav("demo", timeout=3600)
    assert done.returncode == 0, done.stderr
    assert "demo/index.html" in done.stdout
    assert (tmp_path / "demo" / "index.html").is_file()
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert len(summary["questions"]) == 11
    alike = {one["model"]: np.mean(np.array(one["same"])[~np.eye(4, dtype=bool)]) for one in summary["learnt"]}
    assert alike["efj"] > alike["mono"]
    shutil.rmtree(tmp_path / "demo")
