"""Training and embedding in two threads of one process: neither is another for the other."""

import threading

import numpy as np

from dubcli.core.trained import random_trained
from dubcli.embed import Embedder
from dubcli.pretrain import train
from helpers.runs import assert_same_state, small_config


def test_training_is_bit_for_bit_the_same_while_another_thread_embeds(cache, tmp_path):
    options = {"variant": "mono", "max_steps": 4, "val_fraction": 0.0}
    train(small_config(cache, tmp_path / "alone", **options))
    trained = random_trained(0, "minute")
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 48000).astype(np.float32)
    expected, found, stop = Embedder(trained).audio(sound, 48000), [], threading.Event()

    def embed():
        while not stop.is_set():  # each a new one, which folds its backbone
            found.append(Embedder(trained).audio(sound, 48000))

    thread = threading.Thread(target=embed)
    thread.start()
    try:
        train(small_config(cache, tmp_path / "beside", **options))
    finally:
        stop.set()
        thread.join()
    assert len(found) > 2
    for features in found:
        np.testing.assert_array_equal(features, expected)
    assert_same_state(tmp_path / "alone", tmp_path / "beside")
