"""Languages: every way in which containers, file names and users write one, as one short tag.

A tag is the ISO 639-1 code where the language has one (``en``), else the 639-3 one (``yue``). Containers hold 639-2/B
codes (Matroska: ``fre``), 639-2/T codes (MP4: ``fra``), two-letter codes, BCP 47 tags (``es-419``, ``cmn-Hans``), names
("French"), codes that were withdrawn (``iw``, ``scr``), or nothing that is one language (``und``, ``mul``, ``zxx``,
``mis``, ``qaa`` to ``qtz``). The tables are those of the package langcodes: the IANA registry of subtags, which holds
ISO 639, and for the members of macrolanguages the aliases of the Unicode CLDR.

A macrolanguage is met by the member that CLDR takes for it (Mandarin for ``zh``, Standard Arabic for ``ar``); other
members (Cantonese, ``yue``) are languages of their own, which only their own name means.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

from dubcli.errors import UserError

# Members that have a two-letter code of their own, and so a tag of their own, and the macrolanguage's. Norwegian is
# spoken as one language and written as two, so that both are met; "no" on a track is nearly always Bokmål.
_ALSO_MET_BY = {"no": ("nb", "nn"), "nb": ("no",), "ak": ("tw",), "tw": ("ak",)}
# Filipino is Tagalog's standard form; one tag for both, and the two-letter one.
_ONE_TAG = {"fil": "tl"}
_NO_ONE_LANGUAGE = frozenset({"und", "mul", "zxx", "mis", "root", "xxx", "unk", "undetermined", "unknown"})
_NOTHING_SAID = frozenset({"", "und", "xxx", "unk", "undetermined", "unknown"})
_CODE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]+)*|i-[a-z]+")
_SHORTEST_NAME = 4  # shorter ones are written like codes
# Names of languages in themselves, as people name files and tracks; the registry has English names alone
_OWN_NAMES = {
    "ar": "العربية", "bg": "български", "ca": "català", "cs": "čeština", "da": "dansk", "de": "deutsch",
    "el": "ελληνικά", "es": "español castellano", "et": "eesti", "eu": "euskara", "fa": "فارسی farsi", "fi": "suomi",
    "fr": "français", "gl": "galego", "he": "עברית", "hi": "हिन्दी हिंदी", "hr": "hrvatski", "hu": "magyar",
    "is": "íslenska", "it": "italiano",
    "ja": "日本語 nihongo", "ko": "한국어", "lt": "lietuvių", "lv": "latviešu", "nl": "nederlands", "no": "norsk",
    "pl": "polski", "pt": "português", "ro": "română", "ru": "русский", "sk": "slovenčina", "sl": "slovenščina",
    "sr": "српски srpski", "sv": "svenska", "th": "ไทย", "tr": "türkçe", "uk": "українська",
    "yue": "粤语 粵語 广东话 廣東話", "zh": "中文 国语 國語 普通话 普通話",
}  # fmt: skip
_NEAR, _VERY_NEAR = 0.7, 0.85  # of difflib's ratio; the second among all 8000 names, many of which are alike


@lru_cache(maxsize=4096)
def language_tag(text: str | None) -> str | None:
    """``"fre"``, ``"French"``, ``"français"``, ``"fr-CA"`` -> ``"fr"``; ``"yue"`` stays; ``"und"`` or None -> None."""
    written = (text or "").strip().lower()
    if not written or written in _NO_ONE_LANGUAGE:
        return None
    tag = _tag_of_code(written) if _CODE.fullmatch(written) else None
    if tag is not None or (len(written) < _SHORTEST_NAME and written.isascii()):
        return tag
    return _tag_of_code(_codes_by_name().get(_folded(written), "und"))


@lru_cache(maxsize=4096)
def regional_tag(text: str | None) -> str | None:
    """The same with script and region where they are written: ``"pt_br"`` -> ``"pt-BR"``, ``"por"`` -> ``"pt"``."""
    tag, written = language_tag(text), (text or "").strip()
    if tag is None or not _CODE.fullmatch(written.lower()):
        return tag
    import langcodes

    given = langcodes.Language.get(written.replace("_", "-"))
    return langcodes.Language.make(tag, script=given.script, territory=given.territory).to_tag()


def regional_distance(wanted: str, tag: str | None) -> int:
    """How far a track's tag is from a wish (CLDR's language matching): 0 for its own region; 0 where none is wished."""
    import langcodes

    offered = regional_tag(tag)
    if offered is None or "-" not in wanted:
        return 0
    # a track that names no region comes before one that names another
    return 0 if offered == wanted else 1 + langcodes.tag_distance(wanted, offered) * (1 + ("-" in offered))


def is_untagged(text: str | None) -> bool:
    """Whether a track's tag says nothing (``und``), unlike those that say that it is no one language (``zxx``)."""
    return (text or "").strip().lower() in _NOTHING_SAID


def met_by(language: str) -> tuple[str, ...]:
    """The tags of tracks that a wish for ``language`` (a tag) is met by, the best first: ``no`` -> ``no, nb, nn``."""
    return (language, *_ALSO_MET_BY.get(language, ()))


def found_as(language: str, there: Collection[str]) -> str:
    """The tag of ``there`` by which a wish for ``language`` is met; where nothing meets it the wish's own."""
    return next((tag for tag in met_by(language) if tag in there), language)


