"""Features by path, of dubav embed's folders and of hear-eval-kit's embeddings."""

import json
import pickle
import random
import shutil

import numpy as np
import pytest

from dubcli.embed import EmbedConfig, Embedder, embed
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import SILENT
from dubcli.probe.features import (
    checkpoint_features,
    embedded_features,
    feature_folder,
    match_paths,
    segment_file,
)
from dubcli.probe.kit import find_kit_folder, read_kit
from dubcli.probe.tasks.data import Clip
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import FOLDER, find_task
from probe.layouts import folder_task, hear_task, sound

AUDIO = EmbedConfig(modalities=("audio",))


@pytest.fixture(scope="module")
def embedder():
    return Embedder("random", preset="tiny", device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_task(FOLDER, folder_task(tmp_path_factory.mktemp("own"), each=3))


def test_rows_belong_to_the_clips_and_are_kept(embedder, data, tmp_path, monkeypatch):
    folder = feature_folder(tmp_path, "model", "task", data.clips, ["hash"])
    found = checkpoint_features(embedder, data.clips, folder, AUDIO, JobOptions(), SILENT)
    assert found.array.shape == (12, 1024)
    assert found.array.dtype == np.float32
    assert not found.failed
    for number in (0, 5):
        import soundfile

        samples, rate = soundfile.read(data.clips[number].path, dtype="float32")
        np.testing.assert_allclose(found.array[number], embedder.audio(samples, rate)[0], rtol=1e-3, atol=1e-4)
    # A second call reads what is there: the model is not asked again.
    monkeypatch.setattr(Embedder, "features", lambda *_: pytest.fail("computed again"))
    again = checkpoint_features(embedder, data.clips[::-1], folder, AUDIO, JobOptions(), SILENT)
    np.testing.assert_array_equal(again.array, found.array[::-1])


def test_the_folder_depends_on_model_and_clips(data, tmp_path):
    first = feature_folder(tmp_path, "m/odd name", "task", data.clips, ["a"])
    assert first == feature_folder(tmp_path, "m/odd name", "task", data.clips[::-1], ["a"])
    assert first.parent == tmp_path / "m-odd-name"
    assert first != feature_folder(tmp_path, "m/odd name", "task", data.clips[:-1], ["a"])
    assert first != feature_folder(tmp_path, "m/odd name", "task", data.clips, ["b"])


def test_a_damaged_sound_is_told_by_number(embedder, tmp_path):
    good = sound(tmp_path / "good.wav")
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    clips = [Clip(path=path, labels=("a",)) for path in (bad, good)]
    found = checkpoint_features(embedder, clips, tmp_path / "f" / "x", AUDIO, JobOptions(), SILENT)
    assert set(found.failed) == {0}
    assert found.failed[0]
    assert not found.array[0].any()
    assert found.array[1].any()


def test_a_part_of_a_file_is_cut_exactly(tmp_path):
    import soundfile

    path = sound(tmp_path / "noise.wav", seconds=3.0)
    whole, rate = soundfile.read(path, dtype="float32")
    cut = segment_file(Clip(path=path, labels=("a",), start_seconds=0.5, seconds=1.0), tmp_path / "segments")
    samples, _ = soundfile.read(cut, dtype="float32")
    np.testing.assert_array_equal(samples, whole[rate // 2 : rate // 2 + rate])
    assert segment_file(Clip(path=path, labels=("a",)), tmp_path / "segments") == path


def test_paths_match_by_file_then_by_longest_common_end():
    items = ["/there/esc50/audio/x.wav", "/there/other/audio/x.wav", "/there/esc50/audio/y.wav", "/p/z.wav", "/q/z.wav"]
    wanted = ["/here/esc50/audio/x.wav", "/here/y.wav", "/here/z.wav", "/here/w.wav"]
    assert match_paths(items, wanted) == [items[0], items[2], "", ""]


@pytest.mark.parametrize("per_chunk", [False, True])
def test_an_output_folder_of_embed_is_read_though_the_data_moved(embedder, data, tmp_path, per_chunk):
    moved = tmp_path / "elsewhere"
    shutil.copytree(data.folder, moved)
    embed(moved, embedder, tmp_path / "features", EmbedConfig(modalities=("audio",), per_chunk=per_chunk))
    shutil.rmtree(moved)
    found, digest = embedded_features(tmp_path / "features", data.clips, ["audio"])
    assert not found.failed
    assert len(digest) == 64
    direct = checkpoint_features(embedder, data.clips, tmp_path / "f" / "x", AUDIO, JobOptions(), SILENT)
    np.testing.assert_allclose(found.array, direct.array, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="features of none of the task's 1 clips"):
        embedded_features(tmp_path / "features", [Clip(path=tmp_path / "no.wav", labels=("a",))], ["audio"])
    with pytest.raises(UserError, match="hold no video"):
        embedded_features(tmp_path / "features", data.clips, ["video"])


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def kit_folder(task, home, *, order="kit", singles=True, width=8):
    """Embeddings as hear-eval-kit writes them: raw memmaps without header, a pickle of labels, JSON per sound."""
    home.mkdir(parents=True)
    for name in ("task_metadata.json", "labelvocabulary.csv"):
        shutil.copy(task / name, home)
    splits = json.loads((task / "task_metadata.json").read_text())["splits"]
    generator, values = random.Random(0), {}
    for split in splits:
        shutil.copy(task / f"{split}.json", home)
        labels = json.loads((task / f"{split}.json").read_text())
        keys = list(labels)
        generator.shuffle(keys)
        if order == "other":
            keys = sorted(keys, reverse=True)
        rows = np.random.default_rng(len(values)).standard_normal((len(keys), width)).astype("<f4")
        values.update(zip(keys, rows, strict=True))
        (home / split).mkdir()
        for key, row in zip(keys, rows, strict=True):
            if singles:
                np.save(home / split / f"{key}.embedding.npy", row)
            (home / split / f"{key}.target-labels.json").write_text(json.dumps(labels[key]))
        (home / f"{split}.embeddings.npy").write_bytes(rows.tobytes())
        (home / f"{split}.embedding-dimensions.json").write_text(json.dumps([len(keys), width]))
        (home / f"{split}.target-labels.pkl").write_bytes(pickle.dumps(Bomb()))
    return values


@pytest.mark.parametrize(("order", "singles"), [("kit", True), ("kit", False), ("other", True)])
def test_the_kits_rows_go_to_the_right_sounds_and_no_pickle_is_loaded(tmp_path, order, singles):
    task = hear_task(tmp_path / "tasks", integers=True)
    home = tmp_path / "embeddings" / "hearbaseline" / task.name
    values = kit_folder(task, home, order=order, singles=singles)
    data, array = read_kit(home)
    assert array.shape == (20, 8)
    for clip, row in zip(data.clips, array, strict=True):
        np.testing.assert_array_equal(row, values[clip.path.name])
    reference = load_task(find_task("esc50"), task)
    assert [clip.labels for clip in data.clips] == [clip.labels for clip in reference.clips]
    assert data.splits == reference.splits
    assert len(data.notes) == (0 if order == "kit" and singles else 5)


def test_the_kits_folder_is_found_by_task_and_mode(tmp_path):
    for mode in ("5h", "full"):
        task = hear_task(tmp_path / "tasks", name="speech_commands", mode=mode, splits=["train", "valid", "test"])
        kit_folder(task, tmp_path / "emb" / task.name)
    assert find_kit_folder(tmp_path / "emb", "speech_commands", "full").name.endswith("-full")
    assert find_kit_folder(tmp_path / "emb", "esc50", "full") is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("fold01.embeddings.npy", b"abc", r"has 3 bytes, \[4, 8\] float32 need 128"),
        ("fold01.embedding-dimensions.json", b"[5, 8]", r"float32 need 160"),
        ("fold01.embedding-dimensions.json", b'"x"', r"does not hold \[rows, width\]"),
        ("fold01.embeddings.npy", None, "cannot be read"),
    ],
)
def test_a_damaged_kit_folder_is_one_line(tmp_path, name, content, message):
    task = hear_task(tmp_path / "tasks")
    home = tmp_path / "emb" / task.name
    kit_folder(task, home)
    (home / name).unlink() if content is None else (home / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_kit(home)
