"""Look at a cache or a run: its films, clips, sounds, dubs and the map of a model, as pages."""

from dubcli.view.config import ViewConfig
from dubcli.view.site import Site
from dubcli.view.stage import ViewSummary, open_site, write_sheet, write_site

__all__ = ["Site", "ViewConfig", "ViewSummary", "open_site", "write_sheet", "write_site"]
