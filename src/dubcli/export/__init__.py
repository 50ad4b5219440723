"""A checkpoint -> a folder for others: ``model.safetensors``, ``config.json`` and a model card ``README.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubcli.export.folder import export

__all__ = ["export"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dubcli.export import folder

    return getattr(folder, name)
