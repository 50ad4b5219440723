"""Networks of the package ``audio-separator`` (MIT), which reads what Ultimate Vocal Remover's community trains.

``--model audio-separator:FILE --model-repo DIR``: a RoFormer or MDX23C (``.ckpt`` with its ``.yaml``) or an MDX-Net
(``.onnx``) in DIR. Nothing is fetched: on a machine with a network
``audio-separator --download_model_only --model_filename FILE --model_file_dir DIR`` fills the folder. The package cuts
its chunks, as many over each other as a model's ``.yaml`` says; ``stream.py`` hands it ``SEGMENT_SECONDS`` at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn.functional import pad

from dubcli.errors import UserError, did_you_mean, first_line

PREFIX = "audio-separator:"
PACKAGE = "audio-separator"
EXTRA = "pip install 'dubcli[audio-separator]'"
SEGMENT_SECONDS = 60.0
_KINDS = {".ckpt": "MDXC", ".onnx": "MDX"}
_MODEL_LISTS = ("mdx23c_download_list", "mdx23c_download_vip_list", "roformer_download_list")


def find_model(name: str, repo: Path | None) -> tuple[Path, Path | None]:
    """The files of ``audio-separator:FILE`` in ``repo``: weights, and the ``.yaml`` of those that have one.

    Raises UserError, without importing the package, where it, the folder or a file is not there.
    """
    file = name.removeprefix(PREFIX)
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise UserError(f"--model {name} needs the package {PACKAGE}: {EXTRA}") from None
    fetch = f"on a machine with a network: {PACKAGE} --download_model_only --model_filename {file} --model_file_dir DIR"
    if repo is None:
        raise UserError(f"--model {name} is read from a folder: give --model-repo DIR with it ({fetch})")
    there = sorted(path.name for path in repo.glob("*") if path.suffix in _KINDS) if repo.is_dir() else []
    if file not in there:
        if (repo / file).is_file():
            kinds = " or ".join(_KINDS)
            raise UserError(f"--model {name}: of {PACKAGE}'s models those in {kinds} files are taken (RoFormer, MDX)")
        held = f"it holds {', '.join(there)}" if there else f"it holds no {' or '.join(_KINDS)} files"
        raise UserError(f"--model-repo {repo} has no {file}{did_you_mean(file, there)}; {held} ({fetch})")
    weights = repo / file
    if weights.suffix != ".ckpt":
        return weights, None
    candidates = [weights.with_suffix(".yaml"), *(repo / listed for listed in _listed_configs(file, repo))]
    for config in candidates:
        if config.is_file():
            return weights, config
    wanted = " or ".join(dict.fromkeys(path.name for path in candidates))
    raise UserError(f"--model-repo {repo} has {file} but not its {wanted} ({fetch})")


def _listed_configs(file: str, repo: Path) -> Iterator[str]:
    """Names of a model's ``.yaml`` by the package's own list, and by UVR's, which the package leaves in the folder."""
    lists = [resources.files("audio_separator").joinpath("models.json"), repo / "download_checks.json"]
    for path in lists:
        if path.is_file():
            models = json.loads(path.read_text(encoding="utf-8"))
            for group in _MODEL_LISTS:
                yield from (files[file] for files in models.get(group, {}).values() if file in files)


