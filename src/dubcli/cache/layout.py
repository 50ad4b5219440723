"""Names, shapes and the format number of the clip cache; what ``cache.json`` and ``movie.json`` hold.

::

    cache/cache.json                         {"format": 1, "parameters": {...}}
    cache/prep.jsonl                         one line per source
    cache/movies/<movie_id>/movie.json
                            frames.jpgs      JPEG bytes of all frames, one after another
                            frames.idx.npy   int64 (n_clips * 16 + 1,): byte offsets into frames.jpgs
                            mel.<lang>.npy            float16 (n_clips, 2, 96, 280)
                            mel.<lang>-nospeech.npy   float16 (n_clips, 2, 96, 257)
                            sound.npy        uint32 (n, 3): landmarks of the primary track, by which titles are
                                             compared; may be missing, as may cache/alike.json: what came of that

``movie.json``: ``id``, ``source`` ({"path", "size", "fingerprint"}), ``duration_seconds``, ``n_clips``, ``primary``,
``frame_size`` [width, height], ``tracks`` ({language: {"valid_clips": [first, stop], ...}}), ``nospeech``
({language: {...}}) and ``versions``; prep and separate add what they know.
"""

from __future__ import annotations

from pathlib import Path

from dubcli.core.tracks import CLIP_SECONDS as CLIP_SECONDS
from dubcli.core.tracks import FULL, KINDS, Track

FORMAT_VERSION = 1
FRAMES_PER_CLIP = 16
FRAME_RULE = "frame_rule"
FRAMES = "frames"
BEFORE_OPTIONS = {FRAME_RULE: "centres", FRAMES: "exact"}
"""Parameters that caches of earlier versions do not record, which had no choice."""
CHANNELS = 2
MELS = 96

CACHE_FILE = "cache.json"
PREP_LOG = "prep.jsonl"
SEPARATE_LOG = "separate.jsonl"
MOVIES_FOLDER = "movies"
MOVIE_FILE = "movie.json"
FRAMES_FILE = "frames.jpgs"
FRAME_INDEX_FILE = "frames.idx.npy"
LANDMARKS_FILE = "sound.npy"
ALIKE_FILE = "alike.json"


def is_cache(path: Path) -> bool:
    """Whether a folder is a clip cache."""
    return (path / CACHE_FILE).is_file()


def mel_file(track: Track | str) -> str:
    """``mel.en.npy`` or ``mel.en-nospeech.npy``."""
    return Track.of(track).mel_file


def mel_shape(n_clips: int, kind: str = FULL) -> tuple[int, int, int, int]:
    """(n_clips, 2, 96, 280 or 257)."""
    return n_clips, CHANNELS, MELS, KINDS[kind].mel_frames


def entries_key(kind: str) -> str:
    """Under which name ``movie.json`` holds the entries of tracks of a kind, by language."""
    return "tracks" if kind == FULL else kind


def movie_folder(cache: Path, movie_id: str) -> Path:
    """Where a movie's files are."""
    return cache / MOVIES_FOLDER / movie_id
