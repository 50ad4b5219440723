"""A site on this machine alone: a page is made when a browser asks for it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from dubcli.errors import InputError, UserError, first_line
from dubcli.view.site import Resource, Site

LOOPBACK = "127.0.0.1"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def make_server(site: Site, port: int, say: Callable[[str], None]) -> ThreadingHTTPServer:
    """A server on the loopback interface; port 0 takes a free one. Raises UserError where the port is taken."""
    try:
        return ThreadingHTTPServer((LOOPBACK, port), functools.partial(_Handler, site, say))
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen on port {port}: {first_line(error)}; give another with --port") from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, say: Callable[[str], None], *args: object) -> None:
        self.site, self.say = site, say
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """A page, picture or sound, or a part of it."""
        # a page of the network that has a name resolve to this machine is not to read what is here
        if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in (LOOPBACK, "localhost"):
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"this server is for this machine alone")
            return
        address = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
        try:
            found = self.site.get(address)
        except (UserError, InputError) as error:
            self.say(f"{address}: {error}")
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", str(error).encode())
            return
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not here")
        else:
            self._give(found)

    do_HEAD = do_GET

    def _give(self, found: Resource) -> None:
        part = _RANGE.fullmatch(self.headers.get("Range") or "")
        if part is None:
            self._send(HTTPStatus.OK, found.kind, found.content)
            return
        first, size = int(part[1]), len(found.content)
        last = min(size - 1, int(part[2]) if part[2] else size - 1)
        if first > last:
            self._send(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "text/plain", b"", {"Content-Range": f"bytes */{size}"}
            )
            return
        where = {"Content-Range": f"bytes {first}-{last}/{size}"}
        self._send(HTTPStatus.PARTIAL_CONTENT, found.kind, found.content[first : last + 1], where)

    def _send(self, status: HTTPStatus, kind: str, content: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Accept-Ranges": "bytes"}
        for name, value in {**headers, "Cache-Control": "no-store", **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line for each picture would hide what matters."""
