"""Separation models from a local folder, and what is said when they are not to be had."""

import json
import shutil

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from demucs.pretrained import get_model
from safetensors.torch import save_file

from dubcli.errors import UserError
from dubcli.separate.bags import check_folder, check_name, load_bag
from helpers.separation import save_hub_form, save_model, small_hdemucs


@pytest.fixture(autouse=True)
def _nothing_remembered():
    load_bag.cache_clear()


@pytest.fixture
def folder(model_repo, tmp_path):
    return shutil.copytree(model_repo, tmp_path / "models")


class Sneaky:
    """Its unpickling would call a function."""

    def __reduce__(self):
        return (print, ("run by the unpickler",))


def same_weights(ours, theirs):
    left, right = ours.state_dict(), theirs.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_bag_equals_the_one_that_demucs_loads(model_repo):
    bag = load_bag("tinybag", model_repo)
    theirs = get_model("tinybag", model_repo)
    assert [model.segment for model in bag.models] == [1.25, 1.25]
    assert list(bag.weights) == theirs.weights
    assert all(same_weights(ours, model) for ours, model in zip(bag.models, theirs.models, strict=True))
    assert not any(model.training for model in bag.models)
    assert (bag.sample_rate, bag.channels, bag.sources[bag.vocals]) == (44100, 2, "vocals")


def test_a_quantised_model_differs_from_its_original_by_its_rounding_only(model_repo):
    quantised = load_bag("22222222", model_repo).models[0].state_dict()
    original = small_hdemucs(2).state_dict()
    error = max(float((quantised[name] - original[name]).abs().max()) for name in original)
    assert 0 < error < 0.01


def test_the_digest_tells_models_apart_and_stays_the_same(model_repo, folder):
    digest = load_bag("tinybag", model_repo).digest
    load_bag.cache_clear()
    assert load_bag("tinybag", folder).digest == digest
    load_bag.cache_clear()
    recipe = folder / "tinybag.yaml"
    recipe.write_text(recipe.read_text().replace("segment: 1.25", "segment: 1.5"))
    assert load_bag("tinybag", folder).digest != digest
    load_bag.cache_clear()
    assert len({digest, load_bag("11111111", folder).digest}) == 2


def test_a_pickle_with_more_than_a_model_is_not_loaded_unless_trusted(tmp_path, capfd):
    save_model(small_hdemucs(0), tmp_path, "33333333", extra=Sneaky())
    with pytest.raises(UserError, match="could run code when it is loaded.*--trust-models"):
        load_bag("33333333", tmp_path)
    assert "run by the unpickler" not in capfd.readouterr().out
    assert load_bag("33333333", tmp_path, trust=True).sources[3] == "vocals"
    assert "run by the unpickler" in capfd.readouterr().out


def test_a_damaged_file_is_named(folder):
    path = next(folder.glob("11111111-*.th"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"11111111-\w+\.th is damaged.*fetch it again"):
        load_bag("11111111", folder)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"PK\x03\x04 cut"])
