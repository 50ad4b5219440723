"""What prep shows while it works: bars on a terminal, a line now and then in a log, nothing when quiet."""

import json
import os
import pty
import re
import select
import subprocess
import sys

import pytest

from helpers.containers import Track, make_film
from helpers.waiting import HOPELESS_SECONDS


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for number in range(2):
        make_film(folder / f"Film {number}.mkv", seconds=33.2, fps=5, tracks=[Track("eng", seed=number)])
    return folder


def command(films, *options):
    return [sys.executable, "-m", "dubcli", "prep", str(films), "--lang", "en", "--workers", "1", *options]


def on_a_terminal(words, folder):
    """What a command writes on a terminal of 120 columns, escape sequences left out, and its exit status."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    running = subprocess.Popen(words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        if not select.select([ours], [], [], 120)[0]:
            running.kill()
            break
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        text += data
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode("utf-8", "replace")), running.wait()


def test_a_terminal_shows_the_whole_each_film_its_speed_and_an_end(films, tmp_path):
    text, status = on_a_terminal(command(films), tmp_path)
    assert status == 0
    assert "films" in text
    assert re.search(r"\d+%", text)
    assert "Film 0.mkv" in text
    assert re.search(r"\d+\.\dx real time", text)
    assert re.search(r"\d:\d\d:\d\d|-:--:--", text)
    assert "2 done, 0 already there, 0 failed" in text


def test_without_a_terminal_there_are_no_bars_and_json_is_alone_on_its_stream(films, tmp_path):
    done = subprocess.run(
        command(films, "--json"), cwd=tmp_path, capture_output=True, text=True, timeout=HOPELESS_SECONDS
    )
    result = json.loads(done.stdout)
    assert (result["ok"], result["failed"]) == (2, 0)
    assert re.fullmatch(r"\d+\.\dx real time", result["speed"])
    assert {outcome["status"] for outcome in result["outcomes"]} == {"ok"}
    assert "\x1b" not in done.stderr
    assert "━" not in done.stderr
    quiet = subprocess.run(
        command(films, "--quiet"), cwd=tmp_path, capture_output=True, text=True, timeout=HOPELESS_SECONDS
    )
    assert quiet.stderr == ""
    assert "0 done, 2 already there" in quiet.stdout
