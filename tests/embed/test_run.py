import csv
import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from dubcli.core.atomic import read_json, write_json
from dubcli.core.backbones import BackboneSpec
from dubcli.embed import EmbedConfig, Embedder, embed, embed_files, load_features
from dubcli.embed.engine import Pending
from dubcli.embed.inputs import Ignored, check_inputs, list_items
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from helpers.sounds import noise
from helpers.waiting import wait_until

TINY = EmbedConfig(preset="tiny")


@pytest.fixture
def folder(write_sound, tmp_path):
    """Six sounds of different lengths and rates in folders, and a file that is none."""
    for number, seconds in enumerate((0.3, 1.0, 3.0, 4.0, 5.0, 9.5)):
        write_sound(f"in/{number % 2}/{number}.wav", noise(seconds, 16000, 1 + number % 2, seed=number), 16000)
    (tmp_path / "in/notes.md").write_text("no sound")
    return tmp_path / "in"


def test_features_are_those_of_the_embedder(folder, tmp_path, tiny):
    summary = embed(folder, tiny, tmp_path / "out", TINY)
    features = load_features(tmp_path / "out")
    assert (summary.ok, summary.failed, summary.exit_status) == (6, 0, 0)
    assert features.audio.shape == (6, 1024)
    assert features.audio.dtype == np.float32
    assert features.video is None
    assert [item["path"] for item in features.items] == [f"{folder}/{n % 2}/{n}.wav" for n in (0, 2, 4, 1, 3, 5)]
    assert [item["chunks"] for item in features.items] == [1, 1, 2, 1, 1, 3]
    assert [item["padded_seconds"] for item in features.items] == [0.7, 0, 1, 0, 0, 0]
    for row, number in enumerate((0, 2, 4, 1, 3, 5)):
        samples = noise((0.3, 1.0, 3.0, 4.0, 5.0, 9.5)[number], 16000, 1 + number % 2, seed=number)
        np.testing.assert_allclose(features.audio[row], tiny.audio([samples.T], 16000)[0], atol=2e-5)
    assert (tmp_path / "out/ignored.csv").read_text().splitlines()[1].startswith(f"{folder}/notes.md,")
    assert features.description["model"]["content_hash"] == tiny.trained.content_hash
    assert not (tmp_path / "out/.embed").exists()


def test_mean_of_chunks(folder, tmp_path, tiny):
    embed(folder, tiny, tmp_path / "files", TINY)
    embed(folder, tiny, tmp_path / "chunks", EmbedConfig(per_chunk=True))
    files, chunks = load_features(tmp_path / "files"), load_features(tmp_path / "chunks")
    assert len(chunks.chunks) == len(chunks.audio) == 9
    for row, item in enumerate(chunks.items):
        own = slice(item["first_row"], item["first_row"] + item["rows"])
        np.testing.assert_allclose(chunks.audio[own].mean(axis=0), files.audio[row], atol=1e-7)
        assert [chunk["start_seconds"] for chunk in chunks.chunks[own]] == [3.0 * n for n in range(item["rows"])]
        assert {chunk["path"] for chunk in chunks.chunks[own]} == {item["path"]}


@pytest.mark.parametrize("file_format", ["npz", "parquet"])
@pytest.mark.parametrize("per_chunk", [False, True])
def test_formats_hold_the_same(folder, tmp_path, tiny, file_format, per_chunk):
    embed(folder, tiny, tmp_path / "npy", EmbedConfig(per_chunk=per_chunk))
    embed(folder, tiny, tmp_path / "other", EmbedConfig(per_chunk=per_chunk, format=file_format))
    np.testing.assert_allclose(
        load_features(tmp_path / "other").audio, load_features(tmp_path / "npy").audio, atol=1e-6
    )
    assert not (tmp_path / "other/audio.npy").exists()


def test_bad_files_are_listed_and_cost_nothing_else(folder, tmp_path, tiny, write_sound):
    write_sound("in/nan.wav", np.full(100, np.nan), subtype="FLOAT")
    write_sound("in/huge.wav", 1e30 * noise(1), subtype="FLOAT")
    write_sound("in/none.wav", np.zeros(0))
    write_sound("in/one.wav", np.ones(1))
    write_sound("in/zero.wav", np.zeros(48000))
    (folder / "text.mp3").write_text("these are words")
    (folder / "empty.flac").touch()
    embed(folder, tiny, tmp_path / "out", TINY)
    features = load_features(tmp_path / "out")
    status = {os.path.basename(item["path"]): (item["status"], bool(item["reason"])) for item in features.items}
    assert {name for name, (kind, _) in status.items() if kind == "failed"} == {
        "nan.wav", "huge.wav", "none.wav", "text.mp3", "empty.flac",
    }  # fmt: skip
    assert all(reason for kind, reason in status.values() if kind == "failed")
    assert status["zero.wav"] == ("ok", True)
    assert np.isfinite(features.audio).all()
    np.testing.assert_array_equal(features.audio.any(axis=1), features.has("audio"))
    again = embed(folder, tiny, tmp_path / "out", TINY)
    assert (again.ok, again.skipped, again.failed, again.exit_status) == (0, 8, 5, 1)


