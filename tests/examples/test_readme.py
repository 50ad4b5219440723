"""README.md: every fenced command is run as it stands, in the page's order, in one folder that begins empty.

Read from the page itself: what is added there is run here, or the test fails. Nothing is made smaller: the page's films
are the small ones that ``dubav corpus`` makes. What the page says is the reader's to bring is in ``bring``.
"""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from dubcli.core.machine import gpu_count
from helpers.containers import Track, make_film
from helpers.hub import running_hub
from helpers.pages import Command, blocks_of, shell_commands
from helpers.separation import save_hub_form, small_hdemucs
from helpers.waiting import HOPELESS_SECONDS
from probe import miniatures

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
HELD_ELSEWHERE = {
    "pip install '.[demo]' && dubav demo": "tests/house/test_wheels.py; the demo in small: tests/demo/test_walk.py",
    "dubav demo --open": "in small: tests/demo/test_walk.py",
    "dubav demo --out longer --steps 2000": "in small: tests/demo/test_walk.py",
    "pip install '.[test]' && pytest -n auto": "it runs this test",
    "python3 tests/gpu/check.py --out check --seconds 500": "tests/gpu/test_check.py",
}
"""Commands that are not run here, each with where it is."""

PLAN = """
out = "study"
[films]
sources = ["movies"]
languages = ["en", "es", "fr", "ja"]
[pretrain]
variants = ["mono"]
preset = "tiny"
epochs = 1
max_steps = 2
batch_size = 4
k = 2
gpus = 0
[probe]
tasks = ["esc50"]
device = "cpu"
[probe.data]
esc50 = "data/esc50"
[probe.protocols]
esc50 = "logreg"
"""
"""A study that ends, in the reader's ``paper.toml``."""


def commands_of_readme():
    return [c for _, text in blocks_of(README, "sh", "bash", "console") for c in shell_commands(text)]


def without_comment(text):
    return re.sub(r" +# .*", "", text)


def bring(folder):
    """What the page's reader brings: a data set, a plan, a film, sounds and a picture, all small."""
    miniatures.make("esc50", folder / "data" / "esc50")
    (folder / "paper.toml").write_text(PLAN)
    make_film(folder / "film.mkv", seconds=4, size=(96, 54), tracks=[Track("eng")])
    noise = np.random.default_rng(0).normal(0, 0.1, 48000 * 4)
    soundfile.write(folder / "rain.wav", noise, 48000)
    (folder / "fluent").mkdir()
    soundfile.write(folder / "fluent" / "speaker.wav", noise[:24000], 16000)
    Image.new("RGB", (160, 120), (40, 90, 30)).save(folder / "photo.jpg")


def fill(hub):
    """A hub that has the separation model of the page's name, a small one."""
    hub_files = {}
    for number, signature in enumerate(("aa", "bb")):
        path = Path(hub.folder) / f"{signature}.safetensors"
        save_hub_form(small_hdemucs(number), path)
        hub_files[path.name] = path.read_bytes()
    hub_files["mdx_extra_q.yaml"] = b"models: ['aa', 'bb']\nsegment: 1.5\n"
    hub.models["adefossez/Demucs-mdx_extra_q"] = hub_files


def test_all_commands_are_known():
    texts = [without_comment(command.text) for command in commands_of_readme()]
    assert len(texts) >= 25
    assert set(HELD_ELSEWHERE) < set(texts)
    assert all((ROOT / where).is_file() for why in HELD_ELSEWHERE.values() for where in re.findall(r"tests/\S+py", why))
    for command in texts:
        assert command.split()[0] in ("dubav", "pip", "python3", "cat"), command


