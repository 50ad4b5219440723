"""The variants of the method (paper section 3.4): which sound tracks are contrasted with what. No torch here.

A variant is data: the views that its heads are given, and the pairs of heads that are contrasted. A new one is an entry
of ``MONOLINGUAL``, or a function of one's own that returns a ``Variant`` (``--variant MODULE:FUNCTION``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dubcli.core import plugins
from dubcli.core.languages import did_you_mean_language, found_as, language_tag, parse_language
from dubcli.core.tracks import FULL, NOSPEECH, Track
from dubcli.errors import UserError, did_you_mean

EFJ = ("es", "fr", "ja")
HEADS = ("video", "primary", "secondary")
AUGMENTATIONS = ("random", "none")


@dataclass(frozen=True, kw_only=True)
class View:
    """What a head is given.

    Attributes:
        head: ``video`` (a clip's frames), ``primary`` or ``secondary`` (its sound).
        tracks: of sound, in turn, one per step.
        augmentation: ``random`` (crops and RandAugment of frames, masks of sound; paper section 3.2) or ``none``.
    """

    head: str
    tracks: tuple[Track, ...] = ()
    augmentation: str = "random"

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"{self.head!r} is no head; there are {', '.join(HEADS)}")
        if self.augmentation not in AUGMENTATIONS:
            raise ValueError(f"augmentation is {self.augmentation!r}, not {' or '.join(AUGMENTATIONS)}")
        if (self.head == "video") != (not self.tracks):
            raise ValueError("the video head has no tracks, every other head has at least one")
        if len(set(self.tracks)) != len(self.tracks):
            raise ValueError(f"head {self.head} names a track twice")

    @property
    def is_random(self) -> bool:
        """Whether it is augmented."""
        return self.augmentation == "random"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one training run contrasts.

    Attributes:
        name: as given on the command line.
        views: in the order video, primary, secondary; primary is always there and has one track.
        terms: pairs of heads whose losses are summed (paper Eq. 2).

    Raises:
        ValueError: heads that are not these, several primary tracks, or nothing that is contrasted.
    """

    name: str
    views: tuple[View, ...]
    terms: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        heads = self.heads
        if heads != tuple(head for head in HEADS if head in heads) or "primary" not in heads:
            raise ValueError(
                f"variant {self.name} has heads {', '.join(heads)}; give some of {', '.join(HEADS)}, in order"
            )
        if len(self.view("primary").tracks) != 1:
            raise ValueError(f"variant {self.name} has several primary tracks; the primary head has one")
        used = {head for term in self.terms for head in term}
        if not self.terms or used != set(heads) or any(first == second for first, second in self.terms):
            raise ValueError(f"variant {self.name} contrasts nothing, or a head that it does not have or use")

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the projection heads: a subset of video, primary, secondary."""
        return tuple(view.head for view in self.views)

    def view(self, head: str) -> View:
        """What a head is given. Raises KeyError."""
        return {view.head: view for view in self.views}[head]

    @property
    def uses_video(self) -> bool:
        """Whether frames are looked at."""
        return "video" in self.heads

    @property
    def primary(self) -> Track:
        """The primary track."""
        return self.view("primary").tracks[0]

    @property
    def secondaries(self) -> tuple[Track, ...]:
        """The tracks that the secondary head is given in turn; the primary one again where it is masked twice."""
        return self.view("secondary").tracks if "secondary" in self.heads else ()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Every track a film must have, the primary first."""
        return tuple(dict.fromkeys((self.primary, *self.secondaries)))

    @property
    def languages(self) -> tuple[str, ...]:
        """The tracks' languages, the primary first."""
        return tuple(dict.fromkeys(track.language for track in self.tracks))

    def head_of(self, track: Track) -> str:
        """The head that places a track's sound: ``primary`` its own, ``secondary`` where there is one the others."""
        return "primary" if track == self.primary or "secondary" not in self.heads else "secondary"

    @property
    def sample_rate(self) -> int:
        """Hz, of the primary track: the sound that the model is used on later."""
        return self.primary.sample_rate

    def secondary_at(self, epoch: int, step: int) -> Track | None:
        """Secondary track of a step of an epoch, the same on all ranks; None when there is none.

        Round-robin by step as the paper's Multilingual variant; the start moves by one each epoch, so that
        an epoch whose length is a multiple of the languages does not pair every step with one language for ever.
        """
        if not self.secondaries:
            return None
        return self.secondaries[(step + epoch) % len(self.secondaries)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a checkpoint and in config.json."""
        views = [
            {"head": view.head, "tracks": [track.name for track in view.tracks], "augmentation": view.augmentation}
            for view in self.views
        ]
        return {"name": self.name, "views": views, "terms": [list(term) for term in self.terms]}


def variant_from_dict(fields: Mapping[str, Any]) -> Variant:
    """The inverse of ``Variant.to_dict``; reads the form of checkpoint format 1 too.

    Raises KeyError, TypeError or ValueError when the fields are not a variant's.
    """
    if "views" not in fields:
        return _of_format_1(fields)
    views = tuple(
        View(
            head=view["head"],
            tracks=tuple(Track.of(name) for name in view["tracks"]),
            augmentation=view["augmentation"],
        )
        for view in fields["views"]
    )
    return Variant(name=fields["name"], views=views, terms=tuple((first, second) for first, second in fields["terms"]))


def _of_format_1(fields: Mapping[str, Any]) -> Variant:
    """Languages, one kind of primary track, ``""`` for the primary itself."""
    kind = {"speech": FULL, "nospeech": NOSPEECH}[fields["primary_kind"]]
    primary = Track(fields["primary"], kind)
    secondaries = tuple(Track(language) if language else primary for language in fields["secondaries"])
    return make_variant(fields["name"], primary, secondaries, video=fields["uses_video"])


def make_variant(name: str, primary: Track, secondaries: Sequence[Track], *, video: bool = True) -> Variant:
    """The usual shape: video against primary and secondary sound, or without video these two against each other.

    Args:
        name: of the variant, as it stands in checkpoints and tables.
        primary: the track that is heard in every clip.
        secondaries: the tracks that take turns beside it.
        video: whether frames are shown.

    Returns:
        The variant.

    Raises:
        ValueError: there is nothing to contrast.

    >>> from dubcli.core.tracks import Track
    >>> make_variant("fr", Track("en"), [Track("fr")]).terms
    (('video', 'primary'), ('video', 'secondary'))
    """
    views = [View(head="video")] if video else []
    views.append(View(head="primary", tracks=(primary,)))
    if secondaries:
        views.append(View(head="secondary", tracks=tuple(secondaries)))
    if video:
        terms = tuple(("video", view.head) for view in views if view.head != "video")
    else:
        terms = (("primary", "secondary"),)
    return Variant(name=name, views=tuple(views), terms=terms)


@dataclass(frozen=True, kw_only=True)
class MonolingualVariant:
    """A variant of the primary language alone: the kinds of its tracks. secondary None: one loss term only.

    All tracks of a run are normalised by the same two numbers, the mean and standard deviation of the primary training
    mels: those are the model's own, with which it is used later. So in ``ns`` the track without speech goes in as much
    quieter as it is, and is not brought to the level of the whole one.
    """

    primary: str = FULL
    secondary: str | None = FULL
    video: bool = True


MONOLINGUAL: dict[str, MonolingualVariant] = {
    "mono": MonolingualVariant(),  # the primary track masked twice
    "sep": MonolingualVariant(primary=NOSPEECH, secondary=None),
    "ns": MonolingualVariant(secondary=NOSPEECH),  # the primary track with its speech, and without it
    "a": MonolingualVariant(video=False),
}
_KNOWN = f"{', '.join(MONOLINGUAL)}, a language such as es, efj, a-efj, multi:es,de, multi:all, MODULE:FUNCTION"


def parse_variant(text: str, primary: str, available: Sequence[str]) -> Variant:
    """Read ``--variant``.

    Args:
        text: a name of ``MONOLINGUAL``, a language in any way of writing it, ``efj`` (es, fr, ja exactly),
            ``multi:LANG,LANG`` or ``multi:all`` (every language of the cache but the primary); ``a-`` before a
            language, ``efj`` or ``multi:`` drops the video. Or ``MODULE:FUNCTION``, called with the primary language
            and the languages that the cache has.
        primary: language of the primary track.
        available: the languages that the cache has.

    Returns:
        The variant, its languages and its name as the cache has them.

    Raises:
        UserError: what is missing or unknown, with near names.

    >>> parse_variant("efj", "en", ["en", "es", "fr", "ja"]).languages
    ('en', 'es', 'fr', 'ja')
    """
    name = text.strip().lower()
    if name in MONOLINGUAL:
        form = MONOLINGUAL[name]
        secondary = () if form.secondary is None else (Track(primary, form.secondary),)
        return make_variant(name, Track(primary, form.primary), secondary, video=form.video)
    dubs = name.removeprefix("a-")
    if ":" in dubs and not dubs.startswith("multi:"):
        return _own(text.strip(), primary, available)
    dubs, secondaries = _secondaries(dubs, primary, available)
    sound_alone = name.startswith("a-")
    name = f"a-{dubs}" if sound_alone else dubs
    return make_variant(name, Track(primary), [Track(one) for one in secondaries], video=not sound_alone)


def _own(text: str, primary: str, available: Sequence[str]) -> Variant:
    function = plugins.load_object(text, asked="--variant")
    try:
        variant = function(primary, list(available))
    except (ValueError, TypeError) as error:
        raise UserError(f"--variant {text}: {error}") from None
    if not isinstance(variant, Variant):
        raise UserError(f"--variant {text} returned a {type(variant).__name__}, no dubcli.core.variants.Variant")
    return variant


def _secondaries(dubs: str, primary: str, available: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The variant's name without ``a-``, its languages as the cache has them, and these."""
    others = [language for language in available if language != primary]
    if dubs == "multi:all":
        if not others:
            raise UserError(f"multi:all needs dubs, the cache has only {primary}; prepare more with dubav prep --lang")
        return dubs, tuple(others)
    several = dubs.startswith("multi:")
    if dubs == "efj":
        wanted = list(EFJ)
    elif several:
        wanted = [_language(part, available) for part in dubs.removeprefix("multi:").split(",") if part.strip()]
    else:
        wanted = [_language(dubs, available)] if language_tag(dubs) is not None else []
    if not wanted:
        near = _near(dubs, others) or did_you_mean_language(dubs)
        raise UserError(f"unknown variant {dubs!r}{near}; there are {_KNOWN}")
    if primary in wanted:
        raise UserError(f"{primary} is the primary language; it cannot be a secondary one too (mono masks it twice)")
    if len(set(wanted)) != len(wanted):
        raise UserError(f"variant {dubs} names a language twice; name each once")
    missing = [language for language in wanted if language not in others]
    if missing:
        raise UserError(
            f"variant {dubs}{_near(dubs, others)} needs {', '.join(missing)}, the cache has "
            f"{', '.join(available) or 'no language'}; "
            f"add it with dubav prep --lang {','.join([primary, *wanted])}"
        )
    if dubs != "efj":
        dubs = f"multi:{','.join(wanted)}" if several else wanted[0]
    return dubs, tuple(wanted)


def _language(text: str, available: Sequence[str]) -> str:
    as_they_are = {language.lower(): language for language in available}
    return as_they_are.get(text.strip()) or found_as(parse_language(text, "--variant"), available)


def _near(dubs: str, languages: Iterable[str]) -> str:
    return "" if dubs == "efj" else did_you_mean(dubs, [*MONOLINGUAL, "efj", "multi:all", *languages])
