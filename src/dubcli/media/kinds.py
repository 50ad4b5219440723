"""Which files are sound and which are film, by their names: the one list that every stage goes by.

All of them are formats that FFmpeg reads. A film may hold only sound, and some sounds a picture: what is in a file is
seen when it is opened; the list says which files of a folder are looked at.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dubcli.errors import InputError

SOUND, FILM, OTHER, CLOSED = "sound", "film", "other", "closed"

# fmt: off
SOUND_SUFFIXES = frozenset((
    ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".awb", ".caf", ".dts", ".dtshd", ".eac3",
    ".ec3", ".flac", ".g722", ".m4a", ".m4b", ".m4r", ".mka", ".mlp", ".mp2", ".mp3", ".mpa", ".mpc", ".oga", ".ogg",
    ".opus", ".rf64", ".snd", ".sph", ".spx", ".tak", ".thd", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".wma",
    ".wv",
))
FILM_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".amv", ".asf", ".avi", ".divx", ".dv", ".dvr-ms", ".evo", ".f4v", ".flv", ".ivf", ".m1v", ".m2p",
    ".m2t", ".m2ts", ".m2v", ".m4v", ".mk3d", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf",
    ".nut", ".nuv", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".tp", ".trp", ".ts", ".vob", ".vro", ".webm",
    ".wmv", ".wtv", ".y4m",
))
DISC_IMAGES = frozenset((".iso", ".img", ".mdf", ".nrg"))
# fmt: on
# How files of sound and film begin; images in the same families (WebP, HEIC) do not.
_MARK = re.compile(
    rb"(RIFF|RF64)....(WAVE|AVI )|riff\x2e\x91\xcf\x11|fLaC|OggS|ID3[\x02-\x04]|FORM....(AIF[FC]|8SVX)|caff\x00"
    rb"|\.snd\x00|\x1aE\xdf\xa3|....ftyp(?!avi|hei|hev|mif|msf|jxl)|#!AMR|wvpk|\x0bw|\x7f\xfe\x80\x01|0&\xb2\x75|NIST_1A"
    rb"|\xff[\xf1\xf9-\xfd]|\x00\x00\x01\xba",
    re.DOTALL,
)
# What systems and shares leave in folders; some of them no user may read.
_NO_CONTENT = frozenset({"lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "__MACOSX"})


def kind_of(path: str | os.PathLike[str]) -> str:
    """``sound``, ``film`` or ``other``, by a file's name. Hidden files, macOS's ``._*`` among them, are other."""
    name = os.path.basename(os.fspath(path))
    suffix = os.path.splitext(name)[1].lower()
    if is_hidden(name):
        return OTHER
    return SOUND if suffix in SOUND_SUFFIXES else FILM if suffix in FILM_SUFFIXES else OTHER


def as_read(name: str) -> str:
    """A file's name such that names which read alike are equal (NFC): an accent may be a letter of its own on disk."""
    return unicodedata.normalize("NFC", name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's."""
    return name.startswith(".") or name in _NO_CONTENT


def is_marked_as_media(path: Path) -> bool:
    """Whether a file begins as files of sound and film do, whatever its name. Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(16)
    return _MARK.match(head) is not None


def require_file(path: Path) -> None:
    """Raises InputError for a folder (why it cannot be read, where it cannot), a pipe and the like.

    A path that is not there is left to who opens it.
    """
    try:
        if path.is_dir():
            with os.scandir(path):
                raise InputError("is not a file but a folder")
        if path.exists() and not path.is_file():
            raise InputError("is not a file")  # a pipe would be waited for
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a folder and its kind; or a folder that cannot be read (``closed``), an input that fails."""

    path: str
    kind: str

    @property
    def is_film(self) -> bool:
        """Whether it is to be looked at as a film."""
        return self.kind in (FILM, CLOSED)

    @property
    def is_media(self) -> bool:
        """Whether it is to be looked at: a folder that cannot be read must not be taken for an empty one."""
        return self.kind != OTHER


def walk(folder: str | os.PathLike[str], *, once: bool = False, without: Path | None = None) -> Iterator[Found]:
    """Everything below a folder but what is hidden, in the order of names; links are followed, but not in circles.

    ``once``: a folder that links reach twice is walked once; else only below itself it is not. ``without``: a folder
    that is left out.
    """
    above = set() if without is None or not without.exists() else {_identity(os.fspath(without))}
    yield from _walk(os.fspath(folder), above, once)


def _walk(folder: str, above: set[tuple[int, int | str]], once: bool) -> Iterator[Found]:
    try:
        itself = _identity(folder)
        if itself in above:
            return
        # only one folder's names are in memory at a time
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield Found(folder, CLOSED)
        return
    above.add(itself)
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if _is_folder(entry):
            yield from _walk(entry.path, above, once)
        else:
            yield Found(entry.path, kind_of(entry.name))
    if not once:
        above.discard(itself)


def _identity(folder: str) -> tuple[int, int | str]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino or os.path.realpath(folder)  # some network shares number nothing


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
