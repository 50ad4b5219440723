"""What cannot be written is one line with status 2, of every command that writes; nothing is left behind."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubcli.cli.app import app
from helpers.caches import make_cache
from helpers.containers import Track, make_film
from helpers.runs import SMALL, pretrain
from report.conftest import write_result

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A film with subtitles, a cache, a run and results, by the names that the commands below have."""
    folder = tmp_path_factory.mktemp("outputs")
    make_film(folder / "film.mkv", seconds=2, size=(32, 32), tracks=[Track("eng")])
    (folder / "film.es.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nHola a todos.\n")
    make_cache(folder / "cache", films=2, clips=2, languages=("en", "es"))
    assert pretrain(folder / "cache", folder / "run", "--variant", "mono", "--max-steps", 1).returncode == 0
    write_result(folder / "results", "esc50", "efj-ckpt", 0.5)
    (folder / "file").write_text("a letter")
    return folder


COMMANDS = {
    "corpus": ["corpus", "OUT", "--films", "1"],
    "demo": ["demo", "--out", "OUT"],
    "dub": ["dub", "film.mkv", "--subs", "film.es.srt", "--out", "OUT.mkv"],
    "embed": ["embed", "film.mkv", "run", "--out", "OUT", "--device", "cpu"],
    "export": ["export", "run", "--out", "OUT"],
    "ls": ["ls", "film.mkv", "--lang", "en", "--manifest", "OUT.csv"],
    "prep": ["prep", "film.mkv", "--lang", "en", "--cache", "OUT", "--workers", "1"],
    "pretrain": ["pretrain", "--cache", "cache", "--variant", "mono", *SMALL, "--max-steps", "1", "--out", "OUT"],
    "report": ["report", "results", "--out", "OUT"],
    "search": ["search", "OUT", "--build", "cache", "--model", "run"],
    "separate": ["separate", "film.mkv", "--model", "own_separator:Karaoke", "--out", "OUT"],
    "sheet": ["view", "cache", "--film", "film000", "--sheet", "OUT.png"],
    "view": ["view", "cache", "--clips", "1", "--out", "OUT"],
}


@pytest.mark.parametrize("where", ["file", "file/below"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_that_cannot_be_written_is_one_line(place, monkeypatch, command, where):
    monkeypatch.syspath_prepend(EXAMPLES / "extending")
    monkeypatch.chdir(place)
    asked = [word.replace("OUT", where if word == "OUT" else "file/below") for word in COMMANDS[command]]
    before = sorted(Path().rglob("*"))
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2, (done.output, done.exception)
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("dubav: ")
    assert sum(line.startswith("dubav: ") for line in lines) == 1
    assert "file" in lines[-1]
    assert sorted(Path().rglob("*")) == before
    assert Path("file").read_text() == "a letter"


def test_sources_that_are_not_there_are_refused():
    for command in ("view cache", "report results", "search index film@0:01"):
        done = CliRunner().invoke(app, [*command.split(), "--sources", "moved"])
        assert (done.exit_code, "moved" in done.stderr) == (2, True)
