"""The command in the test's own process: prep's tests start it often."""

import pytest

from helpers.prepping import command_here


@pytest.fixture
def dubav(tmp_path, monkeypatch):
    """As the fixture of that name for all tests, but here: ``dubav("prep", film, "--lang", "en")``."""

    def run(*arguments, cwd=tmp_path):
        return command_here(monkeypatch, cwd, *arguments)

    return run
