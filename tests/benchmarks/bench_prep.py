"""dubav prep in both of its modes against ffmpeg command lines that make the same pictures and sounds (and no mels).

    flock /tmp/bench.lock taskset -c 0,1 python tests/benchmarks/bench_prep.py [--film FILE] [--seconds 270] [--pairs 3]
        [--who exact,slot,ffmpeg,...]

The film: 1080p, 24 pictures per second, H.264 with B-frames at about 8 Mbit/s, four 5.1 AC-3 tracks at 448 kbit/s. It
needs the `ffmpeg` program with libx264, as the peer and as the film's maker. All run in turn, in processes of their
own, Python's start included: `--frames exact` and `slot`; ffmpeg, also with its `-skip_frame`; a plain decode. Last
come the medians of the ratios of each round, of wall time and of CPU time,
which suffers less where others use the machine.
ffmpeg with `-skip_frame bidir` leaves out B-frames that others refer to: its pictures are wrong.
Pictures differ where the film is BT.709: the peer leaves that matrix in its JPEGs, whose standard is BT.601.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dubcli.cache.reader import Cache
from dubcli.core.features import SAMPLE_RATE, log_mel

LANGUAGES = ("en", "es", "fr", "ja")
LOOP_SECONDS = 45
SKIPS = ("noref", "bidir", "nokey")
WHO = ("exact", "slot", "ffmpeg", *(f"ffmpeg -skip_frame {skip}" for skip in SKIPS), "decode")


def main() -> None:
    """Make the film, run all in turn, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=Path, help="a film of your own; by default one is made")
    parser.add_argument("--seconds", type=float, default=270)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--who", default=",".join(WHO), help="of these, exact, slot and ffmpeg among them")
    arguments = parser.parse_args()
    who_runs = arguments.who.split(",")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = arguments.film or make_film(folder, arguments.seconds)
        rounds = []
        for number in range(arguments.pairs):
            once = {who: timed(command(who, film, folder)) for who in who_runs}
            rounds.append(once)
            print(number, {who: f"{wall:.1f} s, {cpu:.1f} CPU s" for who, (wall, cpu) in once.items()}, flush=True)
        for who in ("exact", "slot"):
            compare(folder, who)
        print(f"log_mel alone: {mel_seconds() * 4:.3f} CPU s per second of film with four tracks")
        seconds = Cache(folder / "exact").movies[0].meta["duration_seconds"]
        for who in ("exact", "slot"):
            each = statistics.median(once[who][1] for once in rounds) / seconds
            print(f"--frames {who}: {each:.3f} CPU s per second of film; 1300 hours: {each * 1300:.0f} core hours")
        for who in who_runs:
            wall, cpu = ([once[who][i] / once["ffmpeg"][i] for once in rounds] for i in (0, 1))
            print(
                f"{who} / ffmpeg: wall {statistics.median(wall):.2f} ({min(wall):.2f} to {max(wall):.2f}), "
                f"CPU {statistics.median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f})"
            )


def make_film(folder: Path, seconds: float) -> Path:
    """Encode 45 s of moving, noisy pictures once and repeat them by stream copy beside four sound tracks."""
    film, loop = folder / "film.mkv", folder / "loop.mkv"
    zoom = f"mandelbrot=s=1920x1080:r=24:start_scale=2:end_scale=0.001:end_pts={LOOP_SECONDS * 24}"
    picture = f"{zoom},noise=alls=8:allf=t"  # film grain
    # B-frames in a fixed pattern: of 1439 frames of the film that the target was set on, 905 had to be decoded
    coding = ["-c:v", "libx264", "-b:v", "8M", "-maxrate", "12M", "-bufsize", "16M", "-x264-params", "b-adapt=0"]
    run("-f", "lavfi", "-i", picture, "-t", str(LOOP_SECONDS), *coding, "-pix_fmt", "yuv420p", str(loop))
    repeats = str(max(0, round(seconds / LOOP_SECONDS) - 1))
    inputs = ["-stream_loop", repeats, "-i", str(loop)]
    maps = ["-map", "0:v"]
    for number, language in enumerate(LANGUAGES):
        noises = "|".join(f"0.1*random({number * 6 + channel})*sin(2*PI*t/7)" for channel in range(6))
        inputs += ["-f", "lavfi", "-t", str(seconds), "-i", f"aevalsrc={noises}:c=5.1:s=48000"]
        maps += ["-map", f"{number + 1}:a", f"-metadata:s:a:{number}", f"language={language}"]
    run(*inputs, *maps, "-c:v", "copy", "-c:a", "ac3", "-b:a", "448k", str(film))
    loop.unlink()
    return film


def run(*arguments: str) -> None:
    """Run ffmpeg quietly."""
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *arguments], check=True)


def command(who: str, film: Path, folder: Path) -> list[str]:
    """The command line of one side, its output folder empty."""
    out = folder / who.replace(" ", "_")
    shutil.rmtree(out, ignore_errors=True)
    if who in ("exact", "slot"):
        # its tracks are noise, which the sync check finds the same once more
        words = ["--lang", ",".join(LANGUAGES), "--frames", who, "--decoder", "cpu", "--keep-same", "--quiet"]
        return [sys.executable, "-m", "dubcli", "prep", str(film), "--cache", str(out), *words]
    out.mkdir()
    skip = who.split()[1:]
    plain = ["ffmpeg", "-nostdin", "-loglevel", "error", *skip, "-i", str(film)]
    if who == "decode":
        return [*plain, "-map", "0:v", "-f", "null", "-"]
    pictures = ["-map", "0:v:0", "-vf", "fps=16/3,scale=320:180", "-q:v", "3", str(out / "%06d.jpg")]
    sounds = [["-map", f"0:a:{k}", "-ac", "2", "-ar", "48000", str(out / f"{k}.wav")] for k in range(len(LANGUAGES))]
    return [*plain, *pictures, *(part for sound in sounds for part in sound)]


def timed(arguments: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True)
    wall = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(folder: Path, who: str) -> None:
    """Say what both made, and how far their pictures are apart: those of slots may be up to 94 ms."""
    import av

    movie = Cache(folder / who).movies[0]
    theirs = sorted((folder / "ffmpeg").glob("*.jpg"))
    ours = [frame for clip in range(movie.n_clips) for frame in movie.frame_bytes(clip)]
    errors = []
    for index in range(0, min(len(ours), len(theirs)), 16):
        pictures = []
        for data in (ours[index], theirs[index].read_bytes()):
            decoder = av.CodecContext.create("mjpeg", "r")
            (frame,) = decoder.decode(av.Packet(data))
            pictures.append(frame.to_ndarray(format="gray").astype(float))
        errors.append(float(np.abs(pictures[0] - pictures[1]).mean()))
    print(
        json.dumps(
            {
                "frames": who,
                "our_frames": len(ours),
                "their_frames": len(theirs),
                "mean_grey_levels_apart": round(max(errors), 2),
            }
            | {"cores": len(os.sched_getaffinity(0))}
        )
    )


def mel_seconds() -> float:
    """CPU seconds of log_mel per second of one stereo track."""
    import torch

    torch.set_num_threads(1)
    clips = torch.randn(8, 2, 3 * SAMPLE_RATE)
    log_mel(clips, SAMPLE_RATE)
    begun = time.process_time()
    for _ in range(5):
        log_mel(clips, SAMPLE_RATE)
    return (time.process_time() - begun) / (5 * 8 * 3)


if __name__ == "__main__":
    main()
