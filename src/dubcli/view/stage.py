"""``view``: a cache, or the cache of a run, as pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dubcli.cache.layout import CACHE_FILE
from dubcli.cache.reader import Cache
from dubcli.core.atomic import atomic_folder, atomic_write, read_json, require_free, writing
from dubcli.errors import InputError, UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.view.config import ViewConfig
from dubcli.view.sheet import contact_sheet
from dubcli.view.site import Site

CHECKPOINT_FILE, CONFIG_FILE = "ckpt.pt", "config.json"
_MANY_FILES = 4000  # some half a minute of a core without sounds, minutes with them


@dataclass(frozen=True, kw_only=True)
class ViewSummary:
    """What was written.

    Attributes:
        page: the first one.
        films: how many are shown.
        clips: likewise.
        clips_of_cache: how many there are.
        sounds: players that were written.
        map: whether there is one.
        problems: what could not be shown, one line each.
    """

    page: Path
    films: int
    clips: int
    clips_of_cache: int
    sounds: int
    map: bool
    problems: tuple[str, ...]


def open_site(
    path: str | Path,
    config: ViewConfig,
    progress: Progress = SILENT,
    *,
    cache: str | Path | None = None,
    with_map: bool = True,
    every_clip: bool = False,
) -> Site:
    """The pages of a cache, or of the cache that a run was trained on, with the map of its model.

    Args:
        path: a clip cache or a run folder.
        config: which films and clips.
        progress: takes the map's bar.
        cache: of a run whose cache is not where it was.
        with_map: whether a run's map is made.
        every_clip: as ``Site``.

    Returns:
        The pages, made when they are asked for.

    Raises:
        UserError: neither a cache nor a run; the run's cache is not there; no such device here.

    >>> from dubcli.view import ViewConfig, open_site
    >>> site = open_site("cache", ViewConfig(clips=2))
    >>> [film.movie.n_clips for film in site.films.values()]
    [7, 7, 7]
    """
    folder = Path(path)
    if config.device is not None:  # refused whether or not there is something to compute
        from dubcli.core.machine import choose_device

        choose_device(config.device)
    if (folder / CACHE_FILE).is_file():
        return Site(Cache(folder), config, every_clip=every_clip)
    run = folder.parent if folder.name == CHECKPOINT_FILE else folder
    if not (run / CONFIG_FILE).is_file():
        raise UserError(f"{folder} is no clip cache (no {CACHE_FILE}) and no run folder (no {CONFIG_FILE})")
    told = read_json(run / CONFIG_FILE)
    place = Path(cache or str(told.get("cache") or "cache"))
    if not (place / CACHE_FILE).is_file():
        raise UserError(f"the cache of {run} is not at {place}; name it with --cache")
    site = Site(Cache(place), config, every_clip=every_clip, title=f"{run.name} on {place.resolve().name}")
    if with_map and config.map_clips:
        _add_map(site, run, told.get("held_out_films") or (), progress)
    return site


def _add_map(site: Site, run: Path, held_out: Iterable[str], progress: Progress) -> None:
    if not (run / CHECKPOINT_FILE).is_file():
        progress.message(f"{run} has no {CHECKPOINT_FILE} yet; no map")
        return
    from dubcli.core.checkpoint import load_trained
    from dubcli.core.machine import choose_device
    from dubcli.view.map import choose_items, make_map

    device = choose_device(site.config.device)
    trained = load_trained(run)
    progress.start("map", len(choose_items(site, trained, site.config.map_clips)), "pictures and sounds")
    site.map_chart = make_map(site, trained, tuple(held_out), device, lambda done: progress.update("map", done))
    progress.finish("map")


def write_site(site: Site, out: str | Path, progress: Progress = SILENT) -> ViewSummary:
    """Write every page, picture and sound of a site below ``out``, which appears when it is complete.

    Args:
        site: the pages.
        out: their folder, which is replaced where ``view`` made it.
        progress: takes a bar.

    Returns:
        What was written, and what could not be shown.

    Raises:
        UserError: ``out`` is something else than a folder that ``view`` made.

    >>> from dubcli.view import ViewConfig, open_site, write_site
    >>> write_site(open_site("cache", ViewConfig(clips=1)), "view").clips
    3
    """
    target = Path(out)
    require_free(target, ours=(target / "vega.js").is_file())
    addresses = list(site.addresses())
    problems: list[str] = []
    sounds = 0
    if len(addresses) > _MANY_FILES:
        progress.message(f"{len(addresses)} files to write, of {len(site.films)} films; "
                         "--serve makes them when they are looked at, and every clip")  # fmt: skip
    progress.start("pages", len(addresses), "files")
    with writing(target), atomic_folder(target) as folder:
        for number, address in enumerate(addresses):
            try:
                found = site.get(address)
            except (InputError, UserError) as error:
                problems.append(f"{address}: {error}")
                found = None
            if found is not None:
                place = folder / address
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(found.content)
                sounds += found.kind.startswith("audio/")
            progress.update("pages", number + 1)
    progress.finish("pages")
    return ViewSummary(
        page=target / "index.html",
        films=len(site.films),
        clips=sum(len(site.clips(one.movie)) for one in site.films.values()),
        clips_of_cache=sum(one.movie.n_clips for one in site.films.values()),
        sounds=sounds,
        map=site.map_chart is not None,
        problems=tuple(problems),
    )


def write_sheet(site: Site, out: str | Path) -> Path:
    """One film's contact sheet as PNG or JPEG, by the suffix of ``out``.

    Args:
        site: of one film: ``ViewConfig(films=...)``.
        out: the picture.

    Returns:
        Where it was written.

    Raises:
        UserError: another suffix, or several films.

    >>> from dubcli.view import ViewConfig, open_site, write_sheet
    >>> write_sheet(open_site("cache", ViewConfig(films=("film001",))), "sheet.png")
    PosixPath('sheet.png')
    """
    target = Path(out)
    kinds = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
    if target.suffix.lower() not in kinds:
        raise UserError(f"--sheet is {target}; give a name that ends in .png or .jpg")
    if len(site.films) != 1:
        titles = ", ".join(one.title for one in list(site.films.values())[:5])
        raise UserError(f"a sheet shows one film, there are {len(site.films)} ({titles}, ...); name one with --film")
    one = next(iter(site.films.values()))
    sheet = contact_sheet(one, site.clips(one.movie))
    with writing(target, "--sheet"), atomic_write(target) as file:
        sheet.save(file, kinds[target.suffix.lower()])
    return target
