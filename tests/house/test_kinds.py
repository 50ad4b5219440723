"""One list of file kinds and one walk: what one stage takes for sound or film, all do, in real files and folders."""

import functools
import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dubcli.core.models import PRESETS
from dubcli.embed.chunks import DecodeNotes, Wanted
from dubcli.embed.decode import decode
from dubcli.embed.inputs import MediaItem, list_items
from dubcli.errors import InputError, UserError
from dubcli.jobs.devices import Devices
from dubcli.media.films import Film
from dubcli.media.kinds import CLOSED, FILM_SUFFIXES, SOUND_SUFFIXES, Found, is_marked_as_media, kind_of, walk
from dubcli.media.library import find_films
from dubcli.media.sources import choose_tracks
from dubcli.media.streams import read_info
from dubcli.probe.tasks import folder as probe_folder
from dubcli.separate import SeparateConfig
from dubcli.separate import files as separate_files
from helpers.containers import Track, make_film
from helpers.prepping import command_here
from helpers.separation import silent_vocals

RATE = 48000
SNDFILE = {
    ".wav": "WAV", ".wave": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".mp3": "MP3", ".aif": "AIFF",
    ".aiff": "AIFF", ".aifc": "AIFF", ".au": "AU", ".snd": "AU", ".w64": "W64", ".caf": "CAF", ".rf64": "RF64",
    ".voc": "VOC", ".sph": "NIST",
}  # fmt: skip
# suffix: FFmpeg's muxer and encoder
FFMPEG = {
    ".opus": ("ogg", "libopus"), ".m4a": ("ipod", "aac"), ".m4b": ("ipod", "aac"), ".m4r": ("ipod", "aac"),
    ".aac": ("adts", "aac"), ".adts": ("adts", "aac"), ".ac3": ("ac3", "ac3"), ".eac3": ("eac3", "eac3"),
    ".ec3": ("eac3", "eac3"), ".mka": ("matroska", "pcm_s16le"), ".weba": ("webm", "libopus"), ".mp2": ("mp2", "mp2"),
    ".mpa": ("mp2", "mp2"), ".wma": ("asf", "wmav2"), ".wv": ("wv", "wavpack"), ".tta": ("tta", "tta"),
    ".g722": ("g722", "g722"),
}  # fmt: skip
FILMS = {
    ".mkv": None, ".mp4": None, ".mov": None, ".avi": None, ".ts": None, ".m4v": "mp4", ".mk3d": "matroska",
    ".asf": "asf", ".wmv": "asf", ".divx": "avi", ".m2ts": "mpegts", ".mts": "mpegts", ".f4v": "mp4", ".nut": "nut",
    ".webm": "matroska", ".mxf": "mxf", ".3gp": "mp4",
}  # fmt: skip


