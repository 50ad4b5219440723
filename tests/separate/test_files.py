"""Files and folders without speech: names, formats, rates, lengths, repetition."""

import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.api import Separator

from dubcli.errors import InputError, UserError
from dubcli.jobs.devices import Devices
from dubcli.media.sound import track_blocks
from dubcli.separate import SeparateConfig
from dubcli.separate.files import plan_files, separate_file
from dubcli.separate.stem_files import SoundFormat, sound_file, stem_of
from helpers.containers import Track, make_film

RATE = 44100


def quiet(*_, **__):
    """Nobody listens to the progress."""


def noise(samples, channels=2, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((samples, channels))


def run(repo, *files, **options):
    config = SeparateConfig(files=files, model="fast", model_repo=repo, **options)
    devices = Devices(names=("cpu",))
    tasks = plan_files(config)
    return [separate_file(task, quiet, config=config, devices=devices) for task in tasks]


def test_a_file_becomes_demucs_two_stems(model_repo, tmp_path):
    source = tmp_path / "a sound.wav"
    soundfile.write(source, noise(2 * RATE + 77), RATE, subtype="FLOAT")
    run(model_repo, source, out=tmp_path / "out", file_format="wav")
    waveform = torch.from_numpy(soundfile.read(source, dtype="float32")[0].T.copy())
    _, stems = Separator(model="fast", repo=model_repo, device="cpu", shifts=0).separate_tensor(waveform)
    rest = sum(stem for name, stem in stems.items() if name != "vocals")
    for name, expected in (("vocals", stems["vocals"]), ("no_vocals", rest)):
        written, rate = soundfile.read(tmp_path / "out" / f"a sound.{name}.wav", dtype="float32")
        assert rate == RATE
        assert written.shape == (2 * RATE + 77, 2)
        error = np.sqrt(np.mean((written.T - expected.numpy()) ** 2) / np.mean(expected.numpy() ** 2))
        assert error < 1e-5


@pytest.mark.parametrize("file_format", ["flac", "wav"])
def test_the_same_sound_gives_the_same_bytes(model_repo, tmp_path, file_format):
    source = tmp_path / "a.wav"
    soundfile.write(source, noise(RATE), RATE)
    contents = []
    for turn in range(2):
        run(model_repo, source, out=tmp_path / f"out{turn}", file_format=file_format)
        contents.append((tmp_path / f"out{turn}" / f"a.no_vocals.{file_format}").read_bytes())
        if turn == 0 and file_format == "wav":
            time.sleep(1.05)  # libsndfile writes the second of the day into WAV files of floats
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2), (8000, 2), (44100, 1), (48000, 6)])
def test_rate_channels_and_length_of_the_source_are_kept(model_repo, tmp_path, rate, channels):
    source = tmp_path / "s.wav"
    samples = round(1.7 * rate) + 1
    soundfile.write(source, noise(samples, channels), rate)
    run(model_repo, source, out=tmp_path / "out", stems=("no_vocals",))
    info = soundfile.info(tmp_path / "out" / "s.no_vocals.flac")
    assert (info.samplerate, info.channels, info.frames) == (rate, min(channels, 2), samples)
    assert not (tmp_path / "out" / "s.vocals.flac").exists()


def test_resampling_back_keeps_time_and_level(tmp_path):
    """A chirp written through another rate stays where it was."""
    seconds = torch.arange(3 * RATE, dtype=torch.float64) / RATE
    waveform = (0.5 * torch.sin(2 * torch.pi * (200 * seconds + 300 * seconds**2))).float().expand(2, -1)
    path = tmp_path / "x.wav"
    shape = SoundFormat(sample_rate=16000, channels=1, format="WAV", subtype="FLOAT", samples=48000)
    with sound_file(path, RATE, shape) as writer:
        for block in waveform.split(10001, dim=-1):
            writer.add(block)
    written = soundfile.read(path)[0]
    at = np.arange(48000) / 16000
    expected = 0.5 * np.sin(2 * np.pi * (200 * at + 300 * at**2))
    assert np.abs(written - expected)[200:-200].max() < 0.01


