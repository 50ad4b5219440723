"""How many titles and hours have which languages together (table B4 of the paper), for ``dubav ls`` and the report."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

MOST = 64


@dataclass(frozen=True)
class Subset:
    """Languages, the primary one first, the others sorted; how many titles have all of them, and their hours."""

    languages: tuple[str, ...]
    titles: int
    hours: float


@dataclass(frozen=True)
class LanguageSubsets:
    """``rows`` by the number of languages, then by titles; ``complete``: whether no set that a title has is missing."""

    rows: tuple[Subset, ...]
    complete: bool

    @property
    def note(self) -> str:
        """What is to be said where sets are missing; empty where none is."""
        return "" if self.complete else "Not every set: the smaller ones, and those that are all languages of a title."


def language_subsets(
    titles: Iterable[tuple[Collection[str], float]], primary: str, most: int = MOST
) -> LanguageSubsets:
    """The sets of ``primary`` and other languages that some title has. Time grows linearly with the titles.

    Args:
        titles: of each its languages and its hours. Those without ``primary`` do not count.
        primary: the language that stands in every set.
        most: a title of n others has 2^n sets. Where there are more than so many, all pairs are returned, larger sets
            as long as all of their size stay within ``most``, and of the largest, which are all the languages that a
            title has, the ``most`` with the most titles.

    >>> found = language_subsets([(("en", "fr"), 2.0), (("en", "es", "fr"), 1.0), (("es",), 1.0)], "en")
    >>> [(row.languages, row.titles, row.hours) for row in found.rows]
    [(('en',), 2, 3.0), (('en', 'fr'), 2, 3.0), (('en', 'es'), 1, 1.0), (('en', 'es', 'fr'), 1, 1.0)]
    """
    count: Counter[frozenset[str]] = Counter()
    hours: defaultdict[frozenset[str], float] = defaultdict(float)
    for languages, duration in titles:
        if primary in languages:
            others = frozenset(languages) - {primary}
            count[others] += 1
            hours[others] += duration
    chosen: set[frozenset[str]] = set()
    largest = max(map(len, count), default=-1)
    complete = True
    for size in range(largest + 1):
        level = _of_size(count, size, None if size < 2 else most - len(chosen))
        if level is None:
            complete = False
            chosen.update(others for others, _ in count.most_common(most))
            break
        chosen |= level
    rows = []
    for wanted in chosen:
        having = [others for others in count if wanted <= others]
        named = (primary, *sorted(wanted))
        rows.append(Subset(named, sum(count[one] for one in having), sum(hours[one] for one in having)))
    rows.sort(key=lambda row: (len(row.languages), -row.titles, row.languages))
    return LanguageSubsets(tuple(rows), complete)


def _of_size(sets: Iterable[frozenset[str]], size: int, most: int | None) -> set[frozenset[str]] | None:
    """All subsets of ``size`` of any of ``sets``; None where they are more than ``most``."""
    found: set[frozenset[str]] = set()
    for one in sets:
        for chosen in itertools.combinations(sorted(one), size):
            found.add(frozenset(chosen))
            if most is not None and len(found) > most:
                return None
    return found
