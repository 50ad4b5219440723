"""Every container and codec that films come in, through the whole of prep: sound at its level, picture as shown."""

import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from dubcli.core.features import downmix, log_mel
from dubcli.media.shown import frame_size
from helpers.containers import RATE, Track, make_film
from helpers.prepping import one_movie

SECONDS = 4.0
EXPERIMENTAL = {"strict": "-2"}
# (ending, sound codec, layout, picture codec)
FILMS = [
    ("mkv", "ac3", "5.1", "libx264"),
    ("mkv", "eac3", "5.1", "libx264"),
    ("mkv", "flac", "7.1", "libx265"),
    ("mkv", "libopus", "5.1", "libsvtav1"),
    ("mkv", "pcm_s24le", "stereo", "mpeg2video"),
    ("mkv", "libmp3lame", "stereo", "mpeg4"),
    ("mp4", "aac", "5.1", "libx264"),
    ("mp4", "ac3", "stereo", "libx265"),
    ("mp4", "libopus", "stereo", "libsvtav1"),
    ("mov", "pcm_s16be", "stereo", "prores_ks"),
    ("mov", "alac", "5.1", "mjpeg"),
    ("ts", "ac3", "5.1", "libx264"),
    ("ts", "aac", "stereo", "mpeg2video"),
    ("ts", "eac3", "5.1", "libx265"),
    ("m2ts", "ac3", "5.1", "libx264"),
    ("m2ts", "pcm_bluray", "stereo", "libx264"),
    ("avi", "mp2", "stereo", "mpeg4"),
    ("avi", "pcm_s16le", "stereo", "mjpeg"),
    ("webm", "libopus", "stereo", "libvpx-vp9"),
    ("webm", "vorbis", "stereo", "libvpx"),
]
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}
FAST = {
    "libx264": {"preset": "ultrafast", "x264-params": "log-level=none"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "13"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def chord(layout, seconds=SECONDS):
    """A tone of its own in every channel, (channels, samples)."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    times = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * TONES[name] * times) for name in names]).astype(np.float32)


# Hz; the low-frequency channel carries no more than 120 Hz
TONES = {"FL": 440, "FR": 1000, "FC": 1700, "LFE": 60, "BL": 2600, "BR": 3500, "SL": 4700, "SR": 6100}


def power_at(mel, frequency):
    """Median power near a frequency over the clip's inner frames, in log: (2,) of one clip's (2, 96, 280)."""
    mels = 2595 * np.log10(1 + frequency / 700) / (2595 * np.log10(1 + 24000 / 700)) * 97 - 1
    near = slice(max(0, round(mels) - 2), round(mels) + 3)
    return np.log(np.median(np.exp(mel[:, near, 20:260].astype(np.float64)).sum(axis=1), axis=1))


@pytest.mark.parametrize(("ending", "codec", "layout", "picture"), FILMS)
def test_sound_arrives_by_the_matrix_whatever_the_container(monkeypatch, tmp_path, ending, codec, layout, picture):
    film = tmp_path / f"film.{ending}"
    sound = chord(layout)
    options = EXPERIMENTAL if codec == "vorbis" else {}
    make_film(film, seconds=SECONDS, size=(64, 36), video_codec=picture, video_options=FAST.get(picture),
              pix_fmt=PIXELS.get(picture, "yuv420p"),
              tracks=[Track("eng", layout=layout, codec=codec, sound=sound, options=options)])  # fmt: skip
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache", assume_primary=True)
    assert movie.n_clips == 1
    assert "damaged" not in (outcome.warning or "")
    assert movie.tracks["en"]["valid_clips"] == [0, 1]
    decoded_layout = movie.tracks["en"]["layouts"][0]
    assert av.AudioLayout(decoded_layout).nb_channels == sound.shape[0]
    stereo = downmix(torch.from_numpy(sound), layout)
    expected = log_mel(stereo[:, : 3 * RATE], RATE).numpy()
    got = movie.mel("en")[0].astype(np.float32)
    for channel in av.AudioLayout(layout).channels:
        frequency = TONES[channel.name]
        if channel.name == "LFE":
            continue  # beside the matrix: it is dropped
        want, have = power_at(expected, frequency), power_at(got, frequency)
        for side in range(2):
            if want[side] > 0:
                assert have[side] == pytest.approx(want[side], abs=0.25), (channel.name, side)  # 1 dB
            else:
                assert have[side] < want.max() - 4, (channel.name, side)  # 17 dB below the side it belongs to


def test_the_low_frequency_channel_is_dropped_and_the_gain_recorded(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    sound = chord("5.1")
    sound[[0, 1, 2, 4, 5]] = 0
    make_film(film, seconds=SECONDS, tracks=[Track("eng", layout="5.1", codec="flac", sound=sound)])
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    assert float(movie.mel("en")[0].max()) == pytest.approx(np.log(1e-6), abs=0.01)
    assert list(movie.tracks["en"]["downmix_gain"].values()) == [pytest.approx(1 / (1 + 2**0.5))]


def frame_of(movie, number=5):
    return np.asarray(Image.open(io.BytesIO(movie.frame_bytes(0)[number])).convert("RGB"))


@pytest.mark.parametrize(
    ("codec", "pixels", "options"),
    [
        ("libx264", "yuv420p10le", {}),
        ("libx264", "yuv422p", {}),
        ("libx264", "yuv422p10le", {}),
        ("libx264", "yuv444p", {}),
        ("libx265", "yuv420p12le", {}),
        ("ffv1", "bgr0", {}),
        ("ffv1", "gray", {}),
        ("libvpx-vp9", "yuva420p", {}),
    ],
)
def test_every_pixel_format_looks_the_same(monkeypatch, tmp_path, codec, pixels, options):
    plain, film = tmp_path / "plain.mkv", tmp_path / "film.mkv"
    make_film(plain, seconds=3.2, video_codec="ffv1", pix_fmt="yuv444p")
    make_film(film, seconds=3.2, video_codec=codec, pix_fmt=pixels, video_options=FAST.get(codec, {}) | options)
    reference, _ = one_movie(monkeypatch, plain, tmp_path / "one")
    movie, _ = one_movie(monkeypatch, film, tmp_path / "two")
    # FFmpeg's own VP9 decoder leaves transparency out
    assert movie.meta["video"]["pixel_format"] == pixels.replace("yuva", "yuv")
    for number in (0, 7, 15):
        a, b = frame_of(reference, number).astype(float), frame_of(movie, number).astype(float)
        if pixels == "gray":
            a, b = a @ [0.299, 0.587, 0.114], b.mean(axis=2)
        assert np.abs(a - b).mean() < 8


def corners(image):
    height, width, _ = image.shape
    rows, columns = (height // 8, height - 1 - height // 8), (width // 8, width - 1 - width // 8)
    return ["wrgb"[_nearest(image[row, column])] for row in rows for column in columns]


def _nearest(pixel):
    palette = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    return int(np.abs(palette - pixel.astype(int)).sum(axis=1).argmin())


def write_corners(path, rotation=None, sar=None, size=(96, 54), **video_fields):
    """A film whose quarters are white, red, green and blue (reading order), with tags about how to show it."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[: size[1] // 2, : size[0] // 2] = 255
    image[: size[1] // 2, size[0] // 2 :, 0] = 255
    image[size[1] // 2 :, : size[0] // 2, 1] = 255
    image[size[1] // 2 :, size[0] // 2 :, 2] = 255
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            "libx264", rate=24, options={"preset": "ultrafast", "x264-params": "log-level=none"}
        )
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        if sar is not None:
            video.codec_context.sample_aspect_ratio = Fraction(sar)
        for name, value in video_fields.items():
            setattr(video.codec_context, name, value)
        if rotation is not None:
            video.set_display_rotation(rotation)
        sound = container.add_stream("aac", rate=RATE, layout="stereo")
        sound.metadata["language"] = "eng"
        for number in range(24 * 4):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame))
            block = np.zeros((2, RATE // 24), np.float32) + 0.01 * (number % 2)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate = RATE
            container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


TURNED = {0: "wrgb", 90: "rbwg", 180: "bgrw", 270: "gwbr"}


@pytest.mark.parametrize(("rotation", "turn"), [(0, 0), (90, 90), (-90, 270), (180, 180), (45, 0), (91, 90)])
def test_rotation_is_honoured_to_the_nearest_quarter(monkeypatch, tmp_path, rotation, turn):
    film = tmp_path / "film.mov"
    write_corners(film, rotation=rotation)
    with av.open(str(film)) as container:
        tagged = next(container.decode(video=0)).rotation
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    expected = 90 * round(tagged / 90) % 360
    assert movie.meta["video"]["rotation"] == expected
    assert movie.meta["frame_size"] == ([320, 180] if expected % 180 == 0 else [180, 320])
    assert "".join(corners(frame_of(movie))) == TURNED[expected]
    if rotation != 45:
        assert expected == turn


@pytest.mark.parametrize(
    ("size", "sar", "shown"),
    [
        ((96, 54), "2", [640, 180]),
        ((72, 58), "16/11", [326, 180]),
        ((96, 54), "1/3", [180, 304]),
        ((96, 54), "1", [320, 180]),
    ],
)
def test_pixel_aspect_is_honoured(monkeypatch, tmp_path, size, sar, shown):
    film = tmp_path / "film.mkv"
    write_corners(film, sar=sar, size=size)
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.meta["frame_size"] == shown
    assert "".join(corners(frame_of(movie))) == "wrgb"


def test_a_mad_pixel_aspect_makes_no_mad_frames():
    assert frame_size(96, 54, Fraction(60000), False, 180) == (8 * 180, 180)
    assert frame_size(96, 54, Fraction(1, 60000), False, 180) == (180, 8 * 180)
    assert frame_size(4, 8000, Fraction(1), True, 180) == (8 * 180, 180)


@pytest.mark.parametrize(("transfer", "name"), [(16, "HDR10 or PQ"), (18, "HLG"), (1, None)])
def test_hdr_is_named(monkeypatch, tmp_path, transfer, name):
    film = tmp_path / "film.mkv"
    write_corners(film, color_trc=transfer)
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.meta["video"]["hdr"] == name


def test_interlaced_is_named(monkeypatch, tmp_path):
    film = tmp_path / "film.ts"
    make_film(film, seconds=4, fps=25, video_codec="mpeg2video", video_options={"flags": "+ildct+ilme", "top": "1"},
              size=(64, 48), tracks=[Track("eng", codec="ac3")])  # fmt: skip
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.meta["video"]["interlaced"] is True
    assert "interlaced" in outcome.warning


@pytest.mark.parametrize(
    ("source", "codec", "layout"), [("sample_with_dts.mkv", "dca", "5.1(side)"), ("sample_dthd.mp4", "truehd", "7.1")]
)
def test_dts_and_truehd_which_nothing_here_encodes(monkeypatch, tmp_path, real_data, source, codec, layout):
    """Half a second of a real track again and again beside a picture: its levels are those of its own decoding."""
    film = tmp_path / "film.mkv"
    with av.open(str(real_data / "media" / source)) as given, av.open(str(film), "w") as container:
        video = container.add_stream("mpeg4", rate=24)
        video.width, video.height, video.pix_fmt = 64, 36, "yuv420p"
        track = given.streams.audio[0]
        sound = container.add_stream_from_template(track)
        sound.metadata["language"] = "eng"
        packets = [(bytes(packet), packet.duration * packet.time_base) for packet in given.demux(track) if packet.size]
        at = Fraction(0)
        for number in range(4 * 24):
            image = np.full((36, 64, 3), number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        for data, duration in itertools.cycle(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = sound, Fraction(1, RATE), True
            packet.pts = packet.dts = round(at * RATE)
            container.mux_one(packet)
            at += duration
            if at > 4:
                break
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.tracks["en"]["codec"] == codec
    assert movie.tracks["en"]["layouts"] == [layout]
    assert movie.tracks["en"]["valid_clips"] == [0, 1]
    assert outcome.warning is None
    with av.open(str(real_data / "media" / source)) as given:
        resampler = av.AudioResampler(format="flt", rate=RATE)
        frames = [out for frame in given.decode(audio=0) for out in resampler.resample(frame)]
    sound = np.concatenate([frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T for frame in frames], axis=1)
    alone = log_mel(downmix(torch.from_numpy(sound), layout), RATE).numpy()
    power = np.log(np.exp(alone).mean(axis=(0, 2)))
    got = np.log(np.exp(movie.mel("en")[0].astype(np.float64)).mean(axis=(0, 2)))
    assert np.abs(power - got)[:40].mean() < 0.3


COLOURS = [(220, 30, 30), (30, 200, 40), (40, 50, 210), (128, 128, 128)]


@pytest.mark.parametrize(
    ("tag", "matrix", "size"),
    [
        (1, "ITU709", (64, 36)),
        (6, "ITU601", (64, 36)),
        (9, "BT2020", (64, 36)),
        (2, "ITU709", (1280, 720)),  # nothing is said: high definition
        (2, "ITU601", (720, 576)),  # nothing is said: standard definition
    ],
)
def test_colours_are_those_of_the_film(monkeypatch, tmp_path, tag, matrix, size):
    film = tmp_path / "film.mkv"
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        image[:, number * size[0] // 4 : (number + 1) * size[0] // 4] = colour
    with av.open(str(film), "w") as container:
        video = container.add_stream("ffv1", rate=10)
        video.width, video.height, video.pix_fmt = *size, "yuv444p"
        video.codec_context.colorspace = tag
        for _ in range(31):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame.reformat(format="yuv444p", dst_colorspace=matrix)))
        container.mux(video.encode(None))
    make_film(tmp_path / "film.en.mka", seconds=3.2, video_codec=None, tracks=[Track(None)])
    movie, _ = one_movie(monkeypatch, film, tmp_path / "cache")
    shown = frame_of(movie).astype(int)
    for number, colour in enumerate(COLOURS):
        there = shown[90, (2 * number + 1) * shown.shape[1] // 8]
        assert np.abs(there - colour).max() <= 6, (there, colour)
