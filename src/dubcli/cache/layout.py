"""Names, shapes and the format number of the clip cache; what ``cache.json`` and ``movie.json`` hold.

::

    cache/cache.json                         {"format": 1, "parameters": {...}}
    cache/prep.jsonl                         one line per source
    cache/movies/<movie_id>/movie.json
                            frames.jpgs      JPEG bytes of all frames, one after another
                            frames.idx.npy   int64 (n_clips * 16 + 1,): byte offsets into frames.jpgs
                            mel.<lang>.npy            float16 (n_clips, 2, 96, 280)
                            mel.<lang>-nospeech.npy   float16 (n_clips, 2, 96, 257)

``movie.json``: ``id``, ``source`` ({"path", "size", "fingerprint"}), ``duration_seconds``, ``n_clips``, ``primary``,
``frame_size`` [width, height], ``tracks`` ({language: {"valid_clips": [first, stop], ...}}), ``nospeech``
({language: {...}}) and ``versions``; prep and separate add what they know.
"""

from __future__ import annotations

from pathlib import Path

FORMAT_VERSION = 1
CLIP_SECONDS = 3
FRAMES_PER_CLIP = 16
CHANNELS = 2
MELS = 96
MEL_FRAMES = 280  # of 144 000 samples at 48 kHz
NOSPEECH_MEL_FRAMES = 257  # of 132 300 samples at 44.1 kHz

CACHE_FILE = "cache.json"
PREP_LOG = "prep.jsonl"
SEPARATE_LOG = "separate.jsonl"
MOVIES_FOLDER = "movies"
MOVIE_FILE = "movie.json"
FRAMES_FILE = "frames.jpgs"
FRAME_INDEX_FILE = "frames.idx.npy"


def mel_file(language: str, *, nospeech: bool = False) -> str:
    """``mel.en.npy`` or ``mel.en-nospeech.npy``."""
    return f"mel.{language}-nospeech.npy" if nospeech else f"mel.{language}.npy"


def mel_shape(n_clips: int, *, nospeech: bool = False) -> tuple[int, int, int, int]:
    """(n_clips, 2, 96, 280 or 257)."""
    return n_clips, CHANNELS, MELS, NOSPEECH_MEL_FRAMES if nospeech else MEL_FRAMES


def movie_folder(cache: Path, movie_id: str) -> Path:
    """Where a movie's files are."""
    return cache / MOVIES_FOLDER / movie_id
