"""dubcli.xares: what X-ARES asks of an encoder; its checker and a made task of it where the package is there."""

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile
import torch

from dubcli import hear
from dubcli.core.trained import random_trained
from dubcli.xares import encoder


def test_embeddings_are_those_of_hear_one_for_each_hop():
    made = encoder("random:tiny", hop_ms=250)()
    assert (made.sampling_rate, made.output_dim, made.hop_size_in_ms) == (48000, 1024, 250)
    audio = torch.rand(2, 50000) - 0.5
    found = made(audio)
    assert found.shape == (2, 4, 1024)  # 1042 ms
    expected, _ = hear.get_timestamp_embeddings(audio, hear.load_model("random:tiny", hop_ms=250))
    torch.testing.assert_close(found, expected[:, :4])
    assert made(audio[0, :500]).shape == (1, 1, 1024)


def test_other_weights_have_other_names_and_so_no_embeddings_of_them():
    names = {encoder(random_trained(seed, "tiny"), **options).__name__ for seed in (0, 1)
             for options in ({}, {"layer": "blocks.3"}, {"projected": True}, {"hop_ms": 40})}  # fmt: skip
    assert len(names) == 8
    assert all(name.endswith("Encoder") and name.isidentifier() for name in names)


def tone(high, seed):
    generator = np.random.default_rng(seed)
    times = np.arange(16000) / 16000
    return 0.3 * np.sin(2 * np.pi * (3000 if high else 300) * times) + 0.01 * generator.standard_normal(16000)


def read(file):
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T), rate


def write_sounds(path, seeds):
    with tarfile.open(path, "w") as archive:
        for seed in seeds:
            sound = io.BytesIO()
            soundfile.write(sound, tone(seed % 2, seed), 16000, format="WAV")
            for suffix, data in ((".wav", sound.getvalue()), (".json", json.dumps({"label": seed % 2}).encode())):
                entry = tarfile.TarInfo(f"sound{seed}{suffix}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


def test_passes_the_checker_and_a_task_of_x_ares(tmp_path, monkeypatch):
    pytest.importorskip("xares", reason="pip install xares")
    # torchaudio reads by torchcodec, which needs not be there; X-ARES would leave out what cannot be read
    monkeypatch.setattr("torchaudio.load", lambda file, **_: read(file))
    from xares.audio_encoder_checker import check_audio_encoder
    from xares.task import TaskConfig, XaresTask
    from xares.utils import attr_from_py_path

    (tmp_path / "tiny_model.py").write_text(
        "from dubcli.xares import encoder\n\nTinyEncoder = encoder('random:tiny')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = attr_from_py_path("tiny_model.py", endswith="Encoder")()
    assert check_audio_encoder(made)
    home = tmp_path / "env/tones"
    home.mkdir(parents=True)
    for split, seeds in (("train", range(16)), ("valid", range(20, 24)), ("test", range(30, 38))):
        write_sounds(home / f"{split}-0.tar", seeds)
    (home / ".audio_tar_ready").touch()
    config = TaskConfig(
        name="tones",
        env_root=tmp_path / "env",
        encoder=made,
        label_processor=lambda row: row["label"],
        output_dim=2,
        epochs=20,
        eval_weight=8,
        do_knn=False,  # X-ARES norms each feature over the training sounds instead of each sound
        num_encoder_workers=0,
        torch_num_threads=1,
        batch_size_train=8,
    )
    task = XaresTask(config)
    (score, rows), _ = task.run()
    assert (score, rows) == (1.0, 8)
