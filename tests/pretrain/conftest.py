"""What the tests of pretraining share: one small cache, and one thread, so that sums have one order everywhere."""

import pytest
import torch

from helpers.caches import make_cache


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def cache(tmp_path_factory, _one_thread):
    """Three films of seven clips in six languages, with no-speech mels: five steps of four clips an epoch."""
    languages = ("en", "es", "fr", "ja", "de", "it")
    return make_cache(tmp_path_factory.mktemp("data") / "cache", films=3, clips=7, languages=languages, nospeech=True)
