"""The sync check's wrong answers, on real music, effects and speech whose timing is known.

    python tests/benchmarks/bench_sync.py [--data FOLDER] [--trials 100] [--only WORD] [--seconds 60]
        [--first-seed N] [--minutes M] [--kept FILE]

A trial is a pair of tracks of one minute: a bed (two pieces of music, spread into stereo, and recorded effects) under
English sentences, and the same bed, done to as the row says, under other speakers' sentences in Spanish or French.
Counted by row are wrong accepts (kept as in sync though it is off or another film's, or with a lag that is wrong by
over 20 ms), wrong rejects (left out though it is in sync), "unknown", which is neither, and of what is rightly
"off" the lags and pitches that ``--fix-lag`` would go wrong by. Without the data it says so. A long table is made in
parts: what ``--kept`` has of these rows and seeds is counted and not run again (``--trials 0`` only prints it).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soxr

from dubcli.media.stretch import Stretcher
from dubcli.prep.sync import SyncReport, estimate_sync
from dubcli.prep.trace import SyncTrace

Sound = npt.NDArray[np.float32]  # (2, samples) at 48 kHz
RATE = 48000
BEFORE_SECONDS = 10  # of bed before the film begins, for dubs that are early
TOLERANCE_SECONDS = 0.02
LIMIT_SECONDS = 0.08
KINDS = ("right", "unknown", "wrong accept", "wrong reject", "wrong lag")
SPEEDS = {
    "25/24": Fraction(25, 24), "24/25": Fraction(24, 25), "1001/1000": Fraction(1001, 1000),
    "1000/1001": Fraction(1000, 1001), "25/23.976": Fraction(25025, 24000), "23.976/25": Fraction(24000, 25025),
}  # fmt: skip


class Data:
    """The real sounds: (samples,) at 48 kHz, read once."""

    def __init__(self, folder: Path) -> None:
        self.music = [decode(path) for path in sorted((folder / "sounds" / "music").glob("*.g722"))]
        prompts = folder / "dubs" / "prompts"
        self.speech = {
            language: sorted((prompts / language).glob("*.g722"))
            + (sorted((folder / "sounds" / "librispeech").rglob("*.flac")) if language == "en" else [])
            for language in ("en", "es", "fr")
        }
        self.effects = list(read_zip(folder / "hear" / "esc50-all_folds-small.zip"))

    def sentence(self, generator: np.random.Generator, language: str) -> Sound:
        """One at random."""
        paths = self.speech[language]
        return decode(paths[int(generator.integers(len(paths)))])


def read_zip(path: Path) -> list[Sound]:
    """The WAV files of an archive."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".wav")]
        return [decode_file(io.BytesIO(archive.read(name))) for name in names]


@cache
def decode(path: Path) -> Sound:
    """A file's sound in mono at 48 kHz, at an RMS of 0.1."""
    return decode_file(str(path))


def decode_file(source: object) -> Sound:
    """The same of an open file."""
    with av.open(source) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return np.asarray(0.1 * sound / max(1e-6, float(np.sqrt(np.mean(sound**2)))), np.float32)


def bed(data: Data, generator: np.random.Generator, seconds: float, *, mono: bool = False) -> Sound:
    """Music and effects from ``BEFORE_SECONDS`` before the film to as long after it, at an RMS of about 0.1."""
    samples = round((seconds + 2 * BEFORE_SECONDS) * RATE)
    out = np.zeros((2, samples), np.float32)
    place = 0
    while place < samples:  # a film's cue lasts some 20 to 60 seconds, and fades
        length = min(samples - place, round(float(generator.uniform(20, 60)) * RATE))
        out[:, place : place + length] += spread(cut(generator, data.music, length), generator, mono)
        place += length
    for _ in range(int(seconds / 3)):
        sound = spread(data.effects[int(generator.integers(len(data.effects)))], generator, mono)
        at = int(generator.integers(samples - sound.shape[1]))
        out[:, at : at + sound.shape[1]] += float(generator.uniform(0.1, 1)) * sound
    return np.asarray(0.1 * out / np.sqrt(np.mean(out**2)), np.float32)


