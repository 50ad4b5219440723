"""A folder of small separation models, like demucs's own."""

from pathlib import Path

import pytest

from helpers.separation import fast_demucs, save_model, small_hdemucs


@pytest.fixture(scope="session")
def model_repo(tmp_path_factory) -> Path:
    """A folder with the models 11111111 and 22222222 (HDemucs, the second quantised), ``tinybag`` of both with
    weights, and two for tests that are not about the model: fast and faster."""
    folder = tmp_path_factory.mktemp("models")
    save_model(small_hdemucs(1), folder, "11111111")
    save_model(small_hdemucs(2), folder, "22222222", quantised=True)
    save_model(fast_demucs(1), folder, "fast")
    save_model(fast_demucs(2), folder, "faster")
    recipe = "models: ['11111111', '22222222']\nweights: [[1, 0.5, 1, 2], [1, 1, 0.25, 0.7]]\nsegment: 1.25\n"
    (folder / "tinybag.yaml").write_text(recipe)
    return folder