def test_blocks_and_outputs_are_told_apart(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\na \\\n b  # why\n# no\n```\n```console\n$ c\nsaid\nmore\n$ d\n```\n```text\nnot\n```\n")
    found = [command for _, text in blocks_of(page, "sh", "console") for command in shell_commands(text)]
    assert found == [Command("a   b  # why"), Command("c", "said\nmore\n"), Command("d")]
    assert unlike("3 of 4 steps, loss 5.25\n...\nlast 7\n", "9 of 4 steps,   loss 5.1\nx\ny\nlast 8\n") is None
    assert unlike("left 3\n", "right 3\n") == "left #"


class Shell:
    """Runs commands as bash does, in one folder; ``dubav`` is this checkout's."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment

    def __call__(self, text):
        command = ["bash", "-c", text]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              timeout=HOPELESS_SECONDS)  # fmt: skip

    def start(self, text):
        return subprocess.Popen(["bash", "-c", f"exec {text}"], cwd=self.folder, env=self.environment,
                                stdout=subprocess.PIPE, text=True)  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    programs = tmp_path_factory.mktemp("bin")
    (programs / "dubav").write_text(f'#!/bin/sh\nexec {sys.executable} -m dubcli "$@"\n')
    (programs / "browser").write_text("#!/bin/sh\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    bring(folder)
    with running_hub() as hub:
        hub.folder = tmp_path_factory.mktemp("hub")
        fill(hub)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        source = str(ROOT / "src")
        own = {"PATH": path, "PYTHONPATH": source, "COLUMNS": "120", "BROWSER": str(programs / "browser")}
        yield Shell(folder, {**os.environ, **own, "HF_ENDPOINT": hub.address, "HF_HOME": str(hub.folder)})


@pytest.mark.slow
def test_every_command_runs_and_says_what_the_page_says(shell):
    pytest.importorskip("py_nanotts", reason="the extra [demo] is not installed")
    wrong = []
    for command in commands_of_readme():
        if without_comment(command.text) in HELD_ELSEWHERE:
            continue
        if "--serve" in command.text:
            serves(shell, command.text)
            continue
        text = without_a_gpu(shell, command.text)
        done = shell(text)
        line = unlike(command.output, done.stdout + done.stderr)
        if done.returncode or line:
            wrong.append(f"$ {text}\n{done.stdout}{done.stderr}status {done.returncode}; the page has {line!r}")
    assert not wrong, "\n\n".join(wrong)
    runs_python(shell.folder)


def without_a_gpu(shell, text):
    """The command; on a machine without GPUs, where it asks for some, what its comment says to write instead."""
    said = re.fullmatch(r"(.*) --gpus \d+ +# no GPU: (.*)", text)
    if said is None or gpu_count():
        return text
    refused = shell(text)
    assert refused.returncode == 2
    assert re.fullmatch(r"dubav: --gpus 4, but this machine has 0; give --gpus 0 .*\n", refused.stderr)
    return f"{said[1]} {said[2]}"


def unlike(expected, said):
    """The first line of the page's output that was not said, numbers apart; ``...`` stands for anything. Or None."""
    lines = iter(map(masked, said.splitlines()))
    for line in map(masked, expected.splitlines()):
        if line and line != "..." and line not in lines:
            return line
    return None


def masked(line):
    """Numbers as #, spaces as one, the rules of tables and what is cut (``...``) of no length."""
    line = re.sub(r"─+", "─", line.split("...")[0] if line.strip() != "..." else "...")
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.e+:-]*", "#", line)).strip()


def serves(shell, text):
    server = shell.start(text)
    try:
        address = server.stdout.readline().split()[0]
        with urllib.request.urlopen(address) as answer:
            assert b"film-001" in answer.read()
    finally:
        server.send_signal(signal.SIGINT)
    assert server.wait(HOPELESS_SECONDS) == 0


def runs_python(folder):
    """The page's Python, in the folder that its commands left, with sounds by the names that it uses."""
    sounds = "import torch\nwaveforms = torch.zeros(2, 2, 96000)\naudio = torch.zeros(2, 48000)\nsound = waveforms\n"
    for _, text in blocks_of(README, "python"):
        done = subprocess.run([sys.executable, "-c", sounds + text], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
