"""No-speech mels of a cache's films, against demucs's Separator on the whole track."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from demucs.api import Separator

import dubcli
from dubcli.cache import layout
from dubcli.cache.check import check_movie
from dubcli.cache.reader import Cache, Movie
from dubcli.cache.writer import open_cache, update_movie
from dubcli.core.features import downmix, log_mel
from dubcli.errors import InputError, UserError
from dubcli.jobs.devices import Devices
from dubcli.jobs.options import JobOptions
from dubcli.media.identity import fingerprint
from dubcli.separate import SeparateConfig, separate
from dubcli.separate.movies import exactly, separate_movie
from helpers.nospeech import CLIPS, RATE, add_movie, surround, write_film


def quiet(*_, **__):
    """Nobody listens to the progress."""


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path / "cache", {})


@pytest.fixture
def film(tmp_path):
    folder = tmp_path / "films" / "shelf"
    folder.mkdir(parents=True)
    return write_film(folder / "film.mkv", surround(6.9))


def run(folder, cache, repo, **options):
    config = SeparateConfig(**{"cache": cache, "model": "fast", "model_repo": repo, **options})
    return separate_movie(str(folder), quiet, config=config, devices=Devices(names=("cpu",)))


def expected_mel(repo, waveform, model="tinybag"):
    """demucs's Separator over the whole downmixed track, stems but vocals added, as mels of clips."""
    stereo = downmix(torch.from_numpy(waveform), "5.1(side)")[:, : CLIPS * 3 * RATE]
    stereo = torch.nn.functional.pad(stereo, (0, CLIPS * 3 * RATE - stereo.shape[1]))
    _, stems = Separator(model=model, repo=repo, device="cpu", shifts=0).separate_tensor(stereo)
    rest = sum(stem for name, stem in stems.items() if name != "vocals")
    return log_mel(rest.reshape(2, CLIPS, -1).transpose(0, 1), RATE)


def test_the_mel_is_that_of_demucs_on_the_whole_downmixed_track(cache, film, model_repo):
    folder = add_movie(cache, film, "film")
    details = run(folder, cache, model_repo, model="tinybag")
    movie = Movie(folder)
    mel = movie.mel("en-nospeech")
    assert mel.shape == (CLIPS, 2, 96, 257)
    expected = expected_mel(model_repo, surround(6.9))
    # float16 near 14 has steps of 1/128
    assert np.abs(mel.astype(np.float32) - expected.numpy()).max() < 0.01
    first_two = log_mel(torch.from_numpy(surround(6.9))[:2, : 3 * RATE], RATE)
    assert np.abs(mel[0] - first_two.numpy()).mean() > 0.1
    entry = movie.meta["nospeech"]["en"]
    assert (entry["model"], entry["shifts"], entry["overlap"]) == ("tinybag", 0, 0.25)
    assert details["clips"] == CLIPS
    assert not [problem for problem in check_movie(movie) if "nospeech" in problem]


def test_a_track_that_ends_early_or_begins_late_has_silence(cache, tmp_path, model_repo):
    film = write_film(tmp_path / "late.mkv", surround(2.0), start_seconds=2.5)
    folder = add_movie(cache, film, "late")
    run(folder, cache, model_repo, model="faster")
    waveform = np.zeros((6, CLIPS * 3 * RATE), np.float32)
    waveform[:, round(2.5 * RATE) : round(4.5 * RATE)] = surround(2.0)
    expected = expected_mel(model_repo, waveform, "faster").numpy()
    difference = np.abs(Movie(folder).mel("en-nospeech").astype(np.float32) - expected)
    assert difference.max() < 0.05


def test_done_films_are_skipped_and_give_the_same_bytes_when_made_again(cache, film, model_repo):
    folder = add_movie(cache, film, "film")
    path = folder / layout.mel_file("en-nospeech")
    assert "status" not in run(folder, cache, model_repo)
    content, made = path.read_bytes(), path.stat().st_mtime_ns
    assert run(folder, cache, model_repo) == {"status": "skipped"}
    assert path.stat().st_mtime_ns == made
    path.write_bytes(content[:-10])
    assert "status" not in run(folder, cache, model_repo)
    assert path.read_bytes() == content


def test_another_model_is_not_mixed_with_the_first(cache, film, model_repo):
    folder = add_movie(cache, film, "film")
    run(folder, cache, model_repo)
    digest = Movie(folder).meta["nospeech"]["en"]["digest"]
    assert "status" not in run(folder, cache, model_repo, model="faster")
    assert Movie(folder).meta["nospeech"]["en"]["digest"] != digest


def test_a_failure_half_way_leaves_nothing(cache, film, model_repo, monkeypatch):
    folder = add_movie(cache, film, "film")
    run(folder, cache, model_repo)

    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dubcli.media.clip_mels.log_mel_array", broken)
    with pytest.raises(OSError, match="No space"):
        run(folder, cache, model_repo, model="faster")
    assert "en" not in Movie(folder).meta["nospeech"]
    assert not list(folder.glob(".tmp-*"))


