"""What of a subtitle is spoken: neither markup nor what the deaf are told of sounds, speakers and songs.

Brackets hold sounds, names and readings: ``[ ] ( )``, full-width ``（ ） ［ ］ 【 】 〔 〕 ｛ ｝`` are left out with
all in them. Japanese captions set thoughts, narration and voices from afar in ``《 》 〈 〉 ≪ ≫``, Chinese ones titles:
these are spoken, without the signs.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_MUSIC = "♪♫♬♩¶🎵🎶"
_BREAK = re.compile(r"\\[Nn]|\[br\]|<br\s*/?>", re.IGNORECASE)
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?:\{[^{}]*\\p0[^{}]*\}|$)", re.DOTALL)
_KARAOKE = re.compile(r"\{[^{}]*\\[kK][fot]?\d")
_OVERRIDE = re.compile(r"\{[^{}]*\}")
_READING = re.compile(r"<r([tp])\b[^<>]*>.*?(?:</r\1\s*>|(?=<r[tp]\b|</?ruby|$))", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>|<!--.*?-->", re.DOTALL)
# what may be written with escapes and is markup all the same; "&lt;Hola&gt;" is said
_KNOWN_TAG = re.compile(
    r"</?(?:[bisu]|font|span|br|p|em|strong|ruby|rt|rp|[cv](?=[.\s>])|lang)\b[^<>]*>", re.IGNORECASE
)
_RUBY_BY_MARKS = re.compile(r"(?<=[々\u3400-\u9fff])《[\u3041-\u30ffー]+》")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SIGNS = re.compile("[《》〈〉＜＞≪≫｜*_←-⇿➔-➿☎☏⚟⚞\U0001f300-\U0001faff" + _MUSIC + "]|<<|>>")
_OPENING = {**dict.fromkeys("[［【〔｛", "]］】〕｝"), **dict.fromkeys("(（", ")）")}
_NARROW = "[]()"
_TURN = re.compile(r"^\s*(?:[-－‐-―−~〜～・•]+(?=\s|[^\s\d])|(?:>|&gt;|＞){2,}|≫(?!.*≪))\s*")
_SOUND_BY_STARS = re.compile(r"\s*([*_])\1*[^*_]+\1+\s*")
_LABEL = re.compile(r"^\s*(?P<label>[^:：]{1,40}?)\s*(?:：|:(?=\s|$)|:(?=[^\W\d_]))\s*(?!\d)")
_ASIDE = re.compile(r"\s*[^:：\n()\[\]（）［］]{1,40}[(\[（［][^()\[\]（）［］\n]{1,40}[)\]）］]\s*[:：]")
_AFTER_NAME = re.compile(r"^\s*[:：]\s*(?=\D)")  # "[Man on TV]: News", whose name is left out with its brackets
_LABEL_CHARACTERS = re.compile(r"[\w .’'#&,/・\-]+")
# small words within names
_SMALL = frozenset(
    re.findall(r"\w+", "de del la las el los y e do da dos das du des le les et di della van von of the")
)
_BY = r"(?:by|por(?! favor)|par|von|di|przez|de|door|av|af)"
_CREDIT = re.compile(
    r"^\W*(?:(?:sub(?:titles?|bed)|subt[ií]tul\w*|sous-titr\w*|untertitel\w*|sottotitol\w*|legendas?|napisy|titulky|"
    r"ondertitel\w*|undertekst\w*|undertext\w*|tekstitys|altyaz[ıi]|υπότιτλοι|субтитр\w*|titrare|subtitrare\w*|"
    r"felirat\w*|자막|ترجمة|כתוביות|phụ đề|re-?sync\w*|sync(?:ed|hro\w*)?|caption(?:s|ed)|字幕|翻訳|翻译)"
    rf"(?:[\s\w&,-]{{0,40}}?\s{_BY}\s|[\s\w&,-]{{0,20}}[:：]|\s*$)|"
    r"untertitel\w*\s+(?:im auftrag|des|der|durch|für)\s|"
    r"(?:traduc\w+|traduzione|traduction|translat\w+|übersetzung|tłumaczenie|перевод|переклад|çeviri)\s*[:：]"
    r"\s*(?-i:(?:[^\W\d_a-zà-ÿа-я][\w.'-]*\s*){1,4})$|"
    r"(?:редактор|корректор)\w*\s+субтитр\w*|субтитр\w*\s+(?:с|под|из|на|при)?(?:дела|созда|гото|подогна|подгото|перев)\w*|"
    r"(?:traduc\w+|tradu(?:it|zid|zion)\w*|übersetz(?:t|ung)\w*|translat(?:ed|ion)|transcri\w+|adapt(?:a[cdt]\w+|é\w*)|"
    r"[ck]orr(?:ect(?:ed|ions?)|egid\w+|ecci\w+|igé\w*|igiert)|(?:re)?sincroni[sz]\w+|ripped|encoded)"
    rf"[\s\w&,-]{{0,20}}?\s{_BY}\s)",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESS = re.compile(
    r"https?://\S+|\bwww\.\S+|\S+@\S+\.\w+|\b[\w-]+\.(?:com|org|net|info|tv|io)\b|\bopensubtitles\b|\bamara\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_SHOUTED_SHARE = 0.6


def cue_text(text: str) -> str:
    """A cue's text without its markup, with real line breaks; nothing of drawings and karaoke."""
    if _KARAOKE.search(text):
        return ""
    text = _BREAK.sub("\n", _DRAWING.sub("", text)).replace("\\h", " ")
    text = _TAG.sub("", _READING.sub("", _OVERRIDE.sub("", text)))
    text = _KNOWN_TAG.sub("", _READING.sub("", html.unescape(text)))  # what was escaped twice
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


