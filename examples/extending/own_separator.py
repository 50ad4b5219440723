"""A separator of one's own: what both channels have in common is taken for the speech, as karaoke machines do.

    dubav separate film.mkv --out listen/ --model own_separator:Karaoke
    dubav separate --cache cache --model own_separator:Karaoke    (mel.LANG-nospeech.npy, for the variant sep)

Run it in this folder, or install the module. Anything that makes an object with these attributes will do: a function
that loads weights and gives a torch.nn.Module, which is then moved to the device and set to eval mode.
"""

import torch
from torch import Tensor, nn


class Karaoke(nn.Module):
    sample_rate = 44100  # Hz of what it takes and gives; tracks are resampled to it and back
    sources = ("vocals", "accompaniment")  # one is named vocals; the others, added, are the sound without speech
    segment = 10.0  # seconds that it is given at once; segments overlap by a quarter and are faded into each other

    def forward(self, sound: Tensor) -> Tensor:
        """float32 (batch, 2, samples) -> (batch, sources, 2, samples)"""
        centre = sound.mean(dim=1, keepdim=True).expand_as(sound)
        return torch.stack([centre, sound - centre], dim=1)
