"""A table of labels as a task: every kind of column, and every row that cannot be used."""

import json

import numpy as np
import pytest
import soundfile

from dubcli.cli.app import app
from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import find_task
from helpers.containers import Track, make_film
from probe.layouts import TONES, sound, text


def load(path):
    return load_task(find_task("table"), path)


def names(data, numbers):
    return sorted(data.clips[number].path.name for number in numbers)


def test_one_label_and_parts(tmp_path):
    table = text(tmp_path / "sets" / "birds.csv", "Path,species,label,split", "a/1.wav,x,wren,train",
                 "a/2.wav,x,tit,Training", "a/3.wav,x,wren,val", "/else/4.wav,x,tit,eval")  # fmt: skip
    data = load(table)
    assert (data.name, data.kind, data.metrics[0]) == ("table-sets-birds", "multiclass", "top1_acc")
    (split,) = data.splits
    parts = [names(data, part) for part in (split.train, split.valid, split.test)]
    assert parts == [["1.wav", "2.wav"], ["3.wav"], ["4.wav"]]
    assert {str(clip.path) for clip in data.clips} >= {str(tmp_path / "sets" / "a" / "1.wav"), "/else/4.wav"}
    assert data.classes == (("tit", "wren"),)
    assert data.official
    assert not data.notes


@pytest.mark.parametrize(
    ("suffix", "lines"),
    [
        (".csv", ["path,labels,fold", '1.wav,"dog, big;rain",0', "2.wav,rain,1", "3.wav,,2"]),
        (".csv", ["path;labels;fold", "1.wav;dog, big|rain;0", "2.wav;rain;1", "3.wav;;2"]),
        (".tsv", ["path\tlabels\tfold", "1.wav\tdog, big|rain\t0", "2.wav\train\t1", "3.wav\t\t2"]),
        (".jsonl", ['{"path": "1.wav", "labels": ["dog, big", "rain"], "fold": 0}',
                    '{"path": "2.wav", "labels": ["rain"], "fold": 1}', '{"path": "3.wav", "labels": [], "fold": 2}']),
    ],
)  # fmt: skip
def test_several_labels_and_folds_in_every_form(tmp_path, suffix, lines):
    data = load(text(tmp_path / f"t{suffix}", *lines))
    assert (data.kind, data.metrics[0], data.classes) == ("multilabel", "mAP", (("dog, big", "rain"),))
    assert [split.name for split in data.splits] == ["0", "1", "2"]
    labels = {clip.path.name: set(clip.labels) for clip in data.clips}
    assert labels == {"1.wav": {"dog, big", "rain"}, "2.wav": {"rain"}, "3.wav": set()}
    assert not data.notes


def test_labels_by_commas_and_rows_that_repeat_a_clip(tmp_path):
    data = load(text(tmp_path / "t.csv", "filename,labels", '1.wav,"a,b"', *(f"{i}.wav,a" for i in range(2, 12))))
    assert {clip.labels for clip in data.clips} == {("a", "b"), ("a",)}
    assert len(data.splits) == 5
    assert not data.official
    assert "5 seeded folds, since the table has neither split nor fold" in data.notes
    rows = ["1.wav,a,0", "1.wav,b,0", "2.wav,b,1", "2.wav,b,1", "3.wav,a,2", "3.wav,a,1"]
    data = load(text(tmp_path / "long.csv", "path,label,fold", *rows))
    assert (data.kind, len(data.clips)) == ("multilabel", 3)
    assert data.notes == (
        "1 of 6 rows cannot be used: line 7: 3.wav was in '2' before, now in '1'",
        "1 of 6 rows say again what is there already",
        "1 of 6 rows give a clip one more label: the task is multilabel",
    )


def test_folds_are_ordered_as_numbers(tmp_path):
    rows = [f"{i}.wav,{'ab'[i % 2]},{1 + i % 10}" for i in range(40)]
    data = load(text(tmp_path / "t.csv", "path,label,fold", *rows))
    assert [split.name for split in data.splits] == [str(fold) for fold in range(1, 11)]


def test_every_row_that_cannot_be_used_is_counted_and_named(tmp_path):
    good = [f"{i}.wav,{'ab'[i % 2]},{'train' if i < 8 else 'test'},," for i in range(12)]
    bad = [",a,train,,", "x.wav,,train,,", "y.wav,a,somewhere,,", "z.wav,a,test,soon,", "z.wav,a,test,0,-1",
           "z.wav,a,test,0,0", "z.wav,a,test,nan,1", "short.wav"]  # fmt: skip
    data = load(text(tmp_path / "t.csv", "path,label,split,start,duration", *good, *bad))
    assert len(data.clips) == 12
    (note,) = data.notes
    assert note == ("8 of 20 rows cannot be used: line 14: no path; line 15: x.wav has no label; "
                    "line 16: y.wav is in 'somewhere', which is none of train, valid, test; and 5 more")  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["pth,label,split", "1.wav,a,train"],
            r"has no column path \(its first line holds: pth, label, split\) \(did you",
        ),
        (
            ["path,lable", "1.wav,a"],
            r"no column label or labels \(its first line holds: path, lable\) \(did you mean lable",
        ),
        (["path,label,split,fold", "1.wav,a,train,1"], "has both split and fold; leave one out"),
        (["path,label,labels", "1.wav,a,a"], "has both label and labels"),
        (["path,file,label", "1.wav,1.wav,a"], "has path and file, which both mean path"),
        (["path,label,split", "1.wav,a,train"], "no usable row whose split is test"),
        (["path,label,fold", "1.wav,a,1", "2.wav,b,2"], r"there are 2 folds \(1, 2\); .*at least 3"),
        (["path,label"], "no usable row"),
        ([""], "no column path"),
    ],
)
def test_a_table_that_is_none_is_one_line_with_what_was_found(tmp_path, lines, said):
    with pytest.raises(UserError, match=said) as error:
        load(text(tmp_path / "t.csv", *lines))
    assert "\n" not in str(error.value)


