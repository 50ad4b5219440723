"""Learn audiovisual representations from movies with several dubbed sound tracks, and measure them.

Implements "Looking Similar, Sounding Different: Leveraging Counterfactual Cross-Modal Pairs for Audiovisual
Representation Learning" (CVPR 2024). Each stage is a folder whose package exports what a notebook needs:
``dubcli.prep.prepare``, ``dubcli.separate.separate``, ``dubcli.pretrain.train``, ``dubcli.embed.embed``,
``dubcli.probe.probe``, ``dubcli.report.report``; ``dubcli.from_pretrained`` gives a model by its folder or its name on
the hub, ``dubcli.load_backbone`` its backbone to build upon.
Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports

if TYPE_CHECKING:
    from dubcli.core.models import freeze, unfreeze
    from dubcli.core.pretrained import from_pretrained, load_backbone

__all__ = ["__version__", "freeze", "from_pretrained", "load_backbone", "unfreeze"]

__version__ = "0.1.0"

__getattr__ = lazy_exports(
    __name__,
    {
        "freeze": "core.models",
        "from_pretrained": "core.pretrained",
        "load_backbone": "core.pretrained",
        "unfreeze": "core.models",
    },
)