def test_a_folder_keeps_its_layout_and_its_other_files(model_repo, tmp_path):
    data = tmp_path / "set"
    (data / "audio" / "1").mkdir(parents=True)
    (data / ".hidden").mkdir()
    (data / ".hidden" / "x.wav").write_bytes(b"")
    (data / "labels.csv").write_text("file,label\n")
    soundfile.write(data / "audio" / "1" / "a.wav", noise(16000, 1), 16000, subtype="PCM_16")
    soundfile.write(data / "audio" / "b.flac", noise(22050, 2), 22050, subtype="PCM_16")
    soundfile.write(data / "audio" / "b.ogg", noise(22050, 1), 22050)
    out = tmp_path / "set-nospeech"
    assert {detail.get("status", "ok") for detail in run(model_repo, data, out=out)} == {"ok"}
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    found = [name for name in found if not name.startswith(".separate/")]  # the recipes
    assert found == ["audio/1/a.wav", "audio/b.flac", "audio/b.ogg", "labels.csv", "separate.json"]
    for name in ("audio/1/a.wav", "audio/b.flac", "audio/b.ogg"):
        ours, source = soundfile.info(out / name), soundfile.info(data / name)
        for field in ("samplerate", "channels", "frames", "format", "subtype"):
            assert getattr(ours, field) == getattr(source, field)
        assert not np.allclose(soundfile.read(out / name)[0], soundfile.read(data / name)[0], atol=1e-3)
    assert (out / "labels.csv").read_bytes() == (data / "labels.csv").read_bytes()
    assert {detail["status"] for detail in run(model_repo, data, out=out)} == {"skipped"}
    os.utime(data / "audio" / "b.flac")
    assert {detail["status"] for detail in run(model_repo, data, out=out)} == {"skipped"}
    soundfile.write(data / "audio" / "b.flac", noise(22050, 2, seed=1), 22050, subtype="PCM_16")
    os.utime(data / "audio" / "b.flac", (0, 0))  # another content of older date
    done = [detail for detail in run(model_repo, data, out=out) if detail.get("status", "ok") == "ok"]
    assert [re.sub("[0-9a-f]{64}", "X", detail["note"]) for detail in done] == [
        "b.flac was made with source X, now it is X; done again"
    ]


