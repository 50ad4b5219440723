"""Which film files of a folder are no films of their own by the players' conventions: samples, trailers, extras.

Names of folders and ends of names as Plex, Jellyfin and Kodi document them. Some of them are words of titles, too;
those count only in a film's own folder, or by the film's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

_ALWAYS_FOLDERS = frozenset({
    "sample", "samples", "trailer", "trailers", "extra", "extras", "featurette", "featurettes", "behind the scenes",
    "behindthescenes", "deleted scenes", "deleted", "bonus", "special features",
})  # fmt: skip
_FOLDERS_OF_A_FILM = frozenset({
    "interview", "interviews", "scene", "scenes", "short", "shorts", "clip", "clips", "other", "others", "backdrops",
})  # fmt: skip
_ALWAYS = re.compile(r"(?:trailer|sample)\d*|sample[-._].+|.*(?:[-._]|- )(?:trailer|sample)\d*", re.I | re.DOTALL)
_OF_A_FILM = re.compile(
    r"(.*)-(?:scene|clip|interview|behindthescenes|deleted|deletedscene|featurette|short|other|extra)\d*",
    re.I | re.DOTALL,
)


def extras_of(files: Collection[Path], root: Path) -> set[Path]:
    """Those of the film ``files`` below ``root`` that are extras. What is above ``root`` says nothing."""
    found = {path for path in files if _is_always(path, root)}
    films: defaultdict[Path, set[str]] = defaultdict(set)
    for path in files:
        if path not in found and not _OF_A_FILM.fullmatch(path.stem):
            films[path.parent].add(path.stem)
    own = {folder for folder, stems in films.items() if _is_of_one_film(folder.name, stems)}
    return found | {path for path in files if path not in found and _is_of_a_film(path, root, films, own)}


def _is_always(path: Path, root: Path) -> bool:
    folders = path.relative_to(root).parts[:-1]
    return any(name.casefold() in _ALWAYS_FOLDERS for name in folders) or bool(_ALWAYS.fullmatch(path.stem))


def _is_of_one_film(folder: str, stems: Collection[str]) -> bool:
    """One film alone, or several versions of it, which players know by the folder's name before theirs."""
    return len(stems) == 1 or all(stem.startswith(folder) for stem in stems)


def _is_of_a_film(path: Path, root: Path, films: Mapping[Path, Collection[str]], own: Collection[Path]) -> bool:
    match = _OF_A_FILM.fullmatch(path.stem)
    if match is not None and (path.parent in own or match[1] in films.get(path.parent, ())):
        return True
    above = [path.parents[number] for number in range(len(path.relative_to(root).parts) - 1)]
    return any(folder.name.casefold() in _FOLDERS_OF_A_FILM and folder.parent in own for folder in above)
