"""One rule for which sound track is meant: all stages take the same one of the same film, or none."""

import json

import numpy as np
import pytest
import soundfile
from av.stream import Disposition

from dubcli.core.models import PRESETS
from dubcli.dub import DubConfig
from dubcli.dub.stage import _audio_stream
from dubcli.embed.chunks import DecodeNotes, Wanted
from dubcli.embed.decode import decode
from dubcli.embed.inputs import file_item
from dubcli.errors import InputError, UserError
from dubcli.jobs.devices import Devices
from dubcli.media.streams import open_media
from dubcli.prep import PrepConfig, prepare
from dubcli.separate import SeparateConfig
from dubcli.separate import files as separate_files
from helpers.containers import RATE, Track, make_film
from helpers.prepping import here
from helpers.separation import silent_vocals

SECONDS = 3.2


def tone(stream):
    """(2, samples): each stream of a film is a tone of 300 Hz times its number."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    return np.repeat(0.3 * np.sin(2 * np.pi * 300 * stream * times)[None], 2, axis=0).astype(np.float32)


def heard(samples, rate):
    """The number of the stream that a (samples,) sound is of."""
    spectrum = np.abs(np.fft.rfft(samples))
    return round(spectrum.argmax() * rate / len(samples) / 300)


def film(folder, *tracks):
    """A film whose stream 0 is the picture. A track: (language, title, disposition)."""
    made = [
        Track(language, codec="pcm_s16le", title=title, disposition=flags, sound=tone(number))
        for number, (language, title, flags) in enumerate(tracks, start=1)
    ]
    make_film(folder / "film.mkv", seconds=SECONDS, tracks=made)
    return folder / "film.mkv"


def by_prep(path, language, folder):
    cache = folder / f"cache-{language}"
    config = PrepConfig(languages=(language,), cache=cache)
    with pytest.MonkeyPatch.context() as patch:
        here(patch)
        summary = prepare([path], config)
    if summary.failures:
        raise InputError(summary.failures[0].reason)
    (file,) = cache.glob("movies/*/movie.json")
    (track,) = json.loads(file.read_text())["tracks"].values()
    return track["stream"]


def by_embed(path, language, folder):
    wanted = Wanted(modalities=("audio",), sample_rate=48000, sizes=PRESETS["tiny"], lang=language)
    chunk = next(iter(decode(file_item(str(path)), wanted, DecodeNotes())))
    return heard(chunk.data[0].numpy(), 48000)


def by_separate(path, language, folder):
    config = SeparateConfig(files=(path,), out=folder / f"out-{language}", lang=language)
    (task,) = separate_files.plan_files(config)
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setattr(separate_files, "separator_for", lambda config, devices: silent_vocals())
        separate_files.separate_file(task, lambda *_, **__: None, config=config, devices=Devices(names=("cpu",)))
    sound, rate = soundfile.read(folder / f"out-{language}" / "film.no_vocals.flac")
    return heard(sound[:, 0], rate)


def by_dub(path, language, folder):
    with open_media(path) as container:
        return _audio_stream(container, DubConfig(original=language)).index


STAGES = {"prep": by_prep, "embed": by_embed, "separate": by_separate, "dub": by_dub}
WITHOUT_A_LANGUAGE = ["embed", "separate", "dub"]

FLAGS = Disposition
FILMS = {
    "commentary first": [("eng", "Director's commentary", FLAGS.comment), ("eng", "Main", FLAGS.default)],
    "commentary is the default": [("eng", "", FLAGS.comment | FLAGS.default), ("eng", "Main", 0)],
    "description by its title": [("eng", "AD", FLAGS.default), ("eng", "VO", 0)],
    "hearing impaired": [("eng", "", FLAGS.hearing_impaired), ("eng", "", 0)],
    "visually impaired": [("eng", "", FLAGS.visual_impaired), ("eng", "", 0)],
    "clean effects": [("eng", "Clean effects", 0), ("eng", "", 0)],
    "a description in German": [("eng", "Hörfilmfassung für Sehbehinderte", 0), ("eng", "", 0)],
    "a comment in Japanese": [("eng", "オーディオコメンタリー", 0), ("eng", "", 0)],
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", FILMS)
def test_a_special_track_is_never_taken(tmp_path, name, stage):
    path = film(tmp_path, *FILMS[name])
    assert STAGES[stage](path, "en", tmp_path) == 2
    if stage in WITHOUT_A_LANGUAGE:
        assert STAGES[stage](path, None, tmp_path) == 2


@pytest.mark.parametrize("stage", STAGES)
def test_where_all_tracks_are_special_none_is_taken(tmp_path, stage):
    path = film(tmp_path, ("eng", "Commentary 1", 0), ("eng", "Commentary 2", 0))
    with pytest.raises((InputError, UserError), match=r"Commentary 1|no en track"):
        STAGES[stage](path, "en", tmp_path)
    if stage in WITHOUT_A_LANGUAGE:
        with pytest.raises((InputError, UserError), match=r"no plain sound track .*en \(Commentary 1\)"):
            STAGES[stage](path, None, tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_an_untagged_track_is_in_no_language(tmp_path, stage):
    path = film(tmp_path, (None, "", FLAGS.default), ("spa", "", 0))
    assert STAGES[stage](path, "es", tmp_path) == 2
    with pytest.raises((InputError, UserError), match=r"untagged, es|und, spa|untagged, spa"):
        STAGES[stage](path, "fr", tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_macrolanguage_takes_its_members(tmp_path, stage):
    path = film(tmp_path, ("eng", "", FLAGS.default), ("nno", "", 0), ("nob", "", 0))
    assert STAGES[stage](path, "no", tmp_path) == 3
    assert STAGES[stage](path, "nn", tmp_path) == 2
    chinese = film(tmp_path, ("yue", "", FLAGS.default), ("cmn", "", 0))
    assert STAGES[stage](chinese, "zh", tmp_path) == 2
    assert STAGES[stage](chinese, "yue", tmp_path) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_of_several_the_default_then_the_fuller_then_the_first(tmp_path, stage):
    path = film(tmp_path, ("fre", "", 0), ("eng", "", 0), ("eng", "", FLAGS.default))
    assert STAGES[stage](path, "en", tmp_path) == 3
    path = film(tmp_path, ("fre", "", 0), ("eng", "", 0), ("eng", "", 0))
    assert STAGES[stage](path, "en", tmp_path) == 2
    if stage in WITHOUT_A_LANGUAGE:
        assert STAGES[stage](path, None, tmp_path) == 1
