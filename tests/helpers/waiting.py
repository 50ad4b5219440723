"""Waiting for what a process does: as long as it takes, not as long as it takes on a quiet machine."""

import time

HOPELESS_SECONDS = 1200
"""What no step of a test needs on any machine: the limit of all that might wait for ever."""


def wait_until(holds, process=None):
    """Until ``holds()`` is true. Fails where ``process`` ends first, or never."""
    end = time.monotonic() + HOPELESS_SECONDS
    while not holds():
        if process is not None and process.poll() is not None:
            assert holds(), f"it ended with status {process.returncode} before"
            return
        assert time.monotonic() < end, f"nothing came of it in {HOPELESS_SECONDS} seconds"
        time.sleep(0.01)
