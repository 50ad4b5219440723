"""dubcli.mteb: a made task of MTEB's audio benchmark where the package is there."""

import importlib.util

import numpy as np
import pytest

from dubcli import mteb as ours
from dubcli.core.trained import random_trained
from dubcli.embed import Embedder
from dubcli.errors import UserError

THERE = importlib.util.find_spec("mteb") is not None
HOW = "pip install 'mteb>=2.8' (Python 3.11)"


@pytest.mark.skipif(THERE, reason="mteb is there")
def test_without_the_package_it_says_how_to_get_it():
    with pytest.raises(UserError, match=r"pip install 'mteb>=2\.8'"):
        ours.load("random:tiny")


def tone(high, seed):
    generator = np.random.default_rng(seed)
    rate = (8000, 16000)[seed % 2]
    times = np.arange(rate) / rate
    sound = 0.3 * np.sin(2 * np.pi * (3000 if high else 300) * times) + 0.01 * generator.standard_normal(rate)
    return {"array": sound, "sampling_rate": rate}


class Loader(list):
    """As far as a DataLoader is asked: a batch of all rows."""

    def __iter__(self):
        return iter([self.collate_fn(list(super().__iter__()))])


@pytest.mark.skipif(not THERE, reason=HOW)
def test_a_made_task_of_sounds(tmp_path):
    import mteb
    from datasets import Dataset, DatasetDict
    from mteb.mocks import MockAudioClassification

    class Tones(MockAudioClassification):
        """Low and high tones of two rates."""

        def load_data(self, **_):
            def split(seeds):
                labels = [seed // 2 % 2 for seed in seeds]
                sounds = [tone(label, seed) for label, seed in zip(labels, seeds, strict=True)]
                return Dataset.from_dict({"audio": sounds, "label": labels})

            self.dataset = DatasetDict({"train": split(range(16)), "test": split(range(20, 28))})
            self.data_loaded = True

    trained = random_trained(0, "tiny")
    model = ours.load(trained, device="cpu")
    assert model.mteb_model_meta.name == "dubcli/random-seed0"
    assert model.mteb_model_meta.revision == trained.content_hash[:12]
    found = mteb.evaluate(model, Tones(), cache=None, show_progress_bar=False)
    (scores,) = found.task_results[0].scores["test"]
    assert scores["accuracy"] == 1.0

    sounds = [tone(seed % 2, seed) for seed in range(5)]
    rows = model.encode(Loader([{"audio": sound} for sound in sounds]))
    embedder = Embedder(trained, device="cpu")
    for sound, row in zip(sounds, rows, strict=True):
        expected = embedder.audio(sound["array"].astype(np.float32), sound["sampling_rate"])[0]
        np.testing.assert_allclose(row, expected, atol=1e-6)
    np.testing.assert_allclose(np.diag(model.similarity(rows, rows)), 1.0, atol=1e-12)
    np.testing.assert_allclose(model.similarity_pairwise(rows, rows[::-1]),
                               np.diag(model.similarity(rows, rows[::-1])), atol=1e-12)  # fmt: skip
    with pytest.raises(UserError, match="takes sounds; this task's rows have text"):
        model.encode(Loader([{"text": "a"}]))
