"""The readers on HEAR's own small archives."""

import tarfile
import zipfile

import pytest

from dubcli.probe.checks import check_parts, without_missing
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import FOLDER, find_task


@pytest.fixture(scope="module")
def unpacked(real_data, tmp_path_factory):
    home = tmp_path_factory.mktemp("hear")
    for path in sorted((real_data / "hear").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            # FSD50K's four archives make up one dataset folder, as do the two of Speech Commands
            name = next((n for n in ("fsd50k", "crema_d") if path.name.startswith(n)), path.stem)
            archive.extractall(home / (f"{name}/{path.stem}" if name == "crema_d" else name))
    for path in (real_data / "hear").glob("*.tar.gz"):
        with tarfile.open(path) as archive:
            archive.extractall(home / "hear", filter="data")
    return home


@pytest.mark.parametrize(
    ("task", "folder", "kind", "classes", "listed", "there", "splits"),
    [
        ("esc50", "esc50-all_folds-small", "multiclass", 50, 2000, 20, 5),
        ("fsd50k", "fsd50k", "multilabel", 200, 51197 - 12, 80, 1),
        ("cremad", "crema_d", "multiclass", 6, 7438, 60, 5),
        ("gtzan-music-speech", "gtzan_music_speech-small", "multiclass", 2, 128, 20, 10),
        ("libricount", "libricount-train-small", "multiclass", 9, 20, 20, 5),
        ("vocalimitation", "vocal_imitation-train-small", "multiclass", 302, 5601, 10, 3),
        ("voxlingua10", "vox_lingua-train-small", "multiclass", 10, 15, 15, 5),
        ("speechcommands-full", "speech_commands_v0.02-small", "multiclass", 12, None, None, 1),
    ],
)
def test_small_archives(unpacked, task, folder, kind, classes, listed, there, splits):
    data = load_task(find_task(task), unpacked / folder)
    assert (data.kind, [len(names) for names in data.classes], len(data.splits)) == (kind, [classes], splits)
    if listed is not None:
        assert len(data.clips) == listed
        assert sum(clip.path.is_file() for clip in data.clips) == there


def test_the_finished_task_folder(unpacked):
    data = check_parts(without_missing(load_task(FOLDER, unpacked / "hear"), allow=False))
    assert data.name == "spoken_digit"
    assert len(data.clips) == 100
    assert len(data.classes[0]) == 10
    assert [len(split.test) for split in data.splits] == [20] * 5
    assert "44100 Hz" in " ".join(data.notes)
    assert "mode small" in " ".join(data.notes)


def test_published_labels_and_clips_agree(unpacked):
    """The 12 long files are not there; the csv's numbers are those of the dataset's paper: 40966 dev, 10231 eval."""
    data = load_task(find_task("fsd50k"), unpacked / "fsd50k")
    (split,) = data.splits
    assert len(split.train) + len(split.valid) == 40966 - 12
    assert len(split.test) == 10231