def container_tag(language: str, *, bibliographic: bool) -> str:
    """A tag as containers write it: ISO 639-2/B (Matroska: ``fre``), or 639-2/T and 639-3 (MP4: ``fra``)."""
    import langcodes

    return langcodes.Language.get(language).to_alpha3(variant="B" if bibliographic else "T")


def language_name(tag: str) -> str:
    """The English name of a tag: ``"fr"`` -> ``"French"``; a tag without one is its own name."""
    names = dict(_registered()).get(tag)
    return _plain(names[0]) if names else tag


def parse_language(text: str, option: str = "--lang") -> str:
    """One language as a user writes it: ISO 639 codes, BCP 47 tags, English names, some languages' own, old codes.

    Args:
        text: as it was given.
        option: where, as errors begin.

    Returns:
        Its tag, the shortest code there is.

    Raises:
        UserError: in one line, with near names.

    >>> [parse_language(text) for text in ("fra", "French", "fr-CA", "iw", "yor")]
    ['fr', 'fr', 'fr', 'he', 'yo']
    """
    tag = language_tag(text)
    if tag is None:
        raise UserError(f"{option}: {text.strip()!r} is no ISO 639 language; {_advice(text)}")
    return tag


def check_languages(languages: list[str] | tuple[str, ...], option: str = "--lang") -> tuple[str, ...]:
    """``["en", "spa", "French"]`` -> ``("en", "es", "fr")``. Raises UserError on no language, or one twice."""
    tags: list[str] = []
    for written in languages:
        tag = parse_language(written, option)
        if tag in tags:
            raise UserError(f"{option} names {tag} twice; give each language once")
        tags.append(tag)
    return tuple(tags)


def _tag_of_code(code: str) -> str | None:
    """The tag of an ISO 639 code or a BCP 47 tag; None where the standards do not know it."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        language = langcodes.Language.get(code.replace("_", "-")).language
    except LanguageTagError:
        return None
    if not language or _names_none(language) or not _is_known(language):
        return None
    if len(language) == 3:
        language = langcodes.standardize_tag(language, macro=True).split("-")[0]
    return _ONE_TAG.get(language, language)


def _names_none(code: str) -> bool:
    """Whether a code says that there is no language, that there are several, or one that only its maker knows."""
    return code in _NO_ONE_LANGUAGE or bool(re.fullmatch("q[a-t][a-z]", code))


def _is_known(language: str) -> bool:
    import langcodes

    return bool(re.fullmatch("[a-z]{2,3}", language)) and langcodes.tag_is_valid(language)


def _advice(text: str) -> str:
    if _names_none(text.strip().lower()):
        return "the code is of none, of several or of one that is not registered; name the track's language"
    return did_you_mean_language(text).strip(" ()") or "give codes such as en,es,fr,ja"


def did_you_mean_language(text: str) -> str:
    """As ``errors.did_you_mean``, among languages; empty where none is written alike."""
    near = [f"{language_name(tag).lower()} ({tag})" for tag in _near(text)]
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def _near(text: str) -> list[str]:
    """Tags that were perhaps meant: of a country's code its language, else of names that are written alike."""
    from langcodes.data_dicts import LIKELY_SUBTAGS

    written = _folded(text)
    spoken = LIKELY_SUBTAGS.get(f"und-{written.upper()}")
    if spoken is not None:
        return [tag for tag in [language_tag(spoken)] if tag is not None]
    codes = _codes_by_name()
    common = [name for name, code in codes.items() if len(code) == 2]
    found = difflib.get_close_matches(written, common, cutoff=_NEAR)
    found = found or difflib.get_close_matches(written, codes, cutoff=_VERY_NEAR)
    tags = [language_tag(codes[name]) for name in found]
    return list(dict.fromkeys(tag for tag in tags if tag is not None))


def _folded(name: str) -> str:
    """Lower case without accents: Bokmål as it can be typed."""
    return "".join(c for c in unicodedata.normalize("NFKD", name.strip().lower()) if not unicodedata.combining(c))


@lru_cache(maxsize=1)
def _registered() -> list[tuple[str, list[str]]]:
    """(code, names) of every language of the registry, those with two letters first."""
    from langcodes import registry_parser

    entries = registry_parser.parse_registry()  # type: ignore[no-untyped-call]
    languages = [
        e for e in entries if e["Type"] == "language" and "Deprecated" not in e and e.get("Scope") != "special"
    ]
    return sorted(((e["Subtag"], e["Description"]) for e in languages), key=lambda pair: (len(pair[0]), pair[0]))


def two_letter_codes() -> list[str]:
    """The languages of ISO 639-1, sorted: what films are commonly dubbed into."""
    return [code for code, _ in _registered() if len(code) == 2]


@lru_cache(maxsize=1)
def _codes_by_name() -> dict[str, str]:
    codes: dict[str, str] = {}
    for code, names in _registered():
        for name in names:
            for form in (name, _plain(name), _short(name)):
                codes.setdefault(_folded(form), code)
    for code, own_names in _OWN_NAMES.items():
        for name in own_names.split():
            codes.setdefault(_folded(name), code)
    return codes


def _plain(name: str) -> str:
    """The registry's "Modern Greek (1453-)" and "Malay (macrolanguage)" as people say it."""
    return re.sub(r" \(.*\)$", "", name).removeprefix("Modern ")


def _short(name: str) -> str:
    """The same without the family's name: "Norwegian Bokmål", "Mandarin Chinese"."""
    return re.sub(r"^Norwegian (?=\w+$)|(?<=\w) Chinese$", "", _plain(name))
