"""Samples that no decoder should give, and does: layouts of no meaning, NaN, noise far over full scale."""

from fractions import Fraction

import av
import numpy as np
import pytest

from dubcli.core.samples import LOUDEST
from dubcli.media.resample import resampled
from dubcli.media.sound import StereoTrack

RATE = 48000


class Decoder:
    """Stands in for a stream whose packets are frames already."""

    def __init__(self):
        self.codec_context = self
        self.stream = self

    def decode(self, packet):
        return [] if packet is None else packet


def frame(samples, layout="stereo", at=0, rate=RATE):
    """A packed float frame of (channels, samples)."""
    packed = np.ascontiguousarray(samples.T.reshape(1, -1), np.float32)
    out = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    out.sample_rate, out.pts, out.time_base = rate, at, Fraction(1, rate)
    return out


def decoded(*frames, rate=RATE):
    track = StereoTrack(Decoder(), Fraction(0), rate)
    blocks = [block for packet in [[part] for part in frames] + [None] for block in track.decode(packet)]
    return track, np.concatenate(blocks, axis=1) if blocks else np.zeros((2, 0), np.float32)


def test_what_is_no_number_is_silence_and_what_is_far_too_loud_is_cut():
    sound = np.full((2, 1000), 0.5, np.float32)
    sound[0, 10], sound[1, 20], sound[0, 30], sound[1, 40] = np.nan, np.inf, 1e30, -1e30
    track, heard = decoded(frame(sound))
    assert np.isfinite(heard).all()
    assert (heard[0, 10], heard[1, 20], heard[0, 30], heard[1, 40]) == (0, 0, LOUDEST, -LOUDEST)
    assert heard[0, 11] == 0.5
    assert [line.split()[0] for line in track.changed] == ["2", "2"]


def test_a_little_over_full_scale_is_sound():
    track, heard = decoded(frame(np.full((2, 1000), 1.4, np.float32)))
    assert heard.max() == pytest.approx(1.4)
    assert track.told == []


def test_a_layout_that_cannot_be_placed_is_named_and_its_time_is_silence():
    layouts = [("stereo", 2), ("25 channels", 25), ("stereo", 2)]
    frames = [
        frame(np.full((channels, RATE), 0.25, np.float32), layout, at=number * RATE)
        for number, (layout, channels) in enumerate(layouts)
    ]
    track, heard = decoded(*frames)
    assert heard.shape == (2, 3 * RATE)
    assert heard[:, RATE + 100 : 2 * RATE - 100].max() == 0
    assert heard[0, 100] == heard[0, 2 * RATE + 100] == 0.25
    assert track.layouts == ["stereo"]
    assert "unknown channel layout '25 channels'" in track.problems[0]


@pytest.mark.parametrize("late", [1, 65504, 100003])
def test_a_late_track_is_in_place_to_a_part_of_a_sample_at_another_rate(late):
    """It was moved to the nearest sample of the other rate: up to 11 us, mels after a separation differed by 2.0."""
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32)
    _, heard = decoded(frame(sound, at=late), rate=44100)
    expected = resampled(np.pad(sound, ((0, 0), (late, 0))), RATE, 44100)
    assert heard.shape == expected.shape
    assert np.abs(heard - expected).max() < 1e-5
