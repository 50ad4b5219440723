"""Which films a variant trains on: the same for all of a cache, unless someone says otherwise; old runs go on."""

import json
import shutil
import signal

import pytest

from dubcli.cache import layout
from dubcli.core.checkpoint import load_checkpoint, load_trained, save_checkpoint
from dubcli.errors import UserError
from dubcli.jobs.progress import SilentProgress
from dubcli.pretrain import train
from dubcli.pretrain.training_films import read_training_films
from helpers.caches import make_cache
from helpers.runs import SignalAfter, assert_same_state, pretrain, small_config

VARIANTS = ("mono", "es", "fr", "ja", "efj", "a", "a-efj", "sep")


class Told(SilentProgress):
    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Four films: the second has no Japanese, of the third the Japanese begins a clip late, of the fourth no French."""
    cache = make_cache(tmp_path_factory.mktemp("uneven") / "cache", films=4, clips=6, nospeech=True)
    changes = {1: lambda tracks: tracks.pop("ja"), 2: lambda tracks: tracks["ja"].update(valid_clips=[1, 6]),
               3: lambda tracks: tracks.pop("fr")}  # fmt: skip
    for number, folder in enumerate(sorted((cache / layout.MOVIES_FOLDER).iterdir())):
        file = folder / layout.MOVIE_FILE
        meta = json.loads(file.read_text())
        changes.get(number, lambda tracks: None)(meta["tracks"])
        file.write_text(json.dumps(meta))
    return cache


def test_all_variants_of_a_cache_train_on_the_same_clips(uneven):
    found = {name: read_training_films(uneven, name, 0.5) for name in VARIANTS}
    assert len({films.film_set for films in found.values()}) == 1
    films = found["mono"]
    assert len(films.train.movies) == len(films.held_out.movies) == 1
    clips = dict(zip([m.id for m in films.train.movies + films.held_out.movies],
                     films.train.ranges + films.held_out.ranges, strict=True))  # fmt: skip
    assert sorted(clips.values()) == [(0, 6), (1, 6)]  # the clip without Japanese is left out of mono too
    assert films.lacking == 2
    assert films.shared == ("en", "es", "fr", "ja")


def test_other_films_can_be_asked_for_and_one_line_says_what_that_is(uneven):
    own = {name: read_training_films(uneven, name, 0.0, "own") for name in VARIANTS}
    assert {name: len(films.train.movies) for name, films in own.items()} == {
        "mono": 4, "es": 4, "fr": 3, "ja": 3, "efj": 2, "a": 4, "a-efj": 2, "sep": 4,
    }  # fmt: skip
    assert own["mono"].train.clips == 24
    assert own["mono"].note == own["efj"].note == ""
    french = read_training_films(uneven, "mono", 0.0, "es,fr")
    assert len(french.train.movies) == 3
    assert french.note == (
        "3 films have en, es, fr, on which every variant but those that hear ja trains alike; --films-with own: "
        "4 films (+1) that have what mono itself needs"
    )
    assert french.film_set == read_training_films(uneven, "fr", 0.0, "es").film_set
    assert french.film_set != read_training_films(uneven, "mono", 0.0).film_set
    assert read_training_films(uneven, "mono", 0.0).note == (
        "2 films have en, es, fr, ja, on which every variant trains alike; --films-with own: 4 films (+2) that have "
        "what mono itself needs"
    )
    with pytest.raises(UserError, match="--films-with de: no film of .* has de; it has en, es, fr, ja"):
        read_training_films(uneven, "mono", 0.0, "de")


def test_a_damaged_file_leaves_the_film_out_of_every_variant(uneven, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(uneven, cache)
    first = sorted((cache / layout.MOVIES_FOLDER).iterdir())[0]
    with open(first / "mel.es.npy", "r+b") as file:
        file.truncate(5000)
    assert len({read_training_films(cache, name, 0.0).film_set for name in VARIANTS}) == 1
    assert len(read_training_films(cache, "mono", 0.0).damaged) == 1
    assert not read_training_films(cache, "mono", 0.0, "own").damaged


def test_films_that_share_nothing_are_an_error_that_says_what_helps(tmp_path):
    cache = make_cache(tmp_path / "cache", films=2, clips=4, languages=("en", "es", "fr"))
    for folder, language in zip(sorted((cache / layout.MOVIES_FOLDER).iterdir()), ("es", "fr"), strict=True):
        meta = json.loads((folder / layout.MOVIE_FILE).read_text())
        meta["tracks"].pop(language)
        (folder / layout.MOVIE_FILE).write_text(json.dumps(meta))
    done = pretrain(cache, tmp_path / "run", "--variant", "mono")
    assert done.returncode == 2
    assert "no film in" in done.stderr
    assert "--films-with own takes the films" in done.stderr
    assert pretrain(cache, tmp_path / "run", "--variant", "mono", "--films-with", "own", "--quiet").returncode == 0


def test_the_run_and_its_checkpoint_say_which_films(uneven, tmp_path):
    out = tmp_path / "mono"
    told = Told()
    train(small_config(uneven, out, variant="mono", max_steps=2), told, device="cpu")
    assert any("--films-with own: 4 films (+2)" in text for text in told.messages)
    expected = read_training_films(uneven, "mono", -1).film_set
    assert json.loads((out / "config.json").read_text())["film_set"] == expected
    assert load_trained(out).film_set == expected
    # the same languages in another order, or of a run whose order was kept, are the same films
    french = (uneven, tmp_path / "french", "--variant", "mono", "--max-steps", "1", "--films-with")
    assert pretrain(*french, "es, fr").returncode == 0
    file = tmp_path / "french" / "config.json"
    file.write_text(file.read_text().replace('"es,fr"', '"fr,es"'))
    assert pretrain(*french, "fra,es").returncode == 0
    # more steps of the same run on other films are refused
    other = pretrain(uneven, out, "--variant", "mono", "--max-steps", "2", "--films-with", "own")
    assert other.returncode == 2
    assert "films_with unset, this one own" in other.stderr


def test_a_run_goes_on_only_with_the_films_it_had(uneven, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(uneven, cache)
    run = {"variant": "mono", "max_steps": 2}
    train(small_config(cache, tmp_path / "run", **run), SignalAfter(1, signal.SIGTERM), device="cpu")
    shutil.rmtree(sorted((cache / layout.MOVIES_FOLDER).iterdir())[0])
    with pytest.raises(
        UserError, match=r"have changed since \(its set was \w{12}, now \w{12}\); give the cache it had"
    ):
        train(small_config(cache, tmp_path / "run", **run), device="cpu")


def test_a_run_of_an_earlier_version_goes_on_with_its_variants_own_films(uneven, tmp_path):
    run = {"variant": "mono", "max_steps": 4}
    straight, old = tmp_path / "straight", tmp_path / "old"
    train(small_config(uneven, straight, **run, films_with="own"), device="cpu")
    train(small_config(uneven, old, **run, films_with="own"), SignalAfter(2, signal.SIGTERM), device="cpu")
    config = json.loads((old / "config.json").read_text())
    for name in ("films_with", "film_set", "films_share"):
        config.pop(name)
    (old / "config.json").write_text(json.dumps(config))
    state = load_checkpoint(old / "ckpt.pt")
    assert state["step"] == 2
    state.pop("film_set")
    state["config"].pop("films_with")
    save_checkpoint(old / "ckpt.pt", state)
    with pytest.raises(UserError, match="has films_with own, this one es"):
        train(small_config(uneven, old, **run, films_with="es"), device="cpu")
    assert train(small_config(uneven, old, **run), device="cpu").step == 4
    assert_same_state(straight, old)
    assert json.loads((old / "config.json").read_text())["films_with"] == "own"
