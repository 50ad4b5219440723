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
)  # fmt: skip
# Anywhere in a title, in lower case and without accents: commentary, audio description, for the deaf, for the blind,
# without voices.
_PARTS = (
    "comment", "director's track", "rifftrax", "descri", "impaired", "hard of hearing", "isolated", "karaoke",
    "sing-along", "singalong", "clean effect", "clean audio", "music and effect", "music & effect", "m and e",
    "music only", "music-only", "score only", "audio desc", "audiodesc", "audio guide", "audioguide",
    "kommentar", "deskrip", "audiodesk", "horfilm", "bildbeschreibung", "sehbehindert", "horbehindert",
    "horgeschadigt", "blindenfassung",  # German; the first also Swedish, Danish and Norwegian
    "malvoyant", "malentendant", "aveugle", "audiovision", "audio-vision",  # French
    "coment", "invidente", "sordos", "ciegos", "surdos", "cegos",  # Spanish, Portuguese, Romanian
    "non vedenti", "non udenti", "ipovedent",  # Italian
    "slechtziend", "slechthorend", "audiobeschrijving", "audio beschrijving",  # Dutch
    "syntolk", "synstolk", "synskada", "horselskada", "lydbeskriv", "hljodlysing", "kirjeldustolge",  # Nordic, Estonian
    "komment", "kuvailutulk", "nakovamm",  # Finnish; the first also Hungarian
    "koment", "deskryp", "nieslysz", "niewidom",  # Polish; the first also Czech, Slovak, Croatian, Indonesian
    "zvukovy popis", "audiopopis", "audio popis", "nevidom", "neslysic", "nepocuj",  # Czech, Slovak
    "narracio", "latasserult", "hallasserult",  # Hungarian
    "yorum", "betimleme", "gorme engelli", "isitme engelli",  # Turkish
    "комментар", "коментар", "тифло", "дескрип", "дискрип", "слабовид", "слабослыш",  # Russian, Ukrainian, Bulgarian
    "σχολια", "περιγραφη",  # Greek
    "解説", "コメンタリー", "音声ガイド", "副音声",  # Japanese
    "해설", "코멘터리",  # Korean
    "评论", "評論", "解说", "解說", "导评", "口述影像", "无障碍", "無障礙",  # Chinese
    "تعليق", "وصف صوتي",  # Arabic
    "פרשנות", "תיאור קולי",  # Hebrew
    "binh luan", "mo ta am thanh",  # Vietnamese
    "บรรยายภาพ", "คอมเมนทารี",  # Thai
    "टिप्पणी", "ऑडियो विवरण",  # Hindi
)  # fmt: skip
# Whole words only: as parts they stand in other words.
_WORDS = ("ad", "dvs", "hoh", "sdh", "m&e", "m+e", "blind", "blinde", "blinden", "deaf")
_WORD = re.compile(r"(?<![\w&+])(?:" + "|".join(map(re.escape, _WORDS)) + r")(?![\w&+])")


def is_special(title: str, disposition: Any = 0) -> bool:
    """Whether a track is special by its disposition (PyAV's flags) or by its title."""
    return any(_has(disposition, name) for name in _DISPOSITIONS) or says_special(title)


def says_special(text: str) -> bool:
    """The same of a title or of the part of a file's name after the film's: ``"AD"``, ``"en.commentary"``."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    # Japanese voicing marks and Korean syllables are taken apart by NFKD: look at the text as it is written, too
    spoken = (plain, unicodedata.normalize("NFC", text.lower()))
    return any(part in form for form in spoken for part in _PARTS) or bool(_WORD.search(plain))


def _has(disposition: Any, name: str) -> bool:
    flag = getattr(av.stream.Disposition, name, None)
    return flag is not None and bool(int(disposition) & int(flag))
