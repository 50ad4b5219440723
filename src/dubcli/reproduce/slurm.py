"""A plan as Slurm jobs: scripts that call ``dubav reproduce PLAN --only STEP``, and one that submits them in order.

A job that ends early (its time is over, it is pre-empted, its node dies) goes on where it was when it runs again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from dubcli.core.atomic import atomic_write
from dubcli.errors import UserError
from dubcli.reproduce.plan import Plan
from dubcli.reproduce.steps import DONE, MISSING, State

KINDS = ("prep", "separate", "nospeech", "pretrain", "probe", "report")
_GPUS = {"pretrain": "gpus", "separate": "probe_gpus", "nospeech": "probe_gpus", "probe": "probe_gpus"}
_AFTER = {
    "separate": ("prep",),
    "pretrain": ("prep", "separate"),
    "nospeech": (),
    "probe": ("pretrain", "nospeech"),
    "report": ("probe",),
}
"""Which kinds of jobs a kind waits for. Arrays are submitted whole: a probe starts when all models are trained."""


def emit_slurm(plan: Plan, states: Sequence[State], folder: Path) -> list[Path]:
    """Write a script for every kind of step that is left, lists of their steps, and ``submit.sh``; the files.

    Steps whose data are missing are left out; no files where all steps are done. Raises UserError where all that is
    left lacks its data.
    """
    left = {kind: [s.step.name for s in states if s.step.kind == kind and s.state not in (DONE, MISSING)]
            for kind in KINDS}  # fmt: skip
    if all(state.state == DONE for state in states):
        return []
    if not any(left.values()):
        raise UserError("nothing of the plan is left for jobs: what is not done lacks its data (--list)")
    left["report"] = ["report"]
    files = []
    for kind, names in left.items():
        if not names:
            continue
        files.append(_write(folder / f"{kind}.txt", "".join(f"{name}\n" for name in names)))
        files.append(_write(folder / f"{kind}.sbatch", _script(plan, kind, folder)))
    files.append(_write(folder / "submit.sh", _submit({kind: len(names) for kind, names in left.items() if names})))
    return files


def _script(plan: Plan, kind: str, folder: Path) -> str:
    slurm = plan.slurm
    wanted = {
        "job-name": f"dubav-{kind}",
        "partition": slurm.partition,
        "account": slurm.account,
        "time": slurm.time,
        "cpus-per-task": str(slurm.cpus),
        "mem": slurm.memory,
        "output": f"{folder.absolute()}/%x-%A-%a.out",
        "gpus-per-node": str(getattr(slurm, _GPUS[kind])) if kind in _GPUS and getattr(slurm, _GPUS[kind]) else "",
    }
    nodes = slurm.nodes if kind == "pretrain" else 1
    lines = [f"#SBATCH --{name}={shlex.quote(value)}" for name, value in wanted.items() if value]
    lines += [f"#SBATCH --nodes={nodes}", "#SBATCH --ntasks-per-node=1", "#SBATCH --requeue"]
    lines += ["#SBATCH --signal=B:USR1@180", *(f"#SBATCH {line}" for line in slurm.lines)]
    gpus = f" --gpus {getattr(slurm, _GPUS[kind])}" if kind in _GPUS else ""
    command = f'dubav reproduce {shlex.quote(str(plan.path))} --only "$step"{gpus} --quiet'
    return "\n".join(
        [
            "#!/bin/bash",
            f"# One step of {plan.path} for each task of the array: a line of {kind}.txt. Written by dubav reproduce.",
            *lines,
            "set -u",
            *([slurm.setup] if slurm.setup else []),
            f'step=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {shlex.quote(str(folder.absolute() / f"{kind}.txt"))})',
            "# shortly before the job's time is over the step is told to save, and the job waits in the queue again",
            "stopped=0",
            "trap 'stopped=1; kill -USR1 \"$child\" 2>/dev/null' USR1",
            *(_on_all_nodes(command) if nodes > 1 else [f"{command} &"]),
            "child=$!",
            'wait "$child"; status=$?',
            'while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done',
            'if [ "$stopped" = 1 ]; then',
            '  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"',
            "  exit 0",
            "fi",
            'exit "$status"',
            "",
        ]
    )


def _on_all_nodes(command: str) -> list[str]:
    """The command on every node of the job, as one training. srun passes USR1 on to all of them."""
    world = '--nnodes "$SLURM_NNODES" --node-rank "$SLURM_NODEID" --rdzv-endpoint "$first:$port"'
    return [
        'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "port=$((20000 + SLURM_JOB_ID % 20000))  # jobs may share a node",
        "export step first port",
        "# shellcheck disable=SC2016  # each node fills in its own",
        f"srun --kill-on-bad-exit=1 bash -c {shlex.quote(f'exec {command} {world}')} &",
    ]


def _submit(counts: dict[str, int]) -> str:
    lines = [
        "#!/bin/bash",
        "# Submits the jobs in their order: bash submit.sh. Written by dubav reproduce.",
        "set -euo pipefail",
        'cd "$(dirname "$0")"',
    ]
    for kind, count in counts.items():
        before = [other for other in _AFTER.get(kind, ()) if other in counts]
        # a step that fails keeps back those that need it, which say so; the others go on
        after = f' --dependency="afterany:{":".join(f"${other}" for other in before)}"' if before else ""
        lines.append(f"{kind}=$(sbatch --parsable --array=1-{count}{after} {kind}.sbatch)")
        lines.append(f'echo "{kind}: job ${kind}, {count} steps"')
    return "\n".join([*lines, ""])


def _write(path: Path, text: str) -> Path:
    with atomic_write(path, "w") as file:
        file.write(text)
    if path.suffix == ".sh":
        path.chmod(0o755)
    return path
