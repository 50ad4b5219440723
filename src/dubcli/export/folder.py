"""Write the exported folder."""

from __future__ import annotations

import os
from pathlib import Path

from dubcli.core.atomic import atomic_folder, atomic_write
from dubcli.core.checkpoint import load_trained
from dubcli.core.exported import CONFIG_FILE, WEIGHTS_FILE, is_exported, save_exported
from dubcli.core.trained import TrainedModel
from dubcli.errors import UserError
from dubcli.export.card import model_card


def export(ckpt: str | os.PathLike[str], out: str | os.PathLike[str]) -> TrainedModel:
    """Write the weights, the config and a model card of a checkpoint into a folder, which a checkpoint's place can
    take.

    Args:
        ckpt: a checkpoint file, a run folder, an exported folder.
        out: the folder; it appears whole, and replaces an earlier export there.

    Returns:
        The model.

    Raises:
        UserError: ``ckpt`` is no checkpoint, or ``out`` holds something else.

    >>> from dubcli.export import export
    >>> _ = export("runs/es", "model")
    >>> sorted(path.name for path in Path("model").iterdir())
    ['README.md', 'config.json', 'model.safetensors']
    """
    trained = load_trained(ckpt)
    target = Path(out)
    known = {WEIGHTS_FILE, CONFIG_FILE, "README.md"}
    if target.exists():
        if not target.is_dir():
            raise UserError(f"{target} is a file; give a folder with --out")
        others = sorted(entry.name for entry in target.iterdir() if entry.name not in known)
        if others or (any(target.iterdir()) and not is_exported(target)):
            raise UserError(f"{target} holds other files ({', '.join(others[:3])}); give an empty or a new --out")
    try:
        with atomic_folder(target) as folder:
            save_exported(trained, folder)
            with atomic_write(folder / "README.md", "w") as card:
                card.write(model_card(trained))
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; choose another --out") from None
    return trained
