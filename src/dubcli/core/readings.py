"""What the paper leaves open, how it is read here by default, why, and the option for every other reading.

This register is what ``dubav pretrain --readings`` prints and what ``docs/readings.md`` is made of; tests hold it equal
to the options of the stages. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One reading: the value of each of its options, and what they mean."""

    value: Mapping[str, Any]
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Something that the paper leaves open.

    ``paper``: what it says. ``command``: whose option it is. ``options``: their names. ``default``, ``others``: the
    readings there are. ``why``: of the default.
    """

    title: str
    paper: str
    command: str
    options: tuple[str, ...]
    default: Choice
    others: tuple[Choice, ...]
    why: str

    def flags(self, choice: Choice) -> str:
        """A choice as it is given on the command line."""
        return " ".join(_flag(self.command, name, value) for name, value in choice.value.items())

    def told(self, choice: Choice) -> str:
        """The flags, or that there are none."""
        unset = all(value in (None, "") for value in choice.value.values())
        return "no option" if unset else self.flags(choice)


_FLAGS = {("probe", "data_kind"): "--data-variant"}
"""Options whose name in Python is another."""


def _flag(command: str, name: str, value: Any) -> str:
    flag = _FLAGS.get((command, name), f"--{name.replace('_', '-')}")
    if isinstance(value, bool):
        return flag if value else f"--no-{flag[2:]}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f'{flag} "{text}"' if " " in text or "'" in text or not text else f"{flag} {text}"


def _reading(
    title: str,
    paper: str,
    command: str,
    default: tuple[Mapping[str, Any], str],
    others: tuple[tuple[Mapping[str, Any], str], ...],
    why: str,
) -> Reading:
    choices = [Choice(value=value, meaning=meaning) for value, meaning in (default, *others)]
    return Reading(title=title, paper=paper, command=command, options=tuple(default[0]), default=choices[0],
                   others=tuple(choices[1:]), why=why)  # fmt: skip


READINGS = (
    _reading(
        "Which films a variant trains on",
        "B.1: the intersection over all three secondary languages",
        "pretrain",
        ({"films_with": ""}, "films with every language of the cache, the same for all variants"),
        (({"films_with": "es,fr"}, "films that have these"), ({"films_with": "own"}, "films with what it needs")),
        "variants can be compared only on the same films; without the dubs there are more for mono, as table B4 counts",
    ),
    _reading(
        "Hold-out",
        "nothing; 748 films are the training set, k was chosen by validation performance",
        "pretrain",
        ({"val_fraction": -1.0}, "5 % of the films where there are 20 or more, else none"),
        (({"val_fraction": 0.0}, "all films are trained on"),),
        "a run without held-out films cannot be judged before its probes; give 0 for all 748",
    ),
    _reading(
        "k clips of a film",
        "3.4: k clips are sampled from the same movie, 12 per GPU of 26",
        "pretrain",
        ({"sampling": "groups"}, "a batch is groups of up to k clips of a film: 12 + 12 + 2"),
        (({"sampling": "one-film"}, "k clips of one film, the rest of any others"),),
        "every clip is then seen once an epoch, and every one has neighbours of its film",
    ),
    _reading(
        "RandAugment's scale",
        "3.2: 1 layer, distortion magnitude 9",
        "pretrain",
        ({"randaugment": "torchvision"}, "level 9 of 30: rotations of 9 degrees, always applied, black outside"),
        (
            (
                {"randaugment": "pytorchvideo"},
                "level 9 of 10 with noise of 0.5: rotations of 27 degrees, applied with probability 0.5, grey outside",
            ),
        ),
        "it is the common implementation today; pytorchvideo is where both backbones come from, and 9 is its default",
    ),
    _reading(
        "Rate of the masks",
        "3.2: time and frequency masking, each with a rate of 0.5",
        "pretrain",
        (
            {"mask_probability": 0.5, "mask_time_frames": 70, "mask_mel_bins": 24},
            "each is applied to half of the clips, up to a quarter of its axis wide",
        ),
        (
            (
                {"mask_probability": 1.0, "mask_time_frames": 140, "mask_mel_bins": 48},
                "each is always applied, up to half of its axis wide",
            ),
        ),
        "the usual meaning of a rate of augmentation; a quarter is near SpecAugment's own widths",
    ),
    _reading(
        "Number of masks",
        "3.2: nothing",
        "pretrain",
        ({"masks": 1}, "one along each axis"),
        (({"masks": 2}, "two, as SpecAugment's policy LD"),),
        "the text speaks of both maskings, not of several of each",
    ),
    _reading(
        "Form of the projection heads",
        "3.3: MLP",
        "pretrain",
        (
            {"projection_norm": "batch", "projection_hidden": 512, "projection_size": 128},
            "a hidden layer of 512 with BatchNorm and ReLU, 128 outputs, as SimCLR's",
        ),
        (
            ({"projection_norm": "none"}, "no BatchNorm"),
            ({"projection_hidden": 2048}, "wider"),
            ({"projection_size": 256}, "more outputs"),
        ),
        "without BatchNorm and with negatives of both modalities small runs collapsed to one point",
    ),
    _reading(
        "Pooling of the audio head",
        "3.3: Acoustic ResNet50",
        "pretrain",
        ({"audio_backbone_options": ""}, "the mean over all time and frequency"),
        (({"audio_backbone_options": "pool='windows'"}, "pytorchvideo's windows of 4 x 2, averaged in turn"),),
        "it takes sounds of any length; the windows weigh the edges less",
    ),
    _reading(
        "BatchNorm over the GPUs",
        "3.4: 4 GPUs, 26 clips each",
        "pretrain",
        ({"sync_bn": False}, "every GPU normalises by its own clips"),
        (({"sync_bn": True}, "by those of all"),),
        "what DistributedDataParallel does if nothing is said",
    ),
    _reading(
        "Dropout before the features",
        "nothing; pytorchvideo's builders have 0.5 by default",
        "pretrain",
        ({"dropout": 0.0}, "none"),
        (({"dropout": 0.5}, "the builders' default"),),
        "a contrastive loss of features that are half switched off is another method",
    ),
    _reading(
        "Negatives of Eq. 1",
        "Eq. 1: the sum over k = 1 ... N, k not i",
        "pretrain",
        ({"negatives": "both"}, "all others of both modalities, 2N - 1, as in SimCLR"),
        (({"negatives": "cross"}, "the N of the other modality"),),
        "Eq. 1 read literally, with SimCLR's N of both views",
    ),
    _reading(
        "Negatives of other GPUs",
        "3.4: nothing",
        "pretrain",
        ({"local_negatives": False}, "gathered from all GPUs, with gradient"),
        (({"local_negatives": True}, "of the GPU's own clips"),),
        "as in SimCLR; k is per GPU in both",
    ),
    _reading(
        "Temperature",
        "Eq. 1: tau, no value",
        "pretrain",
        ({"temperature": 0.1}, "SimCLR's usual value"),
        (({"temperature": 0.07}, "CLIP's first value"),),
        "it is the paper's source for the loss",
    ),
    _reading(
        "Weight decay on norms and biases",
        "3.4: AdamW, weight decay of 0.05",
        "pretrain",
        ({"decay": "all"}, "all weights, as torch.optim.AdamW does if nothing is said"),
        (({"decay": "weights"}, "only those of layers, not biases and norms"),),
        "what the words mean without more",
    ),
    _reading(
        "Limit of the gradient",
        "3.4: nothing",
        "pretrain",
        ({"clip_gradient": 0.0}, "none"),
        (({"clip_gradient": 1.0}, "norm of at most 1"),),
        "none is named",
    ),
    _reading(
        "Frames of a clip",
        "3.2: uniformly subsampling 16 frames from each 3-second clip, irrespective of frame rate",
        "prep",
        ({"frame_rule": "centres"}, "those on screen at the centres of 16 equal parts of the clip"),
        (({"frame_rule": "ends"}, "evenly from the clip's first frame to its last: pytorchvideo's choice"),),
        "it depends on time alone, at any rate; probes look at videos as the checkpoint's cache was made",
    ),
    _reading(
        "Level of dubs",
        "3.2: a standard AC-3 downmix",
        "prep",
        ({"match_level": False}, "each track as it is"),
        (({"match_level": True}, "dubs are brought to the primary's loudness"),),
        "the paper corrects nothing; dubs may be stereo beside a 5.1 original",
    ),
    _reading(
        "Chunks of probe data",
        "3.5: features of 3-second chunks, averaged",
        "probe",
        (
            {"chunks": "half"},
            "a rest of 1.5 s or more counts, filled with silence; shorter sounds are filled to the next half second",
        ),
        (
            ({"chunks": "padded"}, "every rest counts; shorter sounds are filled to 3 s (a 1-s word: 2 s of silence)"),
            ({"chunks": "whole"}, "no rest counts (a 5-s sound: its first 3 s)"),
        ),
        "the network averages over time: a word in 3 s of silence would mostly describe silence",
    ),
    _reading(
        "Splits of HMDB51 and UCF101",
        "table 2 has no deviation for them",
        "probe",
        ({"splits": "all"}, "the mean over the three published splits"),
        (({"splits": "first"}, "the first alone"),),
        "three are published to be averaged; one is what numbers without a deviation suggest",
    ),
    _reading(
        "Speech removed in table D6",
        "D.1: two versions of the dataset; the table's header is Test-Set Variant",
        "probe",
        ({"data_kind": "nospeech"}, "from training and test"),
        (({"data_kind": "nospeech-test"}, "from the test alone"),),
        "two versions of a data set are two probes; a head that never heard artifacts would be tested on them",
    ),
    _reading(
        "Heads of HEAR's tasks",
        "3.5: linear probes; where possible the benchmarks' prescribed approaches",
        "probe",
        ({"protocol": None}, "hear-eval-kit's, with 1 or 2 hidden layers"),
        (({"protocol": "linear"}, "the same without hidden layers"),),
        "B.2 prefers HEAR's implementation, which leaves nothing to interpret",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Something that the paper leaves open and that has no option here: how it is read, why, and why none is."""

    title: str
    paper: str
    here: str
    why: str
    no_option: str


