"""Learn audiovisual representations from movies with several dubbed sound tracks, and measure them.

Implements "Looking Similar, Sounding Different: Leveraging Counterfactual Cross-Modal Pairs for Audiovisual
Representation Learning" (CVPR 2024). Each stage is a folder whose package exports what a notebook needs:
``dubcli.prep.prepare``, ``dubcli.separate.separate``, ``dubcli.pretrain.train``, ``dubcli.embed.embed``,
``dubcli.probe.probe``, ``dubcli.report.report``. Importing this package imports no torch.
"""

__version__ = "0.1.0"
