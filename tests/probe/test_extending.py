"""Tasks, protocols and models from outside the package: the files that docs/extending.md shows, run as they are."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dubcli.cli.app import app
from dubcli.embed import Embedder
from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from helpers.containers import Track
from probe.layouts import TONES, folder_task, sound, text
from probe.miniatures import film, hmdb51, ucf101, vggsound

HERE = Path(__file__).parents[2]
EXAMPLES = HERE / "examples" / "extending"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run ``dubav probe`` in an empty folder with the examples on the path: -> (status, out, err)."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app(["probe", *map(str, arguments), "--device", "cpu", "--preset", "tiny"])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    yield run
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith((str(EXAMPLES), str(tmp_path))):
            del sys.modules[name]


def urbansound(root):
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in range(1, 11):
        for number, (label, tone) in enumerate((("dog_bark", "a"), ("siren", "c"))):
            name = f"{100 * fold + number}-3-0-{number}.wav"
            sound(root / "audio" / f"fold{fold}" / name, tone=TONES[tone], seconds=1.0, seed=10 * fold + number)
            rows.append(f"{name},{100 * fold + number},0,1,1,{fold},{number},{label}")
    text(root / "metadata" / "UrbanSound8K.csv", *rows)


def test_urbansound8k_is_a_file_outside_the_package_and_has_10_folds(command, tmp_path):
    urbansound(tmp_path / "data" / "urbansound8k")
    status, out, err = command("urbansound8k:TASK", "random", "--json")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert result["task"] == "urbansound8k"
    assert [split["name"] for split in result["splits"]] == [str(fold) for fold in range(1, 11)]
    assert result["mean"] > 0.8
    assert Path(result["path"]) == Path("results/urbansound8k/random-seed0-tiny.json")
    status, out, err = command("urbansound8k:TASC", "random")
    assert (status, "did you mean TASK?" in err) == (2, True)
    status, out, err = command("urbansound8k:Path", "random")
    assert (status, err) == (2, "dubav: task urbansound8k:Path is a type; give a dubcli.probe.tasks.Task\n")


def test_an_installed_task_is_listed_found_and_run_with_all(command, tmp_path):
    info = tmp_path / "site" / "citysounds-1.0.dist-info"
    text(info / "METADATA", "Metadata-Version: 2.1", "Name: citysounds", "Version: 1.0")
    text(info / "entry_points.txt", "[dubcli.tasks]", "urbansound8k = urbansound8k:TASK", "gone = urbansound8k:GONE")
    sys.path.insert(0, str(tmp_path / "site"))
    try:
        urbansound(tmp_path / "data" / "urbansound8k")
        rows = {row["task"]: row for row in json.loads(command("--list", "--json")[1])["tasks"]}
        assert rows["urbansound8k"]["classes_in_data"] == [2]
        assert "has no GONE" in rows["gone"]["difference"]
        assert command("UrbanSound8K", "random")[0] == 2  # an entry point's name is taken as it is written
        status, out, err = command("all", "random", "--data", "data", "--protocol", "knn")
        assert (status, "urbansound8k" in out, "failed: gone: " in err) == (1, True, True), err
    finally:
        sys.path.remove(str(tmp_path / "site"))


def test_a_protocol_of_ones_own(command, tmp_path):
    folder_task(tmp_path / "own", each=6)
    arguments = ("folder", "random", "--data", "own")
    status, out, err = command(*arguments, "--protocol", "nearest_mean:PROTOCOL", "--json")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert result["protocol"]["name"] == "nearest_mean:PROTOCOL"
    assert result["mean"] > 0.9
    text(tmp_path / "wrong.py", "from dubcli.probe.protocols import Protocol", "import numpy as np",
         "P = Protocol(help='', run=lambda problem, training: [((np.zeros((2, 2)),), {}) for _ in problem.splits])",
         "N = Protocol(help='', run=lambda problem, training: [])")  # fmt: skip
    for name, said in (
        ("wrong:P", r"wrong:P gave predictions of shapes \[\(2, 2\)\] for test; wanted are \[\(12, 2\)\]"),
        ("wrong:N", "wrong:N gave predictions of 0 splits; there are 1"),
        ("wrong:np", "is a module; give a dubcli.probe.protocols.Protocol"),
        ("logregg", r"--protocol is 'logregg' \(did you mean logreg\?\); give one of hear, linear"),
    ):
        status, _, err = command(*arguments, "--protocol", name, "--again")
        assert status == 2
        assert re.search(said, err), err
        assert err.count("dubav: ") == 1


@pytest.mark.parametrize(("make", "suffix"), [(hmdb51, ""), (ucf101, ""), (vggsound, "-v")])
def test_a_video_model_from_outside_on_the_video_tasks(command, tmp_path, make, suffix):
    make(tmp_path / "set")
    status, out, err = command(make.__name__, "video:video_model", "--data", "set", "--max-steps", "50", "--json")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert result["model"] == f"video-video_model{suffix}"
    assert result["modality"] == "V"
    assert len(result["features"]["content_hash"]) == 64
    kept = np.load(next((tmp_path / "results" / "features").glob("*/*/features.npy")))
    assert kept.shape[1] == 512
    assert np.ptp(kept, axis=0).max() > 0


def test_a_model_without_the_modality_is_one_line(command, tmp_path):
    hmdb51(tmp_path / "set")
    folder_task(tmp_path / "own")
    text(tmp_path / "ear.py", "def load_model(path=''):", "    return Ear()", "class Ear:",
         "    sample_rate, scene_embedding_size = 16000, 3", "def get_scene_embeddings(audio, model):",
         "    return audio[:, :3]")  # fmt: skip
    for task, model, data, said in (
        ("hmdb51", "hear:ear", "set", "hear-ear hears only; hmdb51 needs video"),
        ("folder", "video:video_model", "own", "video-video_model sees only; folder-own needs audio"),
        ("folder", "video:ear", "own", "module ear has no get_video_embeddings; it does not have the video API"),
    ):
        status, _, err = command(task, model, "--data", data)
        assert (status, err.count("\n")) == (2, 1), err
        assert said in err
    status, _, err = command("folder", "random", "--data", "own", "--modality", "video")
    assert (status, err) == (2, "dubav: the 24 clips of folder-own are sounds; they have no video: --modality audio\n")


class Loudness:
    """A model that is no torch module: mean square and peak."""

    sample_rate, scene_embedding_size = 16000, 2
    scale = 1.0

    def get_scene_embeddings(self, audio):
        return self.scale * torch.stack([audio.square().mean(1), audio.diff().abs().mean(1)], 1)


class Both(torch.nn.Module):
    """Ears and eyes of other widths."""

    sample_rate, scene_embedding_size, video_embedding_size, frames, frame_size = 16000, 2, 3, 4, 64

    def get_scene_embeddings(self, audio):
        return audio[:, :2]

    def get_video_embeddings(self, frames):
        assert frames.dtype == torch.uint8
        assert frames.shape[1:] == (4, 64, 64, 3)
        return frames.float().mean(dim=(1, 2, 3))


def test_objects_and_names_from_python(tmp_path):
    config = ProbeConfig(data=folder_task(tmp_path / "own"), out=tmp_path / "r", preset="tiny", device="cpu")
    embedder = Embedder("random", preset="tiny", device="cpu")
    results = probe("folder", {"loud": Loudness(), "mine": embedder, "fresh": "random"}, config)
    assert [result.model for result in results] == ["loud", "mine", "fresh"]
    assert results[0].mean > 0.9
    assert results[1].mean == results[2].mean
    (again,) = probe("folder", {"loud": Loudness()}, config)
    assert again.content == results[0].content
    changed = Loudness()
    changed.scale = 2.0
    with pytest.raises(UserError, match="content_hash"):  # nothing but its numbers tells that it is another
        probe("folder", {"loud": changed}, config)
    (unnamed,) = probe("folder", [Loudness()], config)
    assert unnamed.model == "Loudness"
    with pytest.raises(UserError, match="a int is no model to probe: it has neither get_scene_embeddings nor get_vid"):
        probe("folder", [3], config)


def test_a_model_of_both_modalities_has_its_features_side_by_side(tmp_path):
    vggsound(tmp_path / "vgg")
    config = ProbeConfig(data=tmp_path / "vgg", out=tmp_path / "r", device="cpu", max_steps=5)
    probe("vggsound", Both(), config)
    kept = np.load(next((tmp_path / "r" / "features").glob("*/*/features.npy")))
    assert kept.shape == (6, 5)


def test_a_damaged_video_is_told_and_a_long_one_is_averaged(tmp_path):
    from dubcli.jobs.progress import SILENT
    from dubcli.probe.foreign import wrap_foreign
    from dubcli.probe.foreign_features import foreign_features
    from dubcli.probe.tasks.data import Clip
    from helpers.containers import make_film

    film(tmp_path / "short.avi", 1, [Track(codec="ac3")])
    make_film(tmp_path / "long.mkv", size=(64, 48), seconds=7.0, fps=8)
    text(tmp_path / "bad.mp4", "no film")
    clips = [Clip(path=tmp_path / name, labels=("a",)) for name in ("short.avi", "bad.mp4", "long.mkv")]
    found = foreign_features(wrap_foreign(Both(), None, "cpu"), clips, ["video"], None, SILENT)
    assert set(found.failed) == {1}
    assert found.array.shape == (3, 3)
    assert (found.array[[0, 2]] > 1).all()


def test_the_page_shows_these_files():
    page = (HERE / "docs" / "extending.md").read_text()
    for path in sorted(EXAMPLES.glob("*.py")):
        assert f"```python\n{path.read_text()}```" in page, f"docs/extending.md does not hold {path.name} as it is"
