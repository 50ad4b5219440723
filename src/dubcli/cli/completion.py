"""What a shell completes as the value of an option or argument, by one rule for all commands.

A help's ``a|b|c`` is the list of its values. Others are in a table by name. What names a file is left to the shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from dubcli.core.presets import DECAYS, NEGATIVES, PRESETS, PROJECTION_NORMS, RANDAUGMENTS, SAMPLINGS

_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def _variants() -> Iterable[str]:
    from dubcli.core.variants import MONOLINGUAL

    return (*MONOLINGUAL, "es", "fr", "ja", "efj", "a-efj", "multi:all")


def _tasks() -> Iterable[str]:
    from dubcli.probe.tasks.registry import OWN, TASKS

    return (*TASKS, *OWN, "all", "compare")


def _languages() -> Iterable[str]:
    """Languages with a name of two letters: those that films have."""
    from dubcli.core.languages import two_letter_codes

    return two_letter_codes()


def _backbones(modality: str) -> Callable[[], Iterable[str]]:
    def names() -> Iterable[str]:
        from dubcli.core.backbones import BUILT_IN

        return BUILT_IN[modality]

    return names


def _separators() -> Iterable[str]:
    from dubcli.separate.bags import named_models

    return named_models()


def _precisions() -> Iterable[str]:
    from dubcli.core.machine import PRECISIONS

    return PRECISIONS


def _decoders() -> Iterable[str]:
    from dubcli.media.nvdec import DECODERS

    return DECODERS


def _devices() -> Iterable[str]:
    from dubcli.core.machine import gpu_count

    return ("cpu", "cuda", *(f"cuda:{number}" for number in range(gpu_count())))


_BY_NAME: dict[str, Callable[[], Iterable[str]]] = {
    "variant": _variants,
    "preset": lambda: PRESETS,
    "precision": _precisions,
    "decoder": _decoders,
    "device": _devices,
    "task": _tasks,
    "lang": _languages,
    "languages": _languages,
    "track": _languages,
    "among": _languages,
    "original": _languages,
    "audio_backbone": _backbones("audio"),
    "video_backbone": _backbones("video"),
    "randaugment": lambda: RANDAUGMENTS,
    "sampling": lambda: SAMPLINGS,
    "projection_norm": lambda: PROJECTION_NORMS,
    "negatives": lambda: NEGATIVES,
    "decay": lambda: DECAYS,
}
_OF_COMMAND: dict[tuple[str, str], Callable[[], Iterable[str]]] = {("separate", "model"): _separators}
_LISTS = {"lang", "languages", "among", "modality", "emit"}
"""Options of several values with commas between them."""


def values_of(command: str, parameter: Any) -> list[str]:
    """The values that are known of a parameter, in the order of its help; none where it is a path or a number."""
    known = _OF_COMMAND.get((command, parameter.name)) or _BY_NAME.get(parameter.name)
    if known is not None:
        return list(known())
    words = (parameter.metavar or "").split("|")
    return [word for word in words if _WORD.fullmatch(word)] if len(words) > 1 else []


def complete_values(command: str, parameter: Any) -> None:
    """Let the shell complete this parameter's values, where there are some; of ``a,b,c`` the last."""
    if not (parameter.name in _BY_NAME or (command, parameter.name) in _OF_COMMAND or "|" in (parameter.metavar or "")):
        return

    def complete(_context: Any, _parameter: Any, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",") if parameter.name in _LISTS else ("", "", incomplete)
        given = before.split(",")
        return [before + comma + v for v in values_of(command, parameter) if v.startswith(last) and v not in given]

    parameter._custom_shell_complete = complete
