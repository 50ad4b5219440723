"""What films or a clip cache hold: titles x languages, codecs, channels, hours, and the table of language subsets."""

from dubcli.ls.listing import Listing, list_cache, list_sources
from dubcli.ls.title import TitleRow, TrackRow, language_subsets

__all__ = ["Listing", "TitleRow", "TrackRow", "language_subsets", "list_cache", "list_sources"]
