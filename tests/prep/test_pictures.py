"""The frames taken while others are skipped are those of a full decode, bit for bit, whatever codec and rate."""

import hashlib
import itertools
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from dubcli.errors import InputError
from dubcli.media.picture import FrameSkipper, Instants, decode_pictures, on_screen, shown_seconds, usual_seconds
from dubcli.prep.demux import PictureReport, frames_of
from helpers.containers import make_film

STEP = Fraction(3, 16)
CENTRES = Instants.of("centres", 3, 16, Fraction(1, 24))
CODECS = {
    "h264": ("libx264", {"x264-params": "log-level=none:bframes=3:b-adapt=0:b-pyramid=normal"}, ".mkv"),
    "hevc": ("libx265", {"x265-params": "log-level=none:bframes=4:b-adapt=0"}, ".mkv"),
    "mpeg2": ("mpeg2video", {"bf": "2"}, ".mkv"),
    "mpeg4": ("mpeg4", {"bf": "2"}, ".mkv"),
    "mpeg4-avi": ("mpeg4", {"bf": "2"}, ".avi"),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, ".webm"),
    "av1": ("libsvtav1", {"preset": "12"}, ".mkv"),
}


def variable_times(seconds):
    """Frames 1/60 to 1/5 s apart, in 60ths of a second."""
    generator = np.random.default_rng(3)
    times = itertools.accumulate(generator.integers(1, 13, size=2000), initial=0)
    return [int(time) for time in itertools.takewhile(lambda time: time < seconds * 60, times)]


def frames_on_screen(path, *, skip, threads=2, instants=None):
    """[(instant, pts, hash of the pixels)] and how many frames were decoded."""
    decoded, instants = 0, instants or CENTRES
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "FRAME", threads
        start = Fraction(container.start_time or 0, av.time_base)
        skipper = FrameSkipper(stream, replace(instants, start=start))
        packets = (packet for packet in container.demux(stream) if packet.size)
        packets = skipper.packets(packets) if skip else packets

        def frames():
            nonlocal decoded
            for frame in decode_pictures(stream, packets, []):
                decoded += 1
                yield frame.pts * stream.time_base - start, Fraction(1, 24), frame

        chosen = [
            (instant, frame.pts, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest())
            for instant, frame in on_screen(frames(), instants)
        ]
    return chosen, decoded


@pytest.mark.parametrize("rate", ["constant", "variable"])
@pytest.mark.parametrize("name", CODECS)
def test_skipping_changes_no_frame(tmp_path, name, rate):
    codec, options, ending = CODECS[name]
    if rate == "variable" and ending == ".avi":
        pytest.skip("AVI has no variable rate")
    times = variable_times(9) if rate == "variable" else None
    path = tmp_path / f"film{ending}"
    fps = 24 if ending == ".avi" else Fraction(24000, 1001)
    make_film(path, seconds=9, fps=fps, size=(96, 64), video_codec=codec, video_options=options, tracks=(),
              frame_times=times)  # fmt: skip
    everything, all_frames = frames_on_screen(path, skip=False)
    for threads in (1, 3):
        chosen, decoded = frames_on_screen(path, skip=True, threads=threads)
        assert chosen == everything
        assert decoded <= all_frames
    assert len(everything) >= 47
    if name in ("h264", "hevc") and rate == "constant":
        assert decoded < 0.85 * all_frames
        ends = Instants.of("ends", 3, 16, 1 / fps)
        whole = frames_on_screen(path, skip=False, instants=ends)[0]
        assert frames_on_screen(path, skip=True, instants=ends)[0] == whole
        assert [pts for _, pts, _ in whole] != [pts for _, pts, _ in everything]


@pytest.mark.parametrize("rate", ["constant", "variable"])
@pytest.mark.parametrize("name", ["h264", "hevc", "mpeg2", "mpeg4-avi", "vp9"])
def test_a_slots_frame_is_on_screen_within_it_and_that_of_a_full_decode(tmp_path, name, rate):
    codec, options, ending = CODECS[name]
    if rate == "variable" and ending == ".avi":
        pytest.skip("AVI has no variable rate")
    path = tmp_path / f"film{ending}"
    make_film(path, seconds=9, fps=24, size=(96, 64), video_codec=codec, video_options=options, tracks=(),
              frame_times=variable_times(9) if rate == "variable" else None)  # fmt: skip
    with av.open(str(path)) as container:
        time_base = container.streams.video[0].time_base
        start = Fraction(container.start_time or 0, av.time_base)
        pictures = {
            frame.pts: hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in container.decode(video=0)
        }
    shown = sorted((pts * time_base - start, pts) for pts in pictures)
    until = {pts: following for (_, pts), (following, _) in itertools.pairwise([*shown, (Fraction(100), 0)])}
    exact, exactly_decoded = frames_on_screen(path, skip=True)
    for threads in (1, 3):
        slots = Instants.of("slots", 3, 16, Fraction(1, 24))
        chosen, decoded = frames_on_screen(path, skip=True, threads=threads, instants=slots)
        assert [instant for instant, _, _ in chosen][: len(exact)] == [instant for instant, _, _ in exact]
        for instant, pts, picture in chosen[:-1]:
            begin = instant * STEP
            assert pts * time_base - start < begin + STEP
            assert until[pts] > begin
            assert picture == pictures[pts]
        assert decoded <= exactly_decoded
    if name in ("h264", "mpeg2") and rate == "constant":
        assert decoded < 0.9 * exactly_decoded


