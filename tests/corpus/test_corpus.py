"""The corpus is what it promises: one background, other voices and words, real containers, true labels, one seed."""

import csv
import filecmp
import functools
import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dubcli.corpus import CorpusConfig, make_corpus
from dubcli.corpus.beds import Beds
from dubcli.corpus.pictures import Canvas, Colours, frames, mouth_openings, place_pattern
from dubcli.corpus.plan import CAST, EVENTS, MOODS, PLACES, VOICES, cast_of, plan_film, spoken_lines
from dubcli.corpus.probes import probe_split
from dubcli.corpus.recordings import read_48k, sound_folders
from dubcli.corpus.sounds import place_sound
from dubcli.corpus.stage import Materials, make_one
from dubcli.corpus.tracks import releases
from dubcli.corpus.truth import FACTORS
from dubcli.corpus.voices import actor, hiss, speak
from dubcli.errors import UserError
from helpers.corpora import SMALL

CLIP = 144000


def labels(corpus):
    with open(corpus.folder / "labels.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def materials(corpus):
    return Materials(SMALL, corpus.folder)


def test_containers_are_those_of_films(corpus, materials):
    wanted = releases(materials.plan(0, heldout=False), SMALL)
    with av.open(str(corpus.films / "film-001.mkv")) as container:
        (video,) = container.streams.video
        audio = container.streams.audio
        assert (video.codec_context.name, video.width, video.height) == ("h264", 120, 90)
        assert [stream.language for stream in audio] == ["eng", "spa", "fre", "jpn"]
        assert [stream.codec_context.name for stream in audio] == [how.codec for how in wanted.values()]
        assert audio[0].codec_context.channels == 6
        assert container.duration / av.time_base >= SMALL.clips * 3


def test_a_second_making_in_another_order_gives_the_same_bytes(corpus, tmp_path):
    job = functools.partial(make_one, folder=tmp_path, config=SMALL)
    (tmp_path / ".speech").symlink_to(corpus.folder / ".speech")
    for item in ((1, True), (1, False)):
        job(item, lambda *_, **__: None)
    made = [
        path for path in tmp_path.rglob("*") if path.suffix in (".mkv", ".srt", ".wav") and ".sounds" not in str(path)
    ]
    assert {path.suffix for path in made} == {".mkv", ".srt", ".wav"}
    for path in made:
        assert filecmp.cmp(path, corpus.folder / path.relative_to(tmp_path), shallow=False), path.name


def test_versions_differ_in_the_centre_only(materials):
    mixes, voices = materials.versions(materials.plan(0, heldout=False))
    others = [0, 1, 3, 4, 5]
    assert np.array_equal(mixes["en"][others], mixes["ja"][others])
    assert not np.allclose(mixes["en"][2], mixes["ja"][2])
    assert max(float(np.abs(six).max()) for six in mixes.values()) <= 0.96
    centre = mixes["en"][2]
    microphone = hiss(materials.plan(0, heldout=False), "en", SMALL)[0]
    assert np.corrcoef(centre, voices.sum(0) + microphone)[0, 1] > 0.999


def test_the_truth_has_a_row_for_every_clip_in_every_language(corpus, materials):
    rows = labels(corpus)
    assert len(rows) == (SMALL.films + SMALL.heldout) * SMALL.clips * 4
    assert {row["split"] for row in rows} == {"film", "test", "train"}
    for row in rows:
        heldout, number = row["film"].startswith("heldout"), int(row["film"][-3:]) - 1
        plan = materials.plan(number, heldout=heldout)
        clip = plan.clips[int(row["clip"])]
        cast = cast_of(plan, SMALL, row["language"])
        assert row["place"] == f"place{clip.place:02d}"
        assert row["event"] == f"event{clip.event:02d}"
        assert row["voice"] == f"voice{cast[clip.voices[0]]:02d}"
        assert (row["mood"], row["count"]) == (MOODS[clip.mood], str(len(clip.looks)))
        assert row["text"] == " / ".join(spoken_lines()[line][row["language"]] for line in clip.lines)
        assert 1 <= len(row["event_seconds"].split()) == int(row["events"]) <= 2


def test_factors_have_the_room_that_was_asked_for():
    """Sixteen places and voices; clips differ in all but the place, which a scene keeps."""
    config = CorpusConfig(minutes=1.0)
    clips = [clip for index in range(40) for clip in plan_film(config, index).clips]
    assert {clip.place for clip in clips} == set(range(PLACES))
    assert {clip.event for clip in clips} == set(range(EVENTS))
    assert {clip.voices[0] for clip in clips} == set(range(VOICES))
    assert min(PLACES, VOICES) >= 16
    assert {len(clip.event_seconds) for clip in clips} == {1, 2}
    film = plan_film(config, 3)
    assert len({look for clip in film.clips for look in clip.looks}) <= CAST
    scene = [clip for clip in film.clips if clip.scene == 0]
    assert len({clip.place for clip in scene}) == 1
    assert len({clip.event for clip in scene}) > 1


def test_dubs_are_by_other_actors_who_are_alike_and_the_same_throughout_a_film():
    film, any_of_all = plan_film(SMALL, 0), CorpusConfig(casting="any")
    for language in ("en", "es", "fr", "ja"):
        assert cast_of(film, SMALL, language) == {voice: voice for voice in range(VOICES)}
    actors = {(plan.name, language): actor(plan, language, 3)
              for plan in (film, plan_film(SMALL, 1)) for language in ("en", "es", "fr", "ja")}  # fmt: skip
    assert len(set(actors.values())) == len(actors)
    assert all(0.95 < faster < 1.05 for faster in actors.values())
    assert actor(film, "es", 3) == actors[film.name, "es"]
    assert cast_of(film, any_of_all, "es") != cast_of(film, any_of_all, "fr")
    assert cast_of(film, any_of_all, "es") != cast_of(plan_film(SMALL, 1), any_of_all, "es")
    anyone = cast_of(film, any_of_all, "es")
    assert all(other != voice for voice, other in anyone.items())
    assert any(other // 4 != voice // 4 for voice, other in anyone.items())


@pytest.mark.parametrize("link", [0.0, 0.5, 1.0])
def test_link_is_the_share_of_clips_in_which_the_person_seen_is_the_one_heard(link):
    config = CorpusConfig(link=link, minutes=2.0)
    clips = [clip for index in range(30) for clip in plan_film(config, index).clips]
    assert np.mean([clip.linked for clip in clips]) == pytest.approx(link, abs=0.06)
    for clip in clips:
        assert (clip.looks == clip.voices) == clip.linked
        assert clip.linked or not set(clip.looks) & set(clip.voices)


def test_mouths_follow_the_voice_that_is_seen_and_are_shut_in_other_clips(materials):
    plan = plan_film(CorpusConfig(link=0.5, minutes=0.2), 2)
    voices = speak(plan, "en", materials.lines, SMALL)
    rate, pictures = 8, plan.n_clips * 24
    mouths = mouth_openings(plan, voices, rate, pictures)
    linked = np.repeat([clip.linked for clip in plan.clips], 24)
    assert 0 < linked.sum() < pictures
    assert mouths[:, ~linked].max() == 0
    level = np.sqrt((voices.reshape(2, pictures, -1) ** 2).mean(2))[:, linked]
    assert np.corrcoef(mouths[:, linked].ravel(), level.ravel())[0, 1] > 0.8


def test_as_many_voices_are_heard_as_the_label_says(materials):
    counts = set()
    for index in (0, 1):
        plan = materials.plan(index, heldout=False)
        for language in ("en", "ja"):
            voices = np.abs(speak(plan, language, materials.lines, SMALL))
            for number, clip in enumerate(plan.clips):
                heard = voices[:, number * CLIP : (number + 1) * CLIP].max(axis=1) > 0.01
                assert heard.sum() == len(clip.looks), number
                counts.add(len(clip.looks))
    assert counts == {1, 2}


def test_events_are_heard_when_they_are_said_to_be(materials):
    plan = plan_film(CorpusConfig(minutes=1.0), 3)
    whole = Beds(None).background(plan)
    quiet = Beds(None)
    quiet._events = lambda *_: None
    events = whole - quiet.background(plan)
    for number, clip in enumerate(plan.clips):
        part = np.abs(events[:, number * CLIP : (number + 1) * CLIP]).max(axis=0)
        sounding = np.flatnonzero(part > 1e-3)
        assert sounding[0] / 48000 == pytest.approx(clip.event_seconds[0], abs=0.05)
        for at in clip.event_seconds:
            assert part[int(at * 48000) :][: int(0.3 * 48000)].max() > 0.05


def test_a_place_is_told_by_how_it_moves_and_not_by_its_average_spectrum():
    takes, edges = 6, (np.array([60, 250, 900, 3000, 7000, 14000]) * 3).astype(int)
    averages, rhythms = np.zeros((PLACES, takes, 5)), np.zeros((PLACES, takes, 2))
    for place in range(PLACES):
        for take in range(takes):
            spectrum = np.fft.rfft(place_sound(place, CLIP, np.random.default_rng([place, take]))[0])
            averages[place, take] = [np.log(np.mean(np.abs(spectrum[a:b]) ** 2)) for a, b in pairwise(edges)]
            for part, (low, high) in enumerate(((60, 900), (900, 14000))):
                band = np.zeros_like(spectrum)
                band[low * 3 : high * 3] = spectrum[low * 3 : high * 3]
                level = (np.fft.irfft(band).reshape(300, -1) ** 2).mean(axis=1)
                modulation = np.abs(np.fft.rfft(level - level.mean()))[3:40]
                rhythms[place, take, part] = np.log(3 + modulation.argmax())
    assert _nearest(averages) < 0.3
    assert _nearest(rhythms) > 0.6


def _nearest(features):
    """Share of takes nearest to the mean of their own class's other takes. features: (classes, takes, size)."""
    features = (features - features.mean((0, 1))) / features.std((0, 1))
    right = []
    for take in range(features.shape[1]):
        means = np.delete(features, take, axis=1).mean(axis=1)
        distances = np.linalg.norm(features[:, None, take] - means[None], axis=2)
        right.append(distances.argmin(axis=1) == np.arange(len(features)))
    return np.mean(right)


def test_the_picture_is_told_by_shape_and_not_by_colour():
    canvas = Canvas((120, 90))
    looks = [place_pattern(place, canvas, Colours(np.random.default_rng(0)), 0.0) for place in range(PLACES)]
    assert max(np.corrcoef([look.ravel() for look in looks])[~np.eye(PLACES, dtype=bool)]) < 0.95
    means, truth = [], {"place": [], "event": [], "look": []}
    for index in range(60):
        plan = plan_film(CorpusConfig(minutes=0.5), index)
        mouths = np.full((2, plan.n_clips * 12), 0.4, np.float32)
        pictures = np.stack(list(frames(plan, mouths, 4, (40, 30))))
        means.append(pictures.reshape(plan.n_clips, -1, 3).mean(axis=1))
        for clip in plan.clips:
            one = clip.looks[0] if len(clip.looks) == 1 else -1
            for factor, label in (("place", clip.place), ("event", clip.event), ("look", one)):
                truth[factor].append(label)
    colours = np.concatenate(means)
    for factor, labels in truth.items():
        assert _told_by(colours, np.array(labels)) < 0.3, factor


def _told_by(features, labels):
    """Share of the second half's rows nearest to the mean of their own class in the first half."""
    learnt, asked = (np.flatnonzero(labels >= 0)[part::2] for part in range(2))
    names = np.unique(labels[learnt])
    means = np.stack([features[learnt][labels[learnt] == name].mean(axis=0) for name in names])
    distances = np.linalg.norm((features[asked, None] - means[None]) / features.std(axis=0), axis=2)
    return (names[distances.argmin(axis=1)] == labels[asked]).mean()


def test_some_films_lack_a_dub_or_have_one_out_of_sync():
    config = CorpusConfig(broken=0.3)
    forms = [releases(plan_film(config, index), config) for index in range(200)]
    faulty = [any(how.missing or how.late_seconds for how in film.values()) for film in forms]
    assert np.mean(faulty) == pytest.approx(0.3, abs=0.1)
    assert not any(film["en"].missing or film["en"].late_seconds for film in forms)
    assert {(how.codec, how.layout) for film in forms for how in film.values()} >= {
        ("aac", "stereo"),
        ("ac3", "stereo"),
    }
    assert np.ptp([film["es"].gain_db for film in forms]) > 6
    assert not any(
        how.missing for film in [releases(plan_film(config, 0), config, whole=True)] for how in film.values()
    )


def test_controls(materials):
    plan = materials.plan(0, heldout=False)
    same = CorpusConfig(dubs="same")
    assert np.array_equal(*(speak(plan, language, materials.lines, same) for language in ("en", "fr")))
    assert cast_of(plan, same, "fr") == cast_of(plan, same, "en")
    silent = CorpusConfig(speech="silent", minutes=0.2)
    mixes, voices = Materials(silent, Path("unused")).versions(plan)
    assert not voices.any()
    assert np.array_equal(mixes["en"], mixes["ja"])
    other, bed = (Beds(None).background(plan, other=number) for number in (1, 0))
    assert abs(np.corrcoef(other[0], bed[0])[0, 1]) < 0.05


def test_probe_sounds_are_arranged_by_factor_and_split_by_film(corpus):
    rows = {(row["film"], row["clip"], row["language"]): row for row in labels(corpus)}
    for factor in FACTORS:
        found = list((corpus.probes / factor).rglob("*.wav"))
        assert found, factor
        films = {part: {path.name[:11] for path in found if part in path.parts} for part in ("train", "test")}
        assert not films["train"] & films["test"]
        for path in found:
            film, clip, language = path.stem[:11], str(int(path.stem[12:15])), path.stem[16:]
            assert rows[film, clip, language][factor] == path.parent.name
    sound, rate = soundfile.read(min((corpus.probes / "place").rglob("*.wav")))
    assert (sound.shape, rate) == ((CLIP, 2), 48000)
    assert {path.stem[16:] for path in (corpus.probes / "words").rglob("*.wav")} == {"en"}


def test_of_six_heldout_films_two_test_and_one_validates():
    assert sorted(map(probe_split, range(6))) == ["test", "test", "train", "train", "train", "valid"]
    assert [probe_split(index) for index in range(2)] == ["test", "train"]
    assert probe_split(7) == probe_split(1)


def test_every_line_is_there_in_every_language():
    table = spoken_lines()
    assert len(table) >= 40
    for row in table:
        assert set(row) == {"en", "es", "fr", "ja", "de", "it"}
        assert all(text and text.strip() == text for text in row.values())


def test_what_is_made_is_kept_more_is_added_and_other_settings_are_refused(corpus):
    film = corpus.films / "film-001.mkv"
    before = film.stat().st_mtime_ns
    make_corpus(corpus.folder, SMALL)
    assert film.stat().st_mtime_ns == before
    with pytest.raises(UserError, match="other settings"):
        make_corpus(corpus.folder, CorpusConfig(films=3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"films": 0}, {"minutes": 0.01}, {"languages": ("en", "en")}, {"languages": ("xx",)}, {"speech": "tss"},
        {"link": 1.5}, {"dubs": "others"}, {"engine": "a:b", "speech": "silent"},
    ],
)  # fmt: skip
def test_wrong_settings_are_named(wrong):
    with pytest.raises(UserError, match=r"give|choose|did you mean|there are|leave"):
        CorpusConfig(**wrong)


def test_a_film_does_not_depend_on_the_others_nor_on_the_languages_there_are():
    """More films can be added without changing the first ones, and a language without changing the others."""
    assert plan_film(CorpusConfig(films=2), 1) == plan_film(CorpusConfig(films=40), 1)
    assert plan_film(CorpusConfig(), 1) != plan_film(CorpusConfig(seed=1), 1)
    assert plan_film(CorpusConfig(), 1).clips != plan_film(CorpusConfig(), 1, heldout=True).clips
    film, few = plan_film(CorpusConfig(), 1), CorpusConfig(languages=("en", "fr"))
    assert cast_of(film, few, "fr") == cast_of(film, CorpusConfig(), "fr")


def write_sounds(folder, classes, seconds, hertz):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * (hertz + 200 * number) * np.arange(int(seconds * 16000)) / 16000)
        soundfile.write(folder / name / "one.wav", tone, 16000)


