"""Sound that was recorded: prompts by human speakers for the voices, a user's own files for places and events.

Asterisk's prompts (Debian's ``asterisk-core-sounds-en-wav``, ``-es-wav`` and ``-fr-wav``) are some 500 in each language
under the same names. A folder of beds holds ``places/<name>/*`` and ``events/<name>/*``, two names or more of each.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubcli.corpus.plan import MOOD_SPEED, MOODS
from dubcli.corpus.sounds import SAMPLE_RATE, Sound, played
from dubcli.errors import InputError, UserError
from dubcli.media.kinds import kind_of
from dubcli.media.sound import track_blocks

Generator = np.random.Generator
_PROMPT_SECONDS = (0.6, 2.0)
_PROMPTS = 40
_KINDS = (0.74, 0.91, 1.12, 1.38)


class Prompts:
    """Lines by a human speaker in each language; the voices are hers, played slower and faster."""

    def __init__(self, folder: Path, languages: Sequence[str]) -> None:
        self.folders = {language: _voice_folder(folder, language) for language in languages}
        self.names = _common_names(list(self.folders.values()))
        self.count = len(self.names)
        self._read = functools.lru_cache(maxsize=512)(read_48k)

    def text(self, line: int, language: str) -> str:
        """The prompt's name, which says what is said."""
        return self.names[line].replace("-", " ")

    def say(self, line: int, language: str, kind: int, mood: int, faster: float) -> Sound:
        """Pitch and vocal tract move together, in four steps; moods are faster and slower."""
        factor = _KINDS[kind] * MOOD_SPEED[MOODS[mood]] ** 0.3 * faster
        return played(self._read(self.folders[language] / f"{self.names[line]}.wav"), SAMPLE_RATE, factor)


def _voice_folder(folder: Path, language: str) -> Path:
    found = sorted(path for path in folder.glob(f"{language}*") if path.is_dir() and any(path.glob("*.wav")))
    if not found:
        raise UserError(
            f"{folder} has no prompts in {language}; install the Debian package asterisk-core-sounds-{language}-wav "
            "(there are en, es, fr, it and ru), or name the folder with --speech-folder"
        )
    return found[0]


def _common_names(folders: Sequence[Path]) -> list[str]:
    """Prompts that every language has and that are as long as a line."""
    import soundfile

    names = set.intersection(*({path.stem for path in folder.glob("*.wav")} for folder in folders))
    low, high = _PROMPT_SECONDS
    fit = [
        name
        for name in sorted(names)
        if all(low <= soundfile.info(f / f"{name}.wav").duration <= high for f in folders)
    ]
    if len(fit) < 2:
        raise UserError(
            f"fewer than two prompts of {low:g} to {high:g} seconds are in all of {', '.join(map(str, folders))}"
        )
    step = max(1, len(fit) // _PROMPTS)
    return fit[::step][:_PROMPTS]


def sound_folders(folder: Path, most: int) -> list[list[Path]]:
    """The sound files of each class, which is a folder in ``folder``; at most so many classes. Raises UserError."""
    classes = [sorted(f for f in place.iterdir() if kind_of(f) == "sound") for place in _folders(folder)]
    classes = [files for files in classes if files]
    if not 2 <= len(classes) <= most:
        raise UserError(f"{folder} has {len(classes)} folders with sounds; give 2 to {most}, one for each class")
    return classes


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def read_48k(path: Path) -> Sound:
    """(samples,) mono. Raises UserError for a file that cannot be read."""
    problems: list[str] = []
    try:
        blocks = [block.numpy().mean(0) for block in track_blocks(path, None, None, SAMPLE_RATE, problems)]
    except InputError as error:
        raise UserError(f"{path}: {error}") from None
    if problems or not blocks:
        raise UserError(f"{path}: {problems[0] if problems else 'holds no samples'}")
    return np.concatenate(blocks)
