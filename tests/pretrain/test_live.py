"""What TensorBoard is shown: the numbers of metrics.jsonl by their names, and now and then the batch itself."""

import io
import json

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from dubcli.cache.clips import TrackClip
from dubcli.cache.reader import Cache
from dubcli.core.models import normalise_pixels, pixels_of
from dubcli.jobs.progress import SilentProgress
from dubcli.pages.players import film_sound
from dubcli.pretrain import live, train
from dubcli.pretrain.run_folder import RunFolder
from helpers.runs import losses, small_config
from report.conftest import film, project  # noqa: F401 - fixtures


def board(folder):
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    everything = dict.fromkeys(("images", "audio", "scalars", "tensors"), 0)
    found = module.EventAccumulator(str(folder / "tensorboard"), size_guidance=everything)
    found.Reload()
    return found


@pytest.fixture(scope="module")
def run(project, tmp_path_factory):  # noqa: F811
    """Three steps of which the second is shown, on a film that is at hand."""
    folder = tmp_path_factory.mktemp("live") / "run"
    train(small_config(project / "cache", folder, variant="fr", max_steps=3, epochs=3, show_every=2), device="cpu")
    return folder


def test_scalars_have_the_names_and_values_of_the_metrics(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    wanted = {
        (name, line["step"], np.float32(value))
        for line in lines
        for name, value in line.items()
        if name != "step" and isinstance(value, (int, float))
    }
    there = board(run)
    shown = {(name, one.step, np.float32(one.value)) for name in there.Tags()["scalars"] for one in there.Scalars(name)}
    assert shown == wanted


def test_a_batch_is_shown_with_what_is_near_to_what_in_it(run):
    there = board(run)
    assert set(there.Tags()["images"]) == {"batch", "similarity/video-primary", "similarity/video-secondary"}
    (image,) = there.Images("batch")
    assert image.step == 2
    sheet = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert sheet.shape == (4 * 112, 4 * 112 + 2 * 280, 3)  # four clips: four frames, and the mels of two heads
    assert sheet.std() > 10
    (matrix,) = there.Images("similarity/video-primary")
    assert (matrix.width, matrix.height) == (320, 320)


def test_its_sounds_are_those_of_the_film(run, project):  # noqa: F811
    there = board(run)
    assert set(there.Tags()["audio"]) == {f"sound {place}/{track}" for place in (1, 2) for track in ("en", "fr")}
    (movie,) = Cache(project / "cache").movies
    clips = {clip: film_sound(TrackClip(movie, clip, "fr"), ()).mean(dim=0)[::2].numpy() for clip in range(4)}
    (text,) = there.Tensors("batch/text_summary")
    first = int(text.tensor_proto.string_val[0].decode().split("1. ")[1].split("\n")[0].rsplit(":", 1)[1])
    (one,) = there.Audio("sound 1/fr")
    sound, rate = soundfile.read(io.BytesIO(one.encoded_audio_string))
    assert rate == 24000
    assert len(sound) == 72000
    alike = {clip: np.corrcoef(sound[: len(other)], other)[0, 1] for clip, other in clips.items()}
    assert max(alike, key=alike.get) == first
    assert alike[first] > 0.7  # without what lies above 12 kHz


def test_training_is_the_same_and_keeps_nothing_where_nothing_is_shown(run, project, tmp_path, monkeypatch):  # noqa: F811
    seen = []
    watch = live.LiveView._sight
    monkeypatch.setattr(
        live.LiveView, "_sight", lambda self, step, *what: seen.append(step) or watch(self, step, *what)
    )
    config = small_config(project / "cache", tmp_path / "run", variant="fr", max_steps=3, epochs=3, show_every=0)
    train(config, device="cpu")
    assert seen == []
    assert losses(config.folder) == losses(run)
    assert board(config.folder).Tags()["images"] == []


def test_steps_that_come_again_are_shown_once(run, project):  # noqa: F811
    """A run that was killed after its last checkpoint: TensorBoard forgets what comes again."""
    folder = RunFolder(run)
    folder.cut_metrics(2)
    folder.log({"step": 3, "loss": 7.0})
    folder.close()
    assert [(one.step, one.value) for one in board(run).Scalars("loss")][-1] == (3, 7.0)
    assert [one.step for one in board(run).Scalars("loss")] == [1, 2, 3]


def test_pictures_that_fail_cost_a_line_and_no_training(project, tmp_path, monkeypatch):  # noqa: F811
    said = []

    class Heard(SilentProgress):
        def message(self, text):
            said.append(text)

    monkeypatch.setattr(live, "sheet", lambda sight: 1 / 0)
    config = small_config(project / "cache", tmp_path / "run", variant="fr", max_steps=4, epochs=4, show_every=1)
    assert train(config, Heard(), device="cpu").step == 4
    of_pictures = [text for text in said if "pictures" in text]
    assert of_pictures == ["TensorBoard lacks pictures of batches: ZeroDivisionError: division by zero"]


def test_pixels_come_back():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(pixels_of(normalise_pixels(pixels)), pixels)
