"""Learn audiovisual representations from movies with several dubbed sound tracks, and measure them.

Implements "Looking Similar, Sounding Different: Leveraging Counterfactual Cross-Modal Pairs for Audiovisual
Representation Learning" (CVPR 2024). Each stage is a folder whose package exports what a notebook needs:
``dubcli.prep.prepare``, ``dubcli.separate.separate``, ``dubcli.pretrain.train``, ``dubcli.embed.embed``,
``dubcli.probe.probe``, ``dubcli.report.report``; ``dubcli.load_backbone`` gives a checkpoint's backbone to build upon.
Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubcli.core.pretrained import load_backbone

__all__ = ["__version__", "load_backbone"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load_backbone":
        from dubcli.core.pretrained import load_backbone

        return load_backbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
