"""One run's options: in parts inside, side by side by their names outside."""

import json
from dataclasses import fields, replace
from itertools import chain

import pytest

from dubcli.cli.app import load_command
from dubcli.errors import UserError
from dubcli.pretrain import PretrainConfig
from dubcli.pretrain.config import OPTIONS, PARTS, LossConfig, OptimisationConfig, resolve
from dubcli.pretrain.run_folder import RunFolder


def test_an_option_stands_in_one_part_and_goes_by_its_name_outside():
    names = list(chain.from_iterable([field.name for field in fields(part)] for part in PARTS.values()))
    assert len(names) == len(set(names))
    assert list(OPTIONS) == names
    assert not set(names) & set(PARTS)
    config = PretrainConfig(variant="mono", temperature=0.2, beta1=0.8, seed=3)
    assert (config.data.variant, config.loss.temperature) == ("mono", 0.2)
    assert (config.optimisation.beta1, config.run.seed) == (0.8, 3)
    assert list(config.to_dict()) == names
    assert PretrainConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_options_over_parts():
    part = OptimisationConfig(batch_size=4, accumulate=3)
    config = PretrainConfig(optimisation=part, loss=LossConfig(negatives="cross"), accumulate=2)
    assert config.optimisation == replace(part, accumulate=2)
    assert config.optimisation.clips_per_step == 8
    changed = config.changed(seed=5, negatives="both")
    assert changed == PretrainConfig(batch_size=4, accumulate=2, seed=5)
    assert changed != config
    assert hash(changed) == hash(PretrainConfig(batch_size=4, accumulate=2, seed=5))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"sampling": "one-flim"}, "--sampling is 'one-flim' (did you mean one-film?); give one of groups, one-film"),
        ({"negatives": "bth"}, "--negatives is 'bth' (did you mean both?); give one of both, cross"),
        ({"precision": "bf61"}, "--precision is 'bf61' (did you mean bf16"),
        ({"temperature": 0.001}, "--temperature is 0.001; give 0.003 or more"),
        ({"batch_size": 1}, "--batch-size is 1: a single clip has no negatives; give 2 or more"),
        ({"k": 0}, "--k is 0; give 1 or more"),
        ({"keep": -1}, "--keep is -1; give 0 or more"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_what_to_do(options, line):
    with pytest.raises(UserError) as error:
        PretrainConfig(**options)
    assert str(error.value).startswith(line)


def test_a_misspelt_option_is_refused_with_names_near_it(tmp_path):
    with pytest.raises(TypeError, match=r"no option 'learning_rat' \(did you mean learning_rate"):
        PretrainConfig(learning_rat=0.1)
    (tmp_path / "run.toml").write_text("max-stepps = 3\n")
    with pytest.raises(UserError, match=r"unknown option max_stepps \(did you mean max_steps"):
        resolve(tmp_path / "run.toml", {})


def test_a_run_of_a_version_with_flat_options_is_gone_on_with_and_compared(tmp_path):
    """``config.json`` as it was written before options stood in parts, and before there was ``sampling``."""
    written = {"variant": "es", "cache": "c", "out": "o", "preset": "tiny", "batch_size": 8, "k": 4, "seed": 1,
               "temperature": 0.1, "negatives": "both", "epochs": 2, "world_size": 1, "train_films": 3}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(written))
    same = PretrainConfig(
        variant="es", preset="tiny", batch_size=8, k=4, seed=1, epochs=2, cache="elsewhere", films_with="own"
    )
    RunFolder(tmp_path).check(same, 1)
    with pytest.raises(UserError, match=r"has temperature 0\.1, this one 0\.2"):
        RunFolder(tmp_path).check(same.changed(temperature=0.2), 1)


def test_steps_of_a_run():
    assert OptimisationConfig(epochs=2).total_steps(10) == 20
    assert OptimisationConfig(epochs=2, max_steps=7).total_steps(10) == 7
    assert OptimisationConfig(epochs=2, max_steps=70).total_steps(10) == 20
    assert OptimisationConfig(epochs=2).warmup_steps(10) == 5
    assert OptimisationConfig(epochs=1, max_steps=4).warmup_steps(10) == 2
    assert OptimisationConfig(epochs=1, max_steps=1, warmup_epochs=0).warmup_steps(10) == 1


def test_a_file_of_options_takes_every_option_of_the_command(tmp_path):
    """All that ``dubav pretrain`` has but what one run is told once: what it prints, and whether it starts afresh."""
    once = {"config", "fresh", "dry_run", "readings", "quiet", "as_json"}
    names = [parameter.name for parameter in load_command("pretrain").params if parameter.name not in {*once, "help"}]
    assert len(names) > 40
    launching = {"gpus": 0, "procs": 2, "nnodes": 2, "node_rank": 1, "rdzv_endpoint": "node0:29500", "max_restarts": 5}
    values = {name: launching[name] if name in launching else PretrainConfig().to_dict()[name] for name in names}
    lines = [
        f"{name.replace('_', '-')} = {json.dumps(True if value is None else value)}" for name, value in values.items()
    ]
    (tmp_path / "run.toml").write_text("\n".join(lines))
    config, where = resolve(tmp_path / "run.toml", dict.fromkeys(names))
    assert vars(where) == launching
    said = {name: value for name, value in values.items() if name not in launching and value is not None}
    assert {name: value for name, value in config.to_dict().items() if name in said} == said
    assert resolve(tmp_path / "run.toml", {"procs": 3})[1].procs == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [("procs = true", "procs is True; give a whole number"), ("k = 'x'", "k is 'x'; give a whole number"),
     ("rdzv-endpoint = 1", "rdzv_endpoint is 1; give text"), ("proc = 1", r"unknown option proc \(did you mean procs")],
)  # fmt: skip
def test_a_wrong_value_in_a_file_names_the_file(line, said, tmp_path):
    (tmp_path / "run.toml").write_text(line)
    with pytest.raises(UserError, match=rf"run\.toml: {said}"):
        resolve(tmp_path / "run.toml", {})


def test_a_run_s_own_config_is_read_back_without_what_it_records_beside(tmp_path):
    asked = PretrainConfig(variant="es", batch_size=8, k=4, seed=3, audio_backbone_options="width=64")
    record = {**asked.to_dict(), "world_size": 2, "train_films": 3, "device": "cpu", "steps": 7}
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert resolve(tmp_path / "config.json", {})[0] == asked
    assert resolve(tmp_path / "config.json", {"seed": 4})[0] == asked.changed(seed=4)
    (tmp_path / "other.json").write_text('{"batch_size": 8}')
    (tmp_path / "cut.json").write_text('{"batch_size": ')
    for name, said in (("other", "is no run's config.json"), ("cut", "cannot be read as JSON"), ("no", "is missing")):
        with pytest.raises(UserError, match=rf"{name}\.json {said}"):
            resolve(tmp_path / f"{name}.json", {})
