"""The report's small project: a cache made from a real film, and a run on it."""

import json

import pytest

from report.conftest import film, project  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def run(project):  # noqa: F811
    """The run's folder, which says where its cache is."""
    folder = project / "runs" / "fr"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "cache": str(project / "cache")}))
    return folder
