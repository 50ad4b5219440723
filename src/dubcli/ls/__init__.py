"""What films or a clip cache hold: titles x languages, codecs, channels, hours, and the table of language subsets."""

from dubcli.ls.listing import Listing, list_cache, list_sources
from dubcli.ls.title import TitleRow, TrackRow

__all__ = ["Listing", "TitleRow", "TrackRow", "list_cache", "list_sources"]
