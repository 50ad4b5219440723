"""Each dataset's published layout, made small here."""

import pytest

from dubcli.errors import UserError
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import TASKS, find_task
from probe.layouts import esc50, sound, text, touch


def names(data, numbers):
    return sorted(data.clips[number].path.name for number in numbers)


def test_esc50_folds_are_tested_in_turn_and_the_next_one_validates(tmp_path):
    data = load_task(find_task("esc50"), esc50(tmp_path / "ESC-50-master"))
    assert data.official
    assert [split.name for split in data.splits] == [f"fold0{i}" for i in range(5)]
    for number, split in enumerate(data.splits):
        folds = [{data.clips[i].path.name[0] for i in part} for part in (split.test, split.valid, split.train)]
        assert folds[0] == {str(number + 1)}
        assert folds[1] == {str((number + 1) % 5 + 1)}
        assert len(folds[2]) == 3
        assert not folds[2] & (folds[0] | folds[1])
    assert data.classes == (("dog", "rain"),)


def test_the_folder_around_the_dataset_is_taken_too(tmp_path):
    esc50(tmp_path / "downloads" / "ESC-50-master")
    assert len(load_task(find_task("esc50"), tmp_path / "downloads").clips) == 20


def test_fsd50k_has_several_labels_and_leaves_out_the_overlong(tmp_path):
    truth = tmp_path / "FSD50K.ground_truth"
    text(truth / "dev.csv", "fname,labels,mids,split", '1,"Guitar,Music",m,train', "2,Bark,m,val", "83299,Bark,m,train")
    text(truth / "eval.csv", "fname,labels,mids", "3,Bark,m")
    text(truth / "vocabulary.csv", "0,Bark,m", "1,Guitar,m", "2,Music,m")
    for part, clip in (("dev", 1), ("dev", 2), ("dev", 83299), ("eval", 3)):
        touch(tmp_path / f"FSD50K.{part}_audio" / f"{clip}.wav")
    data = load_task(find_task("FSD50K"), tmp_path)
    assert data.kind == "multilabel"
    assert data.metrics[0] == "mAP"
    (split,) = data.splits
    assert [names(data, part) for part in (split.train, split.valid, split.test)] == [["1.wav"], ["2.wav"], ["3.wav"]]
    assert {label for clip in data.clips for label in clip.labels} == {"Guitar", "Music", "Bark"}
    text(truth / "vocabulary.csv", "0,Bark,m")
    with pytest.raises(UserError, match="'Guitar' of .*1.wav is not in the vocabulary"):
        load_task(find_task("fsd50k"), tmp_path)


def test_tut18_reads_the_published_fold_without_validation(tmp_path):
    home = tmp_path / "TUT-urban-acoustic-scenes-2018-development"
    rows = [f"audio/{scene}-{i}-a.wav\t{scene}\t{i}\ta" for i, scene in enumerate(("airport", "bus", "bus"), 1)]
    text(home / "meta.csv", "filename\tscene_label\tidentifier\tsource_label", *rows)
    text(home / "evaluation_setup" / "fold1_train.txt", "audio/airport-1-a.wav\tairport", "audio/bus-2-a.wav\tbus")
    text(home / "evaluation_setup" / "fold1_test.txt", "audio/bus-3-a.wav")
    (home / "audio").mkdir()
    data = load_task(find_task("tut18"), tmp_path)
    (split,) = data.splits
    assert names(data, split.train) == ["airport-1-a.wav", "bus-2-a.wav"]
    assert names(data, split.test) == ["bus-3-a.wav"]
    assert split.valid == ()
    assert data.clips[split.test[0]].labels == ("bus",)


