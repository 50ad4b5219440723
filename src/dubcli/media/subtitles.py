"""SubRip subtitles (.srt): read what is said when, and write it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dubcli.core.atomic import atomic_write
from dubcli.errors import UserError

_TIMES = re.compile(r"(\d+):(\d{2}):(\d{2})[,.](\d{1,3})\s*-->\s*(\d+):(\d{2}):(\d{2})[,.](\d{1,3})")
# what is not spoken: tags, ASS overrides, sounds in brackets, dashes, music signs; then names of speakers in capitals
_UNSPOKEN = re.compile(r"<[^>]*>|\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|^\s*-\s*|[♪♫#]", re.MULTILINE)
_SPEAKER = re.compile(r"^\s*[A-ZÀ-Þ][A-ZÀ-Þ .]+:\s", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Subtitle:
    """``text`` is shown in [start_seconds, stop_seconds)."""

    start_seconds: float
    stop_seconds: float
    text: str


def read_srt(path: str | Path) -> list[Subtitle]:
    """The spoken subtitles in order of time. Raises UserError when the file is missing or holds none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give a .srt file") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # what old tools of the West wrote
    found = [subtitle for block in re.split(r"\r?\n\s*\r?\n", text) if (subtitle := _parse(block)) is not None]
    if not found:
        raise UserError(f"{path} holds no subtitle with times and spoken text; give a SubRip file (.srt)")
    return sorted(found, key=lambda subtitle: subtitle.start_seconds)


def _parse(block: str) -> Subtitle | None:
    match = _TIMES.search(block)
    if match is None:
        return None
    numbers = [int(number) for number in match.groups()]
    start, stop = _seconds(numbers[:4], match[4]), _seconds(numbers[4:], match[8])
    spoken = _SPEAKER.sub(" ", _UNSPOKEN.sub(" ", block[match.end() :].split("\n", 1)[-1]))
    text = " ".join(html.unescape(spoken).split())
    if not re.search(r"\w", text) or stop <= start:
        return None
    return Subtitle(start_seconds=start, stop_seconds=stop, text=text)


def _seconds(numbers: list[int], fraction: str) -> float:
    hours, minutes, seconds, _ = numbers
    return hours * 3600 + minutes * 60 + seconds + int(fraction.ljust(3, "0")) / 1000


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
