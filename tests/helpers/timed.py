"""Films with time stamps of the test's choosing: white flashes and clicks at known instants, gaps, jumps, no stamps."""

from fractions import Fraction

import av
import numpy as np

RATE = 48000


def clicks(seconds, instants, rate=RATE):
    """(2, samples): silence with one loud sample at each instant."""
    sound = np.zeros((2, round(seconds * rate)), np.float32)
    for instant in instants:
        sound[:, round(instant * rate)] = 0.9
    return sound


def grid(seconds, fps, first=0):
    """Instants of the frames of a film."""
    return [Fraction(first) + Fraction(number) / Fraction(fps) for number in range(round(seconds * Fraction(fps)))]


def write_timed(path, frames, sounds, *, codec="mpeg4", sound_codec="pcm_s16le", flashes=(), bframes=0, rate=RATE):
    """Write a film whose packets have just these stamps, in order of their times of writing.

    ``frames``: [stamp in seconds]; the frames whose number is in ``flashes`` are white. ``sounds``: for each track a
    list of (stamp in seconds, (2, samples)); the languages are eng, spa, fre. Stamps may go back or leap.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=24, options={"bf": str(bframes)})
        video.width, video.height, video.pix_fmt = 64, 36, "yuv420p"
        video.codec_context.time_base = Fraction(1, 24)
        video.codec_context.gop_size = 12
        streams = [container.add_stream(sound_codec, rate=rate, layout="stereo") for _ in sounds]
        for stream, language in zip(streams, ("eng", "spa", "fre"), strict=False):
            stream.metadata["language"] = language
        packets = [(number / 24, video, packet) for number, packet in enumerate(_pictures(video, frames, set(flashes)))]
        for stream, pieces in zip(streams, sounds, strict=True):
            packets += _sounds(stream, pieces, rate)
        for _, stream, packet in sorted(packets, key=lambda entry: entry[0]):
            packet.stream = stream
            container.mux_one(packet)


def _pictures(stream, stamps, flashes):
    """Encode at even times, then give every packet the stamp it is to have."""
    packets = []
    for number in range(len(stamps)):
        image = np.full((36, 64, 3), 255 if number in flashes else 30 + number % 5, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 24)
        packets += stream.encode(frame)
    packets += stream.encode(None)
    for packet in packets:
        base = packet.time_base
        shown, decoded = (round(time * base * 24) for time in (packet.pts, packet.dts))
        packet.pts = round(stamps[shown] / base)
        packet.dts = round((stamps[max(0, decoded)] + Fraction(min(0, decoded), 24)) / base)
    return packets


def _sounds(stream, pieces, rate):
    """(time of writing, stream, packet): pieces follow each other in the file, whatever their stamps say."""
    packets, written = [], 0
    for stamp, sound in pieces:
        for start in range(0, sound.shape[1], rate // 25):
            block = np.ascontiguousarray(sound[:, start : start + rate // 25])
            samples = (block * 32767).round().astype(np.int16).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout="stereo")
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), written + start
            for packet in stream.encode(frame):
                at = packet.pts * packet.time_base
                packet.pts = packet.dts = round((Fraction(stamp) + at - Fraction(written, rate)) / packet.time_base)
                packets.append((float(at), stream, packet))
        written += sound.shape[1]
    return packets


def restamp(path, change):
    """Rewrite the stamps in a transport stream: ``change(kind, number, seconds)`` gives the new ones, ``kind`` "video"
    or "audio", ``number`` counting that kind's packets."""
    data = bytearray(path.read_bytes())
    counts = {"video": 0, "audio": 0}
    for start in range(0, len(data), 188):
        place = start + 4 + (data[start + 4] + 1 if data[start + 3] & 0x20 else 0)
        if not data[start + 1] & 0x40 or data[place : place + 3] != b"\0\0\1" or data[place + 3] < 0xC0:
            continue
        kind = "video" if data[place + 3] >= 0xE0 else "audio"
        stamps = {2: 1, 3: 2}.get(data[place + 7] >> 6, 0)  # none, that of showing, or both
        for at in range(place + 9, place + 9 + 5 * stamps, 5):
            whole = int.from_bytes(data[at : at + 5], "big")
            seconds = Fraction((whole >> 33 & 7) << 30 | (whole >> 17 & 0x7FFF) << 15 | whole >> 1 & 0x7FFF, 90000)
            ticks = round(change(kind, counts[kind], seconds) * 90000) % 2**33
            whole = whole >> 36 << 36 | ticks >> 30 << 33 | (ticks >> 15 & 0x7FFF) << 17 | (ticks & 0x7FFF) << 1
            data[at : at + 5] = (whole | 0x1_0001_0001).to_bytes(5, "big")  # the marker bits
        counts[kind] += 1
    path.write_bytes(data)


def leap_in_matroska(path, cluster, bit):
    """Flip a bit of the time stamp (milliseconds) of the cluster of that number."""
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(cluster + 1):
        place = data.index(b"\x1f\x43\xb6\x75", place + 1)
    place = data.index(b"\xe7", place + 4)
    size = data[place + 1] & 0x7F
    stamp = int.from_bytes(data[place + 2 : place + 2 + size], "big") ^ 1 << bit
    data[place + 2 : place + 2 + size] = stamp.to_bytes(size, "big")
    path.write_bytes(data)


def heard_at(path, stream=1):
    """Seconds of the film's clock at which clicks are heard, and how long the track is, decoded as prep does."""
    from dubcli.media.sound import track_blocks

    problems, found, length = [], [], 0
    for block in track_blocks(path, stream, None, RATE, problems):
        sound = block[0].numpy()
        for sample in np.flatnonzero(sound > 0.3) if sound.max() > 0.3 else ():
            at = (length + int(sample)) / RATE
            if not found or at - found[-1][1] > 0.01:
                found.append([at, at])
            found[-1][1] = at
        length += block.shape[1]
    return [first for first, _ in found], length / RATE, problems


def click_frames(mel):
    """[(clip, mel frame)] of the loudest frame in every clip that has a click."""
    energy = np.exp(mel.astype(np.float32)).sum(axis=(1, 2))
    return [(clip, int(row.argmax())) for clip, row in enumerate(energy) if row.max() > 10]


def mel_frame(instant):
    """(clip, the frames whose windows' middles are nearest to an instant)."""
    clip, rest = divmod(instant, 3)
    return int(clip), round((rest * RATE - 512) / 512)


def shown(movie):
    """(clip, number) of the frames that are white."""
    import io

    from PIL import Image

    white = []
    for clip in range(movie.n_clips):
        for number, jpeg in enumerate(movie.frame_bytes(clip)):
            if np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")).mean() > 200:
                white.append((clip, number))
    return white
