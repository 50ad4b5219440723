"""What the tests of pretraining share: one small cache."""

import pytest

from helpers.caches import make_cache


@pytest.fixture(scope="package")
def cache(tmp_path_factory):
    """Three films of seven clips in six languages, with no-speech mels: five steps of four clips an epoch."""
    languages = ("en", "es", "fr", "ja", "de", "it")
    return make_cache(tmp_path_factory.mktemp("data") / "cache", films=3, clips=7, languages=languages, nospeech=True)