class UvrSeparator:
    """A separator as ``foreign.py`` describes them, from a loaded architecture of the package (its ``demix``)."""

    segment: ClassVar[float] = SEGMENT_SECONDS
    normalise: ClassVar[bool] = False

    def __init__(self, model: Any, content_hash: str) -> None:
        """``model``: the package's MDXCSeparator or MDXSeparator."""
        self._model, self.content_hash = model, content_hash
        vars(sys.modules[type(model).__module__])["tqdm"] = _steps  # its bar would write over ours
        training = model.model_data.get("training", {})
        pair = (model.primary_stem_name, model.secondary_stem_name)
        several = training.get("instruments") if not training.get("target_instrument") else None
        self._names = tuple(map(str, several if several and len(several) > 1 else pair))
        self.sources = tuple(name.casefold() for name in self._names)
        self.sample_rate = int(model.model_data.get("audio", {}).get("sample_rate", model.sample_rate))

    def __call__(self, sound: Tensor) -> Tensor:
        """(batch, 2, samples) -> (batch, stems, 2, samples); silence fills what is shorter than a chunk."""
        samples = sound.shape[-1]
        filled = pad(sound, (0, max(0, self._chunk - samples)))
        stems = torch.from_numpy(np.stack([self._demixed(one) for one in filled.float().cpu().numpy()]))
        return stems[..., :samples].to(sound.device)

    @property
    def _chunk(self) -> int:
        """Samples that the network sees at once."""
        data = self._model.model_data
        if "inference" not in data:
            return int(self._model.hop_length * (self._model.segment_size - 1))
        hop = data.get("model", {}).get("stft_hop_length") or data["audio"]["hop_length"]
        return int(hop * (data["inference"]["dim_t"] - 1))

    def _demixed(self, mix: np.ndarray) -> np.ndarray:
        """(2, samples) -> (stems, 2, samples). What gives one stem leaves the rest of the sound to the other."""
        found = self._model.demix(mix)
        if not isinstance(found, dict):
            primary = found * getattr(self._model, "compensate", 1.0)
            found = dict(zip(self._names, (primary, mix - primary), strict=True))
        return np.stack([np.asarray(found[name], dtype=np.float32) for name in self._names])


def load_uvr(name: str, repo: Path | None, device: str = "cpu") -> UvrSeparator:
    """Load ``audio-separator:FILE`` from ``repo`` onto ``device``. Raises UserError as ``find_model``, or where the
    files are damaged or not understood."""
    weights, config = find_model(name, repo)
    content = hashlib.sha256(metadata.version(PACKAGE).encode())
    for path in filter(None, (weights, config)):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    failed = f"--model {name} cannot be loaded by {PACKAGE} {metadata.version(PACKAGE)}"
    logging.getLogger("audio_separator").setLevel(logging.CRITICAL + 1)  # what fails is said below
    try:
        with redirect_stdout(sys.stderr):
            model = _local_separator()(weights, config, torch.device(device)).model_instance
        return UvrSeparator(model, content.hexdigest())
    except SystemExit:  # the package's way to say that weights and network do not fit
        raise UserError(f"{failed}: {weights.name} is damaged or does not fit its .yaml") from None
    except ImportError as error:
        raise UserError(f"{failed}: {first_line(error)}; {EXTRA}") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, yaml.YAMLError) as error:
        raise UserError(f"{failed}: {first_line(error)}") from None


@cache
def _local_separator() -> type[Any]:
    """The package's ``Separator`` that takes the files it is given and asks no network for lists of models."""
    from audio_separator.separator import Separator

    class Local(Separator):  # type: ignore[misc]
        """``info_only`` leaves out its look for accelerators and for ffmpeg; the device is ours."""

        def __init__(self, weights: Path, config: Path | None, device: torch.device) -> None:
            with warnings.catch_warnings():  # the package silences warnings of the whole process
                super().__init__(info_only=True, log_level=logging.CRITICAL + 1, model_file_dir=str(weights.parent))
            self.model_file_dir = str(weights.parent)
            self.torch_device, self.torch_device_cpu = device, torch.device("cpu")
            gpu = ["CUDAExecutionProvider"] if device.type == "cuda" else []
            self.onnx_execution_provider = [*gpu, "CPUExecutionProvider"]
            self._files = (weights, config)
            self.load_model(weights.name)

        def download_model_files(self, model_filename: str) -> tuple[str, str, str, str, str | None]:
            """What the package would look up and fetch: name, kind, title, path, path of the configuration."""
            weights, config = self._files
            kind = _KINDS[weights.suffix]
            return model_filename, kind, model_filename, str(weights), None if config is None else str(config)

        def download_file_if_not_exists(self, url: str, output_path: str) -> None:
            """Raises OSError for what is not there: an MDX-Net's parameters are looked up by its hash."""
            if not Path(output_path).is_file():
                raise OSError(f"{Path(output_path).name} is not in the folder, put {url} there under that name")

    return Local


def _steps(steps: Iterable[Any], *_: Any, **__: Any) -> Iterable[Any]:
    """In place of tqdm's bar."""
    return steps
