"""One small corpus for all tests of the demo, made by the command itself."""

import pytest

from dubcli.demo import CorpusConfig, make_corpus
from dubcli.jobs.options import JobOptions

pytest.importorskip("py_nanotts", reason="the extra [demo] is not installed")
pytest.importorskip("pyopenjtalk", reason="the extra [demo] is not installed")

SMALL = CorpusConfig(films=2, heldout=2, minutes=0.2, width=160, height=90)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "corpus", SMALL, options=JobOptions(workers=2))
