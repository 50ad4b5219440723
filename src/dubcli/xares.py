"""A checkpoint as an encoder of X-ARES (package ``xares``, https://github.com/jimbozhang/xares).

X-ARES takes a Python file that holds one name ending in ``Encoder``. This is such a file::

    from dubcli.xares import encoder

    EfjEncoder = encoder("runs/efj")

then ``python -m xares.run --max-jobs 1 efj.py src/tasks/*.py``. The class that ``encoder`` makes is named by its
weights: X-ARES keeps embeddings under the class's name, and takes them up again without another look. Nothing of
``xares`` itself is needed here; ``pip install xares`` brings it.

Embeddings are those of the HEAR API (``dubcli.hear``): of the 3 seconds around each time, in float32.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dubcli.core.outputs import Output
from dubcli.core.trained import TrainedModel
from dubcli.embed.embedder import load_trained_or_random
from dubcli.hear import HearModel, get_timestamp_embeddings

HOP_MS = 500.0
"""Milliseconds between embeddings; tasks that score frames (sound events) want less and pay for it in time."""


class DubEncoder(nn.Module):
    """What X-ARES asks of an encoder: ``sampling_rate`` in Hz, ``output_dim``, ``hop_size_in_ms``.

    ``trained`` and ``options`` are set by ``encoder``.
    """

    trained: ClassVar[TrainedModel]
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.model = HearModel(self.trained, **self.options)
        self.sampling_rate = self.model.sample_rate
        self.output_dim = self.model.timestamp_embedding_size
        self.hop_size_in_ms = self.model.hop_ms

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """Mono (sounds, samples) or (samples,) at ``sampling_rate`` -> float32 (sounds, times, output_dim).

        There is one time per whole hop of the sound, the first at 0; at least one. Raises ValueError as
        ``dubcli.hear.get_timestamp_embeddings``.
        """
        sounds = audio[None] if audio.dim() == 1 else audio
        embeddings, _ = get_timestamp_embeddings(sounds.float(), self.model)
        whole_hops = int(1000 * sounds.shape[1] / self.sampling_rate / self.hop_size_in_ms)
        return embeddings[:, : max(1, whole_hops)]


def encoder(
    ckpt: str | os.PathLike[str] | TrainedModel = "random",
    *,
    hop_ms: float = HOP_MS,
    layer: str = "",
    projected: bool = False,
    **options: Any,
) -> type[DubEncoder]:
    """A class of encoders for X-ARES, which makes them without arguments.

    Args:
        ckpt: a checkpoint, an exported folder, ``random``, or what ``dubcli.from_pretrained`` returned.
        hop_ms: milliseconds between embeddings.
        layer, projected: as of ``dubcli.hear.load_model``.
        options: precision, batch_size: as of ``dubcli.hear.HearModel``.

    Returns:
        The class.

    Raises:
        UserError: ``ckpt`` is no checkpoint.

    >>> made = encoder("random:tiny")()
    >>> made.sampling_rate, made(torch.zeros(2, 48000)).shape
    (48000, torch.Size([2, 2, 1024]))
    """
    trained = load_trained_or_random(ckpt)
    output = Output(layer, projected)
    told = [trained.content_hash[:12], *(layer.split(".") if layer else ()), "projected" if projected else ""]
    name = f"Dub_{'_'.join(filter(None, told))}_{hop_ms:g}ms_Encoder".replace(".", "_")
    values = {"trained": trained, "options": {"hop_ms": hop_ms, "output": output, **options}, "__module__": __name__}
    return type(name, (DubEncoder,), values)