def noise(seconds=1.3, rate=RATE):
    return (0.2 * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


def write_sound(path):
    suffix = path.suffix
    if suffix in SNDFILE:
        soundfile.write(os.fsencode(path), noise(), RATE, format=SNDFILE[suffix])
        return
    muxer, codec = FFMPEG[suffix]
    rate = 16000 if codec == "g722" else RATE
    with av.open(str(path), "w", format=muxer) as container:
        layout = "mono" if codec == "g722" else "stereo"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        samples = np.stack([noise(rate=rate)] * (1 if layout == "mono" else 2))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        converter = av.AudioResampler(
            stream.codec_context.format, layout, rate, stream.codec_context.frame_size or 1024
        )
        for part in (*converter.resample(frame), *converter.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


def chunks(path):
    wanted = Wanted(modalities=("audio",), sample_rate=RATE, sizes=PRESETS["tiny"])
    return list(decode(MediaItem(str(path), "file", 1, 1), wanted, DecodeNotes()))


def separated(folder, out):
    """{name: what became of it} of ``separate FOLDER``, without a model."""
    config = SeparateConfig(files=(folder,), out=out)
    became = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separate_files, "separator_for", lambda config, devices: silent_vocals())
        for task in separate_files.plan_files(config):
            name = str(task.source.relative_to(folder))
            try:
                details = separate_files.separate_file(
                    task, lambda *_, **__: None, config=config, devices=Devices(names=("cpu",))
                )
                became[name] = "copied" if details.get("copied") else "separated"
            except InputError as error:
                became[name] = str(error)
    return became


@pytest.mark.parametrize("suffix", [*SNDFILE, *FFMPEG])
def test_a_sound_is_one_in_every_stage(tmp_path, suffix):
    path = tmp_path / "in" / "dog" / f"x{suffix}"
    path.parent.mkdir(parents=True)
    write_sound(path)
    assert kind_of(path) == "sound"
    assert is_marked_as_media(path) or suffix in (".g722", ".tta", ".voc")
    assert [item.path for item in list_items([tmp_path / "in"])] == [str(path)]
    assert len(chunks(path)) == 1
    second = path.with_name(f"y{suffix}")
    second.write_bytes(path.read_bytes())
    (tmp_path / "in" / "cat").mkdir()
    for number in range(10):
        (tmp_path / "in" / "cat" / f"{number}{suffix}").write_bytes(path.read_bytes())
        (tmp_path / "in" / "dog" / f"{number}{suffix}").write_bytes(path.read_bytes())
    assert len(probe_folder.read(tmp_path / "in").clips) == 22
    found = separated(tmp_path / "in" / "dog", tmp_path / "out")[f"x{suffix}"]
    if suffix in SNDFILE:
        assert found == "separated"
        assert soundfile.info(tmp_path / "out" / f"x{suffix}").frames == len(noise())
    else:
        # libsndfile writes Opus too
        assert found in ("separated", "cannot be written again in its own format; give the file itself, not its folder")
        assert (found == "separated") == (tmp_path / "out" / f"x{suffix}").exists() == (suffix == ".opus")
    # a sidecar of a film
    make_film(tmp_path / "film.mkv", seconds=0.5, tracks=[Track("eng", codec="pcm_s16le")])
    (tmp_path / f"film.fr{suffix}").write_bytes(path.read_bytes())
    film = Film(video=tmp_path / "film.mkv")
    assert choose_tracks(film, read_info(film.video), ["en", "fr"])["fr"].how == "sidecar"


@pytest.mark.parametrize("suffix", FILMS)
def test_a_film_is_one_in_every_stage(tmp_path, suffix):
    path = tmp_path / "in" / "dog" / f"x{suffix.upper()}"
    path.parent.mkdir(parents=True)
    made = (
        tmp_path / f"made.{ {'matroska': 'mkv', 'mpegts': 'ts', None: suffix[1:]}.get(FILMS[suffix], FILMS[suffix]) }"
    )
    codec = "pcm_s16le" if suffix == ".mxf" else "mp2" if suffix == ".ts" else "ac3"
    video = "mpeg2video" if suffix == ".mxf" else "libx264"
    make_film(made, seconds=1.5, fps=25, video_codec=video, tracks=[Track("eng", codec=codec)])
    made.rename(path)
    assert kind_of(path) == "film"
    assert is_marked_as_media(path) or suffix in (".ts", ".m2ts", ".mts", ".nut", ".mxf")
    assert [film.video for film in find_films([tmp_path / "in"])] == [path]
    assert [item.path for item in list_items([tmp_path / "in"])] == [str(path)]
    assert len(chunks(path)) == 1
    assert separated(tmp_path / "in", tmp_path / "out") == {
        f"dog/x{suffix.upper()}": "cannot be written again in its own format; give the file itself, not its folder"
    }


def test_every_suffix_is_of_one_kind_and_asked_nowhere_else():
    assert not SOUND_SUFFIXES & FILM_SUFFIXES
    for name in ("._a.wav", ".b.mkv", "notes.txt", "a.json", "cover.jpg", "film.srt", "wav"):
        assert kind_of(f"/x.wav/{name}") == "other"
    source = Path(separate_files.__file__).parents[1]
    listed = [path for path in source.rglob("*.py") if '".w64"' in path.read_text() and path.name != "kinds.py"]
    assert [path.name for path in listed] == ["stereo.py"]  # what libsndfile is asked for first


def test_a_data_set_without_speech_holds_no_sound_that_was_not_separated(tmp_path):
    data = tmp_path / "data"
    (data / "dog").mkdir(parents=True)
    write_sound(data / "dog" / "a.wav")
    (data / "dog" / "._a.wav").write_bytes(b"Mac OS X")
    (data / "dog" / "noext").write_bytes((data / "dog" / "a.wav").read_bytes())
    (data / "labels.csv").write_text("ID3,label\n1,dog\n")
    (data / "cover.webp").write_bytes(b"RIFF\x10\x00\x00\x00WEBPVP8 ")
    found = separated(data, tmp_path / "out")
    assert found.pop("dog/noext").startswith("holds sound, though its name does not say so")
    assert found == {"dog/a.wav": "separated", "labels.csv": "copied", "cover.webp": "copied"}
    assert sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file() and ".separate" not in p.parts) == [
        "a.wav", "cover.webp", "labels.csv", "separate.json"
    ]  # fmt: skip


