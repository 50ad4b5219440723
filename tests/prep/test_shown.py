"""What is shown of a film: all orientations of the display matrix, container crop, aspects that change, programmes."""

import gc
import io
import re

import av
import numpy as np
import pytest
from PIL import Image

from dubcli.media.header import Crop
from dubcli.media.shown import UPRIGHT, Orientation, Turns, orientation
from dubcli.media.streams import read_info
from helpers.boxes import add_to_picture, clap, crop_matroska, dolby_vision, set_matrix
from helpers.broadcasts import NARROW, WIDE, changing_film
from helpers.containers import Track, make_film
from helpers.prepping import one_movie

ONE, SIZE = 1 << 16, (64, 36)
# (a, b, c, d) of the display matrix -> filters that ffmpeg puts in for it (ffmpeg_filter.c, with -autorotate)
AUTOROTATION = {
    (1, 0, 0, 1): [],
    (0, 1, -1, 0): [("transpose", "clock")],
    (-1, 0, 0, -1): [("hflip", ""), ("vflip", "")],
    (0, -1, 1, 0): [("transpose", "cclock")],
    (-1, 0, 0, 1): [("hflip", "")],
    (1, 0, 0, -1): [("vflip", "")],
    (0, 1, 1, 0): [("transpose", "cclock_flip")],
    (0, -1, -1, 0): [("transpose", "clock_flip")],
}
STILL = {"x264-params": "log-level=none:qp=4"}


def filtered(image, filters):
    """(height, width, 3) through FFmpeg's filters: the oracle."""
    graph = av.filter.Graph()
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base="1/24")
    for step in [*(graph.add(name, argument) for name, argument in filters), graph.add("buffersink")]:
        last.link_to(step)
        last = step
    graph.configure()
    graph.push(frame)
    return graph.pull().to_ndarray(format="rgb24")


def stored(path):
    """The first frame as it is stored, and as decoded."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(format="rgb24"), frame


def first_picture(movie):
    """The first JPEG of a movie, (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(movie.frame_bytes(0)[0])).convert("RGB"), np.float32)


def alike(picture, image):
    """Whether a picture is that image in another size, and no turn or mirror image of it."""
    size = (picture.shape[1] // 10, picture.shape[0] // 10)
    small, other = (
        np.asarray(Image.fromarray(one.astype(np.uint8)).resize(size, Image.Resampling.BOX), np.float32)
        for one in (picture, image)
    )
    return float(np.abs(small - other).mean()) < 6


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("shown") / "film.mp4"
    make_film(path, seconds=3, size=SIZE, video_options=STILL, fps=8, tracks=[Track("eng", codec="aac")])
    return path


@pytest.mark.parametrize("matrix", AUTOROTATION)
def test_every_orientation_is_ffmpegs(monkeypatch, tmp_path, film, matrix):
    turned = tmp_path / "film.mp4"
    turned.write_bytes(film.read_bytes())
    a, b, c, d = (ONE * value for value in matrix)
    set_matrix(turned, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    image, frame = stored(turned)
    expected = filtered(image, AUTOROTATION[matrix])
    np.testing.assert_array_equal(filtered(image, orientation(frame).filters()), expected)
    movie, _ = one_movie(monkeypatch, turned, tmp_path / "cache")
    picture = first_picture(movie)
    assert picture.shape[:2] == ((320, 180) if matrix[0] == 0 else (180, 320))
    assert alike(picture, expected)
    assert not any(alike(picture, filtered(image, other)) for key, other in AUTOROTATION.items() if key != matrix)
    turn = {0: [], 90: AUTOROTATION[0, -1, 1, 0], 180: AUTOROTATION[-1, 0, 0, -1], 270: AUTOROTATION[0, 1, -1, 0]}
    video = movie.meta["video"]
    named = turn[video["rotation"]] + ([("hflip", "")] if video["mirrored"] else [])
    np.testing.assert_array_equal(filtered(image, named), expected)


def test_a_matrix_that_says_nothing(film, tmp_path):
    turned = tmp_path / "film.mp4"
    turned.write_bytes(film.read_bytes())
    set_matrix(turned, (0, 0, 0, 0, 0, 0, 0, 0, 0))
    assert orientation(stored(turned)[1]) == Orientation()


def cropped_film(path, ending):
    """64 x 36 pixels of which 20 to the left, 4 to the right, 6 above and 8 below are not shown."""
    colours = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
    make_film(path, seconds=3, size=SIZE, video_options=STILL, fps=8, colours=colours,
              tracks=[Track("eng", codec="aac")])  # fmt: skip
    if ending == "mp4":
        add_to_picture(path, clap(40, 22, right=8, down=-1))
    else:
        crop_matroska(path, 20, 4, 6, 8)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_what_the_container_crops_is_not_shown(monkeypatch, tmp_path, ending):
    path = tmp_path / f"film.{ending}"
    cropped_film(path, ending)
    assert read_info(path).video.crop == Crop(20, 4, 6, 8)
    movie, _ = one_movie(monkeypatch, path, tmp_path / "cache")
    image, _ = stored(path)
    assert movie.meta["frame_size"] == [328, 180]
    assert movie.meta["video"]["crop"] == [20, 4, 6, 8]
    picture = first_picture(movie)
    assert alike(picture, image[6:28, 20:60])
    assert not alike(picture, image)


@pytest.mark.parametrize("parts", [[(NARROW, 2, 60), (WIDE, 4, 180)], [(WIDE, 4, 60), (NARROW, 2, 180)]])
def test_the_aspect_of_most_of_the_film_is_its_own(monkeypatch, tmp_path, parts):
    path = tmp_path / "film.ts"
    changing_film(path, parts)
    movie, outcome = one_movie(monkeypatch, path, tmp_path / "cache")
    assert movie.meta["frame_size"] == [320, 180]
    assert set(movie.meta["video"]["shown_sizes"]) == {"320x180", "240x180"}
    # 10 or 11 of 32 instants: the decoder knows of the change a frame before it gives the frame out
    assert re.search(r"its aspect changes; 3[14] % of it was scaled to the rest's 320x180", outcome.warning)
    frames = [
        np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")) for clip in (0, 1) for jpeg in movie.frame_bytes(clip)
    ]
    assert {frame.shape for frame in frames} == {(180, 320)}
    assert (frames[0].mean(), frames[-1].mean()) == (pytest.approx(60, abs=4), pytest.approx(180, abs=4))


@pytest.mark.parametrize(("profile", "compatibility", "warned"), [(5, 0, True), (10, 0, True), (8, 1, False)])
def test_dolby_vision_without_other_colours_is_named_and_warned_of(
    monkeypatch, tmp_path, film, profile, compatibility, warned
):
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    add_to_picture(path, dolby_vision(profile, compatibility))
    movie, outcome = one_movie(monkeypatch, path, tmp_path / "cache")
    name = f"Dolby Vision profile {profile}"
    assert movie.meta["video"]["hdr"] == (name if warned else None)
    assert (f"{name}: without a decoder" in (outcome.warning or "")) == warned


def test_pictures_do_not_wait_for_the_collector_of_circles():
    """A frame that was asked for its side data stays until Python looks for circles: hundreds of 3 MB each."""
    gc.collect()
    turns, kept, queue = Turns(), 0, []
    for number in range(600):
        frame = av.VideoFrame(64, 36, "yuv420p")
        frame.key_frame = number % 12 == 0
        assert turns(frame) == UPRIGHT
        queue = [*queue[-5:], frame]  # as they wait to become JPEGs
        del frame
        if number % 40 == 39:
            kept = max(kept, sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()))
    assert kept <= 8
