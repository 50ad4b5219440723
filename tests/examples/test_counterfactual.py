"""The counterfactual experiment in miniature: all its parts, none of its conclusions; and its arithmetic alone."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.prepping import run_here

EXAMPLE = Path(__file__).parents[2] / "examples" / "counterfactual"
FACTORS = ["place", "event", "voice", "mood", "count", "language", "words"]


@pytest.fixture
def analyse(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names = ("study", "models", "measure", "analyse", "figures", "materials", "predictions", "run")
    yield importlib.import_module("analyse")
    for name in names:
        sys.modules.pop(name, None)


def scores_of(analyse, gains, seeds=6, films=60, noise=0.0):
    """Made-up right answers of mono, and of efj, which has ``gains`` more by factor."""
    draw = np.random.default_rng(0)
    made = object.__new__(analyse.Scores)
    made.by_kind = {"mono": {}, "efj": {}}
    for seed in range(seeds):
        for kind in made.by_kind:
            made.by_kind[kind][seed] = {}
            for factor in ("place", "event", "voice"):
                mean = 40 + 80 * (gains[factor] if kind == "efj" else 0) + draw.normal(0, noise)
                right = np.round(np.clip(mean + draw.normal(0, 1, films), 0, 80)).astype(int)
                cell = {"right": right.tolist(), "total": [80] * films, "accuracy": float(right.sum() / films / 80)}
                made.by_kind[kind][seed][factor] = {"mixed": cell}
    return made


@pytest.mark.parametrize(
    ("gains", "noise", "word"),
    [
        ({"place": 0.05, "event": 0.0, "voice": 0.05}, 0.1, "shown"),
        ({"place": 0.0, "event": 0.0, "voice": 0.0}, 0.1, "refuted"),
        ({"place": 0.05, "event": 0.05, "voice": 0.0}, 0.1, "undecided"),
        ({"place": 0.0, "event": 0.0, "voice": 0.0}, 6.0, "undecided"),
    ],
)
def test_the_verdict_is_what_was_written_down_before(analyse, gains, noise, word):
    scores = scores_of(analyse, gains, noise=noise)
    found = analyse.verdict(scores, 6)
    assert found["verdict"] == word
    del scores.by_kind["efj"][5]
    assert analyse.verdict(scores, 6)["verdict"] == "open"


@pytest.mark.parametrize(
    ("expected", "interval", "yes"),
    [
        ("above 0", (0.01, 0.05), True),
        ("above 0", (-0.01, 0.05), False),
        ("0", (-0.01, 0.05), True),
        ("0", (0.01, 0.05), False),
        ("0 or below", (-0.05, 0.01), True),
        ("0 or below", (-0.05, -0.01), True),
        ("0 or below", (0.01, 0.05), False),
        ("below 0", (-0.05, -0.01), True),
        ("below 0", (-0.05, 0.01), False),
    ],
)
def test_what_was_predicted_is_told_by_the_interval(analyse, expected, interval, yes):
    predictions = importlib.import_module("predictions")
    assert predictions.came_true(expected, interval) is yes
    one = {"first": "mono", "second": "efj", "factor": "place", "head": "mixed", "mean": sum(interval) / 2,
           "interval_90": interval, "above": 3, "seeds": [0, 1, 2]}  # fmt: skip
    table = predictions.prediction_table({"differences": [one]}).splitlines()
    assert table[2].startswith("| `efj` - `mono` | place | above 0 | ")
    assert table[2].endswith("3 of 3 | yes |") is (interval[0] > 0)
    assert table[3] == "| `efj` - `mono` | event | above 0 | - | - | - | - |"  # not measured


def test_every_prediction_was_written_down_before(analyse):
    predictions = importlib.import_module("predictions")
    written = (EXAMPLE / "preregistration.md").read_text()
    for one in predictions.PREDICTIONS:
        rows = [line for line in written.splitlines() if line.startswith(f"| `{one.second}` - `{one.first}`")]
        assert any(f"| {one.expected} |" in row for row in rows)
    study = importlib.import_module("study")
    kinds = {model.kind for model in study.read_study(EXAMPLE / "main.toml", Path("x")).models}
    assert {kind for one in predictions.PREDICTIONS for kind in (one.first, one.second)} <= kinds


def test_intervals_cover_the_difference_of_films_and_seeds(analyse):
    """Against the exact spread of a mean of independent films, seeds being equal."""
    scores = scores_of(analyse, {"place": 0.1, "event": 0, "voice": 0})
    one = analyse.difference(scores, "mono", "efj", "place")
    right_a, right_b = (
        np.array([scores.by_kind[kind][seed]["place"]["mixed"]["right"] for seed in range(6)])
        for kind in ("mono", "efj")
    )
    by_film = (right_b - right_a).mean(axis=0) / 80
    low, high = one["interval_95"]
    assert low < one["mean"] < high
    assert one["mean"] == pytest.approx(by_film.mean())
    assert high - low >= 0.9 * 2 * 1.96 * by_film.std() / np.sqrt(60)
    assert one["sign_test_p"] == pytest.approx(2 / 2**6)


def test_the_plans_are_the_experiment_that_was_asked_for(analyse):
    study = importlib.import_module("study")
    main = study.read_study(EXAMPLE / "main.toml", Path("x"))
    seeds = {kind: len([m for m in main.models if m.kind == kind]) for kind in {m.kind for m in main.models}}
    assert (seeds["mono"], seeds["efj"]) == (6, 6)
    assert {"random", "supervised", "es", "fr", "ja", "sep", "a", "a-efj"} <= set(seeds)
    assert {"efj@unlinked", "efj@silent", "efj@same", "efj@wrong"} <= set(seeds)
    tested = [film for film in range(main.corpus.heldout) if main.split_of(film) == "test"]
    assert len(tested) == 60
    assert len(tested) * main.corpus.clips >= 1200
    assert analyse._reference("efj@wrong") == "mono"
    assert analyse._reference("efj@unlinked") == "mono@unlinked"
    assert analyse._reference("a-efj") == "a"
    pilot = study.read_study(EXAMPLE / "pilot.toml", Path("x"))
    assert pilot.corpus.seed != main.corpus.seed
    assert not {m.seed for m in pilot.models} & {m.seed for m in main.models}
    assert {m.kind for m in pilot.models} == {"random", "supervised", "mono"}


@pytest.fixture
def said(analyse, corpus, tmp_path, monkeypatch, capsys):
    """What the small plan says, in one process, which need not start others; of lines that the tests' corpus speaks."""
    run = importlib.import_module("run")
    monkeypatch.setattr("dubcli.jobs.local.run_in_processes", run_here)
    films = tmp_path / "corpora" / "main"
    films.mkdir(parents=True)
    (films / ".speech").symlink_to(corpus.folder / ".speech")

    def said(*arguments):
        command = ["run.py", str(EXAMPLE / "small.toml"), "--out", str(tmp_path), "--quiet", "--jobs", "1", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        run.main()
        return capsys.readouterr().out

    return said


def test_the_experiment_goes_through_and_again_from_what_is_there(said, tmp_path):
    first = said("--stages", "A")
    found = json.loads((tmp_path / "analysis.json").read_text())
    assert all("@" in name for name in found["missing"])  # the controls
    assert found["answer"]["verdict"] in ("shown", "refuted", "undecided")
    for one in found["differences"]:
        ends = [*one["interval_90"], *one["interval_95"]]
        assert np.isfinite(ends).all()
        assert ends[0] <= ends[1]
    assert {one["factor"] for one in found["differences"]} == set(FACTORS)
    assert {one["seeds"][-1] for one in found["differences"] if one["second"] == "efj"} == {1}
    assert "| place |" in first
    assert (tmp_path / "differences.png").stat().st_size > 10_000
    assert (tmp_path / "steps.png").is_file()
    checkpoint = tmp_path / "runs" / "efj-seed1" / "epoch-02.pt"
    trained = checkpoint.stat().st_mtime_ns
    assert said("--stages", "A") == first
    assert checkpoint.stat().st_mtime_ns == trained
    assert said("--list").count(": measured") == 8


@pytest.mark.slow
def test_the_controls_go_through(said, tmp_path):
    """Films without the link, without speech, with the original's own dubs, with dubs over another background."""
    said()
    found = json.loads((tmp_path / "analysis.json").read_text())
    assert found["missing"] == []
    pairs = {(one["first"], one["second"]) for one in found["differences"]}
    assert {("mono@unlinked", "efj@unlinked"), ("mono@silent", "efj@silent"), ("mono", "efj@same"),
            ("mono", "efj@wrong"), ("mono", "sep")} <= pairs  # fmt: skip
    predicted = (tmp_path / "tables.md").read_text().split("| comparison |")[1]
    assert "| - |" not in predicted
    assert (tmp_path / "controls.png").stat().st_size > 10_000


def test_every_plan_is_one_that_models_can_be_trained_by(analyse):
    """Those that take hours too: their words are known, their variants and corpora exist, their films are their own."""
    study = importlib.import_module("study")
    plans = {path.name: study.read_study(path, Path("x")) for path in EXAMPLE.glob("*.toml")}
    assert {"main.toml", "pilot.toml", "small.toml", "gpu.toml"} <= plans.keys()
    for plan in plans.values():
        for model in plan.models:
            if model.variant not in (study.RANDOM, study.SUPERVISED):
                assert plan.pretrain_config(model).data.variant == model.variant
        assert all(name in study.CORPORA for name in plan.corpora(plan.models))
        assert plan.head_films + plan.valid_films < plan.corpus.heldout
        assert all(epoch < plan.training["epochs"] for epoch in plan.epochs_shown)
    assert plans["gpu.toml"].corpus.films == 10 * plans["main.toml"].corpus.films
    assert plans["gpu.toml"].corpus.seed not in (plans["main.toml"].corpus.seed, plans["pilot.toml"].corpus.seed)


def labelled_sounds(folder, films, heldout):
    """Of the pilot's films: (log-mels of every clip in one language of four in turn, labels, the films' numbers)."""
    import torch

    from dubcli.core.features import log_mel
    from dubcli.corpus import CorpusConfig
    from dubcli.corpus.stage import Materials
    from dubcli.corpus.tracks import mixed_down
    from dubcli.corpus.truth import clip_labels

    config = CorpusConfig(minutes=1.0, seed=777)
    materials = Materials(config, folder)
    mels, labels, numbers = [], [], []
    for index in range(films):
        plan = materials.plan(index, heldout=heldout)
        versions, _ = materials.versions(plan)
        for language, six in versions.items():
            clips = mixed_down(six).reshape(2, plan.n_clips, -1).transpose(1, 0, 2)
            turns = [clip for clip in range(plan.n_clips) if config.languages[(index + clip) % 4] == language]
            mels.append(log_mel(torch.from_numpy(clips[turns].copy()), 48000))
            labels += [clip_labels(plan, clip, language, config) for clip in turns]
            numbers += [index] * len(turns)
    return torch.cat(mels), labels, np.array(numbers)


def told(features, labels, known, factor):
    """Share of right answers of a linear head that learnt from the ``known`` rows, on the others that have one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    truth = np.array([label.get(factor, "") for label in labels])
    learnt, asked = known & (truth != ""), ~known & (truth != "")
    scaled = StandardScaler().fit(features[learnt]).transform(features)
    head = LogisticRegression(C=0.01, max_iter=200).fit(scaled[learnt], truth[learnt])
    return head.score(scaled[asked], truth[asked])


@pytest.fixture(scope="module")
def heldout_sounds(tmp_path_factory):
    pytest.importorskip("py_nanotts", reason="the extra [demo] is not installed")
    return labelled_sounds(tmp_path_factory.mktemp("heldout"), 36, heldout=True)


@pytest.fixture
def backbones(analyse):
    """Of the pilot's plan."""
    study = importlib.import_module("study")
    return study.read_study(EXAMPLE / "pilot.toml", Path("x")).backbones


@pytest.mark.slow
def test_the_corpus_leaves_room_below_for_what_a_model_can_learn(heldout_sounds, backbones):
    """An untrained network, and mels averaged over time, know little of place, event and voice (at most 0.45, 0.60)."""
    import torch

    from dubcli.core.trained import random_trained

    sounds, labels, films = heldout_sounds
    normal = (sounds - sounds.mean()) / sounds.std()
    with torch.no_grad():
        untrained = random_trained(100, "micro", backbones).model.embed_audio(normal).numpy()
    averaged = sounds.mean(dim=3).reshape(len(sounds), -1).numpy()
    for factor in ("place", "event", "voice"):
        assert told(untrained, labels, films < 24, factor) <= 0.45, factor
        assert told(averaged, labels, films < 24, factor) <= 0.60, factor


@pytest.mark.slow
def test_a_supervised_network_reaches_the_room_above(heldout_sounds, backbones, tmp_path):
    """The same backbone, told the labels, knows place, event and voice of films it never heard (at least 0.80)."""
    import torch

    from dubcli.core.transforms import draw_masks

    models = importlib.import_module("models")
    sounds, labels, _ = labelled_sounds(tmp_path, 80, heldout=False)
    mean, std, draw = sounds.mean(), sounds.std(), np.random.default_rng(100)
    names = {factor: sorted({row[factor] for row in labels if factor in row}) for factor in models.MAIN_FACTORS}
    rows = [{**dict.fromkeys(names, ""), **row, "count": "1" if "voice" in row else "2"} for row in labels]

    def batches():
        for step in range(600):
            chosen = draw.integers(0, len(labels), 64).tolist()
            inputs = models.varied((sounds[chosen] - mean) / std, draw_masks(100, step, chosen, "primary"), draw)
            yield inputs, models.targets([rows[number] for number in chosen], names)

    network = models.learn_labels(batches(), 600, names, preset="micro", backbones=backbones, seed=100, rate=4e-3)
    heldout, asked, films = heldout_sounds
    with torch.no_grad():
        parts = [network.eval().embed_audio((part - mean) / std) for part in heldout.split(128)]
    for factor in models.MAIN_FACTORS:
        assert told(torch.cat(parts).numpy(), asked, films < 24, factor) >= 0.80, factor