def test_links_in_circles_end_and_folders_linked_twice_are_two_places(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "x.wav").touch()
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "in" / "a")
    (tmp_path / "in" / "c").symlink_to(tmp_path / "in" / "c")
    names = [os.path.relpath(found.path, tmp_path / "in") for found in walk(tmp_path / "in") if found.kind == "sound"]
    assert names == ["a/x.wav", "b/x.wav"]
    assert len([found for found in walk(tmp_path / "in", once=True) if found.kind == "sound"]) == 1
    assert [os.path.basename(item.path) for item in list_items([tmp_path / "in"])] == ["x.wav", "x.wav", "c"]
    # what is made of a folder inside it is no part of it
    (tmp_path / "in" / "out").mkdir()
    (tmp_path / "in" / "out" / "y.wav").touch()
    assert not [found for found in walk(tmp_path / "in", without=tmp_path / "in" / "out") if "y.wav" in found.path]


@pytest.fixture
def deep(tmp_path):
    """A folder that nobody can list by its path, root neither: its path is longer than the system bears."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for number in range(30):
        name = f"{number:02d}" + "d" * 200
        os.mkdir(name, dir_fd=descriptor)
        inner = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    return tmp_path


def test_a_folder_that_cannot_be_read_is_an_input_that_fails(deep, dubav):
    make_film(deep / "film.mkv", seconds=3.2, tracks=[Track("eng", codec="pcm_s16le")])
    write_sound(deep / "a.wav")
    (closed,) = [found for found in walk(deep) if found.kind == CLOSED]
    films = find_films([deep])
    assert {str(film.video) for film in films} == {closed.path, str(deep / "film.mkv")}
    assert closed.path in [item.path for item in list_items([deep])]
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        read_info(closed.path)
    done = dubav("prep", deep, "--lang", "en", "--cache", "cache", "--workers", 1)
    assert done.returncode == 1, done.stderr
    assert "1 done, 0 already there, 1 failed" in done.stdout
    assert "cannot be read: File name too long" in done.stderr
    found = separated(deep, deep.parent / "out")
    assert found["a.wav"] == "separated"
    assert [reason for reason in found.values() if "cannot be read: File name too long" in reason]


def test_names_that_are_no_text(tmp_path, monkeypatch):
    dubav = functools.partial(command_here, monkeypatch, tmp_path)
    name = os.fsdecode(b"f\xff\xe9")
    (tmp_path / "films").mkdir()
    make_film(tmp_path / "films" / f"{name}.mkv", seconds=3.2, tracks=[Track("eng", codec="pcm_s16le")])
    write_sound(tmp_path / "films" / f"{name}.wav")
    assert dubav("prep", "films", "--lang", "en", "--workers", 1).returncode == 0
    listed = dubav("ls", "cache")
    assert (listed.returncode, "en" in listed.stdout) == (0, True)
    assert dubav("ls", "films").returncode == 0
    made = dubav("embed", "films", "random", "--preset", "tiny", "--out", "features", "--modality", "audio")
    assert made.returncode == 0, made.stderr
    assert separated(tmp_path / "films", tmp_path / "out")[f"{name}.wav"] == "separated"


def test_a_source_that_holds_nothing_is_said(tmp_path):
    (tmp_path / "x.wav").touch()
    with pytest.raises(UserError, match="no video file in"):
        find_films([tmp_path])
    assert list(walk(tmp_path)) == [Found(str(tmp_path / "x.wav"), "sound")]
