"""A library as people have them: films in 40 languages, odd names, links, copies, samples, discs, parts, rubbish."""

import os
import shutil
import struct
from pathlib import Path

from helpers.containers import Track, make_film

SECONDS = 3.1
# Tags as Matroska files have them: ISO 639-2/B.
TAGS = (
    "spa", "fre", "ger", "ita", "jpn", "por", "rus", "pol", "dut", "swe", "dan", "nor", "fin", "cze", "hun", "tur",
    "gre", "heb", "ara", "hin", "tam", "tel", "tha", "vie", "kor", "chi", "yue", "ukr", "rum", "bul", "hrv", "srp",
    "slv", "slo", "est", "lav", "lit", "cat", "ind",
)  # fmt: skip
ODD_NAMES = (
    'it\'s "quoted"',
    "new\nline",
    "映画 ñ",
    "a:1",
    "-dash",
    " leading space",
    "50% [1080p] {x}",
    "emoji 🎬",
    "dots..",
)


def make_library(folder, films=300):
    """Returns how many films there are that can be prepared with English as the primary language."""
    folder.mkdir(parents=True)
    bases = [_base(folder.parent / f"base {number}.mkv", TAGS[number], TAGS[(number + 7) % 39]) for number in range(39)]
    names = [*ODD_NAMES, *(f"Film {number:03} (19{number % 90 + 10})" for number in range(films - len(ODD_NAMES)))]
    paths = []
    for number, name in enumerate(names):
        path = folder / (f"{name}.mkv" if number % 3 else f"{name.strip()}/{name}.mkv")
        derive(bases[number % 39], path, number)
        paths.append(path)
    _links_and_copies(folder, paths)
    _extras(folder, paths, bases[0])
    _discs_and_parts(folder, bases)
    _rubbish(folder, bases[0])
    for path in folder.parent.glob("base *.mkv"):
        path.unlink()
    return len(paths) + 2 + 3  # discs, parts


def _base(path, *tags):
    tracks = [Track("eng", seed=1), *(Track(tag, seed=2 + number) for number, tag in enumerate(tags))]
    make_film(path, seconds=SECONDS, size=(32, 18), tracks=tracks)
    return path


def derive(base, path, number):
    """The same film as another content: with a Void element at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Path(base).read_bytes() + b"\xec\x84" + struct.pack(">I", number))


def _links_and_copies(folder, paths):
    for number in range(5):
        os.link(paths[30 + number], folder / f"again {number}.mkv")
        (folder / f"by year {number}.mkv").symlink_to(paths[40 + number].resolve())
        shutil.copy(paths[50 + number], folder / f"copy {number}.mkv")


def _extras(folder, paths, base):
    own = [path.parent for path in paths if path.parent != folder]
    for number, (parent, name) in enumerate(zip(
        own, ("Sample/x-sample.mkv", "Trailers/t.mkv", "y-trailer.mkv", "Extras/z.mkv", "Behind The Scenes/w.mkv") * 4,
        strict=False,
    )):  # fmt: skip
        derive(base, parent / name, 1000 + number)


def _discs_and_parts(folder, bases):
    for number in range(2):
        disc = folder / f"Disc {number}" / "VIDEO_TS"
        disc.mkdir(parents=True)
        make_film(disc / "VTS_01_1.VOB", seconds=SECONDS, video_codec="mpeg2video", size=(96, 64),
                  tracks=[Track(None, seed=50 + number), Track(None, seed=60 + number)])  # fmt: skip
        ifo = bytearray(0x300)
        ifo[:12] = b"DVDVIDEO-VTS"
        struct.pack_into(">H", ifo, 0x202, 2)
        ifo[0x204:0x214] = bytes([0, 0, *b"en", 0, 1, 0, 0, 0, 0, *b"fr", 0, 1, 0, 0])
        (disc / "VTS_01_0.IFO").write_bytes(ifo)
    for number in range(3):
        for part in (1, 2):
            derive(bases[number], folder / f"Long {number} cd{part}.mkv", 2000 + 2 * number + part)


def _rubbish(folder, base):
    for name in ("broken.mkv", "also broken.avi", "third.mp4"):
        (folder / name).write_bytes(name.encode() * 99)
    (folder / "empty.mkv").touch()
    for name in ("film.iso", "readme.nfo", "cover.jpg", "Film 002 (1912).en.srt"):
        (folder / name).write_bytes(b"x" * 99)
    shutil.copy(base, folder / "download.mkv.part")
    for number in range(2):
        make_film(
            folder / f"untagged {number}.mkv", seconds=SECONDS, size=(32, 18), tracks=[Track(None, seed=70 + number)]
        )
        make_film(
            folder / f"german {number}.mkv", seconds=SECONDS, size=(32, 18), tracks=[Track("ger", seed=80 + number)]
        )
