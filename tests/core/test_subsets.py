"""Language subsets: every set that a title has, against plain enumeration; few rows where there are many."""

import itertools
import random

from dubcli.core.subsets import language_subsets


def enumerated(titles, primary):
    """Every set by the definition: 2^n of them, those of no title left out."""
    others = sorted({language for languages, _ in titles for language in languages} - {primary})
    for size in range(len(others) + 1):
        for chosen in itertools.combinations(others, size):
            having = [hours for languages, hours in titles if {primary, *chosen} <= set(languages)]
            if having:
                yield (primary, *chosen), len(having), sum(having)


def test_few_languages_give_every_set_that_a_title_has():
    draw = random.Random(0)
    pool = ["de", "en", "es", "fr", "it", "ja"]
    titles = [(draw.sample(pool, draw.randint(1, 6)), draw.randint(1, 9)) for _ in range(40)]
    found = language_subsets(titles, "en")
    assert {(row.languages, row.titles, row.hours) for row in found.rows} == set(enumerated(titles, "en"))
    assert (found.complete, found.note) == (True, "")
    order = [(len(row.languages), -row.titles) for row in found.rows]
    assert order == sorted(order)


def test_languages_that_never_meet_give_no_set():
    found = language_subsets([(("en", "es"), 1.0), (("en", "fr"), 1.0), (("fr", "es"), 1.0)], "en")
    assert [row.languages for row in found.rows] == [("en",), ("en", "es"), ("en", "fr")]
    assert language_subsets([], "en").rows == ()


def test_many_languages_give_pairs_and_the_titles_own_sets():
    """A title of 40 languages has 2^39 sets; 3000 titles have 3000 different ones."""
    pool = [f"q{number:02}" for number in range(40)]
    draw = random.Random(1)
    titles = [(("en", *pool), 2.0), *((("en", *draw.sample(pool, 30)), 1.0) for _ in range(3000))]
    found = language_subsets(titles, "en")
    assert not found.complete
    assert found.note
    by_languages = {row.languages: row for row in found.rows}
    assert {row.languages for row in found.rows if len(row.languages) == 2} == {("en", language) for language in pool}
    whole = by_languages[("en", *pool)]
    assert (whole.titles, whole.hours, by_languages[("en",)].titles) == (1, 2.0, 3001)
    for row in found.rows:
        assert row.titles == sum(set(row.languages) <= set(languages) for languages, _ in titles)
    assert len(found.rows) == 1 + 40 + 64
