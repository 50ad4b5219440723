"""A checkpoint's backbone as a part of somebody's own model: frozen, or to be trained on."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dubcli.core import exported
from dubcli.core.checkpoint import load_trained
from dubcli.core.features import log_mel
from dubcli.core.hub import fetch, is_hub_id
from dubcli.core.models import normalise_pixels, unfreeze
from dubcli.core.taps import Taps
from dubcli.core.trained import TrainedModel
from dubcli.core.transforms import normalise_mels
from dubcli.errors import UserError


class PretrainedBackbone(nn.Module):
    """A backbone with the input that it was trained on: sound or frames in, features out, gradients through it.

    ``backbone``: the module itself, which takes normalised mels or pixels. ``feature_size``: width of its output.
    ``sample_rate`` in Hz (48000; 44100 of no-speech sound), which the sound has to have.
    """

    def __init__(self, backbone: nn.Module, modality: str, trained: TrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.modality = modality
        self.feature_size = trained.model.feature_sizes[modality]
        self.sample_rate = trained.sample_rate
        self.mel_mean, self.mel_std = trained.mel_mean, trained.mel_std

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, feature_size), one row per clip of 3 seconds.

        Args:
            inputs: of ``audio`` floating point samples in [-1, 1], (batch, samples), (batch, 1, samples) or
                (batch, 2, samples), mono becoming dual mono; of ``video`` uint8 RGB (batch, 16, 3, crop, crop).

        Raises:
            UserError: for other shapes or types.
        """
        if self.modality == "video":
            if inputs.dim() != 5 or inputs.shape[2] != 3 or inputs.dtype != torch.uint8:
                raise UserError(
                    f"frames are {inputs.dtype} {tuple(inputs.shape)}; give uint8 (batch, 16, 3, crop, crop)"
                )
            features: Tensor = self.backbone(normalise_pixels(inputs).transpose(1, 2))
            return features
        sound = inputs[:, None] if inputs.dim() == 2 else inputs
        if sound.dim() != 3 or sound.shape[1] > 2 or not sound.is_floating_point():
            raise UserError(f"sound is {inputs.dtype} {tuple(inputs.shape)}; give float (batch, 1 or 2, samples)")
        mels = normalise_mels(log_mel(sound.expand(-1, 2, -1), self.sample_rate), self.mel_mean, self.mel_std)
        pooled: Tensor = self.backbone(mels)
        return pooled

    def maps(self, inputs: Tensor, *layers: str) -> dict[str, Tensor]:
        """What the layers of these names give for ``inputs``, with gradients: (batch, channels, ...) by name.

        Args:
            inputs: as of ``forward``.
            layers: dotted names among ``backbone.named_modules()``, such as ``blocks.3``.

        Raises:
            UserError: there is no such layer; else as ``forward``.

        >>> import torch, dubcli
        >>> backbone = dubcli.load_backbone("runs/es", frozen=True)
        >>> backbone.maps(torch.zeros(1, 144000), "blocks.2", "blocks.4")["blocks.2"].dim()
        5
        """
        taps = Taps(self.backbone, layers)
        try:
            self(inputs)
            return taps.take()
        finally:
            taps.remove()


def from_pretrained(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    backbones: Mapping[str, nn.Module] | None = None,
    trust_code: bool = False,
) -> TrainedModel:
    """The frozen model of a folder of ``dubav export``, of a checkpoint, or of the hub's OWNER/NAME.

    Args:
        name: a folder or file; else OWNER/NAME, which is downloaded once into the hub's cache.
        revision: of the hub's: a branch, a tag or a commit; None is the newest.
        backbones: as of ``load_trained``.
        trust_code: let a model of the hub name Python code that makes its backbones (MODULE:NAME), which is run.

    Returns:
        The model, which ``Embedder``, ``load_backbone`` and the others take in place of a file.

    Raises:
        UserError: as ``load_trained``; no such model on the hub, or no connection.

    >>> import dubcli
    >>> trained = dubcli.from_pretrained("runs/es")
    >>> trained.sample_rate
    48000
    """
    if os.path.exists(name) or not is_hub_id(os.fspath(name)):
        return load_trained(name, backbones)
    folder = fetch(os.fspath(name), revision)
    if not exported.is_exported(folder):
        raise UserError(f"{name} on the hub is no model of dubav export; it has no {exported.WEIGHTS_FILE}")
    foreign = [] if trust_code else exported.foreign_code(folder)
    if foreign and not backbones:
        raise UserError(
            f"{name} on the hub runs the code {' and '.join(foreign)} when it is loaded; look at it, then give "
            "trust_code=True"
        )
    return load_trained(folder, backbones)


def load_backbone(
    ckpt: str | os.PathLike[str] | TrainedModel,
    modality: str = "audio",
    *,
    frozen: bool = False,
    backbones: Mapping[str, nn.Module] | None = None,
) -> PretrainedBackbone:
    """The backbone of a checkpoint, to build upon.

    Args:
        ckpt: a checkpoint file, a run folder, an exported folder, OWNER/NAME on the hub, or what ``load_trained`` and
            ``from_pretrained`` returned, of which a copy is taken.
        modality: ``audio`` or ``video``.
        frozen: keep it as it is, in eval mode and without gradients, whatever ``train()`` is called on, until
            ``dubcli.unfreeze`` undoes it. Otherwise it is in training mode and its weights learn.
        backbones: as of ``load_trained``, for backbones that were made in Python.

    Returns:
        A module that takes float (batch, samples) or (batch, channels, samples) at its ``sample_rate`` in Hz, or uint8
        (batch, frames, 3, height, width), and gives (batch, ``feature_size``).

    Raises:
        UserError: as ``from_pretrained``, or the checkpoint has no backbone of that modality.

    >>> import torch, dubcli
    >>> backbone = dubcli.load_backbone("runs/es", frozen=True)
    >>> backbone(torch.zeros(4, 2, 3 * backbone.sample_rate)).shape
    torch.Size([4, 1024])
    """
    trained = ckpt if isinstance(ckpt, TrainedModel) else from_pretrained(ckpt, backbones=backbones)
    there = {"audio": trained.model.audio, "video": trained.model.video}
    module = there.get(modality)
    if module is None:
        raise UserError(
            f"{trained.name} has no {modality} backbone; it has {' and '.join(trained.model.feature_sizes)}"
        )
    if isinstance(ckpt, TrainedModel):
        module = copy.deepcopy(module)  # what learns is not what others embed with
    return PretrainedBackbone(module if frozen else unfreeze(module), modality, trained)
