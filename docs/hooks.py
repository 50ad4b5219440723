"""What mkdocs is told beside its settings: pages lie where they lie in the repository, so that one link serves both.

README.md is the first page; the commands' page is their ``--help``; the Python page is the public entries' docstrings.
"""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "Dockerfile", "pyproject.toml",
    "tests/benchmarks/RESULTS.md",
)  # fmt: skip
FOLDERS = ("docs", "examples")
_STAGES = (
    "ls", "prep", "separate", "pretrain", "embed", "probe", "probe.tasks", "report", "export", "view", "search",
    "reproduce", "corpus", "dub", "demo",
)  # fmt: skip
PACKAGES = ("dubcli", *(f"dubcli.{name}" for name in _STAGES))
CORE = (
    "dubcli.core.loss.nt_xent", "dubcli.core.features.downmix", "dubcli.core.features.log_mel",
    "dubcli.core.sampler.SameMovieBatchSampler", "dubcli.core.variants.make_variant", "dubcli.cache.reader.Cache",
    "dubcli.cache.reader.Movie",
)  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The site's files: those of the repository that pages are or link to, at their places there, and two made ones."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in [*PAGES, *listed.stdout.splitlines()]:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "commands.md", content=_commands()))
    files.append(File.generated(config, "python.md", content=_python()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to folders, which a site has none of: to the folder's own page, or no link."""
    here = (ROOT / page.file.src_uri).parent

    def link(found: re.Match[str]) -> str:
        if not (here / found[2]).is_dir():
            return found[0]
        there = (here / found[2] / "README.md").is_file()
        return f"[{found[1]}]({found[2].rstrip('/')}/README.md)" if there else found[1]

    return re.sub(r"\[([^\]]+)\]\(([^)#:]+)\)", link, markdown)


def _commands() -> str:
    from typer.testing import CliRunner

    from dubcli.cli.app import COMMANDS, app

    parts = ["# Commands\n\nWhat `dubav COMMAND --help` says.\n"]
    for name in COMMANDS:
        said = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}).stdout
        text = "\n".join(line.rstrip() for line in said.strip().splitlines())
        parts.append(f"## dubav {name}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _python() -> str:
    """The names that packages export, and those of the core that others rely on."""
    names = [f"{package}.{name}" for package in PACKAGES for name in importlib.import_module(package).__all__]
    entries = "\n\n".join(f"::: {name}" for name in dict.fromkeys([*names, *CORE]) if not name.endswith("__version__"))
    return f"# Python\n\nThe entries that programs and notebooks call; the commands are faces of them.\n\n{entries}\n"
