"""FFmpeg's description of a container: its text as it is today, so that another one of a new FFmpeg is seen here."""

import av

from dubcli.media.header import Crop, Header, _description, read_header
from helpers.boxes import add_to_picture, dolby_vision
from helpers.containers import make_film

TWO_PROGRAMMES = """\
Input #0, mpegts, from 'a.ts':
  Duration: 00:00:10.03, start: 1.400000, bitrate: 902 kb/s
  Program 101 One
    Metadata:
      service_name    : One
  Stream #0:3[0x100]: Video: h264 ([27][0][0][0] / 0x001B), yuv420p(progressive), 320x180, 25 fps, 25 tbr, 90k tbn
    Side data:
      Frame Cropping: 1/2/3/4
  Stream #0:1[0x101](eng): Audio: ac3 (AC-3 / 0x332D4341), 44100 Hz, mono, fltp, 96 kb/s, start 1.400000
  Program 2 Program 7
  Stream #0:1[0x101](eng): Audio: ac3 (AC-3 / 0x332D4341), 44100 Hz, mono, fltp, 96 kb/s, start 1.400000
  Stream #0:2[0x102]: Video: hevc ([36][0][0][0] / 0x0024), yuv420p10le, 320x180, 25 fps, 25 tbr, 90k tbn
    Side data:
      DOVI configuration record: version: 1.0, profile: 8, level: 3, rpu flag: 1, el flag: 0, bl flag: 1, \
compatibility id: 4, compression: 0
  No Program
  Stream #0:0[0x110]: Audio: mp2 ([3][0][0][0] / 0x0003), 48000 Hz, stereo
"""


class Described:
    """A container of which FFmpeg says what is given."""

    def __init__(self, text):
        self.text = text

    def dumps_format(self):
        return self.text


def test_programmes_crop_and_dolby_vision_of_each_stream():
    assert read_header(Described(TWO_PROGRAMMES)) == Header(
        programs={3: [101], 1: [101, 2], 2: [2]}, crop={3: Crop(1, 2, 3, 4)}, dolby_vision={2: (8, 4)}
    )
    assert read_header(Described("")) == Header()


def test_this_ffmpeg_writes_so(tmp_path):
    """Every line that is looked for, as the FFmpeg that is installed writes it."""
    make_film(tmp_path / "film.mp4", seconds=1, size=(96, 54))
    add_to_picture(tmp_path / "film.mp4", dolby_vision(8, 1))
    level = av.logging.get_level()
    with av.open(tmp_path / "film.mp4") as container:
        text = _description(container)
        assert read_header(container) == Header(dolby_vision={0: (8, 1)})
    assert text.startswith("Input #0, mov,mp4,")
    assert "\n  Stream #0:0" in text
    assert "\n    Side data:\n      DOVI configuration record: version: 1.0, profile: 8, level: 3," in text
    assert av.logging.get_level() == level
