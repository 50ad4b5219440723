from fractions import Fraction

import numpy as np
import pytest
import torch

from dubcli.core.models import PRESETS
from dubcli.embed import EmbedConfig, embed, load_features
from dubcli.embed.chunks import DecodeNotes, Wanted
from dubcli.embed.decode import decode
from dubcli.embed.inputs import file_item
from dubcli.errors import InputError
from dubcli.media.shown import frame_size
from helpers.broadcasts import NARROW, WIDE, changing_film
from helpers.films import make_film

TINY = PRESETS["tiny"]


def chunks_of(path, modalities=("audio", "video"), lang=None):
    reading = DecodeNotes()
    wanted = Wanted(modalities=modalities, sample_rate=48000, sizes=TINY, lang=lang)
    found = list(decode(file_item(str(path)), wanted, reading))
    return (
        [chunk for chunk in found if chunk.kind == "wave"],
        [chunk for chunk in found if chunk.kind == "frames"],
        reading,
    )


@pytest.mark.parametrize("rate", [12, 24, 25, 30, 60])
def test_frames_are_those_on_screen_at_the_centres_of_16_parts(tmp_path, rate):
    make_film(tmp_path / "f.mkv", 6, rate=rate)
    _, clips, reading = chunks_of(tmp_path / "f.mkv")
    assert [clip.start_seconds for clip in clips] == [0, 3]
    assert reading.warning is None
    for clip in clips:
        assert clip.data.shape == (3, 16, TINY.crop, TINY.crop)
        instants = clip.start_seconds + (np.arange(16) + 0.5) * 3 / 16
        expected = 16 + (200 * np.floor(instants * rate + 1e-9) / (6 * rate)).astype(int)
        np.testing.assert_allclose(clip.data.float().mean(dim=(0, 2, 3)), expected, atol=3)


@pytest.mark.parametrize(
    ("seconds", "starts", "padded"),
    [(0.05, [0], 2.95), (1.0, [0], 2.0), (4.0, [0], 0.0), (4.6, [0, 3], 1.4), (6.0, [0, 3], 0.0)],
)
def test_rule_of_the_last_chunk(tmp_path, seconds, starts, padded):
    make_film(tmp_path / "f.mkv", seconds, rate=20, tracks=())
    _, clips, reading = chunks_of(tmp_path / "f.mkv", ("video",))
    assert [clip.start_seconds for clip in clips] == starts
    assert reading.seconds == pytest.approx(seconds, abs=0.06)
    assert sum(clip.padded_seconds for clip in clips) == pytest.approx(padded, abs=0.06)
    # what is missing is the last frame, held
    first_held = 16 - int(clips[-1].padded_seconds * 16 / 3)
    for frame in range(first_held, 16):
        assert torch.equal(clips[-1].data[:, frame], clips[-1].data[:, 15])


def test_track_of_a_language(tmp_path):
    make_film(tmp_path / "f.mkv", 3, tracks=("eng", "fre", "jpn"))
    for lang, frequency in ((None, 500), ("fr", 1000), ("ja", 1500)):
        (sound,), _, _ = chunks_of(tmp_path / "f.mkv", ("audio",), lang)
        assert np.abs(np.fft.rfft(sound.data[0].numpy())).argmax() / 3 == pytest.approx(frequency, abs=1)
    with pytest.raises(InputError, match="no sound track in de"):
        chunks_of(tmp_path / "f.mkv", ("audio",), "de")


def test_picture_or_sound_may_be_missing(tmp_path, tiny):
    make_film(tmp_path / "both.mkv", 3)
    make_film(tmp_path / "silent.mkv", 3, tracks=())
    embed(tmp_path, tiny, tmp_path / "out", EmbedConfig())
    features = load_features(tmp_path / "out")
    both, silent = features.items
    assert (both["audio_chunks"], both["video_chunks"], both["reason"]) == (1, 1, "")
    assert (silent["audio_chunks"], silent["video_chunks"], silent["status"]) == (0, 1, "ok")
    assert silent["reason"] == "no sound track"
    assert features.audio[0].any()
    assert not features.audio[1].any()
    np.testing.assert_allclose(features.video[0], features.video[1], atol=1e-6)
    with pytest.raises(InputError, match="no sound track"):
        chunks_of(tmp_path / "silent.mkv", ("audio",))


