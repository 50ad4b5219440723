"""Plug-ins by MODULE:NAME and by the entry points of an installed package; every mistake is one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dubcli.core import plugins
from dubcli.errors import UserError, did_you_mean


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with modules good and bad, forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plug_good.py").write_text("class Inner:\n    thing = 5\nthing = 7\n")
    (tmp_path / "plug_syntax.py").write_text("x = 1\nthing = (\n")
    (tmp_path / "plug_raises.py").write_text("x = 1\nraise RuntimeError('no weights here\\nmore')\n")
    (tmp_path / "plug_needs.py").write_text("import not_installed_anywhere\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(folder: Path, group: str, text: str) -> None:
    """What pip leaves of a package with entry points, importable from ``folder``."""
    info = folder / "plugpack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugpack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{text}\n")


def test_module_and_name_from_the_working_folder(here):
    assert plugins.load("dubcli.tasks", "plug_good:thing", asked="task") == 7
    assert plugins.load("dubcli.tasks", "plug_good:Inner.thing", asked="task") == 5


def test_an_entry_point_is_a_name_and_a_built_in_name_comes_first(here, monkeypatch):
    install(here, "dubcli.tasks", "mine = plug_good:thing\nesc50 = plug_good:Inner")
    monkeypatch.syspath_prepend(here)
    assert plugins.load("dubcli.tasks", "mine", {"esc50": 1}, asked="task") == 7
    assert plugins.load("dubcli.tasks", "esc50", {"esc50": 1}, asked="task") == 1
    assert plugins.names("dubcli.tasks", {"tut18": 2, "esc50": 1}) == ["tut18", "esc50", "mine"]
    assert plugins.names("dubcli.protocols") == []
    with pytest.raises(
        UserError, match=r"^task is 'mien' \(did you mean mine\?\); give one of esc50, mine, or MODULE:NAME"
    ):
        plugins.load("dubcli.tasks", "mien", {"esc50": 1}, asked="task")


def test_a_broken_entry_point_names_its_package(here, monkeypatch):
    install(here, "dubcli.tasks", "mine = plug_good:thin")
    monkeypatch.syspath_prepend(here)
    with pytest.raises(UserError, match=r"^task mine of the package plugpack: plug_good has no thin \(did you mean th"):
        plugins.load("dubcli.tasks", "mine", asked="task")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "plug_god:thing",
            r"there is no module plug_god \(did you mean plug_good.*; install it, or stand in its folder",
        ),
        ("plug_good:thng", r"plug_good has no thng \(did you mean thing\?\)"),
        ("plug_good:Inner.thng", r"plug_good has no Inner.thng \(did you mean thing\?\)"),
        ("plug_good:thing.real.x", "plug_good has no thing.real.x"),
        ("plug_syntax:thing", r"cannot be imported: SyntaxError: .* \(plug_syntax.py, line 2\)"),
        ("plug_raises:thing", r"cannot be imported: RuntimeError: no weights here \(plug_raises.py, line 2\)"),
        (
            "plug_needs:thing",
            r"cannot be imported: ModuleNotFoundError: .*not_installed_anywhere.*\(plug_needs.py, line 1\)",
        ),
        ("plug_good:", "give MODULE:NAME"),
        (":thing", "give MODULE:NAME"),
    ],
)
def test_mistakes_are_one_line(here, spec, said):
    with pytest.raises(UserError, match=said) as raised:
        plugins.load("dubcli.tasks", spec, asked="task")
    assert str(raised.value).startswith("task ")
    assert "\n" not in str(raised.value)


def test_near_names_whatever_their_case():
    assert did_you_mean("ESC5O", ["esc50", "tut18"]) == " (did you mean esc50?)"
    assert did_you_mean("zzz", ["esc50"]) == ""
