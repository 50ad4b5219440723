"""Time stamps as films have them: late starts, gaps, overlaps, leaps, none at all; sound and picture stay together."""

import heapq
import itertools
import re
from fractions import Fraction

import av
import numpy as np
import pytest

from dubcli.cache.reader import Cache
from helpers.prepping import one_movie, prepare_here
from helpers.timed import (
    RATE,
    click_frames,
    clicks,
    grid,
    heard_at,
    leap_in_matroska,
    mel_frame,
    restamp,
    shown,
    write_timed,
)

FPS = Fraction(24000, 1001)
NTH = 3 / 16


def assert_clicks(movie, language, instants):
    found = click_frames(movie.mel(language))
    expected = [mel_frame(instant) for instant in instants]
    assert [clip for clip, _ in found] == [clip for clip, _ in expected], (found, expected)
    assert max(abs(a - b) for (_, a), (_, b) in zip(found, expected, strict=True)) <= 1, (found, expected)


def test_sound_that_starts_late_is_heard_when_it_should(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    sound = clicks(7.5, [0.6, 4.0])
    write_timed(film, grid(9.5, FPS), [[(0, clicks(9.5, [2.1, 5.5]))], [(Fraction(3, 2), sound)]])
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache", "en,es", sync_check=False)
    for language in ("en", "es"):
        assert_clicks(movie, language, [2.1, 5.5])
    assert movie.n_clips == 3
    assert movie.tracks["es"]["valid_clips"] == [1, 3]


@pytest.mark.parametrize(
    ("ending", "codec", "sound_codec"),
    [("mkv", "mpeg4", "libopus"), ("mp4", "mpeg4", "aac"), ("mov", "mpeg4", "pcm_s16le"), ("ts", "mpeg2video", "mp2")],
)
def test_every_container_keeps_two_tracks_and_the_picture_together(tmp_path, ending, codec, sound_codec):
    late = Fraction(3, 2)
    film = tmp_path / f"film.{ending}"
    white = [number for number, stamp in enumerate(grid(6, 24)) if 4 <= stamp < 4.04]
    sounds = [[(0, clicks(6, [4]))], [(late, clicks(6 - float(late), [4 - float(late)]))]]
    write_timed(film, grid(6, 24), sounds, codec=codec, sound_codec=sound_codec, flashes=white)
    (shown_at,), _ = white_instants(film)
    for track in (1, 2):
        (click,), _, problems = heard_at(film, track)
        assert click == pytest.approx(float(shown_at), abs=0.010)
        assert problems == []


def test_a_picture_that_starts_late_stands_still_until_then(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    stamps = grid(6.5, 24, first=Fraction(2))
    white = [number for number, stamp in enumerate(stamps) if 4.125 <= stamp < 4.3125]
    write_timed(film, stamps, [[(0, clicks(8, [4.2, 7]))]], flashes=white)
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.n_clips == 2  # to 8.5 s
    assert_clicks(movie, "en", [4.2])
    assert shown(movie) == [(1, 6)]  # 4.125 to 4.3125 s is the 7th sixteenth of the second clip


@pytest.mark.parametrize("start", [Fraction(10), Fraction(43473)])
def test_a_film_whose_clock_starts_late_begins_at_zero(monkeypatch, tmp_path, start):
    film = tmp_path / "film.mkv"
    stamps = grid(6.5, 24, first=start)
    white = [number for number, stamp in enumerate(stamps) if 4.125 <= stamp - start < 4.3125]
    write_timed(film, stamps, [[(start, clicks(6.4, [4.2]))]], flashes=white)
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.meta["start_seconds"] == float(start)
    assert_clicks(movie, "en", [4.2])
    assert shown(movie) == [(1, 6)]


def test_a_gap_is_silence(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    write_timed(film, grid(9.1, FPS), [[(0, clicks(2, [1])), (Fraction(7, 2), clicks(5.5, [0.5, 3.5]))]])
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    assert_clicks(movie, "en", [1, 4, 7])
    assert heard_at(film)[0] == pytest.approx([1, 4, 7], abs=1e-3)
    assert movie.tracks["en"]["valid_clips"] == [0, 3]


def test_of_an_overlap_the_first_is_kept(monkeypatch, tmp_path):
    film = tmp_path / "film.ts"
    write_timed(film, grid(9.1, 24), [[(0, clicks(4, [1, 3.8])), (4, clicks(5.5, [0.1, 0.7, 3.5]))]],
                codec="mpeg2video", sound_codec="mp2")  # fmt: skip
    before = heard_at(film)[0]
    assert np.diff(before) == pytest.approx([2.8, 0.3, 0.6, 2.8], abs=2e-3)
    packets = 4 * RATE // 1152
    restamp(film, lambda kind, number, at: at - Fraction(1, 2) if kind == "audio" and number >= packets else at)
    # the second recording begins half a second earlier: what it says in that time has been heard already
    expected = [before[0], before[1], before[3] - 0.5, before[4] - 0.5]
    assert heard_at(film)[0] == pytest.approx(expected, abs=2e-3)
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache", assume_primary=True)
    assert [clip for clip, _ in click_frames(movie.mel("en"))] == [0, 1, 2]


def test_shorter_and_longer_tracks_are_filled_and_cut(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    write_timed(film, grid(9.1, FPS), [[(0, clicks(30, [1, 8]))], [(0, clicks(7, [1, 5]))]])
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache", "en,es", sync_check=False)
    assert movie.n_clips == 3
    assert_clicks(movie, "en", [1, 8])
    assert_clicks(movie, "es", [1, 5])
    assert movie.tracks["es"]["valid_clips"] == [0, 2]
    assert float(movie.mel("es")[2, :, :, 100:].max()) == pytest.approx(np.log(1e-6), abs=0.01)


def test_pictures_without_presentation_times(monkeypatch, tmp_path):
    film = tmp_path / "film.avi"  # stores decoding times alone; of B-frames they are not those of showing
    white = [number for number in range(24 * 7) if 4.125 <= number / 24 < 4.3125]
    write_timed(film, grid(7, 24), [[(0, clicks(7, [4.2]))]], flashes=white, bframes=2)
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache", assume_primary=True)
    assert shown(movie) == [(1, 6)]
    assert_clicks(movie, "en", [4.2])


@pytest.mark.parametrize("bit", [17, 20, 24, 31])
def test_wrong_stamps_of_a_second_move_nothing(monkeypatch, tmp_path, bit):
    film = tmp_path / "film.mkv"
    start = 2_200_000  # so that the stamps have four bytes
    stamps = grid(9.1, 24, first=start)
    white = [number for number, stamp in enumerate(stamps) if 7.125 <= stamp - start < 7.3125]
    write_timed(film, stamps, [[(start, clicks(9, [1, 7.2]))]], flashes=white)
    leap_in_matroska(film, cluster=1, bit=bit)
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache")
    assert "the clock jumps" in outcome.warning
    assert movie.n_clips == 3
    assert shown(movie) == [(2, 6)]
    assert_clicks(movie, "en", [1, 7.2])


def test_one_wrong_stamp_of_one_stream_moves_nothing(monkeypatch, tmp_path):
    film = tmp_path / "film.ts"
    white = [number for number in range(24 * 9) if 7.125 <= number / 24 < 7.3125]
    write_timed(film, grid(9.1, 24), [[(0, clicks(9, [1, 7.2]))]], codec="mpeg2video", sound_codec="mp2",
                flashes=white)  # fmt: skip
    restamp(film, lambda kind, number, at: at + 20_000 * (kind == "video" and number == 60))
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache", assume_primary=True)
    assert "the clock jumps" in outcome.warning
    assert movie.n_clips == 3
    ((clip, number),) = shown(movie)
    assert (clip, abs(number - 6) <= 1) == (2, True)
    assert [clip for clip, _ in click_frames(movie.mel("en"))] == [0, 2]


@pytest.mark.parametrize("ending", ["ts", "mpg"])
def test_recordings_joined_end_to_end_go_on_in_step(monkeypatch, tmp_path, ending):
    parts = []
    for number, instant in enumerate((4.2, 2.7)):
        part = tmp_path / f"part{number}.{ending}"
        white = [frame for frame in range(24 * 8) if instant - 0.1 <= frame / 24 < instant + 0.1]
        write_timed(part, grid(8, 24), [[(0, clicks(8, [instant]))]], codec="mpeg2video", sound_codec="mp2",
                    flashes=white)  # fmt: skip
        parts.append(part.read_bytes())
    film = tmp_path / f"joined.{ending}"
    film.write_bytes(b"".join(parts))
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache", assume_primary=True)
    assert re.search(r"the clock jumps by -[78]\.\d+ s at [78]\.\d s", outcome.warning)
    assert movie.n_clips == 5
    clips = [clip for clip, _ in click_frames(movie.mel("en"))]
    assert clips == [1, 3]
    white = dict(reversed(shown(movie)))
    for clip, frame in click_frames(movie.mel("en")):
        assert abs((frame * 512 + 512) / RATE - (white[clip] + 0.5) * NTH) < 0.25


def test_a_pause_that_another_stream_fills_is_kept(tmp_path):
    film = tmp_path / "film.mkv"
    # the dub is silent, without packets, for two minutes of the film; the sound of the original goes on
    write_timed(film, grid(130, 2), [[(0, clicks(130, [1, 125]))], [(0, clicks(2, [1])), (123, clicks(5, [2]))]])
    assert heard_at(film, 1)[0] == pytest.approx([1, 125], abs=1e-3)
    assert heard_at(film, 2)[0] == pytest.approx([1, 125], abs=1e-3)
    assert heard_at(film, 2)[2] == []


HOUR_3 = 3 * 3600


def long_film(path, seconds_between, codec, sound_codec):
    """Three hours and 20 s at 24000/1001: a frame and some sound now and then, and the last 20 s in full.

    A flash of one frame and a click at the same instant are in the last 20 s. Returns the instant.
    """
    last = int(HOUR_3 * FPS)
    early = range(0, last, round(seconds_between * FPS))
    numbers = [*early, *range(last, last + int(20 * FPS))]
    white = next(number for number in numbers if number / FPS > HOUR_3 + 7)
    instant = white / FPS
    pieces = [(number / FPS, clicks(0.5, [])) for number in early]
    zero = Fraction(last) / FPS
    pieces.append((zero, clicks(19.5, [float(instant - zero)])))
    write_timed(path, [number / FPS for number in numbers], [pieces], codec=codec, sound_codec=sound_codec,
                flashes=[numbers.index(white)])  # fmt: skip
    return instant


def white_instants(path):
    """Instants of the white frames on the film's clock, as prep reckons them."""
    from dubcli.media.clock import read_packets
    from dubcli.media.streams import start_of
    from dubcli.prep.demux import PictureReport, frames_of

    with av.open(str(path)) as container:
        stream, zero, report = container.streams.video[0], start_of(container), PictureReport()
        packets = read_packets(container, [stream], zero, report.problems)
        frames = frames_of(stream, packets, zero, report)
        return [at for at, _, frame in frames if frame.to_ndarray(format="gray").mean() > 200], report.problems


@pytest.mark.parametrize("ending", [".mkv", ".ts", pytest.param(".mp4", marks=pytest.mark.slow)])
def test_picture_and_sound_are_together_in_hour_3(tmp_path, ending):
    film = tmp_path / f"film{ending}"
    codecs = {".mkv": ("mpeg4", "pcm_s16le"), ".mp4": ("mpeg4", "aac"), ".ts": ("mpeg2video", "mp2")}[ending]
    instant = long_film(film, 20, *codecs)
    (white,), problems = white_instants(film)
    (click,), _, sound_problems = heard_at(film)
    # but for the holes between them
    assert [problem for problem in (*problems, *sound_problems) if "nothing is there" not in problem] == []
    first = Fraction(0) if ending != ".ts" else white - instant  # a transport stream's zero is that of its sound
    assert abs(first) < 0.1
    assert abs(white - first - instant) < 1 / FPS
    # AAC and MP2 smear a click over their block
    assert click == pytest.approx(float(white), abs=0.010)


def complete_long_film(path):
    """Three hours and 20 s with every frame and every sample, of packets that are written again and again.

    24000/1001 frames a second and AAC at 44.1 kHz, whose packets have 1024 samples, in a container that counts
    milliseconds: whoever adds up durations or stamps instead of keeping to exact ones has drifted by then.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt, video.codec_context.gop_size = 64, 36, "yuv420p", 1
        sound = container.add_stream("aac", rate=44100, layout="stereo")
        sound.metadata["language"] = "eng"
        dark, white = (bytes(_one_picture(level)) for level in (30, 255))
        _one_picture(30, video)  # gives the stream its header
        silence, click = _aac(sound)
        flash = round(float((HOUR_3 + 7) * FPS))
        instant = flash / FPS
        position = round(instant * 44100) - click[1]  # so that the click is at the flash
        frames = (
            (number / FPS, video, white if number == flash else dark) for number in range(int(HOUR_3 * FPS) + 480)
        )
        before = ((Fraction(position - 1024 * back, 44100), sound, silence) for back in range(position // 1024, 0, -1))
        during = ((Fraction(position + 1024 * number, 44100), sound, data) for number, data in enumerate(click[0]))
        for at, stream, data in heapq.merge(frames, itertools.chain(before, during), key=lambda entry: entry[0]):
            packet = av.Packet(data)
            packet.stream, packet.is_keyframe, packet.time_base = stream, True, Fraction(1, 1000)
            packet.pts = packet.dts = round(at * 1000)
            container.mux_one(packet)
    return instant


def _one_picture(level, stream=None):
    if stream is None:
        stream = av.CodecContext.create("mpeg4", "w")
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 36, "yuv420p", 1 / FPS
    frame = av.VideoFrame.from_ndarray(np.full((36, 64, 3), level, np.uint8), format="rgb24")
    return [*stream.encode(frame), *stream.encode(None)][0]


def _aac(stream):
    """A packet of silence, and packets with a click together with the sample at which it is heard."""
    sound = np.zeros((2, 1024 * 40), np.float32)
    sound[:, 20_000] = 0.9
    packets = []
    for start in range(0, sound.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[:, start : start + 1024]), "fltp", "stereo")
        frame.sample_rate, frame.pts = 44100, start
        packets += stream.encode(frame)
    packets = [bytes(packet) for packet in [*packets, *stream.encode(None)]]
    return packets[10], (packets, 20_000 + 1024)  # the encoder begins with a block of its own


@pytest.mark.slow
def test_a_whole_film_has_not_drifted_in_hour_3(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    instant = complete_long_film(film)
    (outcome,) = prepare_here(monkeypatch, [film], tmp_path / "cache").values()
    (movie,) = Cache(tmp_path / "cache").movies
    assert outcome.warning is None
    assert movie.n_clips == 3606
    (click,), length, _ = heard_at(film)
    assert click == pytest.approx(float(instant), abs=0.010)
    assert length == pytest.approx(HOUR_3 + 7.5, abs=1)
    (white,), _ = white_instants(film)
    assert abs(white - instant) < 1 / FPS
    assert_clicks(movie, "en", [float(instant)])
