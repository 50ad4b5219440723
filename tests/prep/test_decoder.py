"""prep --decoder: what a GPU decodes gives the CPU's cache, byte for byte; the rest is the CPU's, with a note."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange

from dubcli.cache.reader import Cache
from dubcli.errors import UserError
from dubcli.media import picture
from dubcli.media.jpeg import planar
from dubcli.media.nvdec import _PROBE_LEVELS, GpuDecodeError, why_not
from dubcli.prep.decoder import _turn, require_decoder
from helpers.containers import Track, make_film
from helpers.gpu_decoder import ActedGpu, probe_picture
from helpers.prepping import command_here, log_lines, prepare_here

X264 = {"x264-params": "log-level=none:bframes=3"}
X265 = {"x265-params": "log-level=none:bframes=3"}
FULL_RANGE = {"x264-params": "log-level=none:fullrange=on:colormatrix=bt709"}
INTERLACED = {"x264-params": "log-level=none:interlaced=1"}
FILMS = {
    "h264": {"path": "film.mkv", "video_options": X264, "fps": Fraction(24000, 1001), "size": (94, 62)},
    "hevc": {"path": "film.mkv", "video_codec": "libx265", "video_options": X265, "size": (320, 180)},
    "full range, BT.709": {"path": "film.mkv", "video_options": FULL_RANGE, "pix_fmt": "yuvj420p"},
    "interlaced transport stream": {"path": "film.ts", "video_options": INTERLACED, "size": (96, 64)},
    "rotated, wide pixels": {"path": "film.mp4", "video_options": X264, "rotation": 90, "sar": Fraction(4, 3)},
}


def film(folder, path="film.mkv", **options):
    """A film of one track. Its path."""
    make_film(folder / path, tracks=[Track("eng")], **{"video_options": X264, **options})
    return folder / path


def contents(cache):
    """{path below the cache: bytes} of all but the log; movie.json without what says who decoded."""
    found = {str(path.relative_to(cache)): path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    found.pop("prep.jsonl")
    for name in [name for name in found if name.endswith("movie.json")]:
        meta = json.loads(found[name])
        found[name] = {key: value for key, value in meta.items() if not key.startswith("decoder")}
    return found


def decoder_of(cache):
    """(decoder, note) of the one film, which movie.json and the log agree on."""
    (meta,), line = [movie.meta for movie in Cache(cache).movies], log_lines(cache)[-1]
    said = meta["decoder"], meta.get("decoder_note")
    assert said == (line["decoder"], line.get("decoder_note"))
    return said


def both(monkeypatch, path, gpu, decoder="cuda"):
    """Prepare a film on the CPU and with the acted GPU; (decoder, note) of the latter, whose cache must be the same."""
    caches = path.parent / "cpu", path.parent / "gpu"
    (outcome,) = prepare_here(monkeypatch, [path], caches[0], decoder="cpu").values()
    assert outcome.status == "ok", outcome
    assert decoder_of(caches[0]) == ("cpu", None)
    gpu.install(monkeypatch)
    (outcome,) = prepare_here(monkeypatch, [path], caches[1], decoder=decoder).values()
    assert outcome.status == "ok", outcome
    assert contents(caches[0]) == contents(caches[1])
    return decoder_of(caches[1])


@pytest.mark.parametrize("name", FILMS)
def test_a_gpu_makes_the_same_cache(monkeypatch, tmp_path, name):
    gpu = ActedGpu()
    assert both(monkeypatch, film(tmp_path, **FILMS[name]), gpu) == ("cuda:0", None)
    assert gpu.opened == [0, 0]  # to compare, and for the film


@pytest.mark.parametrize("fail_at", [1, 90])  # in the comparison, and in the middle of the film
def test_a_driver_that_gives_up_leaves_the_film_to_the_cpu(monkeypatch, tmp_path, fail_at):
    gpu = ActedGpu(fail_at=fail_at)
    decoder, note = both(monkeypatch, film(tmp_path, gop=12), gpu)
    assert decoder == "cpu"
    assert "Generic error in an external library" in note
    assert ("begun again" in note) == (fail_at > 1) == (len(gpu.opened) == 2)


def test_damaged_pictures_are_the_cpus_to_decide(monkeypatch, tmp_path):
    path = film(tmp_path, seconds=8, size=(320, 180))
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(1)
    for place in generator.integers(len(data) // 2, len(data) * 3 // 4, size=300):
        data[place] ^= 0x55
    path.write_bytes(data)
    ActedGpu().install(monkeypatch)
    prepare_here(monkeypatch, [path], tmp_path / "gpu", decoder="cuda")
    # What damage does differs between machines, and what stands in for lost pictures even between two runs on the CPU's
    # threads: where it is first seen is left open, that the CPU decides and the note says why is not.
    decoder, note = decoder_of(tmp_path / "gpu")
    assert decoder == "cpu"
    assert note.startswith((
        "damaged: ", "the GPU does not decode it: ", "the GPU's pictures are not the CPU's", "begun again after the GPU"
    ))  # fmt: skip


def test_a_film_that_neither_decodes_is_called_damaged(monkeypatch, tmp_path):
    def damaged(context, packet, problems, decode=picture._decode):
        if context.codec_context.is_hwaccel:
            raise GpuDecodeError("Invalid data found when processing input")
        problems.append("Invalid data found when processing input")
        return decode(context, packet, problems)

    path = film(tmp_path)
    ActedGpu().install(monkeypatch)
    monkeypatch.setattr("dubcli.media.picture._decode", damaged)
    prepare_here(monkeypatch, [path], tmp_path / "gpu", decoder="cuda")
    assert decoder_of(tmp_path / "gpu") == ("cpu", "damaged: Invalid data found when processing input")


def darker(frame):
    """The same frame with one sample changed."""
    array = frame.to_ndarray()
    array[0, 0] ^= 1
    changed = av.VideoFrame.from_ndarray(array, format="nv12")
    changed.pts, changed.time_base = frame.pts, frame.time_base
    return changed


def test_other_pictures_than_the_cpus_are_not_taken(monkeypatch, tmp_path):
    gpu = ActedGpu(change=darker)
    assert both(monkeypatch, film(tmp_path), gpu) == ("cpu", "the GPU's pictures are not the CPU's")
    assert gpu.opened == [0]


def test_codecs_without_bits_of_their_own_never_go_to_a_gpu(monkeypatch, tmp_path):
    for name, options in {
        "ten": {"pix_fmt": "yuv420p10le", "video_codec": "libx265", "video_options": X265},
        "mpeg4": {"video_codec": "mpeg4", "video_options": {}},
    }.items():
        folder, gpu = tmp_path / name, ActedGpu()
        folder.mkdir()
        decoder, note = both(monkeypatch, film(folder, **options), gpu)
        assert (decoder, note) == ("cpu", f"{'yuv420p10le' if name == 'ten' else 'mpeg4'} is left to the CPU")
        assert gpu.opened == []


def test_auto_takes_a_gpu_where_it_is_faster_only(monkeypatch, tmp_path):
    slow = ActedGpu(pause_seconds=0.02)
    path = film(tmp_path, gop=12)
    assert both(monkeypatch, path, slow, decoder="auto") == ("cpu", "the GPU would not be faster")
    monkeypatch.setattr("dubcli.prep.decoder.time.perf_counter", lambda: 0.0)
    ActedGpu().install(monkeypatch)
    prepare_here(monkeypatch, [path], tmp_path / "fast", decoder="auto")
    assert decoder_of(tmp_path / "fast") == ("cuda:0", None)
    assert contents(tmp_path / "fast") == contents(tmp_path / "cpu")


def test_a_gpu_that_does_not_decode_is_named_in_the_log(monkeypatch, tmp_path):
    path = film(tmp_path)
    assert both(monkeypatch, path, ActedGpu(broken="no NVDEC on GPU 0"), "auto") == ("cpu", "no NVDEC on GPU 0")
    with pytest.raises(UserError, match="--decoder cuda: no NVDEC on GPU 0; give cpu"):
        prepare_here(monkeypatch, [path], tmp_path / "refused", decoder="cuda")
    assert not (tmp_path / "refused").exists()


def test_films_are_spread_over_gpus_up_to_a_number(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with _turn(2, None) as first, _turn(2, None) as second, _turn(2, None) as third, _turn(2, 2) as fourth:
        assert (first, second, third, fourth) == (0, 1, 0, 1)
        with _turn(2, 2) as none, _turn(2, None) as more:
            assert (none, more) == (None, 0)
    with _turn(2, 1) as again:
        assert again == 0


def test_the_probe_is_a_picture_of_these_levels():
    frame = probe_picture()
    assert (frame.width, frame.height, frame.format.name) == (256, 256, "yuv420p")
    for plane, level in zip(frame.planes, _PROBE_LEVELS, strict=True):
        assert (np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width] == level).all()


@pytest.mark.parametrize("size", [(64, 36), (1918, 34), (720, 576)])
@pytest.mark.parametrize("colour_range", [ColorRange.UNSPECIFIED, ColorRange.MPEG, ColorRange.JPEG])
def test_nv12_becomes_planes_of_the_same_samples(size, colour_range):
    width, height = size
    samples = np.random.default_rng(0).integers(0, 256, size=(height * 3 // 2, width), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(samples, format="nv12")
    frame.pts, frame.time_base, frame.colorspace = 77, Fraction(1, 90000), 1
    frame.color_range = colour_range
    made = planar(frame)
    assert made.format.name == ("yuvj420p" if colour_range == ColorRange.JPEG else "yuv420p")
    assert (made.pts, made.time_base, made.colorspace, made.color_range) == (77, Fraction(1, 90000), 1, colour_range)
    chroma = samples[height:].reshape(-1, width // 2, 2)
    for plane, expected in zip(made.planes, (samples[:height], chroma[..., 0], chroma[..., 1]), strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        assert np.array_equal(rows[: plane.height, : plane.width], expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_cuda_is_one_line_and_auto_is_the_cpu(monkeypatch, tmp_path):
    path = film(tmp_path)
    done = command_here(monkeypatch, tmp_path, "prep", path, "--lang", "en", "--decoder", "cuda")
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "--decoder cuda: this machine has no GPU" in done.stderr
    assert not (tmp_path / "cache").exists()
    assert why_not(0) is not None
    for decoder in ("cpu", "auto"):
        command = ["prep", path, "--lang", "en", "--decoder", decoder, "--cache", tmp_path / decoder, "--quiet"]
        assert command_here(monkeypatch, tmp_path, *command).returncode == 0
        assert decoder_of(tmp_path / decoder) == ("cpu", None)
    assert contents(tmp_path / "cpu") == contents(tmp_path / "auto")
    # no parameter of the cache: another film goes into one that was made otherwise
    other = film(tmp_path, path="other.mkv", seconds=4)
    assert (
        command_here(monkeypatch, tmp_path, "prep", other, "--lang", "en", "--cache", tmp_path / "cpu").returncode == 0
    )


@pytest.mark.parametrize(("word", "near"), [("cdua", "did you mean cuda?"), ("gpu", "give one of auto, cpu, cuda")])
def test_a_typo_is_told_what_there_is(monkeypatch, tmp_path, word, near):
    done = command_here(monkeypatch, tmp_path, "prep", film(tmp_path), "--decoder", word)
    assert done.returncode == 2
    assert near in done.stderr.replace("\n", " ")
    assert not (tmp_path / "cache").exists()
    require_decoder("cpu")
