"""A run's folder: ``config.json``, ``metrics.jsonl``, TensorBoard events, ``ckpt.pt`` and ``epoch-NN.pt``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dubcli.core import distributed
from dubcli.core.atomic import atomic_write, read_json, read_json_lines, remove_leftovers, write_json, writing
from dubcli.core.checkpoint import load_checkpoint, save_checkpoint
from dubcli.core.same import require_same
from dubcli.errors import UserError, first_line
from dubcli.pretrain.config import OWN_FILMS, PretrainConfig

CONFIG_FILE, METRICS_FILE, CHECKPOINT_FILE = "config.json", "metrics.jsonl", "ckpt.pt"
LOCK_FILE = ".lock"
_OURS = (CONFIG_FILE, METRICS_FILE, CHECKPOINT_FILE, "tensorboard")


def as_begun(config: PretrainConfig, *, fresh: bool) -> PretrainConfig:
    """The config with the films of the run in its folder, where there is one and nobody says other films.

    A run of an earlier version goes on with the films that its variant needed.
    """
    file = config.folder / CONFIG_FILE
    if fresh or config.data.films_with or not file.is_file():
        return config
    return config.changed(films_with=str(read_json(file).get("films_with", OWN_FILMS)))


class RunFolder:
    """The files of one run. Only rank 0 writes; every rank may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begun = False
        """Whether this process writes it."""
        self._board: Any = None
        self._first_step: int | None = None
        self._wandb: Any = None
        self._lock: IO[str] | None = None
        self._made = False

    @property
    def checkpoint(self) -> Path:
        """The latest complete state."""
        return self.path / CHECKPOINT_FILE

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder for this run while the block lasts; a second process is told so in one line.

        Rank 0 holds it for all. The kernel gives the lock back when the process ends, however it does. On NFS the lock
        holds between machines where its server keeps locks; where a file system has none the run goes on without.
        Raises UserError where another process has it, or the folder cannot be made.
        """
        distributed.on_main(self._take)
        try:
            yield
        finally:
            if distributed.is_main():
                self._leave()

    def _take(self) -> None:
        # ranks that an elastic launcher started again may meet those before them, which it is ending
        patience = time.monotonic() + (10 if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0" else 0)
        self._made = not self.path.exists()
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            while (holder := self._try_to_take()) is not None:
                if time.monotonic() > patience:
                    raise UserError(
                        f"another process trains into {self.path} ({holder or 'just started'}); wait for it, stop it, "
                        "or give another --out"
                    )
                time.sleep(0.1)

    def _try_to_take(self) -> str | None:
        """Lock the folder; else what its holder says of itself. Raises OSError."""
        path = self.path / LOCK_FILE
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        if not _locked(file):
            file.seek(0)
            with file:
                return file.read()
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.close()  # its holder removed it when it ended, just now
            return ""
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        self._lock = file
        return None

    def _leave(self) -> None:
        """Give the folder back, and remove one that was made for nothing. Closing the file unlocks it."""
        (self.path / LOCK_FILE).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
        if self._made:
            with suppress(OSError):  # not empty
                self.path.rmdir()

    def clear(self) -> None:
        """``--fresh``: remove what a run wrote, and nothing else."""
        for name in _OURS:
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in self.path.glob("epoch-*.pt"):
            path.unlink()

    def check(self, config: PretrainConfig, world_size: int) -> None:
        """Raise UserError, with both values, where a run with another config is in the folder."""
        file = self.path / CONFIG_FILE
        if not file.exists():
            return
        # what an earlier version did not record it did as the defaults say, but for the films
        saved = {**PretrainConfig().results(), "films_with": OWN_FILMS, **read_json(file)}
        saved["films_with"] = ",".join(sorted(str(saved["films_with"]).split(",")))  # in whatever order it was given
        wanted = {**config.results(), "world_size": world_size}
        advice = "give the same to go on, another --out, or --fresh to start over"
        require_same(saved, wanted, f"the run in {self.path} has", advice, now="this one", new_names_differ=False)

    def begin(self, config: PretrainConfig, extra: dict[str, Any]) -> None:
        """Make the folder, write ``config.json``, join the run at Weights & Biases where that was asked for.

        Raises UserError where the folder cannot be written or wandb is not installed.
        """
        wandb = import_wandb() if config.run.wandb else None
        file = self.path / CONFIG_FILE
        # a run that goes on is the same one there
        run_id = (read_json(file).get("wandb_run") if file.exists() else None) or uuid.uuid4().hex[:12]
        record = {**config.to_dict(), **extra} | ({"wandb_run": run_id} if wandb else {})
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.path)
            write_json(file, record)
        self.begun = True
        if wandb:
            self._wandb = wandb.init(
                project=config.run.wandb,
                name=self.path.name,
                id=run_id,
                resume="allow",
                dir=str(self.path),
                config=record,
            )

    def load(self) -> dict[str, Any] | None:
        """The latest state, or None. Raises UserError where it is damaged."""
        return load_checkpoint(self.checkpoint) if self.checkpoint.exists() else None

    def save(self, state: dict[str, Any], *, epoch_done: int | None, keep: int) -> None:
        """Write ``ckpt.pt``, and ``epoch-NN.pt`` (without what only a resume needs) when an epoch ended.

        Raises UserError on a full disk; the former checkpoint stays.
        """
        try:
            if epoch_done is not None:
                model = {name: value for name, value in state.items() if name not in _RESUME_ONLY}
                save_checkpoint(self.path / f"epoch-{epoch_done:02d}.pt", model)
            save_checkpoint(self.checkpoint, state)
        except (OSError, RuntimeError) as error:  # torch turns a failed write into a RuntimeError
            raise UserError(
                f"cannot write a checkpoint into {self.path}: {first_line(error)}; "
                f"make room and run the command again to go on from {self.checkpoint}"
            ) from error
        if keep:
            for old in sorted(self.path.glob("epoch-*.pt"))[:-keep]:
                old.unlink()

    def cut_metrics(self, step: int) -> None:
        """Drop the lines after ``step``: they will be written again."""
        self._first_step = step + 1 if step else None
        file = self.path / METRICS_FILE
        if not file.exists():
            return
        kept = [line for line in read_json_lines(file) if line.get("step", step + 1) <= step]
        with atomic_write(file, "w") as out:
            out.writelines(json.dumps(line) + "\n" for line in kept)

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line of metrics, and show the numbers to TensorBoard and Weights & Biases."""
        with open(self.path / METRICS_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")
        for name, value in metrics.items():
            if isinstance(value, (int, float)) and name != "step":
                self.board.add_scalar(name, value, metrics["step"])
        if self._wandb is not None:
            self._wandb.log(metrics, step=metrics["step"])

    @property
    def board(self) -> Any:
        """TensorBoard's writer. What a run that was killed wrote of the steps that come again is marked as gone."""
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=self._first_step)
        return self._board

    def close(self) -> None:
        """Flush what TensorBoard and Weights & Biases have not written yet."""
        if self._wandb is not None:
            self._wandb.finish()
            self._wandb = None
        if self._board is not None:
            self._board.close()
            self._board = None


def _locked(file: IO[str]) -> bool:
    """Lock the file; False where another process has."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def import_wandb() -> Any:
    """The package ``wandb``. Raises UserError that says how to get it."""
    try:
        import wandb
    except ImportError:
        raise UserError("--wandb needs the wandb extra: pip install 'dubcli[wandb]'; or leave --wandb away") from None
    return wandb


_RESUME_ONLY = ("optimizer", "scaler", "rng", "sampler")