FIXED = (
    Fixed(
        title="Logarithm of the mels",
        paper="3.2: mel spectrograms, no word of a logarithm",
        here="ln(mel + 1e-6), kept as float16, then one mean and one deviation over the training set",
        why="what Acoustic ResNet50 is fed everywhere; digital silence is a finite number",
        no_option="caches hold it: another form is another cache, and checkpoints would have to know of both",
    ),
    Fixed(
        title="Size of the frames in the cache",
        paper="3.2: videos of 180 x 320, heights of 256 to 320, crops of 224",
        here="JPEG at FFmpeg's quality 3 with a short side of 180; heights of 256 to 320 mean the short side",
        why="upright and square films get crops of the same scale; the paper's films are all wide",
        no_option="180 is the paper's own number, and wide films are read alike either way",
    ),
    Fixed(
        title="Layouts of more than two channels",
        paper="3.2: a standard AC-3 downmix",
        here="A/52's equations with -3 dB for centre and surrounds, whatever levels a stream itself asks for",
        why="every film is mixed alike, whoever encoded it",
        no_option="levels in headers are mostly an encoder's defaults; other mixes can be given as stereo tracks",
    ),
    Fixed(
        title="Features",
        paper="3.3: backbones of 1024 outputs",
        here="what the backbone's last linear layer gives, without an activation; heads come after it",
        why="both networks of pytorchvideo end in it, and it is the one size of 1024 in both",
        no_option="a layer before it has another size in each backbone, and none has 1024",
    ),
    Fixed(
        title="BatchNorm of the audio backbone",
        paper="3.3: one audio backbone for primary and secondary",
        here="each of the two passes has statistics of its own while training; the running ones are of both",
        why="it is what calling a shared module twice does",
        no_option="one pass over both tracks would be another network in mono, whose two passes hear one track",
    ),
    Fixed(
        title="Order of the languages of efj",
        paper="3.3: round-robin",
        here="one language for each step, on all GPUs, beginning with another one in each epoch",
        why="else a clip whose place in an epoch came again would meet the same language",
        no_option="all come equally often in any order; one for each clip would put several into one loss",
    ),
    Fixed(
        title="Loss of a and a-efj",
        paper="3.3: within-modal terms alone",
        here="the mean of both directions, as each of Eq. 2's terms",
        why="one term is then as large as one of the other variants",
        no_option="the sum is twice the mean, and AdamW takes no notice of a factor of the loss",
    ),
    Fixed(
        title="Filling of masked mels",
        paper="3.2: nothing",
        here="the training set's mean, in both channels alike, for both views drawn apart",
        why="it is 0 after normalisation, as in SpecAugment",
        no_option="another value is a level of sound, which masks are not to be",
    ),
    Fixed(
        title="Warm-up of short runs",
        paper="3.4: half an epoch",
        here="half an epoch, or half of all steps where --max-steps leaves fewer",
        why="a trial run of a few steps would else only warm up",
        no_option="runs without --max-steps are as the paper says",
    ),
    Fixed(
        title="Heads of HARES and of SGD",
        paper="3.5: Adam, 2e-4, 400K steps, 5K of warm-up, batches of 64; SGD, 0.2, 200 epochs, cosine, of 1024",
        here="no momentum, no weight decay, no standardising of features; the state after the last step is tested",
        why="what the words mean without more",
        no_option="--protocol MODULE:NAME is a protocol with any other number (docs/extending.md)",
    ),
    Fixed(
        title="Mean average precision",
        paper="tables 1 and 2: mAP of FSD50K and Vocal Imitation",
        here="the mean over the classes that a split's test clips hold",
        why="equal to hear-eval-kit's on the whole data sets, where every class occurs; it counts the others as 0",
        no_option="the other mean can be taken from per_class in a results file",
    ),
    Fixed(
        title="Untrained model of table D6",
        paper="D.1: randomly initialised",
        here="a seed's weights, BatchNorm at its initial statistics, mels normalised by two fixed numbers",
        why="nothing of it is learnt from data",
        no_option="random:3 has the weights of seed 3; there is nothing else to choose",
    ),
)


def readings_of(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a command's options give to what the paper leaves open; those that are recorded."""
    names = [name for reading in READINGS if reading.command == command for name in reading.options]
    return {name: options[name] for name in names if name in options}
