"""What FFmpeg knows of a container and PyAV has no name for: programmes, container crop, Dolby Vision.

It is read from FFmpeg's own description of the container (``av_dump_format``), which says the same of every format.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import av.logging

_STREAM = re.compile(r"  Stream #\d+:(\d+)")
_PROGRAM = re.compile(r"  Program (\d+)")
_CROP = re.compile(r"      Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)")
_DOLBY_VISION = re.compile(r"      DOVI configuration record: .*profile: (\d+),.*compatibility id: (\d+)")
_ONE_AT_A_TIME = threading.Lock()  # the level of FFmpeg's messages is the process's


class Crop(NamedTuple):
    """Pixels at the edges of the stored picture that are not shown."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0


WHOLE = Crop()


@dataclass
class Header:
    """By stream index, where there is something to say. ``dolby_vision``: (profile, compatibility id).

    ``programs``: the numbers of the programmes that a stream is part of, in the container's order.
    """

    programs: dict[int, list[int]] = field(default_factory=dict)
    crop: dict[int, Crop] = field(default_factory=dict)
    dolby_vision: dict[int, tuple[int, int]] = field(default_factory=dict)

    def beside(self, streams: Iterable[int]) -> set[int]:
        """All streams of the programmes that some are of, where there are several programmes, each with its own clock.

        None where there are not.
        """
        numbers = {number for stream in streams for number in self.programs.get(stream, [])}
        several = len({number for of in self.programs.values() for number in of}) > 1
        return {stream for stream, of in self.programs.items() if several and not numbers.isdisjoint(of)}


def read_header(container: Any) -> Header:
    """Of an open container."""
    found = Header()
    program: int | None = None
    stream = -1
    for line in _description(container).splitlines():
        if match := _STREAM.match(line):
            stream = int(match[1])
            if program is not None:
                found.programs.setdefault(stream, []).append(program)
        elif line.startswith("  ") and line[2] != " ":  # a section: a programme, "No Program", chapters
            match = _PROGRAM.match(line)
            program = int(match[1]) if match else None
        elif match := _CROP.match(line):
            found.crop[stream] = Crop(*map(int, match.groups()))
        elif match := _DOLBY_VISION.match(line):
            found.dolby_vision[stream] = (int(match[1]), int(match[2]))
    return found


def _description(container: Any) -> str:
    """FFmpeg writes it as messages, which PyAV catches where they are let through."""
    # what other threads' decoders say meanwhile must not get to the terminal
    logging.getLogger("libav").addHandler(logging.NullHandler())
    with _ONE_AT_A_TIME:
        level, skipping = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.INFO)
        av.logging.set_skip_repeated(False)
        try:
            return str(container.dumps_format())
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skipping)
