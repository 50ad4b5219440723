"""Docstrings: the public entries say what they take, and every example in a docstring runs."""

import doctest
import importlib
import inspect
import pkgutil
import re
import shutil
import sys
from pathlib import Path
from typing import get_origin

import numpy as np
import pytest
import soundfile

import dubcli
from dubcli.pretrain import train
from helpers.caches import make_cache
from helpers.containers import Track, make_film
from helpers.prepping import here
from helpers.runs import small_config

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "extending"
SOURCES = {
    module.name: Path(module.module_finder.path, module.name.rpartition(".")[2] + ".py")
    for module in pkgutil.walk_packages(dubcli.__path__, "dubcli.")
    if not module.ispkg and not module.name.endswith("__main__")
}
WITH_EXAMPLES = sorted(name for name, path in SOURCES.items() if ">>> " in path.read_text(encoding="utf-8"))
EXPORTS = [
    (package, name)
    for package in ("", ".corpus", ".demo", ".dub", ".embed", ".export", ".ls", ".prep", ".pretrain", ".probe",
                    ".report", ".reproduce", ".separate")
    for name in importlib.import_module(f"dubcli{package}").__all__
    if name != "__version__"
]  # fmt: skip
ENTRIES = [f"dubcli{package}.{name}" for package, name in EXPORTS] + [
    "dubcli.cache.reader.Cache",
    "dubcli.core.checkpoint.load_trained",
    "dubcli.core.features.downmix",
    "dubcli.core.features.log_mel",
    "dubcli.core.loss.contrastive_losses",
    "dubcli.core.loss.nt_xent",
    "dubcli.core.loss.nt_xent_distributed",
    "dubcli.core.sampler.SameMovieBatchSampler",
    "dubcli.core.tracks.Track",
    "dubcli.core.variants.make_variant",
    "dubcli.core.variants.parse_variant",
    "dubcli.embed.Embedder.audio",
    "dubcli.embed.Embedder.video",
    "dubcli.hear.HearModel",
    "dubcli.hear.get_scene_embeddings",
    "dubcli.hear.get_timestamp_embeddings",
    "dubcli.hear.load_model",
    "dubcli.media.languages.parse_language",
    "dubcli.media.resample.resampled",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What the examples name: films, a cache, a run, labelled sounds, subtitles."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "films").mkdir()
    make_film(folder / "films" / "film.mkv", seconds=6.2, size=(96, 54), tracks=[Track("eng"), Track("spa")])
    (folder / "film.es.srt").write_text("1\n00:00:00,500 --> 00:00:02,500\nHola.\n")
    make_cache(folder / "cache", films=3, clips=7, languages=("en", "es"))
    train(small_config(folder / "cache", folder / "runs" / "es", variant="es", max_steps=1), device="cpu")
    generator = np.random.default_rng(0)
    for label, pitch in (("low", 200), ("high", 2000)):
        (folder / "sounds" / label).mkdir(parents=True)
        for number in range(10):
            tone = 0.1 * np.sin(2 * np.pi * pitch * np.arange(16000) / 16000) + generator.normal(0, 0.01, 16000)
            soundfile.write(folder / "sounds" / label / f"{number}.wav", tone, 16000)
    soundfile.write(folder / "film.wav", generator.normal(0, 0.1, (44100, 2)), 44100)
    return folder


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name, place, tmp_path, monkeypatch):
    shutil.copytree(place, tmp_path / "here")
    here(monkeypatch)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name), name):
        runner.run(test, out=said.append)
    tried = runner.summarize(verbose=False)
    assert tried.attempted
    assert not tried.failed, "".join(said)


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_say_what_they_take(name):
    home, _, own = name.rpartition(".")
    try:
        entry = getattr(importlib.import_module(home), own)
    except ModuleNotFoundError:  # a method
        module, _, kind = home.rpartition(".")
        entry = getattr(getattr(importlib.import_module(module), kind), own)
    if get_origin(entry) or not (inspect.isclass(entry) or inspect.isfunction(entry)):
        return  # a type's other name
    text = inspect.getdoc(entry) or ""
    assert len(text) > 20
    fields = set(getattr(entry, "__dataclass_fields__", ()))
    if inspect.isclass(entry) and fields:  # a value: its fields are said in its text, or by their names and types
        return
    assert ">>> " in text
    arguments = set(inspect.signature(entry).parameters) - {"self"}
    said = re.search(r"^Args:\n((?: .*\n?|\n)*)", text, re.MULTILINE)
    assert said, f"{name} has no Args:"
    written = {word for names in re.findall(r"^    ([\w, ]+):", said[1], re.MULTILINE) for word in names.split(", ")}
    assert written == arguments