def test_what_is_no_model_is_said_in_one_line(tmp_path, content):
    (tmp_path / "abc.th").write_bytes(content)
    with pytest.raises(UserError, match="abc.th is no demucs model") as caught:
        load_bag("abc", tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(UserError, match="has no model nope .*it holds 11111111, 22222222, .*tinybag"):
        check_folder("nope", folder)
    next(folder.glob("22222222-*.th")).unlink()
    with pytest.raises(UserError, match="lacks 22222222-<checksum>.th, which tinybag.yaml names"):
        check_folder("tinybag", folder)
    with pytest.raises(UserError, match="is no folder"):
        check_folder("tinybag", tmp_path / "absent")


@pytest.mark.parametrize(
    "recipe", ["", "models: 3", "models: []", "models: [11111111", "models: ['11111111']\nweights: []"]
)
def test_a_recipe_that_makes_no_sense_is_named(folder, recipe):
    (folder / "odd.yaml").write_text(recipe)
    with pytest.raises(UserError, match=r"odd\.yaml"):
        load_bag("odd", folder)


def test_two_files_of_one_model_are_refused(folder):
    path = next(folder.glob("11111111-*.th"))
    shutil.copy(path, folder / "11111111-00000000.th")
    with pytest.raises(UserError, match="two files of the model 11111111"):
        check_folder("tinybag", folder)


def test_a_model_without_vocals_is_refused(tmp_path):
    from demucs.hdemucs import HDemucs

    save_model(HDemucs(["left", "right"], channels=8), tmp_path, "44444444")
    with pytest.raises(UserError, match="stems left, right.*named vocals"):
        load_bag("44444444", tmp_path)


def test_names_are_checked_before_anything_is_fetched():
    check_name("mdx_extra_q")
    check_name("83fc094f")
    check_name("hf://somebody/a_model")
    with pytest.raises(UserError, match=r"^--model is 'mdx_extr_q' \(did you mean mdx_.*mdx_extra_q.*MODULE:NAME"):
        check_name("mdx_extr_q")


def test_without_a_network_it_says_which_files_to_put_where(monkeypatch):
    def unreachable(name):
        raise OSError("<urlopen error no route>")

    monkeypatch.setattr("demucs.pretrained.get_model", unreachable)
    with pytest.raises(UserError) as caught:
        load_bag("mdx_extra_q")
    text = str(caught.value)
    assert text.index("repository adefossez/Demucs-mdx_extra_q") < text.index("83fc094f")
    for part in ("83fc094f-4a16d450.th", "7fd6ef75-a905dd85.th", "mdx_extra_q.yaml", "--model-repo DIR", "no route"):
        assert part in text


FILM_STEMS = ["music", "sfx", "speech"]


def film_model(seed):
    """As MVSEP-CDX23's: HTDemucs with three stems, one of them speech."""
    torch.manual_seed(seed)
    return HTDemucs(FILM_STEMS, channels=8, t_layers=1, t_heads=2, bottom_channels=32, segment=1)


def test_several_files_of_one_signature_are_a_bag_by_its_name_and_each_has_its_own(tmp_path):
    paths = [save_model(film_model(seed), tmp_path, "97d170e1") for seed in range(3)]
    bag = load_bag("97d170e1", tmp_path)
    assert (bag.speech, bag.vocals) == ("speech", 2)
    assert list(bag.weights) == [[1.0, 1.0, 1.0]] * 3
    assert sorted(path.name for path in check_folder("97d170e1", tmp_path)) == sorted(path.name for path in paths)
    single = load_bag(paths[1].stem, tmp_path)
    assert len(single.models) == 1
    assert same_weights(single.models[0], film_model(1))
    recipe = f"models: ['{paths[0].stem}', '{paths[2].stem}']\nweights: [[1, 1, 1], [3, 1, 0]]\n"
    (tmp_path / "two.yaml").write_text(recipe)
    two = load_bag("two", tmp_path)
    assert [same_weights(ours, film_model(seed)) for ours, seed in zip(two.models, (0, 2), strict=True)] == [True, True]
    assert list(two.weights) == [[1, 1, 1], [3, 1, 0]]


@pytest.mark.parametrize(("stems", "speech"), [(["a", "Dialogue"], "Dialogue"), (["dialog", "speech"], "speech")])
def test_the_stem_that_is_speech_is_known_by_its_name(tmp_path, stems, speech):
    torch.manual_seed(0)
    save_model(HTDemucs(stems, channels=8, t_layers=1, t_heads=2, bottom_channels=32, segment=1), tmp_path, "55555555")
    assert load_bag("55555555", tmp_path).speech == speech
    assert load_bag("55555555", tmp_path, speech=stems[0].upper()).speech == stems[0]
    with pytest.raises(UserError, match=r"stems .*, none named dialgue \(did you mean .*\?\); --speech-stem names one"):
        load_bag("55555555", tmp_path, speech="dialgue")


def test_the_hubs_form_is_read_from_a_folder(tmp_path):
    for number in (1, 2):
        save_hub_form(small_hdemucs(number), tmp_path / f"{number}{number}.safetensors")
    (tmp_path / "pair.yaml").write_text("models: ['11', '22']\nsegment: 1.25\n")
    bag = load_bag("pair", tmp_path)
    assert [same_weights(model, small_hdemucs(seed)) for model, seed in zip(bag.models, (1, 2), strict=True)] == [
        True
    ] * 2
    assert [model.segment for model in bag.models] == [1.25, 1.25]


@pytest.mark.parametrize("named", [{"klass": "os.system"}, {"structure": json.dumps({"_class": "antigravity.fly"})}])
def test_the_hubs_form_imports_nothing_but_demucss_classes(tmp_path, named):
    save_hub_form(small_hdemucs(0), tmp_path / "a.safetensors")
    from safetensors import safe_open

    with safe_open(str(tmp_path / "a.safetensors"), "pt") as file:
        metadata = file.metadata()
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", metadata | named)
    with pytest.raises(UserError, match="beyond demucs's own.*--trust-models"):
        load_bag("a", tmp_path)


def test_numbers_of_numpy_are_plain_data(tmp_path):
    extra = {"loss": np.float64(0.5), "count": np.int32(3), "kind": np.dtype("float32"), "flag": np.bool_(True)}
    save_model(small_hdemucs(0), tmp_path, "66666666", extra=extra)
    assert load_bag("66666666", tmp_path).sources[3] == "vocals"
