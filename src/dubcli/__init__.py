"""Learn audiovisual representations from movies with several dubbed sound tracks, and measure them.

Implements "Looking Similar, Sounding Different: Leveraging Counterfactual Cross-Modal Pairs for Audiovisual
Representation Learning" (CVPR 2024). Each stage is a folder whose package exports what a notebook needs:
``dubcli.prep.prepare``, ``dubcli.separate.separate``, ``dubcli.pretrain.train``, ``dubcli.embed.embed``,
``dubcli.probe.probe``, ``dubcli.report.report``; ``dubcli.from_pretrained`` gives a model by its folder or its name on
the hub, ``dubcli.load_backbone`` its backbone to build upon.
Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubcli.core.models import freeze, unfreeze
    from dubcli.core.pretrained import from_pretrained, load_backbone

__all__ = ["__version__", "freeze", "from_pretrained", "load_backbone", "unfreeze"]

__version__ = "0.1.0"

_HOMES = {
    "freeze": "dubcli.core.models",
    "from_pretrained": "dubcli.core.pretrained",
    "load_backbone": "dubcli.core.pretrained",
    "unfreeze": "dubcli.core.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
