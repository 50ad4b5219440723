"""Subtitles: what is spoken when, read from files as they come, and written as SubRip (.srt)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubcli.core.atomic import atomic_write
from dubcli.core.languages import language_tag
from dubcli.errors import UserError
from dubcli.media.cues import Cue, read_cues
from dubcli.media.encodings import decode_text, is_foreign
from dubcli.media.spoken import Speech

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".sub", ".txt", ".smi", ".sami", ".ttml", ".dfxp", ".xml", ".sbv", ".mpl")
# what names of subtitle files say beside the language: for the hard of hearing, closed captions, ...
_KINDS = frozenset({"hi", "sdh", "cc", "forced", "foreign", "full", "default", "auto", "orig", "sub", "subs"})
_TOUCHING_SECONDS = 0.05  # people leave two frames between captions; a caption that goes on leaves none
# a letter that a converter lost: U+FFFD, or a question mark within a word
_LOST_LETTER = re.compile(r"\ufffd|[^\W\d_]\?[a-zß-öø-ÿ]")


@dataclass(frozen=True, kw_only=True)
class Subtitle:
    """``text`` is shown in [start_seconds, stop_seconds)."""

    start_seconds: float
    stop_seconds: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Script:
    """The spoken subtitles of one file in order of time, and what became of all its ``cues``.

    ``not_speech``: sounds, songs, signs and credits. ``repeated``: shown again (rolling or doubled captions).
    ``unknown_times``: without times that make sense; ``unknown_lines`` are their lines in the file, where known.
    ``unknown_letters``: with letters that were lost or are not the language's. ``after_end``: begin when the film is
    over. ``silent``: the speech engine made no sound of them.
    """

    path: Path
    language: str
    format: str
    encoding: str
    subtitles: tuple[Subtitle, ...]
    cues: int
    not_speech: int = 0
    repeated: int = 0
    unknown_times: int = 0
    unknown_lines: tuple[int, ...] = ()
    unknown_letters: int = 0
    after_end: int = 0
    silent: int = 0

    @property
    def spoken(self) -> int:
        """How many cues are spoken."""
        return len(self.subtitles) - self.silent

    def summary(self) -> str:
        """``"412 cues: 398 spoken, 9 not speech, 3 times not understood, 2 after the end"``."""
        counts = (
            (self.not_speech, "not speech"),
            (self.repeated, "shown again"),
            (self.unknown_times, "times not understood"),
            (self.unknown_letters, "letters not understood"),
            (self.after_end, "after the end"),
            (self.silent, "without a sound from the speech engine"),
        )
        said = "".join(f", {count} {what}" for count, what in counts if count)
        return f"{self.cues} cue{'s' if self.cues != 1 else ''}: {self.spoken} spoken{said}"

    def later(self, seconds: float) -> Script:
        """On a clock that reads ``seconds`` when the film begins."""
        moved = tuple(
            replace(s, start_seconds=s.start_seconds + seconds, stop_seconds=s.stop_seconds + seconds)
            for s in self.subtitles
        )
        return replace(self, subtitles=moved)

    def until(self, end_seconds: float) -> Script:
        """Without the subtitles that begin at the film's end or later."""
        kept = tuple(subtitle for subtitle in self.subtitles if subtitle.start_seconds < end_seconds)
        return replace(self, subtitles=kept, after_end=self.after_end + len(self.subtitles) - len(kept))


def subtitle_language(path: str | Path) -> str:
    """The language that a file's name ends with: ``film.es.srt``, ``es.srt``, ``film.Spanish.srt``, ``film.es.hi.srt``
    (Spanish for the hard of hearing). Raises UserError when it names none."""
    parts = [part for part in re.split(r"[.]", re.sub(r"\s*\(\d+\)$", "", Path(path).stem)) if part]
    while parts and parts[-1].isdecimal() and len(parts) > 1:
        parts.pop()
    while len(parts) > 1 and parts[-1].lower() in _KINDS:
        before = next((part for part in reversed(parts[:-1]) if part.lower() not in _KINDS), "")
        if parts[-1].lower() == "hi" and _named_language(before) is None:
            break  # Hindi
        parts.pop()
    last = parts[-1] if parts and parts[-1].lower() not in _KINDS - {"hi"} else ""
    whole = language_tag(last) if len(parts) > 1 else _named_language(last)  # Her.srt is a film
    before = re.sub(r"\s*[(\[].*", "", last)  # "Spanish (Latin America)", "English [CC]"
    tag = whole or _named_language(re.split(r"[_\s]", last)[-1].strip("()[]")) or _named_language(before)
    if tag is None:
        raise UserError(f"{path} does not say its language; name it as in film.es.srt or es.srt")
    return tag