def test_beds_are_the_users_own_recordings(tmp_path):
    write_sounds(tmp_path / "places", ("kitchen", "street", "yard"), 2.0, 300)
    write_sounds(tmp_path / "events", ("bell", "door"), 1.0, 2000)
    config = CorpusConfig(beds=str(tmp_path), speech="silent", minutes=0.2)
    made = Materials(config, tmp_path)
    plan = made.plan(0, heldout=False)
    assert {clip.place for clip in plan.clips} <= {0, 1, 2}
    spectrum = np.abs(np.fft.rfft(made.beds.background(plan)[0, :CLIP]))
    place, event = 300 + 200 * plan.clips[0].place, 2000 + 200 * plan.clips[0].event
    loudest = {round(f / 3, -1) for f in np.argsort(spectrum)[-200:]}
    assert {place, event} <= loudest
    with pytest.raises(UserError, match="folders with sounds"):
        Beds(tmp_path / "none")


def test_beds_may_be_in_any_container_of_sound(tmp_path):
    write_sounds(tmp_path, ("bell",), 1.0, 2000)
    (tmp_path / "bell" / "._one.wav").write_bytes(b"Mac OS X")
    soundfile.write(tmp_path / "bell" / "two.w64", np.full((16000, 2), 0.1), 16000)
    write_sounds(tmp_path, ("door",), 1.0, 2000)
    assert [[file.name for file in files] for files in sound_folders(tmp_path, 4)] == [
        ["one.wav", "two.w64"],
        ["one.wav"],
    ]
    for name in ("one.wav", "two.w64"):
        assert abs(len(read_48k(tmp_path / "bell" / name)) - 48000) < 4800
    (tmp_path / "bell" / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"bad.wav: "):
        read_48k(tmp_path / "bell" / "bad.wav")


