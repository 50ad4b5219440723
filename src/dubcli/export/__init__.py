"""A checkpoint -> a folder for others: ``model.safetensors``, ``config.json``, a card ``README.md``; and to the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.export.config import ExportConfig

if TYPE_CHECKING:
    from dubcli.export.folder import export, push

__all__ = ["ExportConfig", "export", "push"]


def __getattr__(name: str) -> Any:
    if name not in ("export", "push"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dubcli.export import folder

    return getattr(folder, name)
