"""A process that speaks with Pico, one fork per line: ``python -m dubcli.speech.pico``.

Pico reads memory it has not cleared: in one process the same line sounds different after other lines have been spoken,
even in length (measured with py-nanotts 0.1.1). In a fresh process its memory is zero and every line is always the
same, which the promise "same seed, same corpus" needs. A fork of a small process that has loaded the engine and
nothing else costs some 20 ms; and when the engine crashes, it takes one line with it and not the film.

Requests are lines of JSON on standard input (text, voice, speed, pitch, volume), answers on standard output: the
number of bytes as a line of text, then 16-bit samples at 16 kHz. No answer is the number -1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from dubcli.errors import UserError


class PicoProcess:
    """The process, started at the first line, from the side that asks."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def speak(self, **request: str | float) -> bytes:
        """16-bit samples at 16 kHz. Raises UserError when the engine cannot speak the line."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "dubcli.speech.pico"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        source, target = self._process.stdin, self._process.stdout
        assert source is not None
        assert target is not None
        try:
            source.write(json.dumps(request).encode() + b"\n")
            source.flush()
            size = int(target.readline())
        except (OSError, ValueError):
            size = -1
        if size < 0:
            raise UserError(f"the speech engine Pico cannot speak {request.get('text')!r}; change the line")
        return target.read(size)

    def __del__(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(timeout=5)


def serve() -> None:
    """Answer requests until standard input ends."""
    from py_nanotts import NanoTTS

    for request in sys.stdin.buffer:
        pcm = _fresh(NanoTTS(), json.loads(request))
        sys.stdout.buffer.write(b"%d\n" % (len(pcm) if pcm else -1) + pcm)
        sys.stdout.buffer.flush()


def _fresh(engine: Any, request: dict[str, Any]) -> bytes:
    if not hasattr(os, "fork"):  # Windows: speaks as well, though not always the same samples
        return bytes(engine.speak(**request))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writer, "wb") as file:
                file.write(engine.speak(**request))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        pcm = file.read()
    os.waitpid(child, 0)
    return pcm


if __name__ == "__main__":
    serve()
