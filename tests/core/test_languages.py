"""Every way in which containers and users write a language, in every command that takes one."""

import langcodes
import pytest

from dubcli.cli.search import _track
from dubcli.core.languages import check_languages, found_as, is_untagged, language_name, language_tag, met_by
from dubcli.corpus import CorpusConfig
from dubcli.dub import DubConfig
from dubcli.embed.config import EmbedConfig
from dubcli.errors import UserError
from dubcli.prep import PrepConfig
from dubcli.pretrain.config import DataConfig
from dubcli.separate.config import SeparateConfig

SAME = {
    "en": ("en", "eng", "EN", "en-US", "en_GB", "eng ", "English", "english"),
    "fr": ("fr", "fra", "fre", "fr-CA", "French"),
    "de": ("de", "deu", "ger", "de-1996"),
    "es": ("es", "spa", "es-419", "es-ES", "Castilian"),
    "ja": ("ja", "jpn", "JPN"),
    "zh": ("zh", "zho", "chi", "cmn", "zh-Hant-TW", "cmn-Hans", "zh-cmn-Hans-CN", "Chinese", "Mandarin"),
    "ar": ("ar", "ara", "arb", "ar-EG"),
    "fa": ("fa", "fas", "per", "pes", "Persian"),
    "ms": ("ms", "msa", "may", "zsm", "Malay"),
    "nl": ("nl", "nld", "dut", "Flemish"),
    "cs": ("cs", "ces", "cze"),
    "hr": ("hr", "hrv", "scr"),
    "sr": ("sr", "srp", "scc", "sr-Latn"),
    "he": ("he", "heb", "iw"),
    "id": ("id", "ind", "in"),
    "yi": ("yi", "yid", "ji"),
    "ro": ("ro", "ron", "rum", "mo", "mol"),
    "tl": ("tl", "tgl", "fil", "Filipino"),
    "el": ("el", "ell", "gre", "Greek"),
    "nb": ("nb", "nob", "Norwegian Bokmål", "bokmal"),
    "yue": ("yue", "zh-yue", "Cantonese", "yue-Hant-HK"),
    "arz": ("arz", "Egyptian Arabic"),
}


@pytest.mark.parametrize("code", SAME)
def test_codes_of_one_language_are_one_tag(code):
    assert {language_tag(text) for text in SAME[code]} == {code}


@pytest.mark.parametrize(
    "text",
    [None, "", "und", "mul", "zxx", "mis", "qaa", "qad", "qtz", "xxx", "e", "xyz", "frnech", "12", "日本", "x-fr"],
)
def test_what_is_no_language_is_none(text):
    assert language_tag(text) is None


def test_common_languages_have_their_own_names():
    names = {"Français": "fr", "Castellano": "es", "DEUTSCH": "de", "русский": "ru", "日本語": "ja", "中文": "zh",
             "ไทย": "th", "espanol": "es"}  # fmt: skip
    assert {name: language_tag(name) for name in names} == names


def test_the_users_list():
    assert check_languages(["eng", " es-419 ", "FRE", "ja"]) == ("en", "es", "fr", "ja")
    for text, reason in (
        ("en,xx", "'xx' is no ISO 639"),
        ("en,,fr", "''"),
        ("fr,fre", "names fr twice"),
        ("French,fr", "fr twice"),
        ("en,mul", "'mul' is no ISO 639 language; the code is of none, of several"),
        ("mis", "the code is of none"),  # and not "did you mean amis"
        ("QAD", "not registered"),
    ):
        with pytest.raises(UserError, match=reason):
            check_languages(text.split(","))


_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
ISO_639_1 = _CODES.split()
_BIBLIOGRAPHIC = (
    "sq alb hy arm eu baq bo tib my bur cs cze cy wel de ger nl dut el gre fa per fr fre ka geo is ice mi mao mk mac "
    "ms may ro rum sk slo zh chi"
)


def test_all_languages_with_a_two_letter_code_are_tags_of_their_own_in_all_their_spellings():
    assert len(ISO_639_1) == 183
    for code in ISO_639_1:
        three = langcodes.Language.get(code).to_alpha3() if code != "tl" else "tgl"
        assert {language_tag(code), language_tag(three), language_tag(language_name(code))} == {code}, code
    written = _BIBLIOGRAPHIC.split()
    assert [language_tag(code) for code in written[1::2]] == written[::2]


def test_a_macrolanguage_is_met_by_its_usual_members_and_by_no_other():
    assert met_by("no") == ("no", "nb", "nn")
    assert met_by("nb") == ("nb", "no")
    assert met_by("nn") == ("nn",)
    assert met_by("zh") == ("zh",)
    assert met_by("fr") == ("fr",)
    assert found_as("nb", ["en", "no"]) == found_as("no", ["no", "nb"]) == "no"
    assert found_as("zh", ["yue", "en"]) == "zh"  # not there


def test_a_tag_that_says_nothing_is_not_one_that_says_no_language():
    assert all(is_untagged(text) for text in (None, "", "und", "UND ", "unk"))
    assert not any(is_untagged(text) for text in ("zxx", "qad", "mul", "mis", "en", "xyz"))


CONFIGS = {
    "prep": lambda text: PrepConfig(languages=(text,)).languages[0],
    "separate": lambda text: SeparateConfig(lang=text).lang,
    "embed": lambda text: EmbedConfig(lang=text).lang,
    "dub": lambda text: DubConfig(original=text).original,
    "corpus": lambda text: CorpusConfig(languages=(text,)).languages[0],
    "pretrain": lambda text: DataConfig(films_with=f"{text},").films_with,
    "search": lambda text: _track(text, "--track"),
}


@pytest.mark.parametrize("stage", CONFIGS)
def test_every_stage_reads_a_language_alike(stage):
    for text in ("fra", "FR", "french", "fr-CA", "fre"):
        assert CONFIGS[stage](text) == "fr"
    for text in ("frnech", "Frensh"):
        with pytest.raises(UserError, match=rf"'{text}' is no ISO 639 language; did you mean french \(fr\)\?"):
            CONFIGS[stage](text)
    with pytest.raises(UserError, match=r"'jp' is no ISO 639 language; did you mean japanese \(ja\)\?"):
        CONFIGS[stage]("jp")
    for text in ("zxx", "qad", "mul", "und", " "):
        with pytest.raises(UserError, match="is no ISO 639 language"):
            CONFIGS[stage](text)
    if stage != "corpus":
        assert [CONFIGS[stage](code) for code in ISO_639_1] == ISO_639_1


def test_a_list_names_the_option_that_it_came_by():
    with pytest.raises(UserError, match="--languages names en twice"):
        check_languages(("en", "eng"), "--languages")
