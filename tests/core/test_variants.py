"""The variants of the paper and what the command line may ask for."""

import pytest

from dubcli.core.variants import Variant, parse_variant, variant_from_dict
from dubcli.errors import UserError

CACHE = ["en", "es", "fr", "ja", "de", "pt-BR"]


@pytest.mark.parametrize(
    ("text", "languages", "heads", "secondaries", "terms"),
    [
        ("mono", ["en"], "video primary secondary", [""], 2),
        ("es", ["en", "es"], "video primary secondary", ["es"], 2),
        ("efj", ["en", "es", "fr", "ja"], "video primary secondary", ["es", "fr", "ja"], 2),
        ("sep", ["en"], "video primary", [], 1),
        ("a", ["en"], "primary secondary", [""], 1),
        ("a-efj", ["en", "es", "fr", "ja"], "primary secondary", ["es", "fr", "ja"], 1),
        ("a-de", ["en", "de"], "primary secondary", ["de"], 1),
        ("multi:es,de", ["en", "es", "de"], "video primary secondary", ["es", "de"], 2),
        ("MULTI:pt-br", ["en", "pt-BR"], "video primary secondary", ["pt-BR"], 2),
        ("multi:all", CACHE, "video primary secondary", CACHE[1:], 2),
    ],
)
def test_variants(text, languages, heads, secondaries, terms):
    variant = parse_variant(text, "en", CACHE)
    assert list(variant.languages) == languages
    assert list(variant.heads) == heads.split()
    assert list(variant.secondaries) == secondaries
    assert len(variant.terms) == terms
    assert {head for term in variant.terms for head in term} == set(variant.heads)
    assert variant.uses_video == ("video" in variant.heads)
    assert variant_from_dict(variant.to_dict()) == variant


def test_sep_is_nospeech_at_44100():
    sep = parse_variant("sep", "en", CACHE)
    assert (sep.primary_kind, sep.sample_rate, sep.secondary_at(0, 0)) == ("nospeech", 44100, None)
    assert parse_variant("efj", "en", CACHE).sample_rate == 48000


def test_round_robin_by_step_with_the_start_shifted_each_epoch():
    efj = parse_variant("efj", "en", CACHE)
    assert [efj.secondary_at(0, step) for step in range(4)] == ["es", "fr", "ja", "es"]
    assert [efj.secondary_at(1, step) for step in range(4)] == ["fr", "ja", "es", "fr"]
    assert parse_variant("mono", "en", CACHE).secondary_at(3, 7) == ""


@pytest.mark.parametrize(
    ("text", "primary", "available", "message"),
    [
        ("efj", "en", ["en", "es"], "needs fr, ja.*prep --lang en,es,fr,ja"),
        ("it", "en", CACHE, "needs it"),
        ("multi:es,it", "en", CACHE, "needs it"),
        ("en", "en", CACHE, "primary"),
        ("multi:es,en", "en", CACHE, "primary"),
        ("efj", "fr", CACHE, "primary"),
        ("multi:es,es", "en", CACHE, "twice"),
        ("multi:", "en", CACHE, "unknown variant"),
        ("multi:all", "en", ["en"], "only en"),
        ("simclr", "en", CACHE, "unknown variant"),
        ("", "en", CACHE, "unknown variant"),
    ],
)
def test_wrong_variants_in_one_line(text, primary, available, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_variant(text, primary, available)
    assert "\n" not in str(caught.value)


def test_a_variant_must_contrast_something():
    with pytest.raises(ValueError, match="nothing"):
        Variant(name="x", uses_video=False, primary="en")
    with pytest.raises(ValueError, match="twice"):
        Variant(name="x", uses_video=True, primary="en", secondaries=("es", "es"))
