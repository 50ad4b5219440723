"""Write the exported folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from dubcli.core.atomic import atomic_folder, atomic_write, require_free, writing
from dubcli.core.checkpoint import load_trained
from dubcli.core.exported import CONFIG_FILE, WEIGHTS_FILE, is_exported, save_exported
from dubcli.core.hub import send
from dubcli.core.trained import TrainedModel
from dubcli.errors import UserError
from dubcli.export.card import model_card
from dubcli.export.config import ExportConfig
from dubcli.export.facts import measured_scores, training_facts


def export(
    ckpt: str | os.PathLike[str], out: str | os.PathLike[str], config: ExportConfig = ExportConfig()
) -> TrainedModel:
    """Write the weights, the config and a model card of a checkpoint into a folder, which a checkpoint's place can
    take.

    Args:
        ckpt: a checkpoint file, a run folder, an exported folder.
        out: the folder; it appears whole, and replaces an earlier export there.
        config: what the card says beside what the checkpoint and its run folder do.

    Returns:
        The model.

    Raises:
        UserError: ``ckpt`` is no checkpoint, ``out`` holds something else, ``config.results`` nothing of this model.

    >>> from dubcli.export import export
    >>> _ = export("runs/es", "model")
    >>> sorted(path.name for path in Path("model").iterdir())
    ['README.md', 'config.json', 'model.safetensors']
    """
    trained = load_trained(ckpt)
    trained = replace(trained, facts=training_facts(ckpt, trained))
    scores = measured_scores(config.results, trained)
    target = Path(out)
    _require_ours(target)
    with writing(target), atomic_folder(target) as folder:
        save_exported(trained, folder)
        with atomic_write(folder / "README.md", "w") as card:
            card.write(model_card(trained, config, scores))
    return trained


def push(folder: str | os.PathLike[str], name: str, *, private: bool = False) -> str:
    """Send an exported folder to the Hugging Face Hub.

    Args:
        folder: of ``export``.
        name: OWNER/NAME; it is made where there is none. The hub's token is that of HF_TOKEN or ``hf auth login``.
        private: make it private.

    Returns:
        The address of the commit.

    Raises:
        UserError: ``folder`` is none of ``export``'s; no token, no right to write there, no connection.

    >>> from dubcli.export import push
    >>> push("model", "me/es")  # doctest: +SKIP
    'https://huggingface.co/me/es/commit/...'
    """
    home = Path(folder)
    if not is_exported(home):
        raise UserError(f"{home} is no folder of dubav export; export the checkpoint first")
    return send(home, name, "Upload a model of dubav", private=private)


def _require_ours(target: Path) -> None:
    """Raises UserError where something else than an export is in the way."""
    known = {WEIGHTS_FILE, CONFIG_FILE, "README.md"}
    require_free(target, ours=is_exported(target) and known.issuperset(entry.name for entry in target.iterdir()))
