"""Which sound tracks are no plain version of the film: commentary, audio description, clean effects and the like.

What the container says (FFmpeg's dispositions) comes first, then the words that studios and players write into titles
and file names. They are kept here and nowhere else.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import av

_DISPOSITIONS = (
    "comment", "visual_impaired", "hearing_impaired", "descriptions", "clean_effects", "karaoke", "lyrics", "dependent",
    "non_diegetic",
)  # fmt: skip
# Anywhere in a title, in lower case, without accents and with spaces for dots, dashes and underlines: commentary, audio
# description, for the deaf, for the blind, with voices raised, without voices.
_PARTS = (
    "comment", "director's track", "producer's track", "writer's track", "trivia", "podcast", "rifftrax", "descri",
    "impaired", "hard of hearing", "isolated", "karaoke", "sing along", "singalong", "clean effect", "clean audio",
    "music and effect", "music & effect", "m and e", "music only", "score only", "instrumental", "audio desc",
    "audiodesc", "audio guide", "audioguide", "enhanced dialog", "dialogue enhance", "dialog enhance", "clear dialog",
    "dialogue boost", "dialog boost",
    "kommentar", "deskrip", "audiodesk", "horfilm", "bildbeschreibung", "sehbehindert", "horbehindert",
    "horgeschadigt", "blindenfassung", "klare sprache",  # German; the first also Swedish, Danish and Norwegian
    "malvoyant", "malentendant", "aveugle", "audiovision", "audio vision", "audiodecri", "audio decri",  # French
    "coment", "invidente", "sordos", "ciegos", "surdos", "cegos",  # Spanish, Portuguese, Romanian
    "non vedenti", "non udenti", "ipovedent",  # Italian
    "slechtziend", "slechthorend", "beschrijv",  # Dutch
    "syntolk", "synstolk", "synskada", "horselskada", "synshandicap", "hørsel", "hørehæm", "svagtseende", "lydbeskriv",
    "hljoðlysing", "kirjeldustolge",  # Nordic, Estonian
    "komment", "kuvailutulk", "aanikuvail", "nakovamm",  # Finnish; the first also Hungarian
    "koment", "deskryp", "nieslysz", "niewidom",  # Polish; the first also Czech, Slovak, Croatian, Indonesian
    "zvukovy popis", "audiopopis", "audio popis", "nevidom", "neslysic", "nepocuj",  # Czech, Slovak
    "zvocni opis", "zvucni opis", "slijepe", "slepe", "garsinis vaizd", "audioaprakst",  # Slovene to Latvian
    "narracio", "latasserult", "hallasserult", "hangalamond",  # Hungarian
    "yorum", "betimleme", "gorme engelli", "isitme engelli",  # Turkish
    "комментар", "коментар", "тифло", "дескрип", "дискрип", "слабовид", "слабослыш", "незряч", "слепых", "глухих",
    "аудиоопис", "аудио опис", "аудіоопис",  # Russian, Ukrainian, Bulgarian
    "σχολια", "περιγραφη",  # Greek
    "解説", "コメンタリー", "音声ガイド", "副音声", "バリアフリー", "視覚障", "聴覚障",  # Japanese
    "해설", "코멘터리", "시각장애", "청각장애",  # Korean
    "评论", "評論", "解说", "解說", "导评", "口述影像", "无障碍", "無障礙", "描述", "视障",
    "視障", "听障", "聽障",  # Chinese
    "تعليق", "وصف صوتي", "الوصف الصوتي", "للمكفوفين",  # Arabic
    "פרשנות", "תיאור קולי", "תגובות",  # Hebrew
    "binh luan", "mo ta am thanh", "khiem thi",  # Vietnamese
    "บรรยายภาพ", "คอมเมนทารี", "คำบรรยาย", "ความเห็น",  # Thai
    "टिप्पणी", "ऑडियो विवरण",  # Hindi
    "ulasan", "penerangan", "disgrifi", "deskribap",  # Malay, Welsh, Basque
)  # fmt: skip
# Whole words only: as parts they stand in other words.
_WORDS = ("ad", "dvs", "hoh", "sdh", "m&e", "m+e", "comm", "blind", "blinde", "blinden", "deaf")
_WORD = re.compile(r"(?<![\w&+])(?:" + "|".join(map(re.escape, _WORDS)) + r")(?![\w&+])")
_SEPARATORS = str.maketrans("_-.\u2010\u2011\u2013\u2014\u2019", "       '")
# For the hard of hearing, after a language in a file's name; alone the first is Hindi and no region is one of them
_AFTER_A_LANGUAGE = re.compile(r"[\w)\]][-_](?:hi|cc|vi)$", re.IGNORECASE)


def is_special(title: str, disposition: Any = 0) -> bool:
    """Whether a track is special by its disposition (PyAV's flags) or by its title."""
    return any(_has(disposition, name) for name in _DISPOSITIONS) or says_special(title)


def says_special(text: str) -> bool:
    """The same of a title: ``"English AD"``."""
    lower = text.lower()
    plain = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c))
    # Japanese voicing marks and Korean syllables are taken apart by NFKD: look at the text as it is written, too
    spoken = tuple(form.translate(_SEPARATORS) for form in (plain, unicodedata.normalize("NFC", lower)))
    return any(part in form for form in spoken for part in _PARTS) or bool(_WORD.search(spoken[0]))


def file_says_special(middle: str) -> bool:
    """The same of the part of a file's name after the film's: ``"AD"``, ``"en.commentary"``, ``"it-HI"``."""
    return says_special(middle) or bool(_AFTER_A_LANGUAGE.search(middle))


def _has(disposition: Any, name: str) -> bool:
    flag = getattr(av.stream.Disposition, name, None)
    return flag is not None and bool(int(disposition) & int(flag))
