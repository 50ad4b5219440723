"""ISO 639: every way in which containers and file names write a language, as one short tag.

A tag is the two-letter code where the language has one (``en``), else the three-letter one (``yue``). Containers hold
639-2/B codes (Matroska: ``fre``), 639-2/T codes (MP4: ``fra``), two-letter codes, regions (``es-419``, ``pt-BR``), or
nothing that is a language at all (``und``, ``mul``, ``zxx``, ``mis``, ``qaa`` to ``qtz``).
"""

from __future__ import annotations

import re

from dubcli.errors import UserError

# 639-1, then 639-2/T, then 639-2/B where it differs, then the English name. Languages that films come in.
_TABLE = """
af afr - Afrikaans|am amh - Amharic|ar ara - Arabic|az aze - Azerbaijani|be bel - Belarusian|bg bul - Bulgarian
bn ben - Bengali|bo bod tib Tibetan|bs bos - Bosnian|ca cat - Catalan|cs ces cze Czech|cy cym wel Welsh|da dan - Danish
de deu ger German|el ell gre Greek|en eng - English|eo epo - Esperanto|es spa - Spanish|et est - Estonian
eu eus baq Basque|fa fas per Persian|fi fin - Finnish|fo fao - Faroese|fr fra fre French|ga gle - Irish
gl glg - Galician|gu guj - Gujarati|he heb - Hebrew|hi hin - Hindi|hr hrv - Croatian|hu hun - Hungarian
hy hye arm Armenian|id ind - Indonesian|is isl ice Icelandic|it ita - Italian|ja jpn - Japanese|jv jav - Javanese
ka kat geo Georgian|kk kaz - Kazakh|km khm - Khmer|kn kan - Kannada|ko kor - Korean|ku kur - Kurdish|ky kir - Kyrgyz
la lat - Latin|lb ltz - Luxembourgish|lo lao - Lao|lt lit - Lithuanian|lv lav - Latvian|mi mri mao Maori
mk mkd mac Macedonian|ml mal - Malayalam|mn mon - Mongolian|mr mar - Marathi|ms msa may Malay|mt mlt - Maltese
my mya bur Burmese|nb nob - Bokmal|ne nep - Nepali|nl nld dut Dutch|nn nno - Nynorsk|no nor - Norwegian
pa pan - Punjabi|pl pol - Polish|ps pus - Pashto|pt por - Portuguese|ro ron rum Romanian|ru rus - Russian
si sin - Sinhala|sk slk slo Slovak|sl slv - Slovenian|so som - Somali|sq sqi alb Albanian|sr srp scc Serbian
sv swe - Swedish|sw swa - Swahili|ta tam - Tamil|te tel - Telugu|tg tgk - Tajik|th tha - Thai|tk tuk - Turkmen
tl tgl - Tagalog|tr tur - Turkish|uk ukr - Ukrainian|ur urd - Urdu|uz uzb - Uzbek|vi vie - Vietnamese|xh xho - Xhosa
yi yid - Yiddish|zh zho chi Chinese|zu zul - Zulu
"""
_NO_LANGUAGE = {"", "und", "mul", "zxx", "mis", "xxx", "unk", "undetermined", "unknown"}


def _read_table() -> tuple[dict[str, str], dict[str, str]]:
    codes, names = {}, {}
    for entry in _TABLE.replace("\n", "|").split("|"):
        if entry.strip():
            short, terminology, bibliographic, name = entry.split()
            codes.update({short: short, terminology: short, bibliographic: short})
            names[short] = name
    codes.pop("-")
    codes["hrv"] = codes["scr"] = "hr"
    codes["fil"] = "tl"
    codes["cmn"] = "zh"
    return codes, names


_CODES, NAMES = _read_table()


def language_tag(text: str | None) -> str | None:
    """``"fre"``, ``"fra"``, ``"FR"``, ``"fr-CA"`` -> ``"fr"``; ``"yue"`` -> ``"yue"``; ``"und"`` or None -> None."""
    code = re.split(r"[-_]", (text or "").strip().lower(), maxsplit=1)[0]
    if code in _NO_LANGUAGE or not re.fullmatch(r"[a-z]{2,3}", code) or "qaa" <= code <= "qtz":
        return None
    return _CODES.get(code, code)


def parse_languages(text: str) -> tuple[str, ...]:
    """``"en,spa,fr"`` -> ``("en", "es", "fr")``, the primary first. Raises UserError on what is no language."""
    tags = []
    for part in text.split(","):
        tag = language_tag(part)
        if tag is None or (tag not in NAMES and len(tag) == 2):
            raise UserError(f"--lang: {part.strip()!r} is no ISO 639 language; give codes such as en,es,fr,ja")
        if tag in tags:
            raise UserError(f"--lang names {tag} twice; name each language once")
        tags.append(tag)
    return tuple(tags)