def cut(generator: np.random.Generator, pieces: list[Sound], length: int) -> Sound:
    """A part of one of the pieces, faded in and out."""
    piece = pieces[int(generator.integers(len(pieces)))]
    first = int(generator.integers(len(piece) - length))
    fade = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / RATE)
    return np.asarray(piece[first : first + length] * fade, np.float32)


def spread(sound: Sound, generator: np.random.Generator, mono: bool) -> Sound:
    """A mono sound placed left or right, with early reflections of its own on each side."""
    if mono:
        return np.stack([sound, sound])
    side = float(generator.uniform(-0.7, 0.7))
    out = np.stack([sound * np.float32(np.sqrt((1 - side) / 2)), sound * np.float32(np.sqrt((1 + side) / 2))])
    for channel in out:
        for delay in generator.integers(RATE // 200, RATE // 25, size=4):
            channel[delay:] += np.float32(generator.uniform(-0.4, 0.4)) * sound[: len(sound) - delay]
    return out


def dialogue(data: Data, generator: np.random.Generator, places: list[float], language: str, seconds: float) -> Sound:
    """Sentences from the given instants on, in the centre, cut where the next one begins."""
    samples = round((seconds + 2 * BEFORE_SECONDS) * RATE)
    out = np.zeros(samples, np.float32)
    for number, place in enumerate(places):
        first = round(place * RATE)
        stop = round(places[number + 1] * RATE) if number + 1 < len(places) else samples
        sentence = data.sentence(generator, language)[: stop - first]
        out[first : first + len(sentence)] = sentence
    return np.stack([out, out])


def lines(generator: np.random.Generator, seconds: float) -> list[float]:
    """When something is said: every 3 to 9 seconds."""
    steps = np.cumsum(generator.uniform(3, 9, size=int(seconds)))
    return [float(step) for step in steps if step < seconds + BEFORE_SECONDS]


@dataclass(frozen=True)
class Truth:
    """``lag_seconds`` at the film's middle and ``speed`` of a dub that is of the film; None of another film's."""

    lag_seconds: float | None = 0.0
    speed: Fraction = Fraction(1)
    steady: bool = True
    same: bool = False
    silent: bool = False
    pitch_kept: bool | None = None

    def in_sync(self, seconds: float) -> bool:
        """Whether it should be kept."""
        if self.lag_seconds is None or not self.steady or self.same or self.silent:
            return False
        return abs(self.lag_seconds) + abs(float(self.speed - 1)) * seconds / 2 <= LIMIT_SECONDS


@dataclass
class Scene:
    """What a row's function works on."""

    data: Data
    generator: np.random.Generator
    seconds: float
    bed: Sound
    places: list[float]
    bed_gain: float = 0.5

    def speech(self, language: str | None = None) -> Sound:
        """Other sentences at the film's instants."""
        language = language or ("es", "fr")[int(self.generator.integers(2))]
        return dialogue(self.data, self.generator, self.places, language, self.seconds)

    def dub(self, bed_sound: Sound | None = None, gain: float | None = None) -> Sound:
        """A bed under Spanish or French, with what is before and after the film."""
        return np.asarray(
            (self.bed_gain if gain is None else gain) * (self.bed if bed_sound is None else bed_sound) + self.speech(),
            np.float32,
        )

    def film(self, sound: Sound, lag_seconds: float = 0.0) -> Sound:
        """The film's part of it, later by the lag."""
        first = round((BEFORE_SECONDS - lag_seconds) * RATE)
        return sound[:, first : first + round(self.seconds * RATE)]


Row = Callable[[Scene], tuple[Sound, Truth]]


def level(scene: Scene, low: float, high: float) -> tuple[Sound, Truth]:
    """The bed louder or quieter, against the speech, than in the original."""
    gain = scene.bed_gain * 10 ** (float(scene.generator.uniform(low, high)) / 20)
    return scene.film(scene.dub(gain=gain)), Truth()


def mono(scene: Scene, *, lagging: bool) -> tuple[Sound, Truth]:
    """A mono dub of a stereo film."""
    lag = far(scene.generator) if lagging else 0.0
    return np.stack([scene.film(scene.dub(), lag).mean(axis=0)] * 2), Truth(lag)


def coded(scene: Scene, codec: str, bit_rate: int, *, lagging: bool) -> tuple[Sound, Truth]:
    """Through a codec, in time or late."""
    lag = far(scene.generator) if lagging else 0.0
    return through(scene.film(scene.dub(), lag), codec, bit_rate), Truth(lag)


def band(scene: Scene, low_hz: float, high_hz: float, *, lagging: bool) -> tuple[Sound, Truth]:
    """Of a narrower band: a telephone, an optical track."""
    lag = far(scene.generator) if lagging else 0.0
    return narrowed(scene.film(scene.dub(), lag), low_hz, high_hz), Truth(lag)


def lagging(scene: Scene, low: float, high: float) -> tuple[Sound, Truth]:
    """Late or early by so many seconds."""
    lag = float(scene.generator.choice([-1, 1]) * scene.generator.uniform(low, high))
    return scene.film(scene.dub(), lag), Truth(lag)


def far(generator: np.random.Generator) -> float:
    """A lag that matters."""
    return float(generator.choice([-1, 1]) * generator.uniform(0.1, 0.5))


def sped(scene: Scene, speed: Fraction, how: str) -> tuple[Sound, Truth]:
    """Slower (over 1) or faster, with its pitch or without."""
    sound = scene.dub()[:, BEFORE_SECONDS * RATE :]
    changed = {"resampled": resampled, "wsola": wsola, "vocoder": vocoder}[how](sound, speed)
    wanted = round(scene.seconds * RATE)
    changed = np.pad(changed, ((0, 0), (0, max(0, wanted - changed.shape[1]))))[:, :wanted]
    return changed, Truth(
        float(speed - 1) * scene.seconds / 2, speed, pitch_kept=None if abs(speed - 1) < 0.005 else how != "resampled"
    )


def recut(scene: Scene, low: float, high: float) -> tuple[Sound, Truth]:
    """A piece more or less at some place in the middle half."""
    size = float(scene.generator.uniform(low, high))
    at = round((BEFORE_SECONDS + scene.seconds * float(scene.generator.uniform(0.3, 0.7))) * RATE)
    sound, length = scene.dub(), round(size * RATE)
    if scene.generator.random() < 0.5:
        out = np.concatenate([sound[:, :at], sound[:, at + length :]], axis=1)
    else:
        out = np.concatenate([sound[:, :at], sound[:, at - length :]], axis=1)
    return scene.film(np.pad(out, ((0, 0), (0, 2 * length)))), Truth(size, steady=False)


def other_music(scene: Scene, share: float) -> tuple[Sound, Truth]:
    """Other music in some share of the film."""
    other, mixed = bed(scene.data, scene.generator, scene.seconds), scene.bed.copy()
    length = round(share * scene.seconds * RATE)
    at = round((BEFORE_SECONDS + float(scene.generator.uniform(0, (1 - share) * scene.seconds))) * RATE)
    mixed[:, at : at + length] = other[:, at : at + length]
    return scene.film(scene.dub(mixed)), Truth()


def another_film(scene: Scene) -> tuple[Sound, Truth]:
    """Nothing is shared, not even when something is said; the music may be another part of the same pieces."""
    scene.places = lines(scene.generator, scene.seconds)
    return scene.film(scene.dub(bed(scene.data, scene.generator, scene.seconds))), Truth(None)


def other_mix(scene: Scene) -> tuple[Sound, Truth]:
    """No bed is shared, only the instants at which something is said."""
    return scene.film(scene.dub(bed(scene.data, scene.generator, scene.seconds))), Truth(None)


def drums(scene: Scene) -> Sound:
    """Beats at 120 a minute all through, whose instruments and patterns are drawn anew."""
    generator = scene.generator
    out = np.zeros_like(scene.bed)
    for _ in range(4):
        hit = generator.normal(size=RATE // 8) * np.exp(-np.arange(RATE // 8) / generator.uniform(300, 2000))
        hit = narrowed(np.stack([hit, hit]).astype(np.float32), *sorted(generator.uniform(50, 4000, size=2)))
        pattern = generator.random(8) < 0.4
        for number, at in enumerate(range(0, out.shape[1] - hit.shape[1], RATE // 4)):
            if pattern[number % 8]:
                out[:, at : at + hit.shape[1]] += hit
    return np.asarray(0.1 * out / max(1e-6, float(np.sqrt(np.mean(out**2)))), np.float32)


def same_beat(scene: Scene) -> tuple[Sound, Truth]:
    """Another film whose music has the very same tempo."""
    scene.bed = drums(scene)
    return scene.film(scene.dub(drums(scene))), Truth(None)


def same_track(scene: Scene, codec: str | None, bit_rate: int) -> tuple[Sound, Truth]:
    """The original once more, at another level, perhaps through a codec."""
    original = scene.film(np.asarray(scene.bed_gain * scene.bed + ENGLISH[0], np.float32))
    sound = np.asarray(original * 10 ** (float(scene.generator.uniform(-12, 6)) / 20), np.float32)
    return (sound if codec is None else through(sound, codec, bit_rate)), Truth(0.0, same=True)


ENGLISH: list[Sound] = []  # the original's speech, for the rows that repeat it


def silent(scene: Scene, level_db: float) -> tuple[Sound, Truth]:
    """Nothing, or the noise of 16 bits or of a tape."""
    noise = scene.generator.normal(size=(2, round(scene.seconds * RATE))) * 10 ** (level_db / 20)
    return noise.astype(np.float32), Truth(None, silent=True)


def few_lines(scene: Scene) -> tuple[Sound, Truth]:
    """A film in which something is said twice: a dub all the same."""
    scene.places[:] = scene.places[len(scene.places) // 2 :][:2]
    return scene.film(scene.dub()), Truth()


def through(sound: Sound, codec: str, bit_rate: int) -> Sound:
    """Encoded and decoded again, on its own clock."""
    formats = {"aac": "mp4", "ac3": "matroska", "libmp3lame": "mp3", "libopus": "matroska"}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=formats[codec]) as container:
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        stream.bit_rate = bit_rate
        for first in range(0, sound.shape[1], RATE):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[:, first : first + RATE]), format="fltp", layout="stereo"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    from dubcli.media.sound import track_blocks

    with tempfile.NamedTemporaryFile(suffix=f".{formats[codec]}") as file:
        Path(file.name).write_bytes(buffer.getvalue())
        blocks = [block.numpy() for block in track_blocks(Path(file.name), 0, None, RATE, [])]
    return np.concatenate(blocks, axis=1)[:, : sound.shape[1]]


def narrowed(sound: Sound, low_hz: float, high_hz: float) -> Sound:
    """Without what is below and above, by a gentle slope of minimum length."""
    spectrum = np.fft.rfft(sound, axis=1)
    frequencies = np.fft.rfftfreq(sound.shape[1], 1 / RATE)
    gain = 1 / (1 + (low_hz / np.maximum(frequencies, 1)) ** 4) / (1 + (frequencies / high_hz) ** 4)
    return np.fft.irfft(spectrum * gain, sound.shape[1]).astype(np.float32)


def resampled(sound: Sound, speed: Fraction) -> Sound:
    """With its pitch."""
    return np.asarray(soxr.resample(sound.T, 1, float(speed), quality="HQ").T, np.float32)


def wsola(sound: Sound, speed: Fraction) -> Sound:
    """Its pitch kept, as FFmpeg's atempo does it."""
    stretcher = Stretcher(1 / float(speed))
    return np.concatenate([stretcher.push(sound), stretcher.finish()], axis=1)


def vocoder(sound: Sound, speed: Fraction, size: int = 2048) -> Sound:
    """Its pitch kept, by a phase vocoder, as Rubber Band and studios' hardware do it."""
    import torch
    import torchaudio

    window, hop = torch.hann_window(size), size // 4
    spectrum = torch.stft(torch.from_numpy(sound), size, hop, window=window, return_complex=True)
    advance = torch.linspace(0, np.pi * hop, size // 2 + 1)[:, None]
    stretched = torchaudio.functional.phase_vocoder(spectrum, 1 / float(speed), advance)
    return torch.istft(stretched, size, hop, window=window).numpy()


def rows() -> dict[str, Row]:
    """Every row of the table by its name."""
    found: dict[str, Row] = {
        "bed +-12 dB": partial(level, low=-12, high=12),
        "bed 9 to 12 dB quieter": partial(level, low=-12, high=-9),
        "mono, in time": partial(mono, lagging=False),
        "mono, off": partial(mono, lagging=True),
    }
    for codec, bit_rate in (("aac", 48), ("ac3", 96), ("libmp3lame", 64), ("libopus", 24)):
        name = f"{codec.removeprefix('lib').removesuffix('lame')} {bit_rate} kbit/s"
        found[f"{name}, in time"] = partial(coded, codec=codec, bit_rate=bit_rate * 1000, lagging=False)
        found[f"{name}, off"] = partial(coded, codec=codec, bit_rate=bit_rate * 1000, lagging=True)
    for low, high in ((300, 3400), (20, 1500)):
        found[f"{low} to {high} Hz, in time"] = partial(band, low_hz=low, high_hz=high, lagging=False)
        found[f"{low} to {high} Hz, off"] = partial(band, low_hz=low, high_hz=high, lagging=True)
    found["late or early by 0 to 70 ms"] = partial(lagging, low=0.0, high=0.07)
    found["late or early by 90 to 500 ms"] = partial(lagging, low=0.09, high=0.5)
    found["late or early by 0.5 to 8 s"] = partial(lagging, low=0.5, high=8)
    for name, speed in SPEEDS.items():
        for how in ("resampled", "wsola", "vocoder"):
            pitch = "with its pitch" if how == "resampled" else f"pitch kept ({how})"
            found[f"{name}, {pitch}"] = partial(sped, speed=speed, how=how)
    found["another cut, 0.2 to 5 s"] = partial(recut, low=0.2, high=5)
    found["other music in 30 %"] = partial(other_music, share=0.3)
    found["other music in 60 %"] = partial(other_music, share=0.6)
    found["another film"] = another_film
    found["no bed shared, lines at the same instants"] = other_mix
    found["another film at the same beat"] = same_beat
    found["something is said twice"] = few_lines
    found["the original again"] = partial(same_track, codec=None, bit_rate=0)
    for codec, bit_rate in (("aac", 48), ("ac3", 96), ("libmp3lame", 64), ("libopus", 24)):
        name = f"{codec.removeprefix('lib').removesuffix('lame')} {bit_rate} kbit/s"
        found[f"the original again, {name}"] = partial(same_track, codec=codec, bit_rate=bit_rate * 1000)
    found["silent, 16 bits' noise"] = partial(silent, level_db=-96)
    found["silent, a tape's noise"] = partial(silent, level_db=-68)
    return found


def trace(sound: Sound) -> SyncTrace:
    """As prep makes it, a second at a time."""
    out = SyncTrace()
    for first in range(0, sound.shape[1], RATE):
        out.add(sound[:, first : first + RATE])
    out.finish()
    return out


def trial(data: Data, row: Row, seed: int, seconds: float) -> tuple[str, SyncReport]:
    """What became of one: right, unknown, wrong accept or wrong reject; and the report."""
    opening = original_of(data, seed, seconds)
    generator = np.random.default_rng(seed)
    generator.bit_generator.state = opening.state
    scene = Scene(data, generator, seconds, opening.bed, list(opening.places), opening.bed_gain)
    ENGLISH[:] = [opening.english]
    dub, truth = row(scene)
    # after the dub: a row may change the bed and the lines
    original = scene.film(np.asarray(scene.bed_gain * scene.bed + english(scene), np.float32))
    report = estimate_sync(trace(original), trace(dub))
    return judged(report, truth, seconds), report


@dataclass(frozen=True)
class Opening:
    """What is drawn first with a seed, whatever the row; and where the generator stands then."""

    bed: Sound
    places: list[float]
    bed_gain: float
    english: Sound
    state: Mapping[str, Any]


@lru_cache(maxsize=1)  # the rows of one seed come one after another
def original_of(data: Data, seed: int, seconds: float) -> Opening:
    """The original's bed and lines."""
    generator = np.random.default_rng(seed)
    scene = Scene(data, generator, seconds, bed(data, generator, seconds), lines(generator, seconds))
    scene.bed_gain = 10 ** (float(generator.uniform(-9, 3)) / 20)
    return Opening(scene.bed, scene.places, scene.bed_gain, scene.speech("en"), generator.bit_generator.state)


def english(scene: Scene) -> Sound:
    """The original's speech; of a film in which little is said, that little."""
    spoken = ENGLISH[0]
    if len(scene.places) <= 2:
        spoken = spoken.copy()
        samples = np.arange(spoken.shape[1]) / RATE
        keep = np.zeros(spoken.shape[1], bool)
        for place in scene.places:
            keep |= (samples >= place) & (samples < place + 3)
        spoken *= keep
    return spoken


def judged(report: SyncReport, truth: Truth, seconds: float) -> str:
    """Compare a report with the truth."""
    if truth.same or truth.silent:
        wanted = "same" if truth.same else "silent"
        return "right" if report.status == wanted else "unknown" if report.status == "unknown" else "wrong accept"
    if report.status == "unknown":
        return "right" if truth.lag_seconds is None else "unknown"
    if truth.in_sync(seconds):
        if report.status != "ok":
            return "wrong reject"
        assert report.lag_ms is not None
        near = abs(report.lag_ms / 1e3 - (truth.lag_seconds or 0)) <= TOLERANCE_SECONDS
        return "right" if near else "wrong accept"
    if report.status == "ok":
        return "wrong accept"
    if truth.lag_seconds is not None and truth.steady and report.lag_ms is not None:
        near = abs(report.lag_ms / 1e3 - truth.lag_seconds) <= TOLERANCE_SECONDS
        return "right" if near and report.pitch_kept == truth.pitch_kept else "wrong lag"
    return "right"


def read_kept(file: Path | None) -> dict[tuple[str, int], str]:
    """The outcomes of trials that were run before, by row and seed."""
    if file is None or not file.exists():
        return {}
    return {(name, seed): outcome for name, seed, outcome in map(json.loads, file.read_text().splitlines())}


def main() -> None:
    """Run every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DUBAV_TEST_DATA", "../shared/data")))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0, help="fresh ones show what thresholds were not set on")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no trial begins after so many")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="the row of this name, or rows whose names have it")
    parser.add_argument("--verbose", action="store_true", help="every report that is not right")
    parser.add_argument("--kept", type=Path, help="a file of trials, one a line, which are counted, and added to")
    arguments = parser.parse_args()
    if not (arguments.data / "sounds" / "music").is_dir():
        raise SystemExit(f"{arguments.data} lacks the real sounds; give their folder with --data")
    data = Data(arguments.data)
    names = rows()
    only = {name: row for name, row in names.items() if name == arguments.only} or names
    chosen = {name: row for name, row in only.items() if arguments.only in name}
    kept = read_kept(arguments.kept)
    counts: dict[str, Counter[str]] = {name: Counter() for name in chosen}
    for (name, _), outcome in kept.items():
        if name in chosen:
            counts[name][outcome] += 1
    begun = time.perf_counter()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.trials)
    for seed, (name, row) in product(seeds, chosen.items()):  # rows in turn: cut short, all have as many
        if time.perf_counter() - begun > 60 * arguments.minutes:
            break
        if (name, seed) in kept:
            continue
        outcome, report = trial(data, row, seed, arguments.seconds)
        counts[name][outcome] += 1
        if arguments.kept:
            with arguments.kept.open("a") as file:
                print(json.dumps([name, seed, outcome]), file=file)
        if arguments.verbose and outcome != "right":
            print(name, seed, outcome, report.status, report.lag_ms, report.drift_ppm, report.max_lag_ms,
                  report.unsteady_ms, report.pitch_kept, report.windows, flush=True)  # fmt: skip
    print(f"| dub | trials | {' | '.join(KINDS)} |\n|---|---|{'---|' * len(KINDS)}")
    for name, found in {**counts, "all": sum(counts.values(), Counter())}.items():
        print(f"| {name} | {found.total()} | {' | '.join(str(found[kind]) for kind in KINDS)} |")
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
