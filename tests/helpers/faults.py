"""Faults put into pretraining: a device with little memory, and loaders that stop or die."""

import os
import time

import torch

from dubcli.core.models import DubModel
from dubcli.pretrain.loader import ClipDataset


def hold_clips(most, patch=setattr):
    """Let no more than ``most`` clips pass through a model at once."""
    forward = DubModel.forward

    def within(self, video, primary, secondary=None):
        if len(primary) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return forward(self, video, primary, secondary)

    patch(DubModel, "forward", within)


class Sleeps(ClipDataset):
    def __getitem__(self, request):
        time.sleep(1000)


class Dies(ClipDataset):
    def __getitem__(self, request):
        os._exit(9)