def test_vocal_imitation_takes_the_included_and_labels_by_reference(tmp_path):
    rows = ["\timitation_id\timitation_filename\treference_filename\tincluded"]
    rows += [f"{i}\t{i}\tcat-{i}.wav\tcat_reference.wav\tTrue" for i in range(6)]
    rows += ["6\t6\tcat-6.wav\tcat_reference.wav\tFalse", "7\t7\tdog-7.wav\tdog, big_reference.wav\tTrue"]
    text(tmp_path / "vocal_imitations.txt", *rows)
    (tmp_path / "vocal_imitations" / "included").mkdir(parents=True)
    data = load_task(find_task("vocal imitation"), tmp_path)
    assert data.kind == "multiclass"
    assert data.classes == (("cat_reference.wav", "dog, big_reference.wav"),)
    assert len(data.clips) == 7
    assert len(data.splits) == 3
    assert "not HEAR's" in " ".join(data.notes)


def test_vggsound_finds_clips_anywhere_and_may_lack_some(tmp_path):
    text(tmp_path / "vggsound.csv", '---g-f_I2yQ,1,"people, marching",test', "--0PQM4-hqg,30,waterfall,train",
         "gone_gone_g,5,waterfall,train")  # fmt: skip
    touch(tmp_path / "clips" / "a" / "---g-f_I2yQ_000001.mp4")
    touch(tmp_path / "clips" / "b" / "--0PQM4-hqg_000030.mp4")
    data = load_task(find_task("vggsound"), tmp_path)
    (split,) = data.splits
    assert data.may_lack_files
    assert sum(clip.path.exists() for clip in data.clips) == 2
    assert names(data, split.test) == ["---g-f_I2yQ_000001.mp4"]
    assert data.classes == (("people, marching", "waterfall"),)
    text(tmp_path / "vggsound.csv", "no,table")
    with pytest.raises(UserError, match="a row is id,start,label,split"):
        load_task(find_task("vggsound"), tmp_path)


