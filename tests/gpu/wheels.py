"""The wheels that the check needs on a machine without network, put into a folder that is carried there.

    python3 -m pip list --format freeze > have.txt                            # there
    python3 tests/gpu/wheels.py wheels --have have.txt --python python3.12    # here, with that machine's Python
    python3 -m pip install --no-index --no-deps --target site wheels/*.whl    # there
    PYTHONPATH=site python3 tests/gpu/check.py --out check

Run it where ``pip install '.[test]'`` was: versions are those installed. What is a source distribution is built, so the
machine here must be of the same kind (Linux, x86-64 mostly) with the same Python.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
# What the check's tests import, beside what the product requires
TESTING = ("pytest", "pytest-xdist", "hypothesis", "lightly")
# A machine with a GPU has its own torch, built for its driver; whatever these require is there with them.
TORCH = ("torch", "torchaudio", "torchvision")


def requirements(of: Iterable[str], python: str) -> Iterator[Requirement]:
    """``of`` (as in ``dask[distributed]``) and all that they require on that Python, directly or by others."""
    waiting = [Requirement(text) for text in of if _applies(text, python)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        key = canonicalize_name(wanted.name)
        extras = {(key, extra) for extra in ("", *wanted.extras)} - seen
        if not extras:
            continue
        seen |= extras
        yield wanted
        if _version(key):  # else only that Python needs it; its newest version is taken
            for text in metadata.requires(key) or ():
                if any(_applies(text, python, extra) for _, extra in extras):
                    waiting.append(Requirement(text))


def _applies(requirement: str, python: str, extra: str = "") -> bool:
    marker = Requirement(requirement).marker
    there = {"python_version": python, "python_full_version": f"{python}.0", "extra": extra}
    return marker is None or marker.evaluate(there)


def missing(have: Collection[str], python: str) -> list[str]:
    """``NAME==VERSION`` of all that the check needs on that Python beside the packages ``have``, sorted."""
    there = {canonicalize_name(name) for name in have}
    there |= {canonicalize_name(one.name) for one in requirements(TORCH, python)}
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = {canonicalize_name(one.name) for one in requirements((*ours, *TESTING), python)}
    return [f"{name}=={version}" if (version := _version(name)) else name for name in sorted(needed - there)]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def names(listed: str) -> list[str]:
    """The packages that ``pip list --format freeze`` or ``pip freeze`` printed, or just names, one a line."""
    lines = (line.strip() for line in listed.splitlines())
    return [line.split("==")[0].split(" @ ")[0] for line in lines if line and line[0] not in "#-"]


def main() -> None:
    """Fill the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--have", type=Path, help="what pip lists there; by default torch and what that requires")
    parser.add_argument("--python", default=sys.executable, help="a Python of that machine's version")
    options = parser.parse_args()
    shown = [options.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        python = subprocess.run(shown, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        parser.error(f"{options.python} does not run here")
    wanted = missing(names(options.have.read_text()) if options.have else (), python)
    print(f"for Python {python}: {' '.join(wanted)}", flush=True)
    pip = [options.python, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", options.folder, *wanted], check=True)
    wheels = sorted(options.folder.glob("*.whl"))
    print(f"{len(wheels)} wheels, {sum(wheel.stat().st_size for wheel in wheels) / 1e6:.0f} MB, in {options.folder}")


if __name__ == "__main__":
    main()
