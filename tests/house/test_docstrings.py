"""Docstrings: the public entries say what they take, and every example in a docstring runs."""

import ast
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
PACKAGES = [
    name
    for name in ("dubcli", *(one.name for one in pkgutil.walk_packages(dubcli.__path__, "dubcli.") if one.ispkg))
    if hasattr(importlib.import_module(name), "__all__")
]
ENTRIES = [
    *(f"{name}.{own}" for name in PACKAGES for own in importlib.import_module(name).__all__ if own != "__version__"),
    "dubcli.cache.reader.Cache",
    "dubcli.cache.reader.Movie",
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
    "dubcli.core.languages.parse_language",
    "dubcli.jobs.options.JobOptions",
    "dubcli.media.resample.resampled",
    "dubcli.xares.encoder",
]
SECTION = r"^{}:\n((?:    .*\n?|\n)*)"


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


def named(name):
    """The function, class or method of a dotted name."""
    home, _, own = name.rpartition(".")
    try:
        return getattr(importlib.import_module(home), own)
    except ModuleNotFoundError:  # a method
        module, _, kind = home.rpartition(".")
        return getattr(getattr(importlib.import_module(module), kind), own)


def said(text, *sections):
    """The names that a section of a docstring describes, in order; None where there is no such section."""
    found = re.search(SECTION.format(f"(?:{'|'.join(sections)})"), text, re.MULTILINE)
    if found is None:
        return None
    return [one for names in re.findall(r"^    (\w[\w, ]*):", found[1], re.MULTILINE) for one in names.split(", ")]


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_say_what_they_take_give_and_raise(name):
    entry = named(name)
    if get_origin(entry) or not (inspect.isclass(entry) or inspect.isfunction(entry)):
        return  # a type's other name
    text = inspect.getdoc(entry) or ""
    assert len(text.splitlines()[0]) > 10
    if hasattr(entry, "__dataclass_fields__"):
        assert said(text, "Attributes", "Args") == list(entry.__dataclass_fields__)
    else:
        assert ">>> " in text
        arguments = set(inspect.signature(entry).parameters) - {"self"}
        assert set(said(text, "Args") or ()) == arguments
    if inspect.isfunction(entry):
        assert inspect.signature(entry).return_annotation == "None" or said(text, "Returns", "Yields") is not None
    source = inspect.getsource(getattr(entry, "__post_init__", entry))
    if re.search(r"^\s+raise (UserError|ValueError)", source, re.MULTILINE):
        assert said(text, "Raises"), f"{name} does not say what it raises"


def test_the_reference_page_has_every_package_and_entry():
    hooks = ast.parse((EXAMPLES.parents[1] / "docs" / "hooks.py").read_text(encoding="utf-8"))
    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in hooks.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("_STAGES", "CORE")
    }
    assert {"dubcli", *(f"dubcli.{name}" for name in lists["_STAGES"])} == set(PACKAGES)
    assert set(lists["CORE"]) <= set(ENTRIES)
