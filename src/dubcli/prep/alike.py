"""Titles of a cache that share most of their sound: two versions of one film, or a film and its trailer or sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.core.atomic import read_json, write_json
from dubcli.errors import UserError
from dubcli.prep.landmarks import landmarks_file
from dubcli.prep.shared import MOST, shared_sound

_NAMED = 3


@dataclass(frozen=True)
class Alike:
    """Two titles by their ids: which share of the sound of each is in the other."""

    first: str
    second: str
    shares: tuple[float, float]


def alike_in(cache: Path, movies: Sequence[Movie]) -> list[Alike]:
    """The pairs that share more than half of the sound of one; kept in the cache until it has other films."""
    there = [movie for movie in movies if landmarks_file(movie.folder).is_file()]
    made_of = [(movie.id, movie.tracks.get(movie.primary, {}).get("fingerprint")) for movie in there]
    state = hashlib.sha256(repr((layout.LANDMARKS_FILE, made_of)).encode()).hexdigest()
    kept = cache / layout.ALIKE_FILE
    with suppress(UserError, KeyError):  # there is none, or half of one
        known = read_json(kept)
        if known["state"] == state:
            return [Alike(first, second, (a, b)) for first, second, a, b in known["pairs"]]
    names, found = [], []
    for movie in there:
        with suppress(OSError, ValueError):  # it was damaged since
            found.append(np.load(landmarks_file(movie.folder), mmap_mode="r", allow_pickle=False).reshape(-1, 3))
            names.append(movie.id)
    pairs = [Alike(names[a], names[b], shares) for a, b, shares in shared_sound(found)]
    with suppress(OSError):  # it only saves time
        write_json(kept, {"state": state, "pairs": [[pair.first, pair.second, *pair.shares] for pair in pairs]})
    return pairs


def alike_groups(pairs: Sequence[Alike]) -> list[list[Alike]]:
    """The pairs that have titles in common, together."""
    group_of: dict[str, list[Alike]] = {}
    for pair in pairs:
        smaller, larger = sorted((group_of.get(name, []) for name in (pair.first, pair.second)), key=len)
        if smaller is not larger:
            larger += smaller
        larger.append(pair)
        for one in [*smaller, pair] if smaller is not larger else [pair]:
            group_of[one.first] = group_of[one.second] = larger
    return list({id(group): group for group in group_of.values()}.values())


def line_of(group: Sequence[Alike], called: Mapping[str, str]) -> str:
    """What to say of titles that are alike, each by what it is ``called``."""
    names = list(dict.fromkeys(name for pair in group for name in (pair.first, pair.second)))
    if len(names) > 2:
        some = ", ".join(called[name] for name in names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = f"{some}{more} share most of their sound: versions of one film?"
    elif min(group[0].shares) >= MOST:
        first, second = (called[name] for name in names)
        what = f"{first} and {second} share {max(group[0].shares):.0%} of their sound: two versions of one film?"
    else:
        part, whole = sorted(zip(group[0].shares, names, strict=True), reverse=True)
        what = f"{part[0]:.0%} of the sound of {called[part[1]]} is in {called[whole[1]]}: a part of it?"
    folder = f"{layout.MOVIES_FOLDER}/{names[-1]}"
    return f"{what} They are each other's negatives; to leave one out, --exclude it and remove {folder} of the cache"
