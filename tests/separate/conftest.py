"""A folder of small separation models, like demucs's own."""

from pathlib import Path

import pytest

from helpers.separation import save_model, small_hdemucs


@pytest.fixture(scope="session")
def model_repo(tmp_path_factory) -> Path:
    """A folder with the models 11111111 and 22222222 (the second quantised) and ``tinybag`` of both, with weights."""
    folder = tmp_path_factory.mktemp("models")
    save_model(small_hdemucs(1), folder, "11111111")
    save_model(small_hdemucs(2), folder, "22222222", quantised=True)
    recipe = "models: ['11111111', '22222222']\nweights: [[1, 0.5, 1, 2], [1, 1, 0.25, 0.7]]\nsegment: 1.25\n"
    (folder / "tinybag.yaml").write_text(recipe)
    return folder
