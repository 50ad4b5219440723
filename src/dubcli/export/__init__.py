"""A checkpoint -> a folder for others: ``model.safetensors``, ``config.json``, a card ``README.md``; and to the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.export.config import ExportConfig
from dubcli.lazy import lazy_exports

if TYPE_CHECKING:
    from dubcli.export.folder import export, push

__all__ = ["ExportConfig", "export", "push"]

__getattr__ = lazy_exports(__name__, {"export": "folder", "push": "folder"})