def test_limits_on_failures(folder, tmp_path, tiny):
    for number in range(3):
        (folder / f"bad{number}.wav").write_text("words")
    with pytest.raises(UserError, match="--strict"):
        embed(folder, tiny, tmp_path / "out", TINY, JobOptions(strict=True))
    with pytest.raises(UserError, match="more than --max-failures 2"):
        embed(folder, tiny, tmp_path / "out", TINY, JobOptions(max_failures=2))
    assert embed(folder, tiny, tmp_path / "out", TINY, JobOptions(max_failures=3)).failed == 3


def test_only_failures_is_exit_status_2(tmp_path, tiny):
    (tmp_path / "bad.wav").write_text("words")
    assert embed(tmp_path / "bad.wav", tiny, tmp_path / "out", TINY).exit_status == 2


def test_lists(folder, tmp_path):
    (folder / "list.txt").write_text("\ufeff0/0.wav\n\n1/1.wav\r\ngone.wav\n", encoding="utf-8")
    (folder / "list.csv").write_text("label,path\na,0/2.wav\nb,1/3.wav\n")
    items = list(list_items([folder / "list.txt", folder / "list.csv", folder / "0/4.wav"]))
    names = ("0/0.wav", "1/1.wav", "gone.wav", "0/2.wav", "1/3.wav", "0/4.wav")
    assert [item.path for item in items] == [str(folder / name) for name in names]
    assert [type(item) for item in list_items([folder])].count(Ignored) == 3
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no column named path"):
        list(list_items([folder / "bad.csv"]))
    (folder / "binary.txt").write_bytes(b"a\0b\n")
    with pytest.raises(UserError, match="no text"):
        list(list_items([folder / "binary.txt"]))
    with pytest.raises(UserError, match="is not there"):
        check_inputs([folder, folder / "gone"])


def test_embed_files_keeps_the_order_and_the_features(folder, tmp_path, tiny):
    paths = [folder / "1/5.wav", folder / "gone.wav", folder / "0/0.wav", folder / "1/5.wav"]
    features = embed_files(paths, tiny, out=tmp_path / "kept")
    np.testing.assert_array_equal(features.has("audio"), [True, False, True, True])
    np.testing.assert_allclose(features.audio[0], features.audio[3], atol=1e-6)
    assert "No such file" in features.items[1]["reason"]
    in_memory = embed_files(paths, tiny)
    np.testing.assert_allclose(in_memory.audio, features.audio, atol=1e-6)


def test_changed_files_are_made_again(folder, tmp_path, tiny, write_sound):
    embed(folder, tiny, tmp_path / "out", TINY)
    before = np.array(load_features(tmp_path / "out").audio)
    write_sound("in/0/0.wav", noise(2, seed=99))
    summary = embed(folder, tiny, tmp_path / "out", TINY)
    after = load_features(tmp_path / "out").audio
    assert summary.ok == 6
    assert np.abs(after[0] - before[0]).max() > 1e-4
    np.testing.assert_allclose(after[1:], before[1:], atol=1e-6)


def test_another_checkpoint_is_refused(folder, tmp_path, tiny, checkpoints):
    embed(folder, tiny, tmp_path / "out", TINY)
    with pytest.raises(UserError, match="holds features with content_hash"):
        embed(folder, checkpoints["efj"], tmp_path / "out", TINY)
    with pytest.raises(UserError, match="per_chunk"):
        embed(folder, tiny, tmp_path / "out", EmbedConfig(per_chunk=True))


def test_features_of_another_resampler_or_backbone_are_not_taken_for_the_same(folder, tmp_path, tiny, monkeypatch):
    """The weights alone do not tell: two backbones can hold the same, and a resampler has none."""
    embed(folder, tiny, tmp_path / "out", TINY)
    done = tmp_path / "out" / "embed.json"
    there = read_json(done)
    before = {name: value for name, value in there["identity"].items() if name not in ("resampler", "backbones")}
    write_json(done, {**there, "identity": before})  # as it was written before either was recorded
    with pytest.raises(UserError, match="holds features with resampler an earlier version's, now it is soxr VHQ"):
        embed(folder, tiny, tmp_path / "out", TINY)
    write_json(done, there)
    assert embed(folder, tiny, tmp_path / "out", TINY).ok == 0
    other = {**tiny.trained.model.backbones, "audio": BackboneSpec(name="resnet18")}
    monkeypatch.setattr(tiny.trained.model, "backbones", other)
    with pytest.raises(UserError, match="holds features with backbones .*acoustic_resnet50.* now it is .*resnet18"):
        embed(folder, tiny, tmp_path / "out", TINY)


