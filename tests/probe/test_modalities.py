"""A, V and AV of VGGSound in one command, on the same clips."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from dubcli.cli.app import app
from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.probe import ProbeConfig
from helpers.containers import Track
from probe.layouts import text
from probe.miniatures import film


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """VGGSound in miniature: one video without sound, one sound without its video."""
    root = tmp_path_factory.mktemp("vggsound")
    rows = []
    for first, label in enumerate(("dog barking", "rain")):
        for number in range(4):
            name = f"abcdefghij{first}_{number:06d}.mp4"
            film(root / "video" / name, 4 * first + number, [] if (first, number) == (0, 0) else [Track(codec="aac")])
            rows.append(f'abcdefghij{first},{number},"{label}",{"test" if number == 3 else "train"}')
    text(root / "vggsound.csv", *rows)
    return root


@pytest.fixture(scope="module")
def command(clips, tmp_path_factory):
    """Run ``dubav probe vggsound`` with results in one folder: -> (status, out, err)."""
    home = tmp_path_factory.mktemp("home")

    def run(capsys, *arguments):
        with pytest.raises(SystemExit) as end:
            app(["probe", "vggsound", *map(str, arguments), "--data", str(clips), "--out", str(home / "results"),
                 "--preset", "tiny", "--device", "cpu", "--max-steps", "20"])  # fmt: skip
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    run.home = home
    return run


def test_one_command_gives_a_v_and_av_on_the_clips_that_have_both(command, capsys):
    status, out, err = command(capsys, "random", "--json")
    assert status == 0, err
    results = {result["modality"]: result for result in json.loads(out)["results"]}
    assert {name: result["model"] for name, result in results.items()} == {
        "A": "random-seed0-tiny-a", "V": "random-seed0-tiny-v", "AV": "random-seed0-tiny-av",
    }  # fmt: skip
    assert len({result["data"]["fingerprint"] for result in results.values()}) == 1
    for result in results.values():
        assert result["data"]["clips"] == 7
        assert result["identity"]["clips_with"] == ["audio", "video"]
        with np.load(command.home / "results" / "vggsound" / f"{result['model']}.predictions.npz") as arrays:
            assert "video/abcdefghij0_000000.mp4" not in arrays["clips"]
            assert arrays["test.rows"].tolist() == [list(arrays["clips"]).index(name) for name in
                                                    arrays["clips"][arrays["test.rows"]]]  # fmt: skip
    assert results["A"]["identity"]["chunks"] == "half"
    status, out, _ = command(capsys, "random")
    table = [line.split() for line in out.splitlines() if "random-seed0" in line]
    assert [line[2] for line in table] == ["A", "V", "AV"]


def test_one_modality_alone_is_of_other_clips_and_not_taken_for_the_same(command, capsys):
    status, _, err = command(capsys, "random", "--modality", "v")
    assert (status, "made with clips_with ['audio', 'video'], now it is ['video']" in err) == (2, True)
    status, out, err = command(capsys, "random:1", "--modality", "V", "--json")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert (result["modality"], result["data"]["clips"]) == ("V", 8)


def test_an_audio_only_checkpoint_gives_what_it_has(command, capsys):
    model = DubModel(parse_variant("a", "en", ["es"]), "tiny")
    config = {"seed": 3, "randaugment": "pytorchvideo", "a_reading_of_later_versions": 1}
    path = command.home / "runs" / "a" / "ckpt.pt"
    save_checkpoint(path, model_entries(model, mel_mean=-6.0, mel_std=5.0, config=config))
    status, out, err = command(capsys, path.parent, "--json")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert (result["model"], result["modality"]) == ("a-ckpt-a", "A")
    assert result["features"]["training"] == config  # whatever it holds
    status, _, err = command(capsys, path.parent, "--modality", "av", "--again")
    assert (status, "is an audio-only checkpoint; vggsound needs audio and video" in err) == (2, True)


def test_spellings():
    for given, meant in (("a,v,av", ("a", "v", "av")), ("audio+video", ("av",)), ("audio,video", ("av",)),
                         ("V,video", ("v",)), ("audio", ("a",))):  # fmt: skip
        assert ProbeConfig(modalities=tuple(given.split(","))).modalities == meant
    with pytest.raises(UserError, match="--modality is 'a,smell'; give some of a, v, av"):
        ProbeConfig(modalities=("a", "smell"))


def test_a_video_without_sound_has_that_of_the_file_beside_it(tmp_path, capsys):
    """As people have it who took the sounds out: silent videos, WAV files in another folder, one of them missing."""
    rows = []
    for first, label in enumerate(("dog barking", "rain")):
        for number in range(4):
            name = f"abcdefghij{first}_{number:06d}"
            own = number == 3  # the test clips have sound of their own, and other sound beside them
            film(tmp_path / "set" / "video" / f"{name}.mp4", 4 * first + number, [Track(codec="aac")] if own else [])
            if (first, number) != (0, 0):
                tone = tmp_path / "set" / "audio" / f"{name}.wav"
                tone.parent.mkdir(exist_ok=True)
                soundfile.write(tone, np.sin(np.arange(48000) * (0.02 + 0.01 * number)), 48000)
            rows.append(f'abcdefghij{first},{number},"{label}",{"test" if own else "train"}')
    text(tmp_path / "set" / "vggsound.csv", *rows)

    def run(modality):
        with pytest.raises(SystemExit) as end:
            app(["probe", "vggsound", "random:tiny", "--data", str(tmp_path / "set"), "--out", str(tmp_path / modality),
                 "--device", "cpu", "--max-steps", "2", "--modality", modality])  # fmt: skip
        _, err = capsys.readouterr()
        assert not end.value.code, err
        (result,) = (json.loads(file.read_text()) for file in (tmp_path / modality / "vggsound").glob("*.json"))
        return result["data"]["clips"], err

    for modality in ("av", "a"):
        clips, err = run(modality)
        assert clips == 7
        assert "videos have no sound; that of the sound files beside them is taken" in err
        assert err.count(".mp4: no sound track") == 1  # once by name, once counted
        assert "no sound track: 6 files in all" in err
    shutil.rmtree(tmp_path / "set" / "audio")
    assert run("v")[0] == 8
