"""Networks of the package audio-separator: a stand-in of its face, and the package itself where it is installed."""

import hashlib
import importlib.util
import json
import sys
import textwrap

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from dubcli.cli.app import app
from dubcli.errors import UserError
from dubcli.separate import uvr
from dubcli.separate.bags import check_model, load_bag

THERE = importlib.util.find_spec("audio_separator") is not None
RATE = 44100

STAND_IN = '''
    import sys, os
    import numpy as np, yaml
    from tqdm import tqdm

    class Model:
        """Halves of the sound, as MDXCSeparator gives them."""

        def __init__(self, data, path):
            self.model_data, self.sample_rate = data, 44100
            names = data["training"]["instruments"]
            self.primary_stem_name, self.secondary_stem_name = names[0], names[1]
            if open(path, "rb").read() == b"damaged":
                sys.exit(1)

        def demix(self, mix):
            assert mix.dtype == np.float32 and mix.shape[1] >= 441 * 100
            share = 0.25
            for _ in tqdm(range(3)):
                pass
            return {self.primary_stem_name: share * mix, self.secondary_stem_name: (1 - share) * mix}

    class Separator:
        def __init__(self, info_only, log_level, model_file_dir):
            self.model_instance = None

        def load_model(self, name):
            name, kind, _, path, config = self.download_model_files(name)
            print("Warning: an architecture's own words")
            if kind == "MDX":
                self.download_file_if_not_exists("https://example.org/m.json", os.path.join(self.model_file_dir, "m.json"))
            self.model_instance = Model(yaml.safe_load(open(config)), path)
'''  # noqa: E501
CONFIG = (
    "audio: {sample_rate: 44100, hop_length: 441}\ninference: {dim_t: 101}\n"
    "training: {instruments: [Vocals, Instrumental]}\n"
)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A package of that name with the little of its face that is used; a folder of models."""
    site = tmp_path / "site"
    (site / "audio_separator" / "separator").mkdir(parents=True)
    (site / "audio_separator" / "__init__.py").touch()
    listed = {"roformer_download_list": {"A RoFormer": {"listed.ckpt": "config_listed.yaml"}}}
    (site / "audio_separator" / "models.json").write_text(json.dumps(listed))
    (site / "audio_separator" / "separator" / "__init__.py").write_text(textwrap.dedent(STAND_IN))
    info = site / "audio_separator-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: audio-separator\nVersion: 9.9\n")
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("audio_separator")}
    monkeypatch.syspath_prepend(site)
    uvr._local_separator.cache_clear()
    load_bag.cache_clear()
    models = tmp_path / "models"
    models.mkdir()
    (models / "small.ckpt").write_bytes(b"weights")
    (models / "small.yaml").write_text(CONFIG)
    yield models
    for name in [name for name in sys.modules if name.startswith("audio_separator")]:
        del sys.modules[name]
    sys.modules.update(before)
    uvr._local_separator.cache_clear()
    load_bag.cache_clear()


@pytest.mark.skipif(THERE, reason="audio-separator is there")
def test_without_the_package_it_says_how_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"needs the package audio-separator: pip install 'dubcli\[audio-separator\]'"):
        check_model("audio-separator:a.ckpt", tmp_path)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "smal.ckpt",
            r"has no smal\.ckpt \(did you mean small\.ckpt or .*; it holds .*small\.ckpt.*--download_model_only",
        ),
        ("lone.ckpt", r"has lone\.ckpt but not its lone\.yaml \("),
        ("listed.ckpt", r"has listed\.ckpt but not its listed\.yaml or config_listed\.yaml \("),
        ("vr.pth", r"in \.ckpt or \.onnx files are taken"),
        ("damaged.ckpt", r"damaged\.ckpt is damaged or does not fit its \.yaml"),
        ("net.onnx", r"m\.json is not in the folder, put https://example\.org/m\.json there"),
        ("empty.ckpt", "cannot be loaded by audio-separator 9.9: "),
    ],
)
def test_what_is_not_there_or_damaged_is_one_line(stand_in, file, message):
    for name in ("lone.ckpt", "listed.ckpt", "vr.pth", "damaged.ckpt", "net.onnx", "empty.ckpt"):
        (stand_in / name).write_bytes(b"damaged")
    (stand_in / "damaged.yaml").write_text(CONFIG)
    (stand_in / "empty.yaml").write_text("{}")
    with pytest.raises(UserError, match=message) as raised:
        load_bag(f"audio-separator:{file}", stand_in)
    assert "\n" not in str(raised.value)


def test_a_folder_is_asked_for(stand_in):
    with pytest.raises(UserError, match="give --model-repo DIR with it"):
        check_model("audio-separator:small.ckpt", None)


def test_the_configuration_that_the_list_names_is_taken(stand_in):
    (stand_in / "listed.ckpt").write_bytes(b"weights")
    (stand_in / "config_listed.yaml").write_text(CONFIG)
    assert uvr.find_model("audio-separator:listed.ckpt", stand_in)[1] == stand_in / "config_listed.yaml"


def test_stems_of_any_length_by_the_command(stand_in, tmp_path):
    sound = 0.1 * np.random.default_rng(0).standard_normal((RATE, 2)).astype(np.float32)
    soundfile.write(tmp_path / "second.wav", sound, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "short.wav", sound[:20], RATE, subtype="FLOAT")
    out, model = tmp_path / "out", "audio-separator:small.ckpt"
    arguments = ["separate", tmp_path / "second.wav", tmp_path / "short.wav", "--out", out, "--format", "wav"]
    arguments = [*map(str, arguments), "--model", model, "--model-repo", str(stand_in), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["ok"] == 2
    assert "it/s" not in done.stderr
    for name, length in (("second", RATE), ("short", 20)):
        for stem, share in (("vocals", 0.25), ("no_vocals", 0.75)):
            found, _ = soundfile.read(out / f"{name}.{stem}.wav")
            np.testing.assert_allclose(found, share * sound[:length], atol=1e-6)
    (stand_in / "small.ckpt").write_bytes(b"other weights")
    load_bag.cache_clear()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0
    assert "was made with digest" in again.output + str(again.exception)


BS = {
    "dim": 16, "depth": 1, "stereo": True, "time_transformer_depth": 1, "freq_transformer_depth": 1, "dim_head": 8,
    "heads": 2, "freqs_per_bands": [2] * 32 + [1], "dim_freqs_in": 65, "stft_n_fft": 128, "stft_hop_length": 64,
    "stft_win_length": 128, "flash_attn": False, "mask_estimator_depth": 1,
}  # fmt: skip


def roformer(folder, name, instruments, target=None):
    """A BS-RoFormer of a few thousand random weights, in the form in which they are released."""
    yaml = pytest.importorskip("yaml")
    from audio_separator.separator.roformer.roformer_loader import RoformerLoader

    model = {**BS, "num_stems": 1 if target else len(instruments)}
    config = {
        "audio": {"sample_rate": RATE, "hop_length": 64, "num_channels": 2, "chunk_size": 64 * 400, "dim_f": 65,
                  "n_fft": 128},
        "model": model,
        "training": {"instruments": instruments, "target_instrument": target},
        "inference": {"dim_t": 401, "num_overlap": 2, "batch_size": 1},
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(0)
    loaded = RoformerLoader().load_model(str(folder / "not there"), config)
    assert loaded.success, loaded.error_message
    torch.save(loaded.model.state_dict(), folder / f"{name}.ckpt")


@pytest.mark.parametrize(
    ("instruments", "target", "sources", "speech"),
    [
        (["vocals", "other"], "vocals", ("vocals", "other"), "vocals"),
        (["vocals", "other"], "other", ("other", "vocals"), "vocals"),
        (["music", "Speech", "sfx"], None, ("music", "speech", "sfx"), "speech"),
    ],
)
def test_a_roformer_gives_what_the_package_gives(tmp_path, instruments, target, sources, speech):
    pytest.importorskip("audio_separator.separator", reason="pip install 'audio-separator[cpu]'")
    load_bag.cache_clear()
    roformer(tmp_path, "bs_roformer_tiny", instruments, target)
    bag = load_bag("audio-separator:bs_roformer_tiny.ckpt", tmp_path)
    assert (bag.sources, bag.speech, bag.sample_rate) == (sources, speech, RATE)
    sound = 0.1 * torch.randn(1, 2, 3 * RATE)
    (stems,) = bag.models[0](sound)
    theirs = bag.models[0]._made._model.demix(sound[0].numpy())
    for source, stem in zip(theirs, stems, strict=False):
        np.testing.assert_array_equal(stem.numpy(), theirs[source])
    assert bag.models[0](sound[..., :20]).shape == (1, len(sources), 2, 20)
    if target:
        torch.testing.assert_close(stems.sum(0), sound[0], atol=1e-6, rtol=0)


def test_an_mdx_net_gives_what_the_package_gives_and_the_rest_of_the_sound(tmp_path):
    """A network of one convolution that keeps a quarter; its parameters are found by its hash, as those of UVR are."""
    pytest.importorskip("audio_separator.separator", reason="pip install 'audio-separator[cpu]'")
    onnx = pytest.importorskip("onnx")
    load_bag.cache_clear()
    kernel = onnx.numpy_helper.from_array(0.25 * np.eye(4, dtype=np.float32)[:, :, None, None], "kernel")
    shape = ["batch", 4, 1024, 256]
    tensors = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("input", "output")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["input", "kernel"], ["output"])], "net", tensors[:1], tensors[1:], [kernel]
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, tmp_path / "net.onnx")
    digest = hashlib.md5((tmp_path / "net.onnx").read_bytes()).hexdigest()
    data = {"compensate": 1.035, "mdx_dim_f_set": 1024, "mdx_dim_t_set": 8, "mdx_n_fft_scale_set": 2048,
            "primary_stem": "Vocals"}  # fmt: skip
    (tmp_path / "mdx_model_data.json").write_text(json.dumps({digest: data}))
    with pytest.raises(UserError, match=r"vr_model_data\.json is not in the folder, put https://raw"):
        load_bag("audio-separator:net.onnx", tmp_path)
    (tmp_path / "vr_model_data.json").write_text("{}")
    bag = load_bag("audio-separator:net.onnx", tmp_path)
    assert (bag.sources, bag.speech) == (("vocals", "instrumental"), "vocals")
    sound = 0.1 * torch.randn(1, 2, 7 * RATE)
    (stems,) = bag.models[0](sound)
    theirs = bag.models[0]._made._model.demix(sound[0].numpy())
    np.testing.assert_allclose(stems[0].numpy(), 1.035 * theirs, atol=1e-7)
    torch.testing.assert_close(stems.sum(0), sound[0], atol=1e-6, rtol=0)
