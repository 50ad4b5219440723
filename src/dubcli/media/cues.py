"""Subtitle files as cues: what is shown when, with its markup, in the format that the text itself shows.

MicroDVD, MPL2, SAMI, TTML and TMP are read by pysubs2. SubRip, WebVTT, SubViewer and ASS are read here: times come in
every spelling, and pysubs2 adds the text of those that it does not know to the cue before, speaks WebVTT's names of
cues, and of ASS takes the usual columns whatever the file's are, or refuses a whole file for one broken time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from dubcli.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Cue:
    """``text`` as it is written. ``times``: (start, stop) in seconds, None where they are not understood.
    ``line``: where in the file, from 1; None where that is not known. ``song``: whether a style says that it is sung
    or a sign."""

    text: str
    times: tuple[float, float] | None
    line: int | None = None
    song: bool = False


_TIME = r"-?\s*\d+(?:\s*[:;.,]\s*\d+){0,3}"
_TIMING = re.compile(
    rf"""^[\s\[("']*(?P<start>{_TIME})\s*(?P<arrow>[-–—−=][-–—−=\s]*(?:>|&gt;)|→)\s*(?P<stop>{_TIME})(?P<rest>.*)$"""
)
_COMMA_TIMING = re.compile(
    r"^\s*(?P<start>\d+:\d\d:\d\d\.\d{2,3})\s*,\s*(?P<stop>\d+:\d\d:\d\d\.\d{2,3})(?P<rest>)\s*$"
)
_NO_TIMING = re.compile(r"-->|^(?=(?:.*?:){2})\s*\d[\d:;,.\s>–-]*$")
_SETTINGS = re.compile(r"(?:\s*[A-Za-z][\w-]*:\S*)*\s*")
_NOT_CUES = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_MICRODVD = re.compile(r"^[ \t]*\{ *\d+ *\} *\{ *\d+ *\}", re.MULTILINE)
_MICRODVD_RATE = re.compile(r"^\s*\{\s*[01]\s*\}\s*\{\s*[01]\s*\}\s*(\d+(?:[.,]\d+)?)\s*(?:fps)?\s*$", re.IGNORECASE)
_ASS = re.compile(r"^\s*\[(?:Script Info|V4\+? Styles\+?|Events)\]", re.IGNORECASE | re.MULTILINE)
_ASS_LINE = re.compile(r"^\s*Dialogue\s*:", re.IGNORECASE | re.MULTILINE)
_ASS_COLUMNS = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
# styles of typesetters and karaoke; also in names like "OP_romaji" and "ED2"
_SONG_STYLE = re.compile(
    r"(?:^|[^a-z])(?:op|ed|opening|ending|songs?|lyrics?|karaoke|romaji|insert|signs?|credits?|staff|titles?)(?![a-z])",
    re.IGNORECASE,
)


def read_cues(text: str, frame_rate: float | None) -> tuple[str, list[Cue]]:
    """(format, cues in the file's order). ``frame_rate``: frames per second of the film, for times in frames.

    Raises UserError (its text follows a file's name) when the text is in no known format or breaks its own.
    """
    text = re.sub(r"\r*\n|\r+", "\n", text).replace("\u2028", "\n").replace("\x0b", "\n")
    begin = text.lstrip("\ufeff \t\n")
    if begin.startswith("WEBVTT"):
        return "WebVTT", list(_timed(text.split("\n"), frame_rate, webvtt=True))
    if _ASS.search(text):
        return "ASS", list(_ass(text))
    if _MICRODVD.search(text):
        return "MicroDVD", list(_microdvd(text, frame_rate))
    lines = text.split("\n")
    if any(_timing(line) for line in lines):
        return "SubRip", list(_timed(lines, frame_rate, webvtt=False))
    if _ASS_LINE.search(text):
        return "ASS", list(_ass(text))
    kinds = {"mpl2": "MPL2", "sami": "SAMI", "ttml": "TTML", "tmp": "TMP"}
    for kind, pattern in (
        ("sami", r"(?i)\A\s*<SAMI"),
        ("ttml", r"http://www\.w3\.org/ns/ttml"),
        ("mpl2", r"(?m)^\s*\[\d+\]\s*\[\d*\]"),
        ("tmp", r"(?m)^\s*\d{1,2}:\d\d:\d\d:\s*\S"),
    ):
        if re.search(pattern, text):
            return kinds[kind], list(_kept_reader(text, kind, _lines_expected(text, kind)))
    raise UserError("holds no subtitle with times; give SubRip, WebVTT, ASS, MicroDVD, MPL2, SAMI or TTML")


def _timing(line: str) -> re.Match[str] | None:
    """The times of a line that holds nothing else before them."""
    plain = unicodedata.normalize("NFKC", line)  # full-width digits and colons
    match = _TIMING.match(plain)
    if match is None:
        return _COMMA_TIMING.match(plain)
    # in a dialogue "5 -> 6" may be said; two hyphens are a subtitle's own
    is_sure = match["arrow"].startswith("--") or all(":" in match[name] for name in ("start", "stop"))
    return match if is_sure else None


def seconds_of(written: str, frame_rate: float | None) -> float | None:
    """``"00:01:02,5"`` -> 62.5; hours, and what is below a second, may be missing; None where that is no time.

    Two digits after a colon ("00:00:09:12") are frames.
    """
    compact = re.sub(r"\s", "", written)
    if not re.fullmatch(r"-?\d+(?:[:;.,]\d+){1,3}", compact):
        return None
    numbers, separators = re.findall(r"\d+", compact), re.findall(r"[:;.,]", compact)
    last, part = separators[-1], 0.0
    if last in ".," or len(numbers) == 4:
        if len(numbers) == 3 and separators[0] != ":":
            return None  # 00.00.01: of what?
        below = numbers.pop()
        if last in ":;" and len(below) == 2:
            if not frame_rate or int(below) >= round(frame_rate):
                return None
            part = int(below) / frame_rate
        else:
            part = float(f"0.{below}")
    whole: float = sum(int(number) * 60.0**power for power, number in enumerate(reversed(numbers)))
    return -(whole + part) if compact.startswith("-") else whole + part


def _timed(lines: list[str], frame_rate: float | None, *, webvtt: bool) -> Iterator[Cue]:
    """Cues of lines of times followed by lines of text, with or without counters and blank lines between."""
    notes = _note_lines(lines) if webvtt else set()
    at = [i for i, line in enumerate(lines) if i not in notes and (_timing(line) or _NO_TIMING.search(line))]
    counted = sum(1 for i in at if i and _is_counter(_before(lines, i))) > len(at) / 2
    counter = 0
    head = lines[: at[0]] if at else lines
    if webvtt:
        head = head[next((i for i, line in enumerate(head) if not line.strip()), len(head)) :]
    _, loose, counter = _segment(["", *head], counter, counted=counted, followed=bool(at), webvtt=webvtt)
    yield from (Cue(text=text, times=None, line=1) for text in loose)
    for this, following in zip(at, [*at[1:], len(lines)], strict=False):
        match = _timing(lines[this])
        text, loose, counter = _segment(
            lines[this + 1 : following], counter, counted=counted, followed=following < len(lines), webvtt=webvtt
        )
        times = None
        if match is not None:
            start, stop = seconds_of(match["start"], frame_rate), seconds_of(match["stop"], frame_rate)
            times = None if start is None or stop is None else (start, stop)
            beside = match["rest"].lstrip("])\"' ")
            if not webvtt and not _SETTINGS.fullmatch(beside):
                text = f"{beside.strip()}\n{text}"
        yield Cue(text=text, times=times, line=this + 1)
        yield from (Cue(text=part, times=None, line=this + 1) for part in loose)


def _segment(
    lines: list[str], counter: int, *, counted: bool, followed: bool, webvtt: bool
) -> tuple[str, list[str], int]:
    """What lies between two lines of times -> (the cue's text, texts whose times are missing, the next counter)."""
    lines = list(lines)
    is_beside = bool(lines) and bool(lines[-1].strip())  # the next times follow without a blank line
    while lines and not lines[-1].strip():
        lines.pop()
    is_apart = len(lines) > 1 and not lines[-2].strip()
    is_name = webvtt and is_apart and is_beside
    if followed and lines and (is_name or (_is_counter(lines[-1]) and (counted or (is_apart and is_beside)))):
        name = lines.pop().strip()
        following = int(name) if _is_counter(name) else counter + 1
    else:
        following = counter + 1
    blocks = [block.strip("\n") for block in re.split(r"\n[ \t]*(?=\n)", "\n".join(lines))]
    text, loose = blocks[0], []
    for block in blocks[1:]:
        first, _, rest = block.partition("\n")
        if webvtt:
            if block.strip() and not _NOT_CUES.match(block):
                loose.append(block)
        elif loose or (counted and _is_counter(first) and int(first) in (counter + 1 + len(loose), counter + 2)):
            loose += [rest] if rest.strip() else []
        else:
            text += "\n" + block
    return text, loose, following


def _is_counter(line: str) -> bool:
    return bool(re.fullmatch(r"\s*\d{1,6}\s*", line))


def _before(lines: list[str], index: int) -> str:
    """The line before, over blank ones."""
    return next((lines[i] for i in range(index - 1, -1, -1) if lines[i].strip()), "")


def _note_lines(lines: list[str]) -> set[int]:
    """Indices of WebVTT's comments and styles, which may hold what looks like times."""
    found, inside, blank = set(), False, True
    for index, line in enumerate(lines):
        inside = bool(line.strip()) and (inside or (blank and bool(_NOT_CUES.match(line))))
        blank = not line.strip()
        if inside:
            found.add(index)
    return found


def _kept_reader(text: str, kind: str, expected: int, frame_rate: float | None = None) -> Iterator[Cue]:
    """What pysubs2 reads, and a cue without times for each of the ``expected`` ones that it passed over."""
    import pysubs2

    try:
        # what an XML file says of its encoding is true no more
        text = re.sub(r"\A\s*<\?xml[^>]*\?>", "", text)
        read = pysubs2.SSAFile.from_string(text, format_=kind, fps=frame_rate)
    except Exception as error:  # a parser raises whatever a broken file leads it to
        said = str(error) or type(error).__name__
        raise UserError(f"cannot be read as {kind}: {' '.join(said.split())[:120]}") from None
    yield from (Cue(text=event.text, times=(event.start / 1000, event.end / 1000)) for event in read)
    yield from (Cue(text="", times=None) for _ in range(expected - len(read)))


def _lines_expected(text: str, kind: str) -> int:
    """How many cues a format of one line each should give; 0 where that is not known.

    A time alone of TMP is where the line before ends.
    """
    pattern = {"mpl2": r"\[", "microdvd": r"\{", "tmp": r"\d{1,2}:\d\d:\d\d:\s*\S"}.get(kind)
    return 0 if pattern is None else sum(1 for line in text.split("\n") if re.match(pattern, line.strip()))


def _microdvd(text: str, frame_rate: float | None) -> Iterator[Cue]:
    text = re.sub(r"(?<=[}|])/", "", text)  # MPL2's mark of slanted letters, in files that were converted
    lines = [line for line in text.split("\n") if line.strip()]
    first = next(i for i, line in enumerate(lines) if _MICRODVD.match(line))
    rate = _MICRODVD_RATE.match(lines[first])
    if rate is not None:
        frame_rate = float(rate[1].replace(",", "."))
        lines = lines[first + 1 :]
    lines = [line for line in lines if not line.lstrip().upper().startswith("{DEFAULT}")]
    if not frame_rate:
        raise UserError("counts frames and does not say how many make a second; begin it with {1}{1}25 or the like")
    yield from _kept_reader("\n".join(lines), "microdvd", _lines_expected("\n".join(lines), "microdvd"), frame_rate)


def _ass(text: str) -> Iterator[Cue]:
    """SubStation Alpha, ASS: the columns as the ``Format`` line of the events names them, the text last."""
    columns = _ASS_COLUMNS
    section = "[events]"
    for number, line in enumerate(text.split("\n"), 1):
        key, _, value = line.strip().partition(":")
        kind = key.strip().lower()
        if kind.startswith("["):
            section = kind
        elif kind == "format" and section == "[events]":
            named = [column.strip().lower() for column in value.split(",")]
            columns = named if {"start", "end", "text"} <= set(named) else columns
        elif kind == "dialogue":
            fields = dict(zip(columns, value.split(",", len(columns) - 1), strict=False))
            start, stop = (seconds_of(fields.get(name, ""), None) for name in ("start", "end"))
            style = f"{fields.get('style', '')} {fields.get('effect', '')}"
            yield Cue(
                text=fields.get("text", value),
                times=None if start is None or stop is None else (start, stop),
                line=number,
                song=bool(_SONG_STYLE.search(style)),
            )
