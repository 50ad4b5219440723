"""The small counterfactual corpus that the tests of ``corpus``, ``dub`` and ``demo`` share."""

import pytest

from dubcli.corpus import CorpusConfig, make_corpus
from dubcli.jobs.options import JobOptions

SMALL = CorpusConfig(films=2, heldout=2, minutes=0.2, broken=0)


def make_small_corpus(folder):
    """Make it in ``folder``; skips the test where the extra is not installed."""
    pytest.importorskip("py_nanotts", reason="the extra [demo] is not installed")
    pytest.importorskip("pyopenjtalk", reason="the extra [demo] is not installed")
    return make_corpus(folder, SMALL, options=JobOptions(workers=2))