def _named_language(part: str) -> str | None:
    """A part of a name as a language, where it is written like one: "Man" and "Her" are words of titles."""
    is_code = part.islower() or (part.isupper() and len(part) == 2) or "-" in part
    return language_tag(part) if is_code or len(part) > 3 or not part.isascii() else None


def read_subtitles(path: str | Path, language: str, frame_rate: float | None = None) -> Script:
    """What is spoken in a subtitle file in ``language`` (a tag), in any format and encoding that is known.

    ``frame_rate``: the film's frames per second, for formats that count frames. Raises UserError that names the file
    when it cannot be read, is no text, is in an encoding or format that is not known, or holds no subtitle with times.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; give a subtitle file (.srt, .vtt, .ass)") from None
    text, encoding = decode_text(content, language, str(file))
    try:
        kind, cues = read_cues(text, frame_rate)
    except UserError as error:
        raise UserError(f"{file} {error}") from None
    timed = [cue for cue in cues if _is_timed(cue)]
    unknown = [cue for cue in cues if not _is_timed(cue)]
    if not timed:
        raise UserError(f"{file} holds no subtitle whose times are understood; give SubRip, WebVTT or ASS")
    said = _said(timed, language)
    subtitles, repeated = _once([(cue, lines) for cue, lines in said if lines])
    whole = [s for s in subtitles if not _LOST_LETTER.search(s.text) and not is_foreign(s.text, language)]
    return Script(
        path=file,
        language=language,
        format=kind,
        encoding=encoding,
        subtitles=tuple(whole),
        cues=len(cues),
        not_speech=sum(1 for _, lines in said if not lines),
        repeated=repeated,
        unknown_times=len(unknown),
        unknown_lines=tuple(cue.line for cue in unknown if cue.line is not None),
        unknown_letters=len(subtitles) - len(whole),
    )


def _is_timed(cue: Cue) -> bool:
    """Whether a cue is shown at all: it ends after it begins, and after the film does."""
    return cue.times is not None and cue.times[1] > max(cue.times[0], 0.0)


def _said(cues: Sequence[Cue], language: str) -> list[tuple[Cue, list[str]]]:
    """Cues in order of time, each with its spoken lines."""
    speech = Speech([cue.text for cue in cues], language)
    ordered = sorted(cues, key=lambda cue: cue.times or (0.0, 0.0))
    return [(cue, [] if cue.song else speech.lines(cue.text)) for cue in ordered]


def _once(said: Sequence[tuple[Cue, list[str]]]) -> tuple[list[Subtitle], int]:
    """Every line once: (subtitles, how many cues held nothing new).

    Rolling captions show a line again below or above the next, painted ones grow by a word at a time, and doubled ones
    stand twice in the file. All are told by what is still on the screen when a cue begins, or has just left it.
    """
    subtitles: list[Subtitle] = []
    repeated = 0
    shown: list[tuple[list[str], float, int]] = []  # lines, until when, which subtitle
    for cue, lines in said:
        assert cue.times is not None
        start, stop = max(cue.times[0], 0.0), cue.times[1]
        shown = [entry for entry in shown if entry[1] + _TOUCHING_SECONDS >= start]
        new, owner = lines, -1
        for before, _, which in shown:
            rest = _beyond(before, lines)
            if len(" ".join(rest)) < len(" ".join(new)):
                new, owner = rest, which
        if new:
            owner = len(subtitles)
            subtitles.append(Subtitle(start_seconds=start, stop_seconds=stop, text=" ".join(new)))
        else:
            repeated += 1
            last = subtitles[owner]
            subtitles[owner] = replace(last, stop_seconds=max(last.stop_seconds, stop))
        shown.append((lines, stop, owner))
    return subtitles, repeated


def _beyond(before: list[str], lines: list[str]) -> list[str]:
    """``lines`` without what they repeat of those shown ``before``; the last of these may have grown."""
    if all(line in before for line in lines):
        return []
    for first in range(len(before)):
        tail = before[first:]
        count = len(tail)
        if count > len(lines) or tail[:-1] != lines[: count - 1]:
            continue
        grown = lines[count - 1]
        if grown == tail[-1]:
            return lines[count:]
        if grown.startswith(f"{tail[-1]} "):
            return [grown[len(tail[-1]) + 1 :], *lines[count:]]
    return lines


def write_srt(path: str | Path, subtitles: Iterable[Subtitle]) -> None:
    """Write UTF-8 SubRip."""
    with atomic_write(path, "w") as file:
        for number, subtitle in enumerate(subtitles, 1):
            start, stop = _clock(subtitle.start_seconds), _clock(subtitle.stop_seconds)
            file.write(f"{number}\n{start} --> {stop}\n{subtitle.text}\n\n")


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{milliseconds:03}"
