"""Blocks made by the workers of a Dask cluster."""

import numpy as np
import pytest

from dubcli.embed import EmbedConfig, embed, load_features
from dubcli.jobs.options import JobOptions
from helpers.sounds import noise

distributed = pytest.importorskip("distributed")


@pytest.mark.slow
def test_cluster_makes_the_same(write_sound, tmp_path, checkpoints, monkeypatch):
    monkeypatch.setattr("dubcli.embed.inputs._BLOCK_ITEMS", 3)
    monkeypatch.chdir(tmp_path)
    for number in range(8):
        write_sound(f"in/{number}.wav", noise(1 + number / 4, 16000, seed=number), 16000)
    write_sound("in/bad.wav", np.zeros(0))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as many:
        options = JobOptions(scheduler=many.scheduler_address)
        summary = embed("in", checkpoints["sep"], "cluster", EmbedConfig(), options)
    assert (summary.ok, summary.failed) == (8, 1)
    embed("in", checkpoints["sep"], "here", EmbedConfig())
    cluster, here = load_features("cluster"), load_features("here")
    np.testing.assert_allclose(cluster.audio, here.audio, atol=1e-6)
    assert cluster.items == here.items