def test_moved_films_are_found_by_path_or_name_and_known_by_content(cache, film, tmp_path, model_repo):
    folder, content = add_movie(cache, film, "film"), film.read_bytes()
    with pytest.raises(InputError, match=r"film\.mkv has changed"):
        shutil.copy(write_film(tmp_path / "other.mkv", surround(6.9, seed=1)), film)
        run(folder, cache, model_repo)
    film.write_bytes(content)
    moved = tmp_path / "disk"
    shutil.move(tmp_path / "films", moved / "deep" / "films")
    with pytest.raises(InputError, match=r"film\.mkv is not there; .* --source-root"):
        run(folder, cache, model_repo)
    (moved / "film.mkv").write_bytes(b"another film of the same name")
    assert "status" not in run(folder, cache, model_repo, source_root=moved)
    shutil.rmtree(moved / "deep")
    with pytest.raises(InputError, match="is another film"):
        run(folder, cache, model_repo, source_root=moved, model="faster")
    with pytest.raises(UserError, match="is no folder"):
        run(folder, cache, model_repo, source_root=tmp_path / "absent", model="faster")


def test_languages_that_are_not_there_or_were_moved_by_prep(cache, film, model_repo):
    folder = add_movie(cache, film, "film", fixed={"lag_ms_at_start": 100.0})
    assert run(folder, cache, model_repo, lang="fr") == {"status": "skipped", "warning": "lacks fr"}
    with pytest.raises(InputError, match="moved by prep"):
        run(folder, cache, model_repo)


def test_the_level_that_prep_gave_a_track_is_given_again(cache, film, model_repo):
    plain, louder = add_movie(cache, film, "a"), add_movie(cache, film, "b", level_gain=2.0)
    mels = []
    for folder in (plain, louder):
        run(folder, cache, model_repo, model="faster")
        mels.append(Movie(folder).mel("en-nospeech").astype(np.float32))
    loud = mels[0] > 0
    assert np.abs(mels[1][loud] - mels[0][loud] - np.log(4)).max() < 0.02


@pytest.mark.parametrize("sizes", [[], [5], [3, 4], [10, 10], [7, 0, 9]])
def test_exactly(sizes):
    whole = torch.arange(2 * sum(sizes), dtype=torch.float32).reshape(2, -1)
    out = torch.cat(list(exactly(iter(whole.split(sizes, dim=1) if sizes else []), 12)), dim=1)
    assert torch.equal(out, torch.nn.functional.pad(whole, (0, 12))[:, :12])


def test_the_whole_stage_lists_failures_and_goes_on(cache, film, tmp_path, model_repo):
    add_movie(cache, film, "good")
    gone = shutil.copy(film, tmp_path / "gone.mkv")
    add_movie(cache, Path(gone), "gone")
    Path(gone).unlink()
    config = SeparateConfig(cache=cache, model="faster", model_repo=model_repo, device="cpu")
    summary = separate(config, JobOptions(workers=1))
    assert (summary.ok, summary.failed, summary.exit_status) == (1, 1, 1)
    assert "gone.mkv is not there" in summary.failures[0].reason
    lines = [json.loads(line) for line in (cache / layout.SEPARATE_LOG).read_text().splitlines()]
    assert {line["source"]: line["status"] for line in lines} == {"good": "ok", "gone": "failed"}
    assert {movie.id: movie.has("en-nospeech") for movie in Cache(cache).movies} == {"good": True, "gone": False}


def test_what_stops_the_stage_before_it_begins(cache, film, model_repo, tmp_path):
    with pytest.raises(UserError, match="no clip cache"):
        separate(SeparateConfig(cache=tmp_path / "absent", model="faster", model_repo=model_repo))
    with pytest.raises(UserError, match="holds no films"):
        separate(SeparateConfig(cache=cache, model="faster", model_repo=model_repo))
    folder = add_movie(cache, film, "film")
    update_movie(cache, folder, lambda meta: None)
    with pytest.raises(UserError, match="no film .* has fr; there are en"):
        separate(SeparateConfig(cache=cache, lang="fr", model="faster", model_repo=model_repo))
    with pytest.raises(UserError, match="--device nonsense"):
        separate(SeparateConfig(cache=cache, device="nonsense", model="faster", model_repo=model_repo))


def test_a_track_in_a_file_of_its_own_is_known_by_its_content(cache, film, tmp_path, model_repo):
    dub = write_film(tmp_path / "dub.mka", surround(6.9, seed=1))
    folder = add_movie(cache, film, "film", path=str(dub), fingerprint=fingerprint(dub))
    assert "status" not in run(folder, cache, model_repo)
    entry = Movie(folder).meta["nospeech"]["en"]
    assert (entry["source"], entry["track"], entry["dubcli"]) == (fingerprint(dub), 0, dubcli.__version__)
    moved = tmp_path / "disk"
    moved.mkdir()
    shutil.move(dub, moved / "dub.mka")
    assert "status" not in run(folder, cache, model_repo, model="faster", source_root=moved)
    shutil.move(write_film(dub, surround(6.9, seed=2)), moved / "dub.mka")
    with pytest.raises(InputError, match="is another film"):
        run(folder, cache, model_repo, source_root=moved)
    shutil.move(moved / "dub.mka", dub)
    with pytest.raises(InputError, match=r"dub\.mka has changed since it was prepared; prepare it again"):
        run(folder, cache, model_repo)


def test_damage_at_the_end_of_a_track_that_is_longer_than_the_film_is_told(cache, tmp_path, model_repo):
    film = write_film(tmp_path / "film.mkv", surround(9))
    film.write_bytes(film.read_bytes()[:-5000])
    assert run(add_movie(cache, film, "film"), cache, model_repo)["warning"].startswith("cut: its header says")