def test_shards_make_the_whole(write_sound, tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("dubcli.embed.inputs._BLOCK_ITEMS", 2)
    for number in range(7):
        write_sound(f"in/{number}.wav", noise(0.2 + number / 10, 16000, seed=number), 16000)
    embed(tmp_path / "in", tiny, tmp_path / "whole", TINY)
    made = 0
    for shard in ((2, 3), (1, 3), (3, 3)):
        assert not (tmp_path / "parts/embed.json").exists()
        made += embed(tmp_path / "in", tiny, tmp_path / "parts", TINY, JobOptions(shard=shard)).ok
    assert made == 7
    whole, parts = load_features(tmp_path / "whole"), load_features(tmp_path / "parts")
    np.testing.assert_allclose(parts.audio, whole.audio, atol=1e-6)
    assert [item["path"] for item in parts.items] == [item["path"] for item in whole.items]


_SLOW_RUN = """
import sys, time
from dubcli.embed import EmbedConfig, Embedder, embed
import dubcli.embed.inputs as inputs
inputs._BLOCK_ITEMS = 3
original = Embedder.features
def slow(self, chunks, left=0.0):
    time.sleep(0.05)
    return original(self, chunks, left)
Embedder.features = slow
Embedder.batch_size = lambda self, kind: 1
embed(sys.argv[1], "random", sys.argv[2], EmbedConfig(preset="tiny"))
"""


@pytest.mark.slow
def test_killed_run_goes_on(write_sound, tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("dubcli.embed.inputs._BLOCK_ITEMS", 3)
    for number in range(60):
        write_sound(f"in/{number:02}.wav", noise(0.5, 16000, seed=number), 16000)
    command = [sys.executable, "-c", _SLOW_RUN, str(tmp_path / "in"), str(tmp_path / "killed")]
    run = subprocess.Popen(command)
    work = tmp_path / "killed/.embed"
    wait_until(lambda: len(list(work.glob("[0-9a-f]*.npz"))) >= 4, run)
    run.kill()
    run.wait()
    assert not (tmp_path / "killed/embed.json").exists()
    summary = embed(tmp_path / "in", tiny, tmp_path / "killed", TINY)
    assert summary.skipped >= 12
    assert summary.ok + summary.skipped == 60
    embed(tmp_path / "in", tiny, tmp_path / "whole", TINY)
    killed, whole = load_features(tmp_path / "killed"), load_features(tmp_path / "whole")
    np.testing.assert_allclose(killed.audio, whole.audio, atol=1e-6)
    with open(tmp_path / "killed/items.csv") as a, open(tmp_path / "whole/items.csv") as b:
        assert list(csv.reader(a)) == list(csv.reader(b))
    assert sorted(os.listdir(tmp_path / "killed")) == sorted(os.listdir(tmp_path / "whole"))


def test_rate_and_modalities_of_the_checkpoint(checkpoints, folder, tmp_path):
    sep, audio_only = Embedder(checkpoints["sep"]), Embedder(checkpoints["a"])
    assert (sep.sample_rate, audio_only.sample_rate, Embedder(checkpoints["efj"]).sample_rate) == (44100, 48000, 48000)
    assert audio_only.modalities == ("audio",)
    assert embed(folder, sep, tmp_path / "sep", TINY).ok == 6
    with pytest.raises(UserError, match="audio-only"):
        embed(folder, audio_only, tmp_path / "a", EmbedConfig(modalities=("video",)))
    with pytest.raises(UserError, match="audio-only"):
        audio_only.video(np.zeros((1, 16, 64, 64, 3), dtype=np.uint8))


def nothing(rows):
    return Pending(torch.device("cpu")).arrive(torch.zeros(rows, 1024))


def test_estimate_of_the_work_left(write_sound, tmp_path, tiny, monkeypatch):
    for number in range(40):
        write_sound(f"in/{number:02}.wav", noise(1, 16000, seed=number), 16000)
    write_sound("long.wav", noise(120, 16000), 16000)
    lefts = []
    monkeypatch.setattr(
        Embedder, "start", lambda self, chunks, left=0.0, fill=False: lefts.append(left) or nothing(len(chunks))
    )
    embed(tmp_path / "in", tiny, tmp_path / "out", TINY, JobOptions(workers=1))
    np.testing.assert_allclose(lefts, [32, 24, 16, 8, 0], atol=3)
    lefts.clear()
    embed(tmp_path / "long.wav", tiny, tmp_path / "out2", TINY)
    np.testing.assert_allclose(lefts, [32, 24, 16, 8, 0], atol=0.5)


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "it is read-only")])
def test_full_disk_is_one_line_and_resumable(folder, tmp_path, tiny, monkeypatch, number, reason):
    def refuse(path, block):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("dubcli.embed.blocks.save_block", refuse)
        with pytest.raises(UserError, match=f"{reason}.*make room"):
            embed(folder, tiny, tmp_path / "out", TINY)
    assert embed(folder, tiny, tmp_path / "out", TINY).ok == 6


def test_target_that_cannot_be_written(folder, tmp_path, tiny):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        embed(folder, tiny, tmp_path / "file", TINY)
    with pytest.raises(UserError, match="cannot write "):
        embed(folder, tiny, tmp_path / "file/below", TINY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no sound and no video"):
        embed(tmp_path / "empty", tiny, tmp_path / "out", TINY)