def test_truncated_film_gives_what_it_has(tmp_path):
    make_film(tmp_path / "f.mkv", 9, codec="mpeg4")
    content = (tmp_path / "f.mkv").read_bytes()
    (tmp_path / "f.mkv").write_bytes(content[: len(content) // 2])
    sounds, clips, _ = chunks_of(tmp_path / "f.mkv")
    assert 1 <= len(clips) <= 3
    assert len(sounds) <= 3


def test_odd_real_files(real_data, tmp_path, tiny):
    summary = embed(real_data / "media", tiny, tmp_path / "out", EmbedConfig())
    features = load_features(tmp_path / "out")
    assert summary.ok + summary.failed == len(features.items) >= 30
    assert summary.failed <= 4
    assert np.isfinite(features.audio).all()
    assert np.isfinite(features.video).all()
    failed = {item["path"].rsplit("/", 1)[-1]: item["reason"] for item in features.items if item["status"] == "failed"}
    assert "no sound track that can be decoded" in failed["sample_ac4.mp4"]
    assert all("\n" not in reason for reason in failed.values())
    rows = {item["path"].rsplit("/", 1)[-1]: item for item in features.items}
    assert rows["sample_video_only.mp4"]["video_chunks"] == 1
    assert rows["multiple-aac-tracks.mp4"]["audio_chunks"] == 2


@pytest.mark.parametrize(
    "parts", [[(NARROW, 2, 60), (WIDE, 4, 180)], [(WIDE, 4, 60), (NARROW, 2, 180)], [(WIDE, 6, 60)]]
)
def test_the_aspect_of_most_of_the_film_is_its_own(monkeypatch, tmp_path, parts):
    changing_film(tmp_path / "film.ts", parts)
    sizes = []
    monkeypatch.setattr("dubcli.embed.decode.frame_size", lambda *shape: sizes.append(shape[2]) or frame_size(*shape))
    _, clips, reading = chunks_of(tmp_path / "film.ts", ("video",))
    assert len(clips) == 2
    assert set(sizes) == {Fraction(16, 9) / Fraction(72, 58)}  # MPEG-2 says the whole picture's aspect
    assert ("its aspect changes" in (reading.warning or "")) == (len(parts) == 2)


def test_what_is_missing_is_the_last_frame_of_all(tmp_path):
    """Not the last that was looked at: frame 30 of 33 is at 1.03 s, and those after it are shown, too."""
    make_film(tmp_path / "f.mkv", 1.1, rate=30, tracks=())
    _, (clip,), _ = chunks_of(tmp_path / "f.mkv", ("video",))
    levels = clip.data.float().mean(dim=(0, 2, 3))
    assert float(levels[5]) == pytest.approx(16 + 200 * 30 // 33, abs=3)
    np.testing.assert_allclose(levels[6:], 16 + 200 * 32 // 33, atol=3)


@pytest.mark.parametrize("hop", [1.0, 0.7, 4.0])
def test_chunks_of_pictures_and_sound_every_hop(tmp_path, hop):
    make_film(tmp_path / "f.mkv", 6, rate=25, tracks=("eng",))
    wanted = Wanted(modalities=("audio", "video"), sample_rate=48000, sizes=TINY, hop_seconds=hop)
    found = list(decode(file_item(str(tmp_path / "f.mkv")), wanted, DecodeNotes()))
    starts = [index * hop for index in range(20) if index * hop + 1.5 <= 6]  # half of a chunk is there
    for kind in ("wave", "frames"):
        own = [chunk for chunk in found if chunk.kind == kind]
        assert [chunk.start_seconds for chunk in own] == pytest.approx(starts)
        assert [chunk.padded_seconds for chunk in own] == pytest.approx([max(0, s + 3 - 6) for s in starts], abs=0.05)
    for clip in (chunk for chunk in found if chunk.kind == "frames"):
        instants = np.minimum(clip.start_seconds + (np.arange(16) + 0.5) * 3 / 16, 5.99)
        expected = 16 + (200 * np.floor(instants * 25 + 1e-9) / 150).astype(int)
        np.testing.assert_allclose(clip.data.float().mean(dim=(0, 2, 3)), expected, atol=3)
