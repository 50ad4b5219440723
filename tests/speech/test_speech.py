"""Engines: the right rate, no clipping, the same line always the same, and a clear word when something is missing."""

import importlib.util

import numpy as np
import pytest

from dubcli.errors import UserError
from dubcli.speech.engines import Voice, named_engines
from dubcli.speech.speaker import Speaker, tame, to_48k, trim

TEXTS = {
    "en": "The door was open.",
    "es": "La puerta estaba abierta.",
    "fr": "La porte était ouverte.",
    "ja": "ドアが開いていました。",
    "de": "Die Tür war offen.",
    "it": "La porta era aperta.",
}


@pytest.fixture(scope="module")
def speaker():
    return Speaker()


@pytest.mark.parametrize("language", TEXTS)
def test_speaks(language, speaker):
    sound = speaker.say(TEXTS[language], language)
    assert 0.6 < len(sound) / 48000 < 4
    assert sound.dtype == np.float32
    assert 0.1 < np.abs(sound).max() <= 0.9001


def test_the_same_line_is_the_same_after_other_lines(speaker):
    first = Speaker().say(TEXTS["en"], "en")
    for text in ("I never saw that man.", "We have ten minutes."):
        speaker.say(text, "en", Voice(speed=1.2))
    speaker._spoken.clear()
    assert np.array_equal(speaker.say(TEXTS["en"], "en"), first)


def test_moods_change_rate_and_pitch(speaker):
    calm = speaker.say(TEXTS["fr"], "fr")
    assert len(speaker.say(TEXTS["fr"], "fr", Voice(speed=1.5))) < 0.85 * len(calm)
    high = speaker.say(TEXTS["ja"], "ja", Voice(pitch=1.4))
    assert pitch(high) > 1.2 * pitch(speaker.say(TEXTS["ja"], "ja"))


def pitch(sound):
    """Median of the autocorrelation's peak between 70 and 500 Hz over voiced frames."""
    found = []
    for start in range(0, len(sound) - 4800, 2400):
        frame = sound[start : start + 4800]
        if np.sqrt(np.mean(frame**2)) > 0.05:
            spectrum = np.abs(np.fft.rfft(frame, 16384)) ** 2
            correlation = np.fft.irfft(spectrum)[96:686]
            found.append(48000 / (96 + int(np.argmax(correlation))))
    return float(np.median(found))


def test_lines_are_kept_in_a_folder(tmp_path):
    first = Speaker(folder=tmp_path).say(TEXTS["en"], "en")

    class Silent:
        name, languages = "pico", ("en",)

        def say(self, *_):
            raise AssertionError("spoken again")

    assert np.array_equal(Speaker([Silent()], tmp_path).say(TEXTS["en"], "en"), first)


def test_engines_can_be_exchanged():
    class Tone:
        name, languages = "tone", ("xx",)

        def say(self, text, language, voice):
            return np.sin(np.arange(22050) * 0.1).astype(np.float32) * 2, 22050

    sound = Speaker([Tone()]).say("any", "xx")
    assert np.abs(sound).max() <= 0.9001
    assert abs(len(sound) - 48000) < 2500
    with pytest.raises(UserError, match="no speech engine speaks 'en'; those installed speak xx"):
        Speaker([Tone()]).say("any", "en")


def test_an_engine_of_ones_own_is_asked_first(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Tone:\n"
        "    name, languages = 'tone', ('en',)\n"
        "    def say(self, text, language, voice):\n"
        "        return np.ones(1000, np.float32), 48000\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    engines = named_engines("mine:Tone")
    assert [engine.name for engine in engines] == ["tone", "pico", "openjtalk"]
    assert Speaker(engines).engine("en").name == "tone"
    for wrong, said in (("mine:Ton", "did you mean Tone"), ("no_such_module:x", "no module no_such_module")):
        with pytest.raises(UserError, match=f"^--speech-engine {wrong}.*{said}"):
            named_engines(wrong)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "py_nanotts" else found(name))
    with pytest.raises(UserError, match=r"py-nanotts is not installed; .*pip install 'dubcli\[demo\]'"):
        Speaker()


def test_resampling_keeps_a_tone_and_its_length():
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype(np.float32)
    high = to_48k(tone, 16000)
    assert len(high) == 48000
    expected = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    assert np.abs(high - expected)[480:-480].max() < 1e-3  # at its ends the tone begins and stops at once


def test_trim_and_tame():
    sound = np.zeros(48000, np.float32)
    sound[20000:20100] = 2.0
    cut = trim(sound)
    assert len(cut) == 100 - 1 + 2 * 960
    assert tame(cut).max() == pytest.approx(0.9)
    assert trim(np.zeros(100, np.float32)).size == 0
