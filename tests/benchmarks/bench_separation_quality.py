"""How well speech is removed: of films whose centre channel is the dialogue, and of spoken digits (appendix D6).

    python tests/benchmarks/bench_separation_quality.py films --films FOLDER [--model spleeter] [--model-repo DIR]
    python tests/benchmarks/bench_separation_quality.py digits --digits FOLDER [--ckpt random:tiny]

``films``: of every film with a 5.1 track that track is brought to stereo once whole and once without its centre. The
whole is separated; the bed is compared with the stereo without centre, the speech with what the centre adds to it.
Prints signal-to-distortion ratios in dB (10 log10 of the energies of reference and difference) beside those of the mix
itself. A film's centre has more than speech and its bed some of it, so that these are lower bounds.

``digits``: 0_speaker_take.wav and so on (Free Spoken Digit Dataset). ``dubav separate`` makes the set without speech
and the set of speech alone; a probe learns which digit is said from each. Chance is 10 %.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from dubcli.core.features import channel_names, downmix
from dubcli.media.resample import resampled
from dubcli.separate.bags import Bag, load_bag
from dubcli.separate.stream import measure, separate_blocks

CENTRE = "FC"
SECONDS = 24


def main() -> None:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["films", "digits"])
    parser.add_argument("--films", type=Path, default=Path("data/films"))
    parser.add_argument("--digits", type=Path, default=Path("data/sounds/spoken_digits"))
    parser.add_argument("--model", default="spleeter")
    parser.add_argument("--model-repo", type=Path)
    parser.add_argument("--ckpt", default="random:tiny")
    options = parser.parse_args()
    if options.part == "digits":
        digits(options.digits, options.model, options.model_repo, options.ckpt)
        return
    bag = load_bag(options.model, options.model_repo)
    for film in sorted(options.films.glob("*.mkv")):
        for language, centre, mix in surround_tracks(film, bag.sample_rate):
            print(film.stem, language, line(quality(bag, centre, mix)), flush=True)


def surround_tracks(film: Path, rate: int) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(language, (2, samples) of the centre alone, of all) of the film's first 5.1 track, its first seconds."""
    with av.open(str(film)) as container:
        found = [stream for stream in container.streams.audio if CENTRE in channel_names(stream.layout.name)]
        for stream in found[:1]:
            resampler = av.AudioResampler(format="fltp")
            frames = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
            sound = np.concatenate(frames, axis=1)[:, : SECONDS * stream.sample_rate]
            layout = stream.layout.name
            sound = torch.from_numpy(resampled(sound, stream.sample_rate, rate))
            bed = sound.clone()
            bed[channel_names(layout).index(CENTRE)] = 0
            mix = downmix(sound, layout)
            yield stream.metadata.get("language", "?"), mix - downmix(bed, layout), mix


def quality(bag: Bag, speech: Tensor, mix: Tensor) -> dict[str, float]:
    """dB of the separated bed and speech and of the mix taken for them; times real time."""
    begun = time.monotonic()
    statistics = measure([mix])
    if not bag.normalise:
        statistics = replace(statistics, mean=0.0, std=1.0)
    stems = torch.cat(list(separate_blocks(bag, [mix], statistics)), dim=-1)
    speed = mix.shape[-1] / bag.sample_rate / (time.monotonic() - begun)
    found = stems[bag.vocals]
    bed, rest = mix - speech, stems.sum(0) - found
    return {
        "bed": ratio(bed, rest), "bed_mix": ratio(bed, mix), "speech": ratio(speech, found),
        "speech_mix": ratio(speech, mix), "speed": speed,
    }  # fmt: skip


def ratio(reference: Tensor, estimate: Tensor) -> float:
    """SDR in dB."""
    return float(10 * torch.log10(reference.square().sum() / (reference - estimate).square().sum()))


def line(found: dict[str, float]) -> str:
    """One row of the table."""
    return (
        f"bed {found['bed']:.2f} dB (mix {found['bed_mix']:.2f}), speech {found['speech']:.2f} dB (mix "
        f"{found['speech_mix']:.2f}), {found['speed']:.1f} x real time"
    )


def digits(folder: Path, model: str, repo: Path | None, ckpt: str) -> None:
    """Accuracies of a probe on digits, on them without speech and on the speech alone."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for sound in sorted(folder.glob("*.wav")):
            (work / "digits" / sound.name[0]).mkdir(parents=True, exist_ok=True)
            shutil.copy(sound, work / "digits" / sound.name[0])
        chosen = ["--model", model, *([] if repo is None else ["--model-repo", str(repo.absolute())])]
        for stem, out in (("no_vocals", "digits-nospeech"), ("vocals", "vocals")):
            dubav(work, "separate", "digits", "--out", out, "--stems", stem, *chosen)
        for title, data, variant in (
            ("as they are", "digits", "speech"), ("without speech", "digits", "nospeech"),
            ("speech alone", "vocals", "speech"),
        ):  # fmt: skip
            out = f"results-{title.replace(' ', '-')}"
            probe = ["folder", ckpt, "--data", data, "--protocol", "logreg", "--data-variant", variant]
            (found,) = json.loads(dubav(work, "probe", *probe, "--out", out, "--json"))["results"]
            print(f"digits {title}: {found['metric']} {found['mean']:.3f} (std {found['std']:.3f})", flush=True)


def dubav(folder: Path, *arguments: str) -> str:
    """Run the command, quietly. Returns what it prints."""
    command = [sys.executable, "-m", "dubcli", *arguments, "-q"]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
