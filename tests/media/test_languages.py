"""Every way in which containers and users write a language."""

import pytest

from dubcli.errors import UserError
from dubcli.media.languages import language_tag, parse_languages

SAME = {
    "en": ("en", "eng", "EN", "en-US", "en_GB", "eng "),
    "fr": ("fr", "fra", "fre", "fr-CA"),
    "de": ("de", "deu", "ger"),
    "es": ("es", "spa", "es-419", "es-ES"),
    "ja": ("ja", "jpn", "JPN"),
    "zh": ("zh", "zho", "chi", "cmn", "zh-Hant-TW"),
    "nl": ("nl", "nld", "dut"),
    "cs": ("cs", "ces", "cze"),
    "hr": ("hr", "hrv", "scr"),
    "yue": ("yue",),
}


@pytest.mark.parametrize("code", SAME)
def test_codes_of_one_language_are_one_tag(code):
    assert {language_tag(text) for text in SAME[code]} == {code}


@pytest.mark.parametrize(
    "text", [None, "", "und", "mul", "zxx", "mis", "qaa", "qtz", "xxx", "e", "english", "12", "日本"]
)
def test_what_is_no_language_is_none(text):
    assert language_tag(text) is None


def test_the_users_list():
    assert parse_languages("eng, es-419 ,FRE,ja") == ("en", "es", "fr", "ja")
    for text, reason in (("en,xx", "'xx' is no ISO 639"), ("en,,fr", "''"), ("fr,fre", "names fr twice")):
        with pytest.raises(UserError, match=reason):
            parse_languages(text)
