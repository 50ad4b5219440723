"""The check itself: sections that raise, that have no time, that fail; and, slow, all of it on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpu import check

HERE = Path(__file__).resolve().parent


def found(out):
    return json.loads((out / "check.json").read_text())


def test_a_section_that_raises_is_reported_and_the_next_one_runs(tmp_path, capsys):
    def raises(_):
        raise RuntimeError("the card is gone")

    sections = {
        "good": (0, lambda here: here.expect("one", True)),
        "bad": (0, raises),
        "later": (0, lambda here: (here.note("speed", 3), here.target("fast", 1.0, 4))),
    }
    assert check.main(["--device", "cpu", "--out", str(tmp_path)], sections) == 1
    result = found(tmp_path)
    assert [name for name, holds, _ in result["checks"] if not holds] == ["section bad"]
    assert result["figures"] == {"speed": 3}
    assert list(result["sections"]) == ["good", "bad", "later"]
    assert "the card is gone" in (tmp_path / "bad.traceback.txt").read_text()
    table = capsys.readouterr().out.split("\n\n")[-1]
    assert "RuntimeError: the card is gone" in table
    assert "fast: 1.00, wanted 4" in table
    sections.pop("bad")
    assert check.main(["--device", "cpu", "--out", str(tmp_path)], sections) == 0  # a missed target is no failure


def test_sections_are_left_out_when_time_is_up(tmp_path):
    ran = []
    sections = {"short": (0, lambda _: ran.append("short")), "long": (60, lambda _: ran.append("long"))}
    assert check.main(["--device", "cpu", "--seconds", "30", "--out", str(tmp_path)], sections) == 0
    assert ran == ["short"]
    assert found(tmp_path)["sections"]["long"] == "left out: 30 s left, it needs 60"
    assert check.main(["--device", "cpu", "--only", "long", "--seconds", "90", "--out", str(tmp_path)], sections) == 0
    assert ran == ["short", "long"]


@pytest.mark.parametrize(("seconds", "status", "state"), [(5, 0, "cut in sleep 9, passed 0"), (60, 1, "1 of 1 failed")])
def test_a_command_cut_at_the_end_of_the_time_is_no_failure_and_one_that_hangs_is(tmp_path, seconds, status, state):
    def waits(_):
        raise subprocess.TimeoutExpired(["sleep", 9], 3)

    arguments = ["--device", "cpu", "--seconds", str(seconds), "--out", str(tmp_path)]
    assert check.main(arguments, {"long": (0, waits)}) == status
    assert found(tmp_path)["sections"]["long"].startswith(state)


def test_a_section_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        check.main(["--device", "cpu", "--only", "numbrs", "--out", str(tmp_path)])
    assert leaving.value.code == 2
    assert "no section numbrs; there are env, augment" in capsys.readouterr().err


@pytest.mark.slow
def test_all_of_it_passes_on_a_cpu(tmp_path):
    command = [sys.executable, HERE / "check.py", "--device", "cpu", "--preset", "tiny", "--seconds", "3000"]
    done = subprocess.run([*command, "--out", tmp_path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    result = found(tmp_path)
    assert list(result["sections"]) == list(check.SECTIONS)
    assert all(state.startswith("passed") for state in result["sections"].values()), result["sections"]
    assert all(holds for _, holds, _ in result["checks"])
    assert not (tmp_path / "work").exists()
