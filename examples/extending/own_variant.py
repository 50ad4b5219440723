"""Variants of one's own: a function of the primary language and of the languages that the cache has.

    dubav pretrain --variant own_variant:dubs_without_video ...
    dubav pretrain --variant own_variant:all_together ...

Run it in this folder, or install the module. Each pair of heads shows curves of its own: val/loss/es,
val/loss/en-nospeech, ...
"""

from dubcli.core.tracks import NOSPEECH, Track
from dubcli.core.variants import Variant, View, make_variant


def dubs_without_video(primary: str, languages: list[str]) -> Variant:
    """The usual shape by its short form: the primary sound against every dub in turn, no frames."""
    dubs = [Track(language) for language in languages if language != primary]
    return make_variant("dubs-without-video", Track(primary), dubs, video=False)


def all_together(primary: str, languages: list[str]) -> Variant:
    """Every choice said: the primary sound as it is; in turn the dubs and the primary sound without its speech; and the
    two sounds against each other as a third term of the loss."""
    tracks = [Track(language) for language in languages if language != primary]
    return Variant(
        name="all-together",
        views=(
            View(head="video"),
            View(head="primary", tracks=(Track(primary),), augmentation="none"),
            View(head="secondary", tracks=(*tracks, Track(primary, NOSPEECH))),
        ),
        terms=(("video", "primary"), ("video", "secondary"), ("primary", "secondary")),
    )
