"""What a MODEL argument of ``probe`` means, and how each kind of model comes by its features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.atomic import strict
from dubcli.core.checkpoint import load_trained
from dubcli.core.models import PRESETS
from dubcli.core.readings import readings_of
from dubcli.core.trained import TrainedModel, random_trained
from dubcli.embed import EmbedConfig, Embedder, load_features
from dubcli.embed.chunks import HALF
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import Progress
from dubcli.probe.config import MODALITIES
from dubcli.probe.features import (
    ClipFeatures,
    array_hash,
    checkpoint_features,
    embedded_features,
    feature_folder,
)
from dubcli.probe.foreign import ForeignModel, load_foreign, wrap_foreign
from dubcli.probe.foreign_features import foreign_features
from dubcli.probe.kit import find_kit_folder, read_kit
from dubcli.probe.tasks.data import Task, TaskData
from dubcli.probe.tasks.folder import file_name_part


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How features are made: ``root`` is the folder that keeps them. ``devices``: None is those of this machine."""

    root: Path
    devices: tuple[str, ...] | None = None
    precision: str = "auto"
    batch_size: int | None = None
    chunks: str = "half"
    preset: str = "paper"
    options: JobOptions = JobOptions()

    @property
    def device(self) -> str | None:
        """The first of the devices."""
        return None if self.devices is None else self.devices[0]

    @property
    def gpus(self) -> int | None:
        """How many of the machine's GPUs checkpoints are to use; None for one device."""
        return len(self.devices) if self.devices is not None and len(self.devices) > 1 else None