def test_cremad_labels_are_in_the_names(tmp_path):
    for actor in range(1001, 1011):
        for emotion in ("ANG", "SAD"):
            touch(tmp_path / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav")
    data = load_task(find_task("crema-d"), tmp_path)
    assert data.classes == (("ANG", "SAD"),)
    assert all(len(split.test) == 4 for split in data.splits)
    for split in data.splits:
        assert {data.clips[i].labels[0] for i in split.test} == {"ANG", "SAD"}


@pytest.mark.parametrize("suffix", ["_wav", ""])
def test_gtzan_music_speech(tmp_path, suffix):
    for label in ("music", "speech"):
        for number in range(10):
            touch(tmp_path / "music_speech" / f"{label}{suffix}" / f"{label}{number}.wav")
    data = load_task(find_task("gtzan"), tmp_path)
    assert data.classes == (("music", "speech"),)
    assert [len(split.test) for split in data.splits] == [2] * 10


def test_libricount_sorts_classes_by_number(tmp_path):
    for count in range(11):
        for take in range(3):
            touch(tmp_path / "test" / f"{count}_{take}abc.wav")
            touch(tmp_path / "test" / f"{count}_{take}abc.json")
    data = load_task(find_task("libricount"), tmp_path)
    assert data.classes == (tuple(str(count) for count in range(11)),)


def test_fluent_has_three_outputs(tmp_path):
    header = ",path,speakerId,transcription,action,object,location"
    for part, row in (("train", "0,wavs/speakers/x/1.wav,x,Turn on the lights,activate,lights,none"),
                      ("valid", "0,wavs/speakers/y/2.wav,y,Louder,increase,volume,none"),
                      ("test", "0,wavs/speakers/z/3.wav,z,Lights,activate,lights,none")):  # fmt: skip
        text(tmp_path / "data" / f"{part}_data.csv", header, row)
    (tmp_path / "wavs").mkdir()
    data = load_task(find_task("fluent"), tmp_path)
    assert data.kind == "multioutput"
    assert data.classes == (("activate", "increase"), ("lights", "volume"), ("none",))
    (split,) = data.splits
    assert data.clips[split.valid[0]].labels == ("increase", "volume", "none")


def speech_commands(root):
    home = root / "speech_commands_v0.02"
    for word in ("yes", "no", "cat"):
        for speaker in range(5):
            touch(home / word / f"{speaker}_nohash_0.wav")
    text(home / "validation_list.txt", "yes/1_nohash_0.wav", "cat/1_nohash_0.wav")
    text(home / "testing_list.txt", "no/2_nohash_0.wav")
    sound(home / "_background_noise_" / "running_tap.wav", seconds=2.2)
    sound(home / "_background_noise_" / "doing_the_dishes.wav", seconds=3.0)
    return home


def test_speech_commands_without_the_test_set_has_all_words(tmp_path):
    data = load_task(find_task("speechcommands-full"), speech_commands(tmp_path))
    (split,) = data.splits
    assert data.classes == (("cat", "no", "yes"),)
    assert (len(split.train), len(split.valid), len(split.test)) == (12, 2, 1)
    assert "test set is not there" in data.notes[0]


def test_speech_commands_with_the_test_set_has_hears_classes_and_silence(tmp_path):
    home = speech_commands(tmp_path)
    for label in ("yes", "_unknown_", "_silence_"):
        touch(tmp_path / "speech_commands_test_set_v0.02" / label / "t.wav")
    data = load_task(find_task("speechcommands"), home)
    (split,) = data.splits
    assert data.classes == (("_silence_", "_unknown_", "no", "yes"),)
    assert len(split.test) == 3
    # one second every half second while a whole one is left: 0, 0.5, 1.0 of 2.2 s and 0, 0.5, 1.0, 1.5 of 3 s
    silence = [clip for clip in data.clips if clip.labels == ("_silence_",) and clip.seconds]
    assert sorted((clip.path.stem, clip.start_seconds) for clip in silence) == [
        ("doing_the_dishes", 0.0), ("doing_the_dishes", 0.5), ("doing_the_dishes", 1.0), ("doing_the_dishes", 1.5),
        ("running_tap", 0.0), ("running_tap", 0.5), ("running_tap", 1.0)]  # fmt: skip
    valid = {data.clips[i].path.stem for i in split.valid if data.clips[i].seconds}
    assert valid == {"running_tap"}
    # a word of testing_list.txt is in no part
    assert not any(clip.path.name.startswith("2_") and clip.labels == ("no",) for clip in data.clips)


def test_speech_commands_5h_keeps_at_most_5_hours(tmp_path, monkeypatch):
    from dubcli.probe.tasks import speechcommands

    monkeypatch.setattr(speechcommands, "FIVE_HOURS_CLIPS", {"train": 7, "valid": 1})
    data = load_task(find_task("speechcommands-5h"), speech_commands(tmp_path))
    (split,) = data.splits
    assert (len(split.train), len(split.valid), len(split.test)) == (7, 1, 1)
    assert not data.official


def test_voxforge_speakers_are_in_one_part_only(tmp_path):
    for language in ("en", "fr"):
        for speaker in range(20):
            for session in ("20080101-abc", "20090202-def"):
                touch(tmp_path / language / f"speaker{speaker}-{session}" / "wav" / "1.wav")
        touch(tmp_path / language / "anonymous-20080101-xyz" / "wav" / "1.wav")
    data = load_task(find_task("voxforge"), tmp_path)
    (split,) = data.splits
    sets = [{(data.clips[i].labels[0], data.clips[i].path.parents[1].name.split("-")[0]) for i in part}
            for part in (split.train, split.valid, split.test)]  # fmt: skip
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]
    assert all({language for language, _ in speakers} == {"en", "fr"} for speakers in sets)
    assert len(split.train) >= 60


def test_voxlingua_takes_the_ten_most_frequent(tmp_path):
    for number, language in enumerate(["ar", "az", "da", "et", "fa", "fi", "fr", "hy", "ja", "lv", "mk", "nl"]):
        for clip in range(5 if number < 11 else 9):
            touch(tmp_path / "dev" / language / f"{language}{clip}.wav")
    data = load_task(find_task("voxlingua10"), tmp_path)
    assert data.classes == (("ar", "az", "da", "et", "fa", "fi", "fr", "hy", "ja", "nl"),)


