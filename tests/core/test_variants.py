"""The variants of the paper and what the command line may ask for."""

import pytest

from dubcli.core.tracks import Track
from dubcli.core.variants import Variant, View, make_variant, parse_variant, variant_from_dict
from dubcli.errors import UserError

CACHE = ["en", "es", "fr", "ja", "de", "pt-BR"]


@pytest.mark.parametrize(
    ("text", "languages", "heads", "secondaries", "terms"),
    [
        ("mono", ["en"], "video primary secondary", ["en"], 2),
        ("es", ["en", "es"], "video primary secondary", ["es"], 2),
        ("efj", ["en", "es", "fr", "ja"], "video primary secondary", ["es", "fr", "ja"], 2),
        ("sep", ["en"], "video primary", [], 1),
        ("a", ["en"], "primary secondary", ["en"], 1),
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
    assert [track.name for track in variant.secondaries] == secondaries
    assert len(variant.terms) == terms
    assert {head for term in variant.terms for head in term} == set(variant.heads)
    assert variant.uses_video == ("video" in variant.heads)
    assert variant_from_dict(variant.to_dict()) == variant


@pytest.mark.parametrize(
    ("text", "name", "secondaries"),
    [
        ("French", "fr", ["fr"]),
        ("a-fra", "a-fr", ["fr"]),
        ("iw", "he", ["he"]),
        ("multi:Hebrew, cmn", "multi:he,zh", ["he", "zh"]),
        ("nb", "no", ["no"]),  # the macrolanguage's tag in the cache
        ("Cantonese", "yue", ["yue"]),
    ],
)
def test_languages_of_a_variant_are_written_in_any_way_and_named_by_the_cache(text, name, secondaries):
    variant = parse_variant(text, "en", ["en", "fr", "he", "no", "yue", "zh"])
    assert (variant.name, [str(track) for track in variant.secondaries]) == (name, secondaries)


def test_sep_is_nospeech_at_44100():
    sep = parse_variant("sep", "en", CACHE)
    assert (sep.primary, sep.sample_rate, sep.secondary_at(0, 0)) == (Track("en", "nospeech"), 44100, None)
    assert parse_variant("efj", "en", CACHE).sample_rate == 48000


def test_round_robin_by_step_with_the_start_shifted_each_epoch():
    efj = parse_variant("efj", "en", CACHE)
    assert [str(efj.secondary_at(0, step)) for step in range(4)] == ["es", "fr", "ja", "es"]
    assert [str(efj.secondary_at(1, step)) for step in range(4)] == ["fr", "ja", "es", "fr"]
    assert parse_variant("mono", "en", CACHE).secondary_at(3, 7) == Track("en")


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
        ("multi:es,spa", "en", CACHE, "twice"),
        ("frnech", "en", CACHE, r"unknown variant 'frnech' \(did you mean french \(fr\)\?\)"),
        ("multi:es,frnech", "en", CACHE, r"--variant: 'frnech' is no ISO 639 language; did you mean french \(fr\)\?"),
        ("multi:es,zxx", "en", CACHE, "--variant: 'zxx' is no ISO 639 language"),
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
        make_variant("x", Track("en"), (), video=False)
    with pytest.raises(ValueError, match="twice"):
        make_variant("x", Track("en"), (Track("es"), Track("es")))
    with pytest.raises(ValueError, match="heads secondary, primary"):
        Variant(
            name="x",
            views=(View(head="secondary", tracks=(Track("es"),)), View(head="primary", tracks=(Track("en"),))),
            terms=(("primary", "secondary"),),
        )
    with pytest.raises(ValueError, match="several primary"):
        Variant(name="x", views=(View(head="video"), View(head="primary", tracks=(Track("en"), Track("es")))),
                terms=(("video", "primary"),))  # fmt: skip


def test_ns_pairs_a_track_with_itself_without_speech():
    ns = parse_variant("ns", "en", CACHE)
    assert [str(track) for track in ns.tracks] == ["en", "en-nospeech"]
    assert [(track.sample_rate, track.mel_frames) for track in ns.tracks] == [(48000, 280), (44100, 257)]
    assert (ns.languages, ns.sample_rate) == (("en",), 48000)


def test_tracks_by_name():
    for name in ("en", "en-nospeech", "pt-BR", "pt-BR-nospeech", "es-419"):
        track = Track.of(name)
        assert (track.name, track.mel_file) == (name, f"mel.{name}.npy")
        assert Track.of(track) is track
    assert Track.of("pt-BR-nospeech") == Track("pt-BR", "nospeech")
    with pytest.raises(ValueError, match="no kind of track"):
        Track("en", "silent")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("mono", {"uses_video": True, "primary_kind": "speech", "secondaries": [""]}),
        ("efj", {"uses_video": True, "primary_kind": "speech", "secondaries": ["es", "fr", "ja"]}),
        ("sep", {"uses_video": True, "primary_kind": "nospeech", "secondaries": []}),
        ("a", {"uses_video": False, "primary_kind": "speech", "secondaries": [""]}),
    ],
)
def test_variants_of_format_1_mean_what_they_meant(text, fields):
    assert variant_from_dict({"name": text, "primary": "en", **fields}) == parse_variant(text, "en", CACHE)
