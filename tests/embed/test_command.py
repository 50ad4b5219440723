"""``dubav embed`` and ``dubav export`` as users run them: once as a process, else in this one, which has torch."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dubcli.cli.app import main
from dubcli.embed import load_features
from helpers.sounds import noise


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """``dubav`` without the start of a process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dubav", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=told.out, stderr=told.err)

    return run


def test_embed_command(dubav, here, write_sound, tmp_path, checkpoints):
    write_sound("in/a b.wav", noise(1))
    write_sound("in/ünïcode.flac", noise(4))
    (tmp_path / "in/bad.wav").write_text("words")
    run = dubav("embed", "in", checkpoints["efj"], "--out", "out", "--json", "--quiet")
    assert run.returncode == 1, run.stderr
    told = json.loads(run.stdout)
    assert (told["ok"], told["skipped"], told["failed"]) == (2, 0, 1)
    assert told["outcomes"][0]["source"] == "in/bad.wav"
    assert load_features(tmp_path / "out").audio.shape == (3, 1024)
    run = here("embed", "in", checkpoints["efj"], "--out", "out")
    assert "0 done, 2 already there, 1 failed" in run.stdout


def test_wrong_arguments(here, write_sound, checkpoints):
    write_sound("a.wav", noise(1))
    for arguments, reason in (
        (["a.wav"], "give at least one INPUT and, last, CKPT"),
        (["gone", "random"], "gone is not there"),
        (["a.wav", "gone.pt"], "checkpoint gone.pt is not there"),
        (["a.wav", "a.wav"], "not a checkpoint"),
        (["a.wav", "random", "--format", "xls"], "--format is 'xls'"),
        (
            ["a.wav", "random", "--modality", "vidoe"],
            "--modality is 'vidoe' (did you mean video?)",
        ),
    ):
        run = here("embed", *arguments, "--out", "out")
        assert run.returncode == 2
        assert reason in run.stderr
        assert "Traceback" not in run.stderr
        assert len(run.stderr.strip().splitlines()[-1]) < 300


def test_export_command(here, checkpoints, tmp_path, write_sound):
    write_sound("a.wav", noise(1))
    run = here("export", checkpoints["a"], "--out", "model", "--json")
    assert run.returncode == 0, run.stderr
    assert len(json.loads(run.stdout)["content_hash"]) == 64
    assert here("embed", "a.wav", "model", "--out", "exported", "--quiet").returncode == 0
    assert here("embed", "a.wav", checkpoints["a"], "--out", "direct", "--quiet").returncode == 0
    np.testing.assert_array_equal(load_features(tmp_path / "exported").audio, load_features(tmp_path / "direct").audio)