class Speech:
    """The spoken lines of the cues of one file; ``texts`` are those of all cues, from which speakers' names are known.

    A name in capitals before a colon is a speaker. One in small letters ("María: Ven.") is when the file has it in
    capitals too, or twice, or as a name within a sentence, and never as a word in small letters ("Escucha: ven.").
    """

    def __init__(self, texts: Iterable[str], language: str) -> None:
        self._german = language == "de"  # which writes all nouns like names
        self._labels: Counter[str] = Counter()
        self._shouted: set[str] = set()
        self._small: set[str] = set()
        self._within: set[str] = set()
        self._within_bracket = ""
        upper = letters = 0
        for text in map(cue_text, texts):
            upper += sum(character.isupper() for character in text)
            letters += sum(character.islower() or character.isupper() for character in text)
            for line in text.split("\n"):
                self._learn(_TURN.sub("", line))
        self._all_shouted = upper > _SHOUTED_SHARE * letters

    def _learn(self, line: str) -> None:
        if match := _LABEL.match(_without_brackets(line, "")[0]):
            label = _folded(match["label"])
            self._labels[label] += 2 if _ASIDE.match(line) else 1  # "Narrador (en off): ..." is no sentence
            if _is_capitals(match["label"]):
                self._shouted.add(label)
            line = line[match.end() :]
        for match in _WORD.finditer(line):
            word = match[0]
            if word.islower():
                self._small.add(word)
            elif word.istitle() and re.search(r"[\w,]\s$", line[: match.start()]):
                self._within.add(word.casefold())

    def lines(self, text: str) -> list[str]:
        """What is spoken of the next cue, in order of time: its lines; none when it is no speech."""
        text = _RUBY_BY_MARKS.sub("", _without_lyrics(cue_text(text)))
        text, self._within_bracket = _without_brackets(text, self._within_bracket)
        if _CREDIT.search(text) or _is_address(text):
            return []
        found = [self._line(line) for line in text.split("\n")]
        return [line for line in found if any(character.isalnum() for character in line)]

    def _line(self, line: str) -> str:
        if _SOUND_BY_STARS.fullmatch(line):
            return ""
        line = _TURN.sub("", _AFTER_NAME.sub("", line))
        if (match := _LABEL.match(line)) and self._is_speaker(match["label"], line[match.end() :], "：" in match[0]):
            line = _TURN.sub("", line[match.end() :])
        return " ".join(_SIGNS.sub(" ", line).split())

    def _is_speaker(self, label: str, rest: str, wide: bool) -> bool:
        label = label.strip()
        folded = _folded(label)
        if not _LABEL_CHARACTERS.fullmatch(label) or not _WORD.search(label) or len(label.split()) > 5:
            return False
        often = self._labels[folded] > 1
        if _is_capitals(label):
            return often or not self._all_shouted or bool(rest and not rest.isupper())
        if label.upper() == label.lower():  # a script without capitals
            if not wide:
                return self._labels[folded] > 2
            return len(label) <= 10 and (often or not re.search("[\u3041-\u309f]", label))
        words = [word for word in _WORD.findall(label) if word.casefold() not in _SMALL]
        if not words or not all(word[0].isupper() for word in words) or len(words) > 3:
            return False
        if folded in self._shouted:
            return True
        if any(word.casefold() in self._small for word in words):
            return False
        return self._labels[folded] > 2 if self._german else often or words[0].casefold() in self._within


def _folded(label: str) -> str:
    return " ".join(label.casefold().split())


def _is_capitals(label: str) -> bool:
    return label.upper() == label != label.lower()


def _is_address(text: str) -> bool:
    """Whether a cue is an address in the net and hardly anything else."""
    rest = _ADDRESS.sub("", text)
    return rest != text and len(_WORD.findall(rest)) <= 3


def _without_lyrics(text: str) -> str:
    """Lines with music signs are sung, and those between two such lines, unless a dash gives them to a speaker."""
    text = re.sub(f"[{_MUSIC}](?:[\\s~〜～]*[{_MUSIC}])*", "♪", text)
    if re.match(r"\W*#+\s|\W*#+[^#]+#+\s*$", text):
        text = re.sub(r"^([^\w#\n]*)#+|\s*#+\s*$", r"\1♪", text, flags=re.MULTILINE)
    kept, singing = [], False
    for line in text.split("\n"):
        first, _, last = line.partition("♪")[0], None, line.rpartition("♪")[2]
        marks = line.count("♪")
        if marks > 1:
            kept.append(f"{first} {last}")
            singing = False
        elif marks == 1:
            singing = not singing and not any(character.isalnum() for character in first)
        elif not singing or _TURN.match(line):
            kept.append(line)
            singing = False
    return "\n".join(kept)


def _without_brackets(text: str, within: str) -> tuple[str, str]:
    """Leave out what stands in brackets, nested ones too.

    ``within``: the closing brackets that an earlier cue waits for. Returns the rest and what it waits for itself.
    """
    kept: list[str] = []
    closing = (
        [within] if within and re.search(f"^[^{re.escape(_opened_by(within))}]*[{re.escape(within)}]", text) else []
    )
    for character in text:
        if character in _OPENING:
            closing.append(_OPENING[character])
        elif closing and character in closing[-1]:
            closing.pop()
            kept.append(" " if character in _NARROW and (not kept or kept[-1] < "\u3000") else "")
        elif character == "\n" or (not closing and character not in "]］】〕｝"):
            kept.append(character)
    return "".join(kept), closing[-1] if closing else ""


def _opened_by(closing: str) -> str:
    return "".join(opening for opening, closes in _OPENING.items() if closes == closing)
