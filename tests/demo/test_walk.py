"""The whole way on a corpus of two films: every stage's own results are there, and the table is made from them."""

import json
import shutil

import pytest

from dubcli.demo import DemoConfig, run_demo
from helpers.corpora import SMALL

pytestmark = pytest.mark.slow  # the whole demo


class Told:
    """Keeps what is said."""

    def __init__(self):
        self.messages, self.tasks = [], []

    def start(self, task, total, unit):
        self.tasks.append(task)

    def update(self, task, completed, **fields):
        pass

    def finish(self, task):
        pass

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def walk(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    shutil.copytree(corpus.folder, folder / "corpus")
    # four clips of film 1 are the test set and four of film 2 the training set: their labels are made the same
    for split in ("train", "test"):
        place = folder / "corpus" / "probes" / "place" / split
        sounds = sorted(place.glob("*/*.wav"))
        for number, sound in enumerate(sounds):
            (place / f"label{number % 2}").mkdir(exist_ok=True)
            sound.rename(place / f"label{number % 2}" / sound.name)
        for label in place.iterdir():
            if not label.name.startswith("label"):
                label.rmdir()
    told = Told()
    config = DemoConfig(keep=folder, corpus=SMALL, factors=("place",), epochs=1, batch_size=4, k=2, workers=2)
    return folder, run_demo(config, told), told


def test_every_stage_leaves_its_results(walk):
    folder, summary, told = walk
    assert told.messages[:3] == ["corpus ...", "prep ...", "pretrain mono ..."]
    assert (summary.films, summary.clips, summary.test_sounds) == (2, 8, 4)
    for variant in ("mono", "efj"):
        assert (folder / "runs" / variant / "epoch-01.pt").is_file()
    assert (folder / "features" / "efj" / "audio.npy").is_file()
    assert list(summary.seconds) == ["corpus", "prep", "pretrain mono", "pretrain efj", "embed", "probe"]


def test_the_table_has_the_scores_of_the_results_files(walk):
    folder, summary, _ = walk
    assert set(summary.scores["place"]) == {"random", "mono", "efj"}
    for model, name in (("mono", "mono-ckpt"), ("random", "random-seed0-tiny")):
        content = json.loads((folder / "results" / "folder-place" / f"{name}.json").read_text())
        assert summary.scores["place"][model] == content["mean"]
    assert summary.chance["place"] == pytest.approx(0.5)
