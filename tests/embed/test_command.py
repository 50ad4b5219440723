"""``dubav embed`` and ``dubav export`` as users run them, in one process start each."""

import json

import numpy as np

from dubcli.embed import load_features
from helpers.sounds import noise


def test_embed_command(dubav, write_sound, tmp_path, checkpoints):
    write_sound("in/a b.wav", noise(1))
    write_sound("in/ünïcode.flac", noise(4))
    (tmp_path / "in/bad.wav").write_text("words")
    run = dubav("embed", "in", checkpoints["efj"], "--out", "out", "--json", "--quiet")
    assert run.returncode == 1, run.stderr
    told = json.loads(run.stdout)
    assert (told["ok"], told["skipped"], told["failed"]) == (2, 0, 1)
    assert told["outcomes"][0]["source"] == "in/bad.wav"
    assert load_features(tmp_path / "out").audio.shape == (3, 1024)
    run = dubav("embed", "in", checkpoints["efj"], "--out", "out")
    assert "0 done, 2 already there, 1 failed" in run.stdout


def test_wrong_arguments(dubav, write_sound, checkpoints):
    write_sound("a.wav", noise(1))
    for arguments, reason in (
        (["a.wav"], "give at least one INPUT and, last, CKPT"),
        (["gone", "random"], "gone is not there"),
        (["a.wav", "gone.pt"], "checkpoint gone.pt is not there"),
        (["a.wav", "a.wav"], "not a checkpoint"),
        (["a.wav", "random", "--format", "xls"], "--format is 'xls'"),
        (["a.wav", "random", "--modality", "smell"], "modalities are smell"),
    ):
        run = dubav("embed", *arguments, "--out", "out")
        assert run.returncode == 2
        assert reason in run.stderr
        assert "Traceback" not in run.stderr
        assert len(run.stderr.strip().splitlines()[-1]) < 300


def test_export_command(dubav, checkpoints, tmp_path, write_sound):
    write_sound("a.wav", noise(1))
    run = dubav("export", checkpoints["a"], "--out", "model", "--json")
    assert run.returncode == 0, run.stderr
    assert len(json.loads(run.stdout)["content_hash"]) == 64
    assert dubav("embed", "a.wav", "model", "--out", "exported", "--quiet").returncode == 0
    assert dubav("embed", "a.wav", checkpoints["a"], "--out", "direct", "--quiet").returncode == 0
    np.testing.assert_array_equal(load_features(tmp_path / "exported").audio, load_features(tmp_path / "direct").audio)