class ProbedModel:
    """A source of features. ``name`` is the results file's; ``needs_sounds`` False where features are there already."""

    name: str
    kind: str
    needs_sounds = True
    named_by_numbers = False
    """Whether the features are made before it is known what they are called."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that it has features of: audio, video."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """What tells this model from another of the same name: ``content_hash``, where it came from, and how it was
        trained where that is known (``readings``; ``training``: its run's whole config)."""
        raise NotImplementedError

    def own_task(self, task: Task) -> TaskData | None:
        """The task's clips and labels where the model brings them along, else None."""
        return None

    def brings(self, task: Task) -> bool:
        """Whether ``own_task`` would have this task."""
        return False

    def features(self, data: TaskData, modalities: Sequence[str], progress: Progress) -> ClipFeatures:
        """Features of the task's clips, float32 (clips, dim), of several modalities side by side in their order."""
        raise NotImplementedError


class CheckpointModel(ProbedModel):
    """A checkpoint, a run folder, or the random model of appendix D."""

    def __init__(self, trained: TrainedModel, argument: str, settings: Settings, *, kind: str = "checkpoint") -> None:
        self.kind = kind
        self.name = trained.name
        self.settings = settings
        self.trained = trained
        self.argument = argument
        self.embedder = Embedder(
            trained,
            device=settings.device,
            precision=settings.precision,
            batch_size=settings.batch_size,
            compile=None,
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of its backbones."""
        return tuple(self.embedder.modalities)

    def identity(self) -> dict[str, Any]:
        """The checkpoint's content hash and config; ``epochs`` and ``film_set`` as in ``TrainedModel``."""
        return {
            "kind": self.kind,
            "argument": self.argument,
            "content_hash": self.trained.content_hash,
            "variant": self.trained.variant.name,
            "preset": self.trained.preset,
            "epochs": self.trained.epochs,
            "film_set": self.trained.film_set,
            "readings": self._readings(),
            "precision": str(self.embedder.precision).removeprefix("torch."),
            "training": strict(self.trained.config),
        }

    def _readings(self) -> dict[str, Any]:
        """How the model's training read what the paper leaves open; empty of the random one."""
        found = readings_of("pretrain", self.trained.config)
        return {**found, "frame_rule": self.trained.frame_rule} if found else {}

    def features(self, data: TaskData, modalities: Sequence[str], progress: Progress) -> ClipFeatures:
        """Backbone outputs of 3-second chunks, averaged per clip."""
        lacking = [name for name in modalities if name not in self.embedder.modalities]
        if lacking:
            raise UserError(f"{self.name} is an audio-only checkpoint; {data.name} needs {' and '.join(modalities)}")
        identity: list[Any] = [self.embedder.identity(), list(modalities)]
        if self.settings.chunks != HALF:  # features made before there was a choice stay where they are
            identity.append(self.settings.chunks)
        folder = feature_folder(self.settings.root, self.name, data.name, data.clips, identity)
        config = EmbedConfig(
            modalities=tuple(modalities),
            chunks=self.settings.chunks,
            precision=self.settings.precision,
            batch_size=self.settings.batch_size,
            gpus=self.settings.gpus,
        )
        return checkpoint_features(self.embedder, data.clips, folder, config, self.settings.options, progress)


class OutsideModel(ProbedModel):
    """``hear:MODULE[:WEIGHTS]``, ``video:MODULE[:WEIGHTS]``, or an object with the same functions."""

    def __init__(self, model: ForeignModel, argument: str, settings: Settings, *, kind: str, name: str) -> None:
        self.model = model
        self.argument = argument
        self.settings = settings
        self.kind = kind
        self.name = name
        self.named_by_numbers = not model.content_hash
        self._hash = model.content_hash

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those it has functions for."""
        return self.model.modalities

    def identity(self) -> dict[str, Any]:
        """The weights' content hash, or that of the features where nothing tells the weights."""
        return {"kind": self.kind, "argument": self.argument, "content_hash": self._hash}

    def features(self, data: TaskData, modalities: Sequence[str], progress: Progress) -> ClipFeatures:
        """Embeddings of the clips, side by side for several modalities."""
        lacking = [name for name in modalities if name not in self.model.modalities]
        if lacking:
            verb = {"audio": "hears", "video": "sees"}[self.model.modalities[0]]
            raise UserError(f"{self.name} {verb} only; {data.name} needs {' and '.join(modalities)}")
        folder = None
        if not self.named_by_numbers:
            identity = [self._hash] if tuple(modalities) == ("audio",) else [self._hash, *modalities]
            folder = feature_folder(self.settings.root, self.name, data.name, data.clips, identity)
        found = foreign_features(self.model, data.clips, modalities, folder, progress)
        if self.named_by_numbers:
            self._hash = array_hash(found.array)
        return replace(found, widths=tuple(self.model.widths[name] for name in modalities))


class StoredModel(ProbedModel):
    """``features:FOLDER``: embeddings of hear-eval-kit (with their labels), or an output folder of ``dubav embed``."""

    kind = "features"
    needs_sounds = False
    named_by_numbers = True

    def __init__(self, argument: str) -> None:
        self.folder = Path(argument.removeprefix("features:"))
        if not self.folder.is_dir():
            raise UserError(f"{self.folder} is not there; give features:FOLDER of dubav embed or of hear-eval-kit")
        self.argument = argument
        self.embedded = (self.folder / "embed.json").is_file()
        self.name = file_name_part(f"features-{self.folder.resolve().name}")
        self._array: np.ndarray | None = None
        self._hash = ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of the arrays that are there; the kit embeds sounds."""
        if not self.embedded:
            return ("audio",)
        features = load_features(self.folder)
        return tuple(name for name in MODALITIES["av"] if features.array(name) is not None)

    def own_task(self, task: Task) -> TaskData | None:
        """The kit's task, with its labels; None for a folder of ``dubav embed``."""
        if self.embedded:
            return None
        folder = find_kit_folder(self.folder, task.hear, task.hear_mode)
        if folder is None:
            raise UserError(
                f"{self.folder} holds neither features of dubav embed (embed.json) nor hear-eval-kit's embeddings of "
                f"{task.hear or 'a task'} (task_metadata.json, *.embedding-dimensions.json)"
            )
        if folder.resolve() == self.folder.resolve():
            self.name = file_name_part(f"features-{folder.resolve().parent.name}")
        data, self._array = read_kit(folder)
        self._hash = array_hash(self._array)
        return data

    def brings(self, task: Task) -> bool:
        """Whether the kit's embeddings of this task are among the folder's."""
        found = None if self.embedded or not task.hear else find_kit_folder(self.folder, task.hear, task.hear_mode)
        return found is not None

    def identity(self) -> dict[str, Any]:
        """The hash of the numbers themselves."""
        return {"kind": self.kind, "argument": self.argument, "content_hash": self._hash}

    def features(self, data: TaskData, modalities: Sequence[str], progress: Progress) -> ClipFeatures:
        """The numbers as they lie there."""
        if self._array is not None:
            return ClipFeatures(array=self._array, failed={})
        found, self._hash = embedded_features(self.folder, data.clips, modalities)
        return found


def open_model(given: Any, settings: Settings, name: str | None = None) -> ProbedModel:
    """The model that is given: an argument of the command line, a checkpoint in memory, or an object with functions.

    ``name``: what the results of an object are called; its own where it is None. Raises UserError for what is none.
    """
    if isinstance(given, (str, os.PathLike)):
        model = _open_argument(os.fspath(given), settings)
    elif isinstance(given, (TrainedModel, Embedder)):
        trained = given.trained if isinstance(given, Embedder) else given
        model = CheckpointModel(trained, trained.name, settings)
    else:
        foreign = wrap_foreign(given, name, settings.device)
        model = OutsideModel(foreign, foreign.name, settings, kind="object", name=file_name_part(foreign.name))
    if name is not None:
        model.name = file_name_part(name)
    return model


def _open_argument(argument: str, settings: Settings) -> ProbedModel:
    word, _, rest = argument.partition(":")
    if word in ("hear", "video"):
        foreign = load_foreign(argument, settings.device)
        module, _, weights = rest.partition(":")
        name = file_name_part(f"{word}-{module}-{Path(weights).stem}" if weights else f"{word}-{module}")
        return OutsideModel(foreign, argument, settings, kind=word, name=name)
    if word == "features":
        return StoredModel(argument)
    if word == "random" and not Path(argument).exists():
        seed, preset = _random_options(rest, settings.preset)
        trained = random_trained(seed, preset)
        trained = trained if preset == "paper" else replace(trained, name=f"{trained.name}-{preset}")
        return CheckpointModel(trained, argument, settings, kind="random")
    return CheckpointModel(load_trained(argument), argument, settings)


def _random_options(text: str, preset: str) -> tuple[int, str]:
    """``random``, ``random:3`` (a seed), ``random:tiny`` (a preset), ``random:tiny:3``."""
    seed = 0
    for part in filter(None, text.split(":")):
        if part.isdecimal():
            seed = int(part)
        elif part in PRESETS:
            preset = part
        else:
            raise UserError(f"random:{text}: {part!r} is neither a seed nor a preset ({', '.join(PRESETS)})")
    return seed, preset
