"""One command on a machine with a GPU: does all of dubav run there, are its numbers right, how fast is it?

    python3 tests/gpu/check.py --out check --seconds 500

Sections run in the order of what is worth most, each only while there is time for it. One that raises is reported and
the next one runs. A table comes last; everything that was found is in OUT/check.json. The exit status is 1 where a
check failed. ``--device cpu --preset tiny`` runs all of it on a CPU. It sets the path to the sources itself and needs
no network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PATHS = [str(_ROOT / "src"), str(_ROOT / "tests")]
sys.path[:0] = [path for path in _PATHS if path not in sys.path]
os.environ["PYTHONPATH"] = os.pathsep.join([*_PATHS, *filter(None, [os.environ.get("PYTHONPATH")])])

import torch  # noqa: E402

from gpu import commands, correctness, films, speed  # noqa: E402
from gpu.harness import Check  # noqa: E402

Section = Callable[[Check], None]
# name -> (seconds that it takes at least, what it does)
SECTIONS: dict[str, tuple[float, Section]] = {
    "env": (1, correctness.env),
    "augment": (5, correctness.augment),
    "numbers": (10, correctness.numbers),
    "bits": (30, commands.bits),
    "stages": (40, commands.stages),
    "depthwise": (10, speed.depthwise),
    "step": (30, speed.step),
    "prep": (20, films.prep),
    "peers": (30, speed.peers),
    "tests": (20, commands.tests),
}
TIME_IS_UP = 10  # seconds left


def main(arguments: Sequence[str] | None = None, sections: Mapping[str, tuple[float, Section]] = SECTIONS) -> int:
    """Run the sections asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), help="folder for check.json and logs")
    parser.add_argument("--seconds", type=float, default=500, help="sections are begun, and commands run, up to here")
    parser.add_argument("--only", default="", help="sections, with commas between; all by default")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="paper", help="of the steps that are timed: paper, small or tiny")
    parser.add_argument("--batch", type=int, help="clips of such a step; by default 26, with tiny 2")
    options = parser.parse_args(arguments)
    wanted = [name for name in options.only.split(",") if name] or list(sections)
    unknown = sorted(set(wanted) - set(sections))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(sections)}")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; --device cpu --preset tiny checks the check")
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    batch = options.batch or (2 if options.preset == "tiny" else 26)
    check = Check(out, torch.device(options.device), options.preset, batch, options.seconds)
    for name in wanted:
        run(check, name, *sections[name])
    shutil.rmtree(out / "work", ignore_errors=True)
    table(check)
    return int(any(not holds for _, holds, _ in check.checks))


def run(check: Check, name: str, needs: float, function: Section) -> None:
    """One section, or why it is left out."""
    print(f"== {name}", flush=True)
    if check.left < needs:
        check.sections[name] = f"left out: {max(0.0, check.left):.0f} s left, it needs {needs:.0f}"
        print(f"  {check.sections[name]}", flush=True)
        return
    begun, before, cut = time.monotonic(), len(check.checks), ""
    try:
        function(check)
    except subprocess.TimeoutExpired as error:
        command = " ".join(map(str, error.cmd))
        if check.left > TIME_IS_UP:
            check.expect(f"section {name}", False, f"no end after {error.timeout:.0f} s: {command[:500]}")
        else:  # no fault of what was running
            cut = f"cut in {command[-100:]}, "
    except Exception as error:  # whatever it is, the next section is worth as much
        check.expect(f"section {name}", False, f"{type(error).__name__}: {str(error)[:500]}")
        (check.out / f"{name}.traceback.txt").write_text(traceback.format_exc())
    failed = sum(not holds for _, holds, _ in check.checks[before:])
    state = f"{failed} of {len(check.checks) - before} failed" if failed else f"passed {len(check.checks) - before}"
    check.sections[name] = f"{cut}{state}, {time.monotonic() - begun:.0f} s"
    check.save()


def table(check: Check) -> None:
    """Sections, targets and failed checks, the last thing printed."""
    check.save()
    print(f"\n{check.figures.get('card', check.device)}, preset {check.preset}, {check.batch} clips")
    for name, state in check.sections.items():
        print(f"  {name:<12} {state}")
    for name, met, said in check.targets:
        print(f"  {'target' if met is None else 'met' if met else 'MISSED':<12} {name}: {said}")
    for name, holds, detail in check.checks:
        if not holds:
            print(f"  {'FAILED':<12} {name}: {detail[:300]}")
    print(f"everything: {check.out / 'check.json'}")


if __name__ == "__main__":
    sys.exit(main())