def test_a_slot_without_a_frame_in_order_has_the_exact_one():
    """Two in order, a second apart, and B-frames between them: only the slots of those two can do without."""
    stamps = [0, 24, *range(1, 24), *range(25, 80)]
    packets = [SimpleNamespace(pts=pts, size=1, is_keyframe=pts == 0) for pts in stamps]
    stream = SimpleNamespace(codec_context=SimpleNamespace(skip_frame=None), time_base=Fraction(1, 24))
    slots = Instants.of("slots", 3, 16, Fraction(1, 24))
    skipper = FrameSkipper(stream, slots)
    decoded = {packet.pts for packet in skipper.packets(packets) if stream.codec_context.skip_frame == "DEFAULT"}
    centres = [number * STEP + STEP / 2 for number in range(6)]
    assert [slots.at(number) for number in range(6)] == [0, *centres[1:5], 1]
    assert {pts for pts in decoded if pts <= 24} == {0, 24, *(int(centre * 24) for centre in centres[1:5])}


@pytest.mark.parametrize("fps", [24, 25, 8, 60])
def test_from_the_first_frame_to_the_last_is_pytorchvideos_choice(fps):
    """Its UniformTemporalSubsample: numbers evenly from 0 to the last, cut to whole ones."""
    frames = [(Fraction(number, fps), Fraction(1, fps), number) for number in range(9 * fps)]
    instants = Instants.of("ends", 3, 16, Fraction(1, fps))
    chosen = [number for _, number in on_screen(frames, instants)]
    expected = torch.linspace(0, 3 * fps - 1, 16, dtype=torch.float64).long()
    assert chosen == [clip * 3 * fps + number for clip in range(3) for number in expected.tolist()]


@pytest.mark.parametrize("frame_seconds", [None, Fraction(1, 24), Fraction(1, 1000), Fraction(3), Fraction(5)])
def test_instants_are_counted_as_they_are_told(frame_seconds):
    instants = Instants(clip_seconds=Fraction(3), per_clip=16, start=Fraction(7, 5), frame_seconds=frame_seconds)
    times = [instants.at(number) for number in range(64)]
    assert times == sorted(times)
    for seconds in (Fraction(number, 97) for number in range(1300)):
        assert instants.before(seconds) == sum(time < seconds for time in times) or seconds > times[-1]
    for time in times:
        assert instants.before(time) == sum(other < time for other in times)


def oracle(starts, duration, step, first):
    """The rule in words: the largest start <= instant, before the first frame the first one."""
    end = starts[-1] + duration
    chosen, instant = [], 0
    while first + instant * step < end:
        at = first + instant * step
        before = [number for number, start in enumerate(starts) if start <= at]
        chosen.append((instant, before[-1] if before else 0))
        instant += 1
    return chosen


def test_the_frame_on_screen_is_the_last_one_begun():
    for seed in range(20):
        generator = np.random.default_rng(seed)
        starts = np.cumsum(generator.integers(1, 400, size=30)) + int(generator.integers(0, 900))
        starts = [Fraction(int(start), 1000) for start in starts]
        frames = [(start, Fraction(40, 1000), number) for number, start in enumerate(starts)]
        assert list(on_screen(frames, CENTRES)) == oracle(starts, Fraction(40, 1000), STEP, STEP / 2)


def test_no_frames_and_frames_that_go_back_in_time():
    assert list(on_screen([], CENTRES)) == []
    frames = [(Fraction(0), STEP, "a"), (Fraction(-1), STEP, "b"), (STEP, STEP, "c")]
    assert list(on_screen(frames, CENTRES)) == [(0, "a"), (1, "c")]


def frame_of_header(pts, duration=None):
    return SimpleNamespace(pts=pts, duration=duration, interlaced_frame=False)


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [(Fraction(24000, 1001), Fraction(1001, 24000)), (None, Fraction(1, 25)), (Fraction(1, 1000), Fraction(1, 25))],
)
def test_absurd_headers_are_not_believed(rate, seconds):
    usual = usual_seconds(SimpleNamespace(average_rate=rate))
    assert usual == seconds
    tick = Fraction(1, 1000)
    assert shown_seconds(frame_of_header(0, 40), tick, usual) == Fraction(40, 1000)
    for duration in (None, 0, -5, 10**9):
        assert shown_seconds(frame_of_header(0, duration), tick, usual) == usual


def test_a_film_of_more_than_a_day_is_refused(monkeypatch):
    frames = (frame_of_header(50 * number) for number in itertools.count())
    monkeypatch.setattr("dubcli.prep.demux.decode_pictures", lambda *_: frames)
    stream = SimpleNamespace(time_base=Fraction(1), average_rate=Fraction(1, 50))
    with pytest.raises(InputError, match="longer than a day"):
        for _ in frames_of(stream, iter(()), Fraction(0), PictureReport()):
            pass
