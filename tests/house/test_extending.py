"""What docs/extending.md shows, through the real commands: by MODULE:NAME and by an installed entry point."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubcli.cache.reader import Cache
from dubcli.core import plugins
from dubcli.core.backbones import BackboneSpec, build_backbone
from dubcli.media.streams import read_info as streams
from helpers.containers import Track, make_film
from helpers.prepping import command_here, one_movie
from probe.layouts import folder_task

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "extending"
PACKAGE = """\
[dubcli.backbones]
melnet = own_backbone:MelNet
[dubcli.tasks]
urbansound8k = urbansound8k:TASK
[dubcli.protocols]
nearest-mean = nearest_mean:PROTOCOL
[dubcli.separators]
karaoke = own_separator:Karaoke
[dubcli.speech]
whistle = own_engine:Whistle
"""
RATE = 44100


@pytest.fixture
def dubav(tmp_path, monkeypatch):
    """``dubav`` in a folder of its own, with the examples as modules, and as a package that is installed."""
    site = tmp_path / "site"
    info = site / "extensions-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extensions\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(PACKAGE)
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(site), str(EXAMPLES), *sys.path])
    yield lambda *arguments: command_here(monkeypatch, tmp_path, *arguments)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]


@pytest.fixture
def stereo(tmp_path):
    """12 s of two different noises and a common one: more than one segment."""
    sound = np.random.default_rng(0).normal(0, 0.1, (12 * RATE, 3))
    stereo = (sound[:, :2] + sound[:, 2:]).astype(np.float32)
    soundfile.write(tmp_path / "sound.wav", stereo, RATE, subtype="FLOAT")
    return stereo


@pytest.mark.parametrize("name", ["own_separator:Karaoke", "karaoke"])
def test_a_separator(dubav, stereo, tmp_path, name):
    done = dubav("separate", "sound.wav", "--out", "out", "--model", name, "--format", "wav", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    centre = stereo.mean(axis=1, keepdims=True)
    for stem, expected in (("vocals", np.repeat(centre, 2, axis=1)), ("no_vocals", stereo - centre)):
        written, rate = soundfile.read(tmp_path / "out" / f"sound.{stem}.wav", dtype="float32")
        assert rate == RATE
        assert np.abs(written - expected).max() < 1e-5
    recipe = json.loads((tmp_path / "out" / "separate.json").read_text())
    assert recipe["model"] == name
    again = dubav("separate", "sound.wav", "--out", "out", "--model", name, "--format", "wav", "--json")
    assert json.loads(again.stdout)["skipped"] == 1


def test_a_separator_of_another_rate_on_a_cache(dubav, tmp_path, monkeypatch):
    """A 48 kHz separator that leaves all in the other stem: the no-speech mel is that of the film's own sound."""
    (tmp_path / "nothing.py").write_text(
        "import torch\n"
        "class Nothing:\n"
        "    sample_rate, sources, segment = 48000, ['other', 'vocals'], 2\n"
        "    def __call__(self, sound):\n"
        "        return torch.stack([sound, torch.zeros_like(sound)], dim=1)\n"
        "class Native(Nothing):\n"
        "    sample_rate = 44100\n"
        "class Wrong(Nothing):\n"
        "    def __call__(self, sound):\n"
        "        return sound\n"
        "class Deaf(Nothing):\n"
        "    sources = ['left', 'right']\n"
        "class Unsure:\n"
        "    sample_rate = 48000\n"
    )
    film = tmp_path / "film.mkv"
    make_film(film, seconds=6.2, size=(96, 54), tracks=[Track("eng")])
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    for name, said in (
        ("nothing:Wrong", r"nothing:Wrong gave \(1, 2, \d+\) for \(1, 2, \d+\); wanted is \(1, 2, 2, \d+\)"),
        ("nothing:Deaf", "nothing:Deaf has 2 channels and the stems left, right; none is named vocals or"),
        ("nothing:Unsure", "a Unsure has no sources and no segment"),
        ("nothing:Nothin", r"nothing has no Nothin \(did you mean Nothing\?\)"),
        ("karaok", r"--model is 'karaok' \(did you mean karaoke\?\); give one of .*mdx_extra_q.*karaoke"),
    ):
        done = dubav("separate", "--cache", "cache", "--model", name, "--device", "cpu")
        assert (done.returncode, bool(re.search(said, done.stderr))) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
    mels = []
    for name in ("nothing:Nothing", "nothing:Native"):  # the second takes the first one's place
        done = dubav("separate", "--cache", "cache", "--model", name, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        mels.append(np.array(Cache(tmp_path / "cache").movies[0].mel("en-nospeech"), np.float32))
    assert mels[0].shape == mels[1].shape == (movie.n_clips, 2, 96, 257)
    assert mels[1].std() > 0.5
    assert np.abs(mels[0] - mels[1])[:, :, :88].mean() < 0.02  # above 19 kHz resampling cuts off


@pytest.mark.parametrize("name", ["own_engine:Whistle", "whistle"])
def test_a_speech_engine(dubav, tmp_path, name):
    make_film(tmp_path / "film.mkv", seconds=3.2, size=(96, 54), tracks=[Track("eng")])
    (tmp_path / "film.es.srt").write_text("1\n00:00:00,500 --> 00:00:02,500\nHola.\n")
    done = dubav("dub", "film.mkv", "--subs", "film.es.srt", "--speech-engine", name, "--out", "dubbed.mkv")
    assert done.returncode == 0, done.stderr
    assert [track.language for track in streams(tmp_path / "dubbed.mkv").audio] == ["en", "es"]


@pytest.mark.parametrize("name", ["own_backbone:MelNet", "melnet"])
def test_a_backbone(dubav, name):
    built = build_backbone("audio", BackboneSpec(name=name, options={"width": 48}))
    assert (type(built).__name__, built.feature_size) == ("MelNet", 48)


@pytest.mark.parametrize("protocol", ["nearest_mean:PROTOCOL", "nearest-mean"])
def test_a_protocol_and_a_hear_model(dubav, tmp_path, protocol):
    folder_task(tmp_path / "own", each=6)
    done = dubav("probe", "folder", "hear:hear_model", "--data", "own", "--protocol", protocol, "--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["protocol"]["name"] == protocol
    assert result["mean"] > 0.9


def test_every_group_is_shown_and_every_example_is_in_the_documentation():
    assert set(re.findall(r"^\[(.*)\]$", PACKAGE, re.MULTILINE)) == set(plugins.GROUPS)
    shown = (ROOT / "docs" / "extending.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert path.read_text().strip() in shown, f"docs/extending.md shows another {path.name}"
