"""Transport streams of several programmes: picture and sound of one, on its own clock."""

import math

import numpy as np
import pytest

from dubcli.media.streams import read_info
from helpers.broadcasts import two_programmes
from helpers.prepping import one_movie, prepare_here

TONES = (500, 1000, 2000, 4000)


def heard(movie, language):
    """Which of the tones a track of one clip is."""
    mel = np.asarray(movie.mel(language)[0], np.float32)
    band = int(mel.mean(axis=(0, 2)).argmax())
    return min(TONES, key=lambda hz: abs(band + 1 - 97 * math.log(1 + hz / 700) / math.log(1 + 24000 / 700)))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programmes")
    first, second = {"level": 40, "tracks": {"eng": 500}}, {"level": 200, "tracks": {"spa": 1000, "eng": 2000}}
    two_programmes(folder / "two.ts", first, second)
    two_programmes(folder / "clocks.ts", first, second | {"clock": 100})
    return folder


@pytest.mark.parametrize("name", ["two.ts", "clocks.ts"])
@pytest.mark.parametrize(("primary", "programme", "tone"), [("en", 1, 500), ("es", 2, 1000)])
def test_the_programme_of_the_original_is_the_film(monkeypatch, tmp_path, films, name, primary, programme, tone):
    movie, outcome = one_movie(monkeypatch, films / name, tmp_path, primary)
    assert movie.meta["video"]["program"] == movie.meta["tracks"][primary]["program"] == programme
    assert heard(movie, primary) == tone
    assert movie.meta["tracks"][primary]["valid_clips"] == [0, 1]
    assert movie.n_clips == 1
    assert f"picture and sound of programme {programme} were taken" in outcome.details["warning"]


@pytest.mark.parametrize("name", ["two.ts", "clocks.ts"])
def test_sound_of_another_programme_has_to_be_the_films(monkeypatch, tmp_path, films, name):
    movie, _ = one_movie(monkeypatch, films / name, tmp_path / "plain", "en,es", sync_check=False)
    assert heard(movie, "es") == 1000
    assert movie.meta["tracks"]["es"]["valid_clips"] == [0, 1]
    for _ in range(2):
        (outcome,) = prepare_here(monkeypatch, [films / name], tmp_path / "checked", "en,es").values()
        assert outcome.details["languages"] == ["en"]
        assert outcome.status in ("ok", "skipped")
    movie, _ = one_movie(monkeypatch, films / name, tmp_path / "one", "es,en")
    assert heard(movie, "en") == 2000


def test_a_sound_alone_is_on_its_programmes_clock(films):
    info = read_info(films / "clocks.ts", "es")
    (foreign,) = (track for track in info.audio if track.foreign)
    assert (foreign.language, foreign.program) == ("en", 1)
    assert float(foreign.start_seconds) == pytest.approx(float(info.start_seconds) - 100, abs=0.1)
    assert [track.start_seconds for track in info.audio if not track.foreign] == [None, None]
