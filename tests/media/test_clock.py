"""Time stamps judged in the order of the file: what is believed, what is taken out, and by how much."""

from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

import av
import pytest

from dubcli.media.clock import FilmClock, read_packets

TICK = Fraction(1, 1000)


@dataclass
class Packet:
    stream_index: int
    dts: int | None
    pts: int | None
    duration: int = 40
    time_base: Fraction = TICK


def corrected(stamps, start=0, trusted_end=None):
    """``stamps``: (stream, milliseconds) or (stream, dts, pts). Returns the corrected pts and the problems."""
    problems = []
    clock = FilmClock(Fraction(start), trusted_end, problems)
    packets = [Packet(stream, stamp, rest[0] if rest else stamp) for stream, stamp, *rest in stamps]
    for packet in packets:
        clock.correct(packet)
    return [packet.pts for packet in packets], problems


def two_streams(first, stop, offset=0, step=40):
    return [(stream, at + offset) for at in range(first, stop, step) for stream in (0, 1)]


def test_what_is_in_order_is_left_alone():
    stamps = two_streams(0, 9000)
    assert corrected(stamps) == ([at for _, at in stamps], [])


def test_a_film_may_start_anywhere():
    stamps = two_streams(43_473_000, 43_480_000)
    assert corrected(stamps, start=43473) == ([at for _, at in stamps], [])


@pytest.mark.parametrize("offset", [-9000, -5000, 61_000, 10**9, -(10**9)])
def test_both_streams_of_a_jump_are_moved_by_the_same_amount(offset):
    stamps = two_streams(0, 9000) + two_streams(9000, 18_000, offset)
    found, problems = corrected(stamps)
    moved = {at - raw for at, (_, raw) in zip(found, stamps, strict=True)}
    assert len(moved) == 2
    assert abs(max(moved, key=abs) + offset) <= 40
    assert len(problems) == 1


def test_a_single_wrong_stamp_costs_one_packet():
    stamps = two_streams(0, 9000)
    stamps[100] = (0, 10**9)
    found, problems = corrected(stamps)
    assert all(at == raw for number, (at, (_, raw)) in enumerate(zip(found, stamps, strict=True)) if number != 100)
    assert abs(found[100] - 2000) <= 80
    assert len(problems) == 1


def test_a_pause_of_one_stream_while_the_other_goes_on_is_kept():
    stamps = two_streams(0, 2000) + [(0, at) for at in range(2000, 300_000, 40)] + two_streams(300_000, 302_000)
    assert corrected(stamps) == ([at for _, at in stamps], [])


def test_a_hole_in_all_streams_is_named_once_for_each():
    three = [(stream, at) for at in (*range(0, 2000, 40), *range(5000, 7000, 40), *range(9000, 9500, 40))
             for stream in (0, 1, 2) if stream < 2 or at < 1000 or at > 4000]  # fmt: skip
    assert corrected(three)[1] == ["nothing is there for 3.0 s at 2.0 s", "nothing is there for 2.0 s at 7.0 s"]
    short = two_streams(0, 2000) + two_streams(2900, 4000)
    assert corrected(short)[1] == []


def test_a_pause_of_all_streams_is_kept_up_to_a_minute():
    stamps = two_streams(0, 2000) + two_streams(55_000, 57_000)
    assert corrected(stamps) == ([at for _, at in stamps], ["nothing is there for 53.0 s at 2.0 s"])
    found, problems = corrected(two_streams(0, 2000) + two_streams(95_000, 97_000))
    assert max(found) < 4100
    assert len(problems) == 1


def test_a_table_of_times_is_believed_within_the_films_length():
    stamps = [(0, 0), (0, 40), (0, 200_000)]
    assert corrected(stamps, trusted_end=Fraction(300))[0] == [0, 40, 200_000]
    assert corrected(stamps, trusted_end=Fraction(100))[0] == [0, 40, 80]


def test_a_stream_that_begins_far_from_the_others():
    assert corrected([(0, 0), (0, 40), (1, 500_000)])[0] == [0, 40, 500_000]
    assert corrected([(0, 0), (0, 40), (1, 5_000_000)])[0] == [0, 40, 40]


def test_missing_stamps_and_a_time_of_showing_that_cannot_be():
    problems = []
    clock = FilmClock(Fraction(0), None, problems)
    packet = Packet(0, None, None)
    clock.correct(packet)
    assert (packet.dts, packet.pts) == (None, None)
    for number in range(5):
        clock.correct(Packet(0, None, 40 * number))
    packet = Packet(0, 200, 10**9)
    clock.correct(packet)
    assert packet.pts == 200


def test_as_many_jumps_as_there_are_packets():
    stamps = [(0, number * 10**7 % 999_999_937) for number in range(5000)]
    found, problems = corrected(stamps)
    assert len(problems) <= 5000
    assert max(found) - min(found) <= 5000 * 4040


class Container:
    """Demuxes as PyAV does: ``parts`` are packets and errors; after an error a new call goes on behind it."""

    def __init__(self, *parts):
        self._parts = list(parts)
        self.format = SimpleNamespace(name="mpegts")
        self.streams = SimpleNamespace(video=[], audio=[])
        self.duration = None

    def demux(self, streams):
        while self._parts:
            part = self._parts.pop(0)
            if isinstance(part, Exception):
                raise part
            yield part


class Ours(Packet):
    size = 1
    stream_index = 0


def test_reading_goes_on_behind_damage_but_not_for_ever(monkeypatch):
    monkeypatch.setattr("dubcli.media.clock._compared", lambda container, wanted: [])
    broken = av.error.InvalidDataError(1094995529, "Invalid data found when processing input")
    stream = SimpleNamespace(index=0)
    problems = []
    container = Container(Ours(0, 0, 0), broken, Ours(0, 40, 40), *[broken] * 100, Ours(0, 80, 80))
    found = list(read_packets(container, [stream], Fraction(0), problems))
    assert [packet.pts for packet in found] == [0, 40]
    assert problems[0] == "the file is unreadable in places: Invalid data found when processing input"


def test_streams_that_a_recording_gains_on_its_way_end_nothing(monkeypatch):
    monkeypatch.setattr("dubcli.media.clock._compared", lambda container, wanted: [])
    container = Container(Ours(0, 0, 0), Ours(0, 40, 40), IndexError("list index out of range"))
    found = list(read_packets(container, [SimpleNamespace(index=0)], Fraction(0), []))
    assert len(found) == 2