def test_prompts_of_human_speakers_are_spoken_where_every_language_has_them(tmp_path):
    for voice in ("en_US_f_A", "es_MX_f_B"):
        write_sounds(tmp_path, (voice,), 1.0, 200)
        for name, seconds in (("hello", 1.0), ("please-wait", 1.5), ("long", 9.0)):
            soundfile.write(tmp_path / voice / f"{name}.wav", 0.1 * np.ones(int(8000 * seconds)), 8000)
    soundfile.write(tmp_path / "en_US_f_A" / "only-english.wav", np.ones(8000) * 0.1, 8000)
    config = CorpusConfig(speech="asterisk", speech_folder=str(tmp_path), languages=("en", "es"), minutes=0.2)
    made = Materials(config, tmp_path)
    assert made.lines.names == ["hello", "one", "please-wait"]
    mixes, _ = made.versions(made.plan(0, heldout=False))
    assert np.abs(mixes["es"][2]).max() > 0.01
    with pytest.raises(UserError, match="asterisk-core-sounds-fr-wav"):
        Materials(CorpusConfig(speech="asterisk", speech_folder=str(tmp_path), languages=("en", "fr")), tmp_path)


def test_command(tmp_path, dubav):
    small = ["--films", 1, "--heldout", 1, "--heldout-as", "films", "--minutes", 0.1, "--speech", "silent"]
    small += ["--workers", 1]
    done = dubav("corpus", "c", *small, "--languages", "en,ja", "--seed", 3, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "next: dubav prep c/films --lang en,ja" in done.stdout
    assert Path(tmp_path / "c" / "films" / "film-001.mkv").is_file()
    assert Path(tmp_path / "c" / "heldout" / "heldout-001.mkv").is_file()
    about = json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert (about["languages"], about["seed"], about["speech"]) == (["en", "ja"], 3, "silent")
    with pytest.raises(UserError, match="tlh"):
        CorpusConfig(languages=("en", "tlh"))
