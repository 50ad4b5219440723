"""Films with 5.1 sound, and their folders in a clip cache as prep writes them, without its work."""

from fractions import Fraction

import av
import numpy as np

from dubcli.cache import layout
from dubcli.cache.writer import new_movie
from dubcli.media.identity import fingerprint

CLIPS = 2
RATE = 44100
JPEG = b"\xff\xd8 not looked at \xff\xd9"


def surround(seconds, seed=0):
    """(6, samples) FL FR FC LFE SL SR at 44.1 kHz: speech-like bursts in the centre, noise around."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    around = 0.05 * generator.standard_normal((6, time.size))
    around[2] += 0.5 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    around[3] = 0.5
    return around.astype(np.float32)


def write_film(path, waveform, start_seconds=0.0):
    """A Matroska file with one 5.1(side) PCM track (float: nothing is lost), beginning at ``start_seconds``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="5.1(side)")
        stream.metadata["language"] = "eng"
        place = round(start_seconds * RATE)
        for block in np.split(waveform, range(1024, waveform.shape[1], 1024), axis=1):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T.reshape(1, -1)), "flt", "5.1(side)")
            frame.sample_rate, frame.pts, frame.time_base = RATE, place, Fraction(1, RATE)
            place += block.shape[1]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def add_movie(cache, source, name, n_clips=CLIPS, **track):
    """A film as prep writes it, its frames and mel without content."""
    entry = {"path": str(source), "stream": 0, "valid_clips": [0, n_clips], **track}
    with new_movie(cache, name) as writer:
        for _ in range(n_clips * layout.FRAMES_PER_CLIP):
            writer.add_frame(JPEG)
        writer.add_mel("en", np.zeros(layout.mel_shape(n_clips), np.float16))
        writer.finish({
            "id": name,
            "source": {"path": str(source), "size": source.stat().st_size, "fingerprint": fingerprint(source)},
            "start_seconds": 0.0,
            "n_clips": n_clips,
            "primary": "en",
            "tracks": {"en": entry},
        })  # fmt: skip
    return layout.movie_folder(cache, name)
