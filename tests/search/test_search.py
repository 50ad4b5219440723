"""``dubav search``: an index of a cache and of files, queries of all kinds, against brute force and validation."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from typer.testing import CliRunner

from dubcli.cli.app import app
from dubcli.core.checkpoint import load_trained
from dubcli.embed import Embedder
from dubcli.errors import UserError
from dubcli.search import Index, SearchConfig, build_index, search
from dubcli.search.query import read_query
from helpers.caches import make_cache
from helpers.containers import Track
from helpers.containers import make_film as make_tagged_film
from helpers.films import make_film
from helpers.runs import metrics, pretrain

PRIMARY, DUB = "en", "fr"


def command(*arguments):
    done = CliRunner().invoke(app, ["search", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "cache", films=5, clips=6, languages=(PRIMARY, DUB))


@pytest.fixture(scope="module")
def run(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "fr"
    done = pretrain(cache, out, "--variant", DUB, "--max-steps", "4", "--val-fraction", "0.4",
                    "--precision", "fp32")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def index(cache, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "index"
    done = command(folder, "--build", cache, "--model", run, "--device", "cpu", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 5 * 6 * 3
    return Index(folder)


def found(index, query, **options):
    return search(index, query, SearchConfig(device="cpu", **options))[1]


def test_what_is_nearest_is_what_a_loop_over_all_says(index):
    row = next(
        row for row in index.rows if row.film.startswith("film002") and row.kind == "picture" and row.start_seconds == 9
    )
    own = np.asarray(index.vectors[index.rows.index(row)])
    expected = sorted(
        ((float(np.dot(own, index.vectors[n])), -n) for n, other in enumerate(index.rows) if other.kind == "sound"),
        reverse=True,
    )
    hits = found(index, "film002@0:10", top=7)
    assert [index.rows.index(hit.row) for hit in hits] == [-number for _, number in expected[:7]]
    assert [hit.score for hit in hits] == pytest.approx([score for score, _ in expected[:7]], abs=1e-6)
    assert all(hit.same == (hit.row.film == row.film and hit.row.start_seconds == 9) for hit in hits)
    assert np.linalg.norm(index.vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_scene_s_picture_finds_its_sound_as_often_as_validation_said(index, run):
    """The same model, clips and candidates, by another way: held-out films, one track at a time."""
    lines = metrics(run)
    held_out = json.loads((run / "config.json").read_text())["held_out_films"]
    assert len(held_out) == 2
    for track in (PRIMARY, DUB):
        said = next(line[name] for line in reversed(lines) for name in line if name == f"val/video->audio/{track}/r@1")
        first = [
            found(index, f"{film}@{3 * clip}", tracks=(track,), films=tuple(held_out), top=1)[0].same
            for film in held_out
            for clip in range(6)
        ]
        assert np.mean(first) == pytest.approx(said, abs=1e-9)


def test_filters_leave_what_they_say(index):
    assert {hit.row.track for hit in found(index, "film001@0", tracks=(DUB,), top=99)} == {DUB}
    assert {hit.row.film[:7] for hit in found(index, "film001@0", films=("film003",), top=99)} == {"film003"}
    assert "film001" not in {hit.row.film[:7] for hit in found(index, "film001@0", other_films=True, top=99)}
    assert {hit.row.kind for hit in found(index, "film001@0", find="picture", top=99)} == {"picture"}
    asked, hits = search(index, "film001@7", SearchConfig(by="sound", track=DUB, device="cpu", top=99))
    assert (asked.row.track, asked.row.start_seconds) == (DUB, 6)
    assert asked.row not in [hit.row for hit in hits]
    assert len(hits) == 59


def test_a_still_picture_is_found_where_it_is_seen(cache, run, tmp_path):
    make_film(tmp_path / "film.mkv", 6)
    built = build_index(tmp_path / "index", tmp_path / "film.mkv", run, device="cpu")
    assert [(row.kind, row.start_seconds) for row in built.rows] == [
        (kind, start) for kind in ("picture", "sound") for start in (0.0, 3.0)
    ]
    Image.new("RGB", (160, 120), (16, 16, 16)).save(tmp_path / "dark.png")
    done = command(tmp_path / "index", tmp_path / "dark.png", "--find", "picture", "--device", "cpu", "--json")
    assert [hit["start_seconds"] for hit in json.loads(done.stdout)["hits"]] in ([0.0, 3.0], [3.0, 0.0])
    assert json.loads(done.stdout)["query"] == "dark.png (picture)"
    hits = search(built, str(tmp_path / "film.mkv"), SearchConfig(find="picture", device="cpu"))[1]
    assert hits[0].score > 0.8  # the mean of both of its chunks


def test_a_sound_of_the_folder_is_the_nearest_to_itself(run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("low", "high"):
        wave = rng.normal(0, 0.1, (48000 * 3, 2))
        soundfile.write(tmp_path / f"{name}.wav", np.cumsum(wave, axis=0) * 0.02 if name == "low" else wave, 48000)
    built = build_index(tmp_path / "index", tmp_path / "low.wav", run, device="cpu")
    assert len(built.rows) == 1
    hit = search(built, str(tmp_path / "low.wav"), SearchConfig(device="cpu"))[1][0]
    assert hit.score == pytest.approx(1, abs=1e-4)
    page = tmp_path / "page.html"
    done = command(tmp_path / "index", tmp_path / "high.wav", "--play-page", page, "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    assert "data:audio/" in page.read_text()


def test_a_sound_of_several_chunks_is_asked_with_the_mean_of_their_places(run, tmp_path):
    """Each chunk is placed as validation places a clip. Of a dub it is by the head that was trained on the dub."""
    wave = np.random.default_rng(1).normal(0, 0.1, (2, 48000 * 6)) * np.repeat([1.0, 0.01], 48000 * 3)
    tracks = [Track(lang, codec="pcm_s16le", sound=wave.astype(np.float32)) for lang in ("eng", "fra")]
    film = tmp_path / "film.mkv"
    make_tagged_film(film, seconds=6, tracks=tracks)
    vectors = {}
    for lang, head in ((PRIMARY, "primary"), (DUB, "secondary")):
        built = build_index(tmp_path / lang, film, run, lang=lang, device="cpu")
        trained = load_trained(run)
        features = Embedder(trained, device="cpu").audio(wave[None], 48000, per_chunk=True)
        with torch.no_grad():
            wanted = torch.nn.functional.normalize(trained.model.heads[head](torch.from_numpy(features)), dim=1)
        sounds = [number for number, row in enumerate(built.rows) if row.kind == "sound"]
        np.testing.assert_allclose(np.asarray(built.vectors)[sounds], wanted, atol=5e-3)
        asked = read_query(str(film), built, SearchConfig(device="cpu", track=lang, by="sound"))
        mean = wanted.mean(dim=0)
        np.testing.assert_allclose(asked.vector, mean / mean.norm(), atol=5e-3)
        vectors[lang] = asked.vector
    assert vectors[PRIMARY] @ vectors[DUB] < 0.99


def test_a_page_shows_what_was_found(index, cache, tmp_path):
    done = command(index.folder, "film001@0:03", "-n", "3", "--play-page", tmp_path / "found.html")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "found.html").read_text()
    assert text.count('class="hit') == 3
    assert text.count("data:image/png") == 4  # the query's too
    assert "http://" not in text


def test_a_build_goes_on_and_notices_another_model(index, cache, run, tmp_path, monkeypatch):
    from dubcli.search import build

    calls = []

    def stopped(trained, items, device, done):
        calls.append(items[0].movie.id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return torch.nn.functional.normalize(torch.ones(len(items), 4), dim=1)

    monkeypatch.setattr(build, "project", stopped)
    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "index", cache, run, device="cpu")
    assert not (tmp_path / "index" / "index.json").exists()
    build_index(tmp_path / "index", cache, run, device="cpu")
    assert calls == [calls[0], calls[1], calls[2], calls[2], *calls[4:]]
    assert len(calls) == 6  # two films were not done again
    assert len(load_trained(run).content_hash) == 64
    other = pretrain(cache, tmp_path / "other", "--variant", "mono", "--max-steps", "1", "--val-fraction", "0.4")
    assert other.returncode == 0, other.stderr
    soundfile.write(tmp_path / "a.wav", np.zeros((48000, 2)), 48000)
    with pytest.raises(UserError, match="was built with another state"):
        search(index, str(tmp_path / "a.wav"), SearchConfig(model=str(tmp_path / "other"), device="cpu"))


def test_a_cache_that_has_changed_since_is_told(cache, run, tmp_path):
    """A film more, one fewer, one with another dub; moved films and other kinds of tracks are no change."""
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    build_index(tmp_path / "index", copy, run, device="cpu")
    films = sorted((copy / "movies").iterdir())

    def edit(folder, change):
        about = json.loads((folder / "movie.json").read_text())
        change(about)
        (folder / "movie.json").write_text(json.dumps(about))

    edit(films[0], lambda about: about.update(nospeech={PRIMARY: {"model": "made up"}}))
    edit(films[0], lambda about: about["tracks"][DUB].update(path="elsewhere.mkv"))
    asked = (tmp_path / "index", "film001@0:03", "--json")
    assert command(*asked).stderr == ""
    edit(films[2], lambda about: about["tracks"].pop(DUB))
    edit(films[3], lambda about: about["tracks"][DUB].update(valid_clips=[1, 6]))
    shutil.copytree(films[1], copy / "movies" / "new")
    edit(copy / "movies" / "new", lambda about: about.update(id="new"))
    shutil.rmtree(films[4])
    done = command(*asked)
    assert done.exit_code == 0
    said = (
        f"films of {copy} since the index was built: 1 more, 1 fewer, 2 changed; build it again to find what is there"
    )
    assert done.stderr.startswith(said)
    assert json.loads(done.stdout)["hits"]
    shutil.rmtree(copy)
    assert command(*asked).stderr == ""  # nothing to compare with; what was found has its place all the same


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("film001-00000009@0",), "did you mean film00"),
        (("film@0:00",), "may be film000"),
        (("film001@9:00",), "has no picture at 9:00; the index has en, fr, picture of it, up to 0:18"),
        (("film001@0:03", "--by", "sound", "--track", "de"), "has no sound de"),
        (("film001@0:03", "--among", "klingonish"), "klingonish"),
        (("film001@0:03", "--among", "de"), "no sound of the index is of track de"),
        (("film001@0:03", "--find", "sounds"), "did you mean sound?"),
        (
            ("film001@0:03", "--film", "film001-00000009"),
            "no film of the index has it in its title (did you mean film00",
        ),
        (("film001@0:03", "--film", "film001", "--other-films"), "is left to be found; widen --among, --film"),
        (("film001@0:03", "--track", "fr", "--by", "picture"), "--track fr is of a query by sound"),
        (("film001@0:03", "--among", "fr", "--find", "picture"), "--among fr is of sounds"),
        (("film001@0:03", "--lang", "fr"), "--lang fr is of --build"),
        (("--play-page", "x.html"), "--play-page x.html shows what is found"),
        (("film001@0:03", "--top", "0"), "--top is 0"),
        (("nothing.wav",), "is no file and no clip"),
        ((), "give a QUERY, or --build"),
        (("--build", "somewhere"), "--build needs a model"),
    ],
)
def test_mistakes_are_one_line(index, arguments, said):
    done = command(index.folder, *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_query_by_a_track_is_one_by_sound(index):
    asked, _ = search(index, "film001@7", SearchConfig(track=DUB, device="cpu"))
    assert (asked.row.kind, asked.row.track) == ("sound", DUB)


def test_a_track_is_met_by_its_macrolanguage(index, monkeypatch):
    monkeypatch.setattr(index, "tracks", ("en", "no", "no-nospeech"))
    assert [index.track_called(name) for name in ("nb", "nb-nospeech", "en", "sq")] == ["no", "no-nospeech", "en", "sq"]


def test_damaged_and_foreign_indices_are_named(index, cache, run, tmp_path):
    with pytest.raises(UserError, match="is no index"):
        Index(cache)
    with pytest.raises(UserError, match="holds other things"):
        build_index(cache, cache, run)
    for name in ("index.json", "vectors.npy", "rows.csv"):
        (tmp_path / name).write_bytes((index.folder / name).read_bytes())
    (tmp_path / "vectors.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(UserError, match="is damaged"):
        Index(tmp_path)
