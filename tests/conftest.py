"""Fixtures for all tests: the real data where it is at hand, and the command as users run it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.waiting import HOPELESS_SECONDS

REPOSITORY = Path(__file__).resolve().parents[1]

# Before torch is imported: one thread, so that sums have the same order on every machine and `pytest -n auto` has a
# process per core rather than every core's threads in each process.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell's background jobs ignore Ctrl-C; what tests start and interrupt would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real films and sounds: $DUBAV_TEST_DATA, or ../shared/data beside the checkout."""
    candidates = [os.environ.get("DUBAV_TEST_DATA"), REPOSITORY.parent / "shared" / "data"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "films").is_dir():
            return Path(candidate)
    pytest.skip("real data not at $DUBAV_TEST_DATA nor ../shared/data")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A counterfactual corpus of two films and two held-out ones (``helpers.corpora.SMALL``)."""
    from helpers.corpora import make_small_corpus

    return make_small_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture
def dubav(tmp_path):
    """Run ``dubav`` in a subprocess in an empty folder: ``dubav("prep", film, "--lang", "en")`` -> CompletedProcess."""

    def run(*arguments, cwd=tmp_path, timeout=HOPELESS_SECONDS, **environment):
        command = [sys.executable, "-m", "dubcli", *map(str, arguments)]
        variables = {**os.environ, "COLUMNS": "120", **{name: str(value) for name, value in environment.items()}}
        return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=timeout)

    return run
