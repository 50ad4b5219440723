"""Text files of unknown encoding: by byte order mark, UTF-8, declaration, and at last by their language.

Old subtitles do not say their encoding, and every byte string is some text in most of them. The language narrows it
down: a decoding is taken when its letters are the language's. Text that would be mojibake is refused, never returned.
"""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata

from dubcli.core.languages import language_name
from dubcli.errors import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"""(?:encoding|charset)\s*[=:]\s*["']?([A-Za-z][\w.:-]{2,20})""", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SEVEN_BIT = re.compile(rb"\x1b[$(][@BJI()D]|\x1b\$")

# By script (ISO 15924) or, for the Latin one, by language: the most usual first.
_BY_SCRIPT = {
    "Jpan": ("cp932", "euc_jp"),
    "Kore": ("cp949", "johab"),
    "Hans": ("gb18030", "big5"),
    "Hant": ("big5", "gb18030"),
    "Cyrl": ("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "mac_cyrillic"),
    "Grek": ("cp1253", "iso8859_7", "cp737"),
    "Hebr": ("cp1255", "cp862"),
    "Arab": ("cp1256", "iso8859_6"),
    "Thai": ("cp874",),
}
_LATIN = {
    **dict.fromkeys(
        ("pl", "cs", "sk", "hu", "sl", "hr", "bs", "ro", "sq"), ("cp1250", "iso8859_2", "cp852", "iso8859_16")
    ),
    **dict.fromkeys(("tr", "az"), ("cp1254", "cp857")),
    **dict.fromkeys(("lt", "lv", "et"), ("cp1257", "iso8859_13", "cp775")),
    "vi": ("cp1258",),
    **dict.fromkeys(("eo", "mt"), ("iso8859_3",)),
}  # fmt: skip
_WEST = ("cp1252", "mac_roman", "cp850")
# Letters beyond ASCII of languages in the Latin script, in lower case
_LETTERS = {
    "en": "éèêëçïöñâôæœ", "es": "áéíóúüñ", "ca": "àçèéíïòóúü", "gl": "áéíñóúü", "eu": "ñçü", "pt": "àáâãçéêíóôõúü",
    "fr": "àâæçéèêëîïôœùûüÿ", "it": "àèéìíîòóùú", "de": "äöüß", "nl": "éëèïíóöüá", "sv": "åäöéà", "fi": "åäöšž",
    "da": "åæøéó", "no": "åæøéòóôü", "nb": "åæøéòóôü", "nn": "åæøéòóôü", "is": "áéíóúýðþæö", "fo": "áíóúýðæø",
    "ga": "áéíóú", "cy": "âêîôûŵŷ", "pl": "ąćęłńóśźż", "cs": "áčďéěíňóřšťúůýž", "sk": "áäčďéíĺľňóôŕšťúýž",
    "hu": "áéíóöőúüű", "sl": "čšžćđ", "hr": "čćđšž", "bs": "čćđšž", "ro": "ăâîșțşţ", "sq": "çë", "tr": "çğıöşüâîûi̇",
    "az": "çəğıöşüi̇", "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "et": "äõöüšž", "eo": "ĉĝĥĵŝŭ", "mt": "ċġħż",
    "vi": "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵ", "id": "é", "ms": "é", "tl": "ñ",
}  # fmt: skip
# What is frequent in the others, so that two encodings which both give letters of the script can be told apart
_FREQUENT = {
    "Jpan": "のにはをたがでてとしれさあいうかなもらるりこそっまくけきょんアイスンルトラーッ。、",
    "Kore": "이다는을가에하고지의도나어사아은들서로",
    "Hans": "的一是不了在有我他这你们个来就说那要么吗。，",
    "Hant": "的一是不了在有我他這你們個來就說那要麼嗎。，",
    "Cyrl": "оеаинтслврмдпу",
    "Grek": "αοιετσνρηκλυπμ",
}
# how the Unicode names of their letters begin
_EAST = ("Jpan", "Kore", "Hans", "Hant")
_FAMILIES = {
    "Latn": ("LATIN", "FULLWIDTH LATIN", "MASCULINE", "FEMININE"),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Hebr": ("HEBREW",),
    "Arab": ("ARABIC",),
    "Thai": ("THAI",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "IDEOGRAPHIC"),
    "Kore": ("HANGUL", "CJK"),
    "Hans": ("CJK", "BOPOMOFO", "IDEOGRAPHIC"),
    "Hant": ("CJK", "BOPOMOFO", "IDEOGRAPHIC"),
}
_PUNCTUATION = frozenset("¿¡«»‹›“”„‘’‚–—―…·•°ºª№♪♫€£$¥§©®™´`\u00a0\u00ad\u2009\u200b\u200e\u200f\u202f\u3000")
_MARK_OF_LOSS = "\ufffd"
_ODD_SHARE, _ODD_LETTERS = 0.02, 1  # foreign names; above these it is another encoding
_ACCENTED_SHARE = 0.6  # of the letters of a language in the Latin script; Vietnamese alone has more
_GOOD_UTF8_SHARE = 0.8


def decode_text(content: bytes, language: str, name: str) -> tuple[str, str]:
    """The text of a file in ``language`` (a tag) and the encoding it was read in, as Python names it.

    Letters that are damaged in a file that is otherwise UTF-8 become U+FFFD. Raises UserError that begins with
    ``name`` where the bytes are no text, or text of no encoding in which the language is written.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace").lstrip("\ufeff"), encoding
    wide = _wide(content)
    if wide is not None and not _CONTROL.search(text := content.decode(wide, "replace")):
        return text, wide
    if b"\0" in content:
        raise UserError(f"{name} is no text; give subtitles as text (.srt, .vtt, .ass), not pictures of text or a film")
    if _SEVEN_BIT.search(content) and (escaped := _strictly(content, "iso2022_jp_2")) is not None:
        return escaped, "iso2022_jp"
    if (unicode := _strictly(content, "utf-8")) is not None:
        return _encoded_once(unicode)
    declared = _DECLARED.search(content[:2048])
    if declared is not None and (said := _strictly(content, declared[1].decode())) is not None:
        return said, codecs.lookup(declared[1].decode()).name
    damaged = content.decode("utf-8", "replace")
    beyond = [character for character in damaged if character > "\x7f"]
    if sum(character != _MARK_OF_LOSS for character in beyond) >= _GOOD_UTF8_SHARE * len(beyond):
        return damaged, "utf-8"
    return _by_language(content, language, name)


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _wide(content: bytes) -> str | None:
    """UTF-16 without its mark: line ends and digits have a zero byte, all on the same side."""
    head = content[:4096]
    zeros = [head[side::2].count(0) for side in (0, 1)]
    if max(zeros) < 0.1 * len(head) / 2 or min(zeros) > 0.1 * max(zeros):
        return None
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _encoded_once(text: str) -> tuple[str, str]:
    """Undo what a tool did that took UTF-8 for Windows' Western encoding and wrote that as UTF-8: ``Ã±`` is ``ñ``."""
    if text.isascii():
        return text, "utf-8"
    try:
        twice = b"".join(_western(character) for character in text).decode("utf-8")
    except UnicodeError:
        return text, "utf-8"
    return twice, "utf-8, encoded twice"


def _western(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")  # five bytes that cp1252 leaves undefined are passed on


def _by_language(content: bytes, language: str, name: str) -> tuple[str, str]:
    script = _script(language)
    encodings = _BY_SCRIPT.get(script) or _LATIN.get(language, _WEST)
    if script == "Cyrl" and language == "sr":
        encodings = (*encodings, *_LATIN["hr"])
    ranked = []
    for encoding in encodings:
        text = _strictly(content, encoding)
        if text is not None and _is_plausible(text, language, script):
            ranked.append((_fit(text, language, script), encoding, text))
    if not ranked:
        raise UserError(
            f"{name} is neither UTF-8 nor {language_name(language)} in {', '.join(encodings)}: its letters cannot be "
            "made out; save it as UTF-8, and name it by its language"
        )
    best = max(fit for fit, _, _ in ranked)
    equal = {encoding: text for fit, encoding, text in ranked if fit == best}
    encoding = _guessed(content, list(equal)) if len(set(equal.values())) > 1 else next(iter(equal))
    return equal[encoding], encoding


def _guessed(content: bytes, encodings: list[str]) -> str:
    """Between encodings that fit the language equally, the one that charset-normalizer takes; else the most usual."""
    from charset_normalizer import from_bytes

    found = from_bytes(content, cp_isolation=encodings).best()
    return found.encoding if found is not None and found.encoding in encodings else encodings[0]


def _script(language: str) -> str:
    import langcodes

    return langcodes.Language.get(language).maximize().script or "Latn"


def _fit(text: str, language: str, script: str) -> int:
    """How many letters are expected ones, less those that are odd."""
    lower = text.lower()
    expected = _FREQUENT.get(script) or _LETTERS.get(language, "")
    odd = sum(1 for character in text if character > "\x7f" and _is_odd(character, language, script))
    # "пРИВЕТ": the same letters in the neighbouring encoding have their case turned round
    turned = sum(1 for a, b in itertools.pairwise(text) if a.islower() and b.isupper())
    return sum(1 for character in lower if character > "\x7f" and character in expected) - 2 * odd - 2 * turned


def _is_plausible(text: str, language: str, script: str) -> bool:
    letters = sum(1 for character in text if character.isalpha())
    beyond = [character for character in text if character > "\x7f"]
    odd = sum(1 for character in beyond if _is_odd(character, language, script))
    accented = sum(1 for character in beyond if character.isalpha())
    if script == "Latn" and language != "vi" and accented > _ACCENTED_SHARE * letters + _ODD_LETTERS:
        return False
    return odd <= _ODD_SHARE * letters + _ODD_LETTERS


def _is_odd(character: str, language: str, script: str) -> bool:
    """Whether a character beyond ASCII is none of the language's letters and no usual sign."""
    if character in _PUNCTUATION or unicodedata.combining(character):
        return False
    if script == "Latn" or language == "sr":
        if language in _LETTERS and character.lower() in _LETTERS[language]:
            return False
        if script == "Latn":
            return language in _LETTERS or not character.isalpha()
    name = unicodedata.name(character, "")
    if script in _EAST:
        return not name or name.startswith("HALFWIDTH") or unicodedata.category(character) in ("Cc", "Co", "Cn")
    return not name.startswith(_FAMILIES.get(script, ""))


def is_foreign(text: str, language: str) -> bool:
    """Whether most letters are of a script in which ``language`` is not written; the Latin one is read by all."""
    families = _FAMILIES.get(_script(language))
    letters = [character for character in text if character.isalpha()]
    if families is None:
        return False
    foreign = sum(
        1 for letter in letters if not unicodedata.name(letter, "").startswith((*families, *_FAMILIES["Latn"]))
    )
    return 2 * foreign > len(letters)
