"""The corpus is what it promises: one background, other words, real containers, true labels, the same for a seed."""

import csv
import filecmp
import functools
import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dubcli.corpus import CorpusConfig, make_corpus
from dubcli.corpus.plan import EVENTS, MOODS, PLACES, lines, plan_film
from dubcli.corpus.probes import FACTORS
from dubcli.corpus.stage import _make_one, downmixed, mix, probe_split
from dubcli.corpus.voices import speak
from dubcli.errors import UserError
from dubcli.speech.speaker import Speaker
from helpers.corpora import SMALL


def labels(corpus):
    with open(corpus.folder / "labels.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_containers_are_those_of_films(corpus):
    with av.open(str(corpus.films / "film-001.mkv")) as container:
        (video,) = container.streams.video
        audio = container.streams.audio
        assert (video.codec_context.name, video.width, video.height) == ("h264", 160, 90)
        assert [stream.language for stream in audio] == ["eng", "spa", "fre", "jpn"]
        assert [stream.codec_context.name for stream in audio] == ["ac3", "ac3", "aac", "ac3"]
        assert [stream.codec_context.channels for stream in audio] == [6, 6, 2, 2]
        assert container.duration / av.time_base >= SMALL.clips * 3


def test_a_second_making_in_another_order_gives_the_same_bytes(corpus, tmp_path):
    job = functools.partial(_make_one, folder=tmp_path, config=SMALL)
    for item in ((1, True), (1, False)):
        job(item, lambda *_, **__: None)
    made = [
        path for path in tmp_path.rglob("*") if path.suffix in (".mkv", ".srt", ".wav") and ".sounds" not in str(path)
    ]
    assert {path.suffix for path in made} == {".mkv", ".srt", ".wav"}
    for path in made:
        assert filecmp.cmp(path, corpus.folder / path.relative_to(tmp_path), shallow=False), path.name


def test_versions_differ_in_the_centre_only(corpus):
    plan = plan_film(SMALL, 0)
    speaker = Speaker(folder=corpus.folder / ".speech")
    mixes = mix(plan, {language: speak(plan, language, speaker, 6.0) for language in ("en", "ja")})
    others = [0, 1, 3, 4, 5]
    assert np.array_equal(mixes["en"][others], mixes["ja"][others])
    assert not np.allclose(mixes["en"][2], mixes["ja"][2])
    assert max(float(np.abs(six).max()) for six in mixes.values()) <= 0.96
    assert downmixed(mixes["en"]).shape == (2, SMALL.clips * 3 * 48000)


def test_labels_are_those_of_the_plan_and_words_differ_by_language(corpus):
    rows = labels(corpus)
    assert len(rows) == (SMALL.films + SMALL.heldout) * SMALL.clips
    for row in rows:
        assert row["place"] in PLACES
        assert row["event"] in EVENTS
        assert row["mood"] in (*MOODS, "none")
        spoken = [text for text in row["words_en"].split(" / ") if text]
        assert len(spoken) == int(row["speakers"])
        assert (row["event_seconds"] == "") == (row["event"] == "none")
        if spoken:
            assert len({row[f"words_{language}"] for language in SMALL.languages}) == 4


def test_the_label_of_a_clip_can_be_heard(corpus):
    """As many voices sound in each clip as its label says, and events are where they say."""
    plan = plan_film(CorpusConfig(minutes=2.0), 3)
    from dubcli.corpus.sounds import background

    bed = background(plan)
    for scene in plan.scenes:
        for at in scene.event_seconds:
            first = round(at * 48000)
            assert np.abs(bed[0, first : first + 9600]).max() > 0.02, scene.event
    voices = speak(plan, "es", Speaker(folder=corpus.folder / ".speech"), 6.0)
    for clip in range(plan.n_clips):
        part = np.abs(voices[:, clip * 144000 : (clip + 1) * 144000]).max(axis=1)
        assert int((part > 0.01).sum()) == plan.scene_of(clip).speakers


def test_probe_sounds_are_arranged_by_factor_and_split_by_film(corpus):
    for factor in FACTORS:
        found = list((corpus.probes / factor).rglob("*.wav"))
        assert found, factor
        films = {part: {path.name[:11] for path in found if part in path.parts} for part in ("train", "test")}
        assert not films["train"] & films["test"]
    first = min((corpus.probes / "place").rglob("*.wav"))
    sound, rate = soundfile.read(first)
    assert (sound.shape, rate) == ((144000, 2), 48000)
    rows = {(row["film"], row["clip"]): row for row in labels(corpus)}
    for path in (corpus.probes / "event").rglob("*.wav"):
        film, clip = path.stem.rsplit("-", 2)[:2]
        assert rows[film, str(int(clip))]["event"] == path.parent.name


def test_of_six_heldout_films_two_test_and_one_validates():
    assert sorted(map(probe_split, range(6))) == ["test", "test", "train", "train", "train", "valid"]
    assert [probe_split(index) for index in range(2)] == ["test", "train"]
    assert probe_split(7) == probe_split(1)


def test_every_line_is_there_in_every_language():
    table = lines()
    assert len(table) >= 40
    for row in table:
        assert set(row) == {"en", "es", "fr", "ja", "de", "it"}
        assert all(text and text.strip() == text for text in row.values())


def test_what_is_made_is_kept_and_other_settings_are_refused(corpus):
    film = corpus.films / "film-001.mkv"
    before = film.stat().st_mtime_ns
    make_corpus(corpus.folder, SMALL)
    assert film.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="other settings"):
        make_corpus(corpus.folder, CorpusConfig(films=3))


@pytest.mark.parametrize(
    "wrong", [{"films": 0}, {"minutes": 0.01}, {"languages": ("en", "en")}, {"languages": ("xx",)}]
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(UserError, match=r"give|choose"):
        CorpusConfig(**wrong)


def test_the_picture_does_not_tell_the_seed_of_another_film():
    """More films can be added without changing the first ones."""
    assert plan_film(CorpusConfig(films=2), 1) == plan_film(CorpusConfig(films=40), 1)
    assert plan_film(CorpusConfig(), 1) != plan_film(CorpusConfig(seed=1), 1)
    assert plan_film(CorpusConfig(), 1).scenes != plan_film(CorpusConfig(), 1, heldout=True).scenes


def test_films_of_one_scene_leave_those_of_the_probes_as_they_are():
    config = CorpusConfig(minutes=0.75, one_scene=True)
    (scene,) = plan_film(config, 0).scenes
    assert (scene.first, scene.stop) == (0, 15)
    assert scene.event == "none" or len(scene.event_seconds) == 15
    plain = CorpusConfig(minutes=0.75)
    assert plan_film(config, 0, heldout=True) == plan_film(plain, 0, heldout=True)


def test_command(tmp_path, dubav):
    small = ["--films", 1, "--heldout", 0, "--minutes", 0.1]
    done = dubav("corpus", "c", *small, "--languages", "en,ja", "--seed", 3, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "next: dubav prep c/films --lang en,ja" in done.stdout
    assert Path(tmp_path / "c" / "films" / "film-001.mkv").is_file()
    about = json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert (about["languages"], about["seed"]) == (["en", "ja"], 3)
    assert dubav("corpus", "c", "--languages", "en,tlh").returncode == 2