def test_where_the_table_is(tmp_path):
    with pytest.raises(UserError, match="nowhere.csv is not there; give a table of labels"):
        load(tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match=r"is a folder; give the table of labels itself .*\(in it: none\)"):
        load(tmp_path)
    text(tmp_path / "t.csv", "path,label", *(f"{i}.wav,{'ab'[i % 2]}" for i in range(10)))
    assert len(load(tmp_path).clips) == 10
    with pytest.raises(UserError, match="say with --data where your clips are: table is clips of your own"):
        load(None)
    with pytest.raises(UserError, match=r"is no JSON object; give one a line"):
        load(text(tmp_path / "t.jsonl", "[1]"))


def test_parts_of_one_long_sound_to_a_score(tmp_path, capsys, monkeypatch):
    """Twelve seconds, a tone a second, in a container that libsndfile does not read and in one that it does."""
    monkeypatch.chdir(tmp_path)
    parts = [sound(tmp_path / f"{i}.wav", tone=TONES["ac"[i % 2]], seconds=1.0, seed=i) for i in range(12)]
    whole = np.concatenate([soundfile.read(part)[0] for part in parts])
    soundfile.write(tmp_path / "long.flac", whole, 16000)
    track = Track(codec="flac", layout="mono", sound=np.repeat(whole, 3)[None].astype(np.float32))
    make_film(tmp_path / "long.mka", seconds=12, video_codec=None, tracks=[track])
    for file in ("long.flac", "long.mka"):
        rows = [f"{file},{'ac'[i % 2]},{'train' if i < 8 else 'test'},{i},{1 if i < 11 else ''}" for i in range(12)]
        rows += [f"{file},a,test,90,1"]
        text(tmp_path / "labels.csv", "path,label,split,start,duration", *rows)
        with pytest.raises(SystemExit) as end:
            app(["probe", "table", "random", "--data", "labels.csv", "--preset", "tiny", "--protocol", "knn", "--json",
                 "--device", "cpu", "--allow-missing", "--out", file.replace(".", "-")])  # fmt: skip
        out, err = capsys.readouterr()
        assert not end.value.code, err
        (result,) = json.loads(out)["results"]
        assert result["mean"] == 1.0
        assert result["data"]["clips"] == 12
        note = result["data"]["notes"][0]
        assert note.startswith("1 of 13 clips of ")
        assert note.endswith(f"{file} (holds nothing from 90 s on)")
    cut = sorted((tmp_path / "long-flac" / "features").glob("*/segments/*.wav"))
    assert len(cut) == 12
    samples, rate = soundfile.read(cut[0])
    assert (rate, len(samples)) == (16000, 16000)
    np.testing.assert_allclose(samples, whole[:16000], atol=1e-4)


def test_a_multilabel_table_is_scored_by_map(tmp_path):
    rows = []
    for number in range(30):
        labels = [name for bit, name in enumerate(("low", "high")) if number >> bit & 1]
        tones = [TONES["ac"[("low", "high").index(label)]] for label in labels]
        time = np.arange(16000) / 16000
        noise = 0.02 * np.random.default_rng(number).standard_normal(16000)
        mixed = noise + sum((0.3 * np.sin(2 * np.pi * tone * time) for tone in tones), np.zeros(16000))
        soundfile.write(tmp_path / f"{number}.wav", mixed, 16000)
        rows.append(f"{number}.wav,{'|'.join(labels)},{number % 3}")
    text(tmp_path / "t.csv", "path,labels,fold", *rows)
    config = ProbeConfig(data=tmp_path / "t.csv", out=tmp_path / "r", preset="tiny", device="cpu")
    (result,) = probe("table", "random", config)
    assert (result.metric, result.protocol) == ("mAP", "logreg")
    assert len(result.content["scores"]) == 3
    assert 0.6 < result.mean <= 1


def test_videos_by_parts_are_refused_in_one_line(tmp_path):
    rows = [f"{i}.mp4,{'ab'[i % 2]},{i % 3},0,1" for i in range(6)]
    for number in range(6):
        text(tmp_path / f"{number}.mp4", "no film")
    config = ProbeConfig(data=text(tmp_path / "t.csv", "path,label,fold,start,duration", *rows), out=tmp_path,
                         preset="tiny", modalities=("video",))  # fmt: skip
    with pytest.raises(UserError, match=r"are parts of files \(start, duration\); cut videos into files first"):
        probe("table", "random", config)
