"""In which panel of a command's ``--help`` an option stands: those that answer one question together.

What is named in no panel stands in the first one, ``Options``: what nearly every call has, and what is printed.
"""

from __future__ import annotations

from typing import Any

WORK = "Where and how it runs"
_WORK = frozenset({
    "workers", "scheduler", "shard", "strict", "max_failures", "device", "gpus", "procs", "nnodes", "node_rank",
    "rdzv_endpoint", "max_restarts", "precision", "compile", "batch_size", "deterministic", "loader_workers",
})  # fmt: skip
_LIBRARY = ("assume_primary", "include_extras", "exclude")
_PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "demo": {"Size": ("films", "heldout", "minutes", "steps", "seed")},
    "ls": {"Films and tracks": _LIBRARY},
    "prep": {
        "Films and tracks": _LIBRARY,
        "Dubs": ("match_level", "sync_check", "max_lag_ms", "fix_lag", "keep_same", "unknown"),
        "Pictures": ("frame_rule", "short_side", "frames", "decoder"),
    },
    "separate": {
        "Model": ("model", "model_repo", "trust_models", "speech_stem"),
        "Files that are written": ("stems", "file_format"),
    },
    "embed": {
        "Features": ("per_chunk", "chunks", "pool", "hop_seconds", "layer", "projected", "modality"),
        "The model random": ("seed", "preset"),
    },
    "probe": {
        "Data": ("data", "data_kind", "splits", "shots", "draws"),
        "Checks of the data": ("allow_missing", "check_leakage"),
        "Features": ("modality", "chunks", "features", "preset"),
        "Heads": ("protocol", "max_steps", "seed", "fast_heads"),
    },
    "report": {"Gallery": ("gallery", "gallery_clips", "sources")},
    "view": {"Clips": ("film", "clips", "sources"), "Map of a run": ("cache", "with_map", "map_clips", "seed")},
    "search": {
        "Index": ("build", "model", "lang"),
        "Question": ("find", "by", "track", "among", "film", "other_films"),
    },
    "export": {"Model card": ("license", "dataset", "results"), "Hub": ("push", "private")},
    "corpus": {
        "Size": ("films", "heldout", "heldout_as", "minutes", "seed"),
        "Speech": ("speech", "speech_db", "speech_folder", "engine"),
        "Controls": ("link", "casting", "dubs", "broken", "beds"),
    },
    "dub": {"Speech": ("speech", "original", "engine")},
}
_ALWAYS_FIRST = {"pretrain": ("variant", "cache", "out")}


def _of_pretrain() -> dict[str, tuple[str, ...]]:
    """The parts of its config."""
    from dataclasses import fields

    from dubcli.pretrain.config import PARTS

    return {name.capitalize(): tuple(field.name for field in fields(kind)) for name, kind in PARTS.items()}


def panel_of(command: str, parameter: Any) -> str | None:
    """The panel of a command's option; None: the first one, or that of the arguments."""
    name = parameter.name
    if parameter.param_type_name == "argument" or name in _ALWAYS_FIRST.get(command, ()):
        return None
    panels = _of_pretrain() if command == "pretrain" else _PANELS.get(command, {})
    own = next((panel for panel, names in panels.items() if name in names), None)
    return own or (WORK if name in _WORK else None)