def test_what_cannot_be_kept_or_read_is_an_input_that_fails(model_repo, tmp_path):
    for name, content in (("empty.wav", b""), ("text.wav", b"no sound")):
        data = tmp_path / name.split(".")[0]
        data.mkdir()
        (data / name).write_bytes(content)
        with pytest.raises(InputError):
            run(model_repo, data, out=tmp_path / "out")
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), RATE)
    with pytest.raises(InputError, match="no samples"):
        run(model_repo, tmp_path / "none.wav", out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["separate.json"]


def test_samples_too_loud_for_the_format_are_told_of(model_repo, tmp_path, monkeypatch):
    monkeypatch.setattr("dubcli.separate.files.stem_of", lambda stems, *_: torch.full_like(stems[0], 1.5))
    soundfile.write(tmp_path / "a.wav", noise(RATE), RATE, subtype="FLOAT")
    damaged = noise(3 * RATE)
    damaged[::5000] = 1e20
    soundfile.write(tmp_path / "damaged.wav", damaged, RATE, subtype="FLOAT")
    files = (tmp_path / "a.wav", tmp_path / "damaged.wav")
    first, second = run(model_repo, *files, out=tmp_path / "flac", stems=("vocals",))
    assert first["warning"] == f"{2 * RATE} samples were louder than PCM_24 holds and are clipped"
    assert [part.split()[-1] for part in second["warning"].split("; ")] == ["clipped", "that"]
    assert "warning" not in run(model_repo, files[0], out=tmp_path / "wav", file_format="wav")[0]


def test_one_folder_holds_the_work_of_one_model(model_repo, tmp_path):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, noise(RATE // 2), RATE)
    out = tmp_path / "out"
    run(model_repo, tmp_path / "a.wav", out=out)
    assert json.loads((out / "separate.json").read_text())["model"] == "fast"
    config = SeparateConfig(files=(tmp_path / "b.wav",), out=out, model="11111111", model_repo=model_repo)
    with pytest.raises(UserError, match="made with model fast, now it is 11111111; give another --out"):
        separate_file(plan_files(config)[0], quiet, config=config, devices=Devices(names=("cpu",)))


def test_what_is_asked_is_checked(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("one/a.wav", "a.mp3", "a.wav", "two/a.wav"):
        (tmp_path / name).touch()
    wrong = [
        ({"files": (tmp_path / "a.wav",)}, "no --out"),
        ({"out": tmp_path}, "--out is for files"),
        ({"stems": ("vocals",)}, "--stems and --format are for files"),
        ({"precision": "haff"}, "did you mean half"),
        ({"batch_size": 0}, "--batch-size"),
        ({"files": (tmp_path / "a.wav",), "out": tmp_path, "stems": ("drums",)}, "--stems is 'drums'"),
        ({"files": (tmp_path / "a.wav",), "out": tmp_path, "file_format": "mp3"}, "--format"),
        ({"files": (tmp_path / "a.wav",), "out": tmp_path, "source_root": tmp_path}, "--source-root"),
        ({"files": (tmp_path / "absent.wav",), "out": tmp_path}, "is not there"),
        ({"files": (tmp_path / "a.wav", tmp_path / "two/a.wav"), "out": tmp_path}, "would both become"),
        ({"files": (tmp_path / "one", tmp_path / "a.mp3"), "out": tmp_path}, "give a folder alone"),
        ({"files": (tmp_path / "one",), "out": tmp_path / "one"}, "is the folder itself"),
        ({"files": (tmp_path / "one",), "out": tmp_path / "out", "file_format": "wav"}, "keep name and format"),
    ]
    for options, message in wrong:
        with pytest.raises(UserError, match=message):
            plan_files(SeparateConfig(**options))


def test_no_vocals_is_the_sum_of_the_others():
    stems = torch.randn(4, 2, 50)
    assert torch.equal(stem_of(stems, 3, "vocals"), stems[3])
    assert torch.allclose(stem_of(stems, 1, "no_vocals"), stems.sum(0) - stems[1], atol=1e-6)


def test_what_is_there_is_what_was_asked_for(model_repo, tmp_path):
    """Another track, another source or a file without a recipe is made again; another model is refused."""
    sounds = [np.full((2, 2 * 48000), level, np.float32) for level in (0.1, 0.4)]
    tracks = [Track(tag, codec="pcm_s16le", sound=sound) for tag, sound in zip(("eng", "spa"), sounds, strict=True)]
    make_film(tmp_path / "film.mkv", seconds=2, tracks=tracks)
    options = {"out": tmp_path / "out", "stems": ("no_vocals",)}
    target = tmp_path / "out" / "film.no_vocals.flac"

    def again(**others):
        (detail,) = run(model_repo, tmp_path / "film.mkv", **options, **others)
        return detail.get("note", detail.get("status", "made"))

    assert again() == "made"
    english = target.read_bytes()
    assert again() == again(lang="english") == "skipped"
    assert again(lang="es") == "film.no_vocals.flac was made with track 1, now it is 2; done again"
    assert target.read_bytes() != english
    assert again(lang="en").endswith("was made with track 2, now it is 1; done again")
    assert target.read_bytes() == english
    recipe = json.loads((tmp_path / "out" / ".separate" / "film.no_vocals.flac.json").read_text())
    assert {"model", "digest", "precision", "source", "track", "dubcli"} <= recipe.keys()
    (tmp_path / "out" / ".separate" / "film.no_vocals.flac.json").write_text("{")
    assert again().endswith("with a recipe that cannot be read; done again")
    target.unlink()
    assert again() == "made"
    with pytest.raises(UserError, match="made with model fast, now it is faster; give another --out"):
        config = SeparateConfig(files=(tmp_path / "film.mkv",), model="faster", model_repo=model_repo, **options)
        separate_file(plan_files(config)[0], quiet, config=config, devices=Devices(names=("cpu",)))


def test_a_copy_with_speech_from_an_earlier_version_is_named(model_repo, tmp_path):
    (tmp_path / "set").mkdir()
    make_film(tmp_path / "set" / "a.mka", seconds=1, video_codec=None, tracks=[Track("eng", codec="pcm_s16le")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mka").write_bytes((tmp_path / "set" / "a.mka").read_bytes())
    with pytest.raises(InputError, match=r"out/a\.mka is there from before and may hold speech: remove it"):
        run(model_repo, tmp_path / "set", out=tmp_path / "out")


def test_another_stem_of_a_data_set_is_not_taken_for_the_one_that_is_there(model_repo, tmp_path):
    (tmp_path / "set").mkdir()
    soundfile.write(tmp_path / "set" / "a.wav", noise(RATE // 2), RATE)
    run(model_repo, tmp_path / "set", out=tmp_path / "out")
    (again,) = run(model_repo, tmp_path / "set", out=tmp_path / "out", stems=("vocals",))
    assert again["note"] == "a.wav was made with stem no_vocals, now it is vocals; done again"


def test_what_is_written_is_as_long_as_what_decodes(model_repo, tmp_path, capfd):
    soundfile.write(tmp_path / "a.mp3", noise(3 * RATE), RATE)
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(content[: len(content) // 2])
    soundfile.write(tmp_path / "b.flac", noise(RATE), RATE)
    content = bytearray((tmp_path / "b.flac").read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # STREAMINFO's number of samples: unknown
    (tmp_path / "b.flac").write_bytes(content)
    soundfile.write(tmp_path / "c.wav", noise(20), RATE)
    files = [tmp_path / name for name in ("a.mp3", "b.flac", "c.wav")]
    cut, unknown, short = run(model_repo, *files, out=tmp_path / "out", stems=("vocals",))
    frames = [soundfile.info(tmp_path / "out" / f"{name}.vocals.flac").frames for name in "abc"]
    assert frames[1:] == [RATE, 20]
    assert frames[0] == sum(block.shape[1] for block in track_blocks(files[0], None, None, RATE, [])) < 1.6 * RATE
    assert cut["seconds"] == round(frames[0] / RATE, 3)
    assert cut["warning"].startswith("cut, or its header is wrong: it says 3.00 s")
    assert "warning" not in unknown | short
    assert capfd.readouterr().err == ""


def test_two_files_of_one_name_but_for_the_suffix_are_both_done(model_repo, tmp_path):
    for name in ("a.wav", "a.flac", "b.wav"):
        soundfile.write(tmp_path / name, noise(RATE // 2, seed=len(name)), RATE)
    run(model_repo, *(tmp_path / name for name in ("a.wav", "a.flac", "b.wav")), out=tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").glob("*.vocals.flac"))
    assert names == ["a.flac.vocals.flac", "a.wav.vocals.flac", "b.vocals.flac"]
    soundfile.write(tmp_path / "b.flac", noise(RATE // 2), RATE)
    with pytest.raises(InputError, match=r"b\.vocals\.flac is there and is of b\.wav; give another --out"):
        run(model_repo, tmp_path / "b.flac", out=tmp_path / "out")


def test_of_a_data_set_videos_without_sound_are_copied_and_others_refused_in_a_line(model_repo, tmp_path):
    (tmp_path / "set").mkdir()
    make_film(tmp_path / "set" / "mute.mp4", seconds=1, tracks=[])
    assert run(model_repo, tmp_path / "set", out=tmp_path / "out") == [{"copied": True}]
    assert (tmp_path / "out" / "mute.mp4").read_bytes() == (tmp_path / "set" / "mute.mp4").read_bytes()
    make_film(tmp_path / "set" / "spoken.mp4", seconds=1, tracks=[Track("eng")])
    with pytest.raises(InputError, match="cannot be written again in its own format"):
        run(model_repo, tmp_path / "set", out=tmp_path / "out")


def test_a_sound_too_large_for_wav_is_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr("dubcli.separate.stem_files._WAV_BYTES", 1000)
    block = torch.rand(2, 500)
    for suffix, kind in (("wav", "WAV"), ("w64", "W64")):
        shape = SoundFormat(sample_rate=RATE, channels=2, format=kind, subtype="FLOAT", samples=500)
        with sound_file(tmp_path / f"a.{suffix}", RATE, shape) as writer:
            writer.add(block)
        assert np.allclose(soundfile.read(tmp_path / f"a.{suffix}")[0], block.T)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    shape = SoundFormat(sample_rate=RATE, channels=2, format="AIFF", subtype="FLOAT", samples=500)
    with (
        pytest.raises(InputError, match="4000 bytes, more than AIFF holds"),
        sound_file(tmp_path / "a.aiff", RATE, shape),
    ):
        pass


def test_workers_in_another_folder_find_the_files(model_repo, tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    soundfile.write(tmp_path / "set" / "a.wav", noise(10), RATE)
    monkeypatch.chdir(tmp_path)
    for files in ("set", "set/a.wav"):
        (task,) = plan_files(SeparateConfig(files=(Path(files),), out=Path("out")))
        assert task.name == "set/a.wav"  # as the user knows it
        assert task.source == tmp_path / "set" / "a.wav"
        assert all(path.is_absolute() for path in task.paths)
