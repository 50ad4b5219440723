"""The register of readings is what the options are: defaults, names, values, the page in docs."""

import inspect
import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from dubcli.cli.app import load_command
from dubcli.core.readings import READINGS, readings_of
from dubcli.prep import PrepConfig
from dubcli.pretrain import PretrainConfig
from dubcli.probe import ProbeConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"
DEFAULTS = {
    "pretrain": PretrainConfig().to_dict(),
    "prep": {field.name: field.default for field in fields(PrepConfig)},
    "probe": {field.name: field.default for field in fields(ProbeConfig)},
}
MAKE = {
    "pretrain": PretrainConfig,
    "prep": lambda **options: PrepConfig(languages=("en",), **options),
    "probe": ProbeConfig,
}
EACH = pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.title)


def test_the_page_is_the_registers():
    """After a change: python docs/readings_page.py > docs/readings.md"""
    page = runpy.run_path(str(DOCS / "readings_page.py"))["readings_page"]
    assert (DOCS / "readings.md").read_text(encoding="utf-8") == page()


@EACH
def test_what_is_called_the_default_is(reading):
    for name, value in reading.default.value.items():
        if name == "data_kind":  # of what it is to be without speech; with it is no reading
            assert value == "nospeech"
            continue
        assert DEFAULTS[reading.command][name] == value
        assert type(DEFAULTS[reading.command][name]) is type(value)


@EACH
def test_every_other_reading_is_an_option_with_such_a_value(reading):
    assert reading.others
    command = load_command(reading.command)
    flags = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for choice in reading.others:
        assert any(reading.default.value.get(name, ...) != value for name, value in choice.value.items())
        made = MAKE[reading.command](**choice.value)
        found = made.to_dict() if reading.command == "pretrain" else vars(made)
        assert set(choice.value) <= set(found)
        words = reading.flags(choice).split(" --")
        assert {f"--{word.removeprefix('--').split()[0]}" for word in words} <= flags


def test_readings_of_a_run_are_those_of_its_config():
    found = readings_of("pretrain", {**PretrainConfig(randaugment="pytorchvideo").to_dict(), "loader_workers": 3})
    assert found["randaugment"] == "pytorchvideo"
    assert found["temperature"] == 0.1
    assert "loader_workers" not in found
    assert "epochs" not in found
    assert readings_of("pretrain", {}) == {}


def test_no_torch():
    import dubcli.core.readings as register

    assert "import torch" not in inspect.getsource(register)