def test_hmdb51_has_three_splits_and_unused_clips(tmp_path):
    for split in (1, 2, 3):
        for action in ("brush_hair", "wave"):
            marks = [(1, 2, 0), (2, 1, 1), (1, 1, 2)]
            text(tmp_path / "testTrainMulti_7030_splits" / f"{action}_test_split{split}.txt",
                 *(f"{action} clip [{i}].avi {marks[i][split - 1]} " for i in range(3)))  # fmt: skip
            for number in range(3):
                touch(tmp_path / "hmdb51_org" / action / f"{action} clip [{number}].avi")
    data = load_task(find_task("hmdb51"), tmp_path)
    assert [split.name for split in data.splits] == ["split1", "split2", "split3"]
    assert all(clip.path.exists() for clip in data.clips)
    third = data.splits[2]
    assert names(data, third.test) == ["brush_hair clip [2].avi", "wave clip [2].avi"]
    assert names(data, third.train) == ["brush_hair clip [1].avi", "wave clip [1].avi"]
    text(tmp_path / "testTrainMulti_7030_splits" / "wave_test_split1.txt", "wave.avi 7")
    with pytest.raises(UserError, match="0, 1 or 2"):
        load_task(find_task("hmdb51"), tmp_path)


def test_ucf101_reads_its_lists(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    text(lists / "classInd.txt", "1 Archery", "2 Biking")
    for split in (1, 2, 3):
        text(lists / f"trainlist0{split}.txt", "Archery/v_Archery_g08_c01.avi 1", "Biking/v_Biking_g08_c01.avi 2")
        text(lists / f"testlist0{split}.txt", "Archery/v_Archery_g01_c01.avi", "Biking/v_Biking_g01_c01.avi")
    for action in ("Archery", "Biking"):
        for group in ("g01", "g08"):
            touch(tmp_path / "UCF-101" / action / f"v_{action}_{group}_c01.avi")
    data = load_task(find_task("ucf101"), tmp_path)
    assert data.classes == (("Archery", "Biking"),)
    assert names(data, data.splits[0].test) == ["v_Archery_g01_c01.avi", "v_Biking_g01_c01.avi"]
    assert all(clip.path.exists() for clip in data.clips)


def test_tfds_sets_as_hear_unpacks_them(tmp_path):
    for part in ("train", "test"):
        rows = [f"crema-{part}-{i}.wav,{'ANG' if i % 2 else 'HAP'}" for i in range(6)]
        text(tmp_path / part / f"{part}_labels.csv", "filename,label", *rows)
        for i in range(6):
            touch(tmp_path / part / "audio" / f"crema-{part}-{i}.wav")
    data = load_task(find_task("cremad"), tmp_path)
    assert len(data.clips) == 12
    assert data.classes == (("ANG", "HAP"),)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_says_where_to_get_it(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUBAV_DATA", raising=False)
    with pytest.raises(UserError, match=f"looked at .*data/{task}.*get it from http"):
        load_task(TASKS[task], None)


def test_what_a_layout_lacks_is_named(tmp_path):
    esc50(tmp_path)
    (tmp_path / "meta" / "esc50.csv").unlink()
    with pytest.raises(UserError, match=r"lacks meta/esc50.csv of ESC-50's layout"):
        load_task(find_task("esc50"), tmp_path)


def test_a_table_without_its_column_is_named(tmp_path):
    esc50(tmp_path)
    text(tmp_path / "meta" / "esc50.csv", "filename,target", "a.wav,1")
    with pytest.raises(UserError, match="esc50.csv has no column fold, category"):
        load_task(find_task("esc50"), tmp_path)


def test_a_quote_too_many_in_a_header_is_still_one_line(tmp_path):
    esc50(tmp_path)
    table = tmp_path / "meta" / "esc50.csv"
    table.write_text('"' + table.read_text())
    with pytest.raises(UserError, match="has no column filename") as refused:
        load_task(find_task("esc50"), tmp_path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
