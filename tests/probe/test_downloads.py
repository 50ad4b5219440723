"""Data sets as real downloads look: other names, suffixes, cases, depths and copies; tables that were saved again."""

import os
import random
import shutil
from pathlib import Path

import pytest

from dubcli.errors import UserError
from dubcli.probe.checks import check_parts, without_missing
from dubcli.probe.tasks.find import load_task, places_under
from dubcli.probe.tasks.registry import TASKS, find_task
from probe import miniatures
from probe.layouts import sound, text, touch

SUFFIXES = (".wav", ".avi", ".mp4")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A miniature of each task, made once; tests change copies."""
    root = tmp_path_factory.mktemp("originals")
    return {task: miniatures.make(task, root / task) for task in miniatures.TASKS}


@pytest.fixture
def copy(originals, tmp_path):
    """task -> a copy of its miniature to change."""

    def copied(task):
        return Path(shutil.copytree(originals[task], tmp_path / "copy"))

    return copied


def described(data):
    """Labels and parts of clips, by their names without suffixes and whatever folder they are in."""
    part_of = {
        (split.name, number): part
        for split in data.splits
        for part, numbers in (("train", split.train), ("valid", split.valid), ("test", split.test))
        for number in numbers
    }
    return sorted(
        (clip.path.stem.lower(), clip.labels, clip.start_seconds, [part_of.get((split.name, number))
                                                                   for split in data.splits])
        for number, clip in enumerate(data.clips)
    )  # fmt: skip


def media(folder):
    return [path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.name[0] != "."]


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_the_order_of_folders_changes_nothing(task, copy, monkeypatch):
    data = load_task(TASKS[task], copy(task))
    assert all(clip.path.is_file() for clip in data.clips) or data.may_lack_files
    scandir, listdir = os.scandir, os.listdir

    class Shuffled:
        """What os.scandir gives, in another order."""

        def __init__(self, folder="."):
            with scandir(folder) as entries:
                self.entries = list(entries)
            random.Random(7).shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

        def __iter__(self):
            return iter(self.entries)

    monkeypatch.setattr(os, "scandir", Shuffled)
    monkeypatch.setattr(os, "listdir", lambda folder=".": sorted(listdir(folder), reverse=True))
    assert load_task(TASKS[task], data.folder) == data


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_upper_case_suffixes_and_what_macos_leaves(task, originals, copy):
    root = copy(task)
    for path in media(root):
        path.with_name(f"._{path.name}").write_bytes(miniatures.APPLE_DOUBLE)
        path.rename(path.with_suffix(path.suffix.upper()))
    data = load_task(TASKS[task], root)
    assert described(data) == described(load_task(TASKS[task], originals[task]))


@pytest.mark.parametrize("task", [task for task in miniatures.TASKS if TASKS[task].modalities == ("audio",)])
def test_sounds_saved_as_flac_beside_the_published_or_instead(task, originals, copy):
    root = copy(task)
    expected = described(load_task(TASKS[task], root))
    for path in media(root):
        shutil.copy(path, path.with_suffix(".flac"))
    assert described(load_task(TASKS[task], root)) == expected
    for path in media(root):
        if path.parent.name != "_background_noise_":  # what is silence is read from the noises themselves
            path.unlink()
    assert described(load_task(TASKS[task], root)) == expected


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_folders_within_folders_with_spaces(task, originals, tmp_path):
    """What an archive leaves that is unpacked into a folder of its name."""
    root = tmp_path / "my data sets" / "down loads" / "set (1)"
    shutil.copytree(originals[task], root)
    data = load_task(TASKS[task], tmp_path / "my data sets")
    assert described(data) == described(load_task(TASKS[task], originals[task]))


@pytest.mark.parametrize("together", [False, True])
def test_all_tasks_are_told_apart_in_one_folder(together, originals, tmp_path):
    """Each in a folder of a name that says nothing; or all archives unpacked beside each other."""
    for number, task in enumerate(originals):
        place = tmp_path if together else tmp_path / f"set {7 * number % 15:02}"
        shutil.copytree(originals[task], place, dirs_exist_ok=True)
    for task in originals:
        places = places_under(TASKS[task], tmp_path)
        assert together or len({str(described(load_task(TASKS[task], place))) for place in places}) == 1
        assert described(load_task(TASKS[task], places[0])) == described(load_task(TASKS[task], originals[task]))


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_tables_with_windows_line_ends_and_marks(task, originals, copy):
    root = copy(task)
    for path in root.rglob("*"):
        if path.suffix in (".csv", ".txt"):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    data = load_task(TASKS[task], root)
    assert described(data) == described(load_task(TASKS[task], originals[task]))


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_empty_files_and_pointers_of_git_lfs_are_counted_and_said(task, copy):
    root = copy(task)
    clips = sorted({clip.path for clip in load_task(TASKS[task], root).clips if clip.path.is_file() and clip.whole})
    clips[0].write_bytes(b"")
    clips[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 88278\n")
    data = load_task(TASKS[task], root)
    assert f"{clips[0].name} (empty)" in without_missing(data, allow=True).notes[-1]
    if not data.may_lack_files:
        with pytest.raises(
            UserError, match=rf"2 of {len(data.clips)} clips of {task} are missing or empty: .*git lfs pu"
        ):
            without_missing(data, allow=False)


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_a_refusal_counts_what_it_saw_and_says_what_it_wants(task, tmp_path):
    for number in range(3):
        touch(tmp_path / "some" / "where" / f"clip {number}.mov")
    touch(tmp_path / "archive.tar.gz")
    with pytest.raises(UserError) as refused:
        load_task(TASKS[task], tmp_path)
    said = str(refused.value)
    assert "\n" not in said
    assert (
        "it holds 3 .mov (such as some/where/clip 0.mov), 1 .gz (such as archive.tar.gz); unpack its archives" in said
    )
    assert all(layout in said for layout in TASKS[task].layouts)
    assert f"lacks {TASKS[task].readers[0].requires[0]}" in said
    assert "get it from http" in said


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_without_its_sounds_a_data_set_is_refused_with_what_is_there(task, copy):
    root = copy(task)
    for path in media(root):
        if path.parent.name != "_background_noise_":
            path.unlink()
    with pytest.raises(UserError, match=r"(it holds|: it holds|lacks) ") as refused:
        check_parts(without_missing(load_task(TASKS[task], root), allow=True))
    assert "\n" not in str(refused.value)


CELLS = {
    "esc50": ("ESC-50-master/meta/esc50.csv", ",dog,", ",NaN,", "line 2 has no category ('NaN')"),
    "fsd50k": ("FSD50K.ground_truth/dev.csv", '"Bark"', "nan", "line 2 has no labels ('nan')"),
    "tut18": (
        "TUT-urban-acoustic-scenes-2018-development/meta.csv",
        "\tairport\t",
        "\t\t",
        "line 2 has no scene_label",
    ),
    "vocalimitation": (
        "VocalImitationSet/vocal_imitations.txt",
        "_reference.wav\tTrue",
        "_reference.wav\t",
        "no includ",
    ),
    "vggsound": ("vggsound.csv", "dog barking", "NaN", "a row is id,start,label,split"),
    "fluent-speech-commands": ("fluent_speech_commands_dataset/data/train_data.csv", "activate", "", "no action ('')"),
}


@pytest.mark.parametrize("task", CELLS)
def test_a_table_with_nothing_or_nan_in_a_cell_is_refused(task, copy):
    root = copy(task)
    table, before, after, message = CELLS[task]
    path = root / table
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(UserError) as refused:
        load_task(TASKS[task], root)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_numbers_as_libraries_save_them(copy):
    path = copy("esc50") / "ESC-50-master" / "meta" / "esc50.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    text(path, *(";".join([row[0], row[1] if row[1] == "fold" else f"{row[1]}.0", *row[2:]]) for row in rows))
    assert load_task(find_task("esc50"), path.parents[1]).splits[0].name == "fold00"
    text(path, "filename,fold,category", "1-100000-A-0.wav,first,dog")
    with pytest.raises(UserError, match="fold 'first', which is no whole number"):
        load_task(find_task("esc50"), path.parents[1])


@pytest.mark.parametrize(
    ("task", "table", "line"),
    [("esc50", "ESC-50-master/meta/esc50.csv", "1-100000-A-0.wav,2,0,dog,True,1,A"),
     ("fsd50k", "FSD50K.ground_truth/eval.csv", "64772,Music,m"),
     ("tut18", "TUT-urban-acoustic-scenes-2018-development/evaluation_setup/fold1_evaluate.txt",
      "audio/airport-barcelona-0-0-a.wav\tairport"),
     ("ucf101", "UCF101TrainTestSplits-RecognitionTask/ucfTrainTestlist/testlist01.txt",
      "Archery/v_Archery_g02_c01.avi"),
     ("hmdb51", "testTrainMulti_7030_splits/brush_hair_test_split1.txt",
      "#1_(HQ)_A;B_&_C!_brush_hair_u_nm_np1_fr_goo_1.avi 1"),
     ("speechcommands-full", "speech_commands_v0.02/testing_list.txt", "yes/00000004_nohash_0.wav"),
     ("vggsound", "vggsound.csv", "-bcd_fghi0-,0,rain,train")],
)  # fmt: skip
def test_a_clip_in_two_parts_or_of_two_labels_is_refused(task, table, line, copy):
    root = copy(task)
    with open(root / table, "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match="twice|already|in one list"):
        load_task(TASKS[task], root)


PATTERNS = ("{id}_{s:06d}.mp4", "{id}_{s}.MP4", "{id}_{s}_{e}.mkv", "{id}_{s:06d}_{e:06d}.mp4", "{id}_{ms}_{me}.mp4",
            "{id}_{ms:06d}_{me:06d}.WEBM", "{id}_{s}.0_{e}.0.avi", "{id}.webm",
            "{id}-{s}-{e}.mp4", "{id}-{s}.mp4", "{id}_{s}-{e}.mp4", "{id}-{ms}-{me}.mkv")  # fmt: skip
IDS = ("---g-f_I2yQ", "_5fPTvBvLqo", "00a2VKyjlmQ", "abcdefgh_12", "a_1_20_abc_", "-_tB4nZ1aBc", "x_30000_400")


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("audio", ["aa", "zz/video"])
def test_vggsounds_names_with_any_ids_and_extracted_sounds_in_any_folder(pattern, audio, tmp_path):
    rows = []
    for number, video in enumerate(IDS):
        start = 30 * number
        name = pattern.format(id=video, s=start, e=start + 10, ms=1000 * start, me=1000 * (start + 10))
        touch(tmp_path / "clips" / name)
        touch((tmp_path / audio / name).with_suffix(".wav"))
        rows.append(f"{video},{start},label {number % 2},{'test' if number % 3 else 'train'}")
    text(tmp_path / "data" / "VGGSound.csv", "youtube id,start seconds,label,train/test split", *rows)
    data = load_task(find_task("vggsound"), tmp_path)
    assert {clip.path.parent.name for clip in data.clips} == {"clips"}
    for clip in data.clips:
        number = next(index for index, video in enumerate(IDS) if clip.path.name.startswith(video))
        assert clip.labels == (f"label {number % 2}",)


def test_names_of_columns_in_another_case(copy):
    path = copy("esc50") / "ESC-50-master" / "meta" / "esc50.csv"
    expected = described(load_task(find_task("esc50"), path.parents[1]))
    path.write_text(path.read_text().replace("filename,fold,target,category", "Filename,FOLD,category ID,Category", 1))
    assert described(load_task(find_task("esc50"), path.parents[1])) == expected


@pytest.mark.parametrize("mac", [False, True])
def test_esc50s_first_edition_has_a_folder_for_each_class(mac, tmp_path):
    folders = ("101 - Dog", "110 - Crow", "201 - Rain", "305 - Coughing", "510 - Hand saw")
    for folder in folders:
        for fold in range(1, 6):
            touch(tmp_path / "ESC-50" / folder / f"{fold}-{fold}0226-A.ogg")
            if mac:
                touch(tmp_path / "ESC-50" / folder / f"._{fold}-{fold}0226-A.ogg")
    data = load_task(find_task("esc50"), tmp_path)
    assert sorted({clip.labels[0] for clip in data.clips}) == ["coughing", "crow", "dog", "hand_saw", "rain"]
    assert len(data.clips) == 25
    assert [(split.name, len(split.test), len(split.valid)) for split in data.splits] == [
        (f"fold0{fold}", 5, 5) for fold in range(5)
    ]
    assert {data.clips[number].path.name[0] for number in data.splits[3].test} == {"4"}
    assert data.notes == ("25 of the dataset's 2000 sounds are there",)


def test_vggsounds_videos_with_several_clips_are_told_apart_by_their_times(tmp_path):
    text(tmp_path / "vggsound.csv", *(f"abcdefghijk,{start},label {start % 7},train" for start in (0, 30, 40, 300)))
    for name in ("abcdefghijk.mp4", "abcdefghijk_30_40.mp4", "abcdefghijk_300000.mp4", "abcdefghijk_0_10000.mp4",
                 "abcdefghijk_30_35.mp4", "abcdefghijk_000040.mp4.part"):  # fmt: skip
        touch(tmp_path / name)
    there = [clip.path.name for clip in load_task(find_task("vggsound"), tmp_path).clips if clip.path.is_file()]
    assert sorted(there) == ["abcdefghijk_0_10000.mp4", "abcdefghijk_300000.mp4", "abcdefghijk_30_40.mp4"]


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
@pytest.mark.parametrize("lists", ["testTrainMulti_7030_splits", "annotations", "a/b", "."])
def test_hmdb51_some_levels_deep_in_other_containers(levels, suffix, lists, copy):
    root = copy("hmdb51")
    for path in media(root):
        action = path.parent.name
        target = root.joinpath("videos", *[action] * levels, path.with_suffix(suffix).name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    shutil.rmtree(root / "hmdb51_org")
    for path in list((root / "testTrainMulti_7030_splits").iterdir()):
        (root / lists).mkdir(parents=True, exist_ok=True)
        path.rename(root / lists / path.name)
    data = load_task(find_task("hmdb51"), root)
    assert len(data.clips) == 6
    assert all(clip.path.is_file() for clip in data.clips)


def test_hmdb51_without_the_lists_of_a_split(copy):
    root = copy("hmdb51")
    (root / "testTrainMulti_7030_splits" / "shoot_gun_test_split3.txt").unlink()
    with pytest.raises(UserError, match="shoot_gun_test_split3.txt cannot be read: No such file"):
        load_task(find_task("hmdb51"), root)


@pytest.mark.parametrize(("task", "videos"), [("ucf101", "UCF-101"), ("hmdb51", "hmdb51_org")])
def test_the_videos_folder_itself_with_its_lists_beside(task, videos, copy):
    root = copy(task)
    data = load_task(TASKS[task], root / videos)
    assert all(clip.path.is_file() for clip in data.clips)
    (root / "another set").mkdir()
    with pytest.raises(UserError, match="layout"):
        load_task(TASKS[task], root / "another set")


def test_copies_of_a_file_in_two_folders_are_the_one_that_the_list_means(copy):
    root = copy("esc50")
    home = root / "ESC-50-master"
    for path in media(root):
        for place in ("aa", "audio/16000"):
            (home / place).mkdir(exist_ok=True)
            shutil.copy(path, home / place / path.name)
    assert {clip.path.parent for clip in load_task(find_task("esc50"), root).clips} == {home / "audio"}


def test_what_is_named_unlike_a_data_sets_clips_is_left_out_and_said(copy):
    root = copy("cremad")
    for name in ("silence.wav", "1001_DFA_XYZ_XX.wav"):
        sound(root / "CREMA-D" / "AudioWAV" / name)
    data = load_task(find_task("cremad"), root)
    assert len(data.clips) == 15
    assert "15 of the dataset's 7442 sounds are there" in data.notes
    assert "2 sounds are not named as the dataset's are, and left out, such as 1001_DFA_XYZ_XX.wav" in data.notes[-1]


def test_speech_commands_leaves_out_what_is_no_word_and_refuses_archives_mixed_up(copy):
    root = copy("speechcommands-full")
    home = root / "speech_commands_v0.02"
    sound(home / "my recordings" / "1.wav")
    data = load_task(find_task("speechcommands-full"), root)
    assert "left out: my recordings" in data.notes[0]
    assert not any("recordings" in str(clip.path) for clip in data.clips)
    for path in (root / "speech_commands_test_set_v0.02").iterdir():
        shutil.copytree(path, home / path.name, dirs_exist_ok=True)
    with pytest.raises(UserError, match="test set's _unknown_ among the words; unpack the test set on its own"):
        load_task(find_task("speechcommands-full"), root)


@pytest.mark.parametrize("places", ["{language}/{name}/{name}", "{language}/Trunk/Audio/Main/16kHz_16bit/{name}"])
def test_voxforge_as_unpacked_or_as_the_server_has_it(places, originals, tmp_path):
    for path in originals["voxforge"].glob("*/*"):
        shutil.copytree(path, tmp_path / "set" / places.format(language=path.parent.name, name=path.name))
    data = load_task(find_task("voxforge"), tmp_path)
    assert data.classes == (("de", "en", "fr"),)
    assert described(data) == described(load_task(find_task("voxforge"), originals["voxforge"]))


@pytest.mark.parametrize("task", ["fsd50k", "tut18", "esc50", "hmdb51", "ucf101"])
def test_archives_unpacked_each_into_a_folder_of_its_name(task, originals, tmp_path):
    """As Windows does it: FSD50K.ground_truth/FSD50K.ground_truth/dev.csv beside FSD50K.dev_audio/FSD50K.dev_audio/."""
    for number, path in enumerate(originals[task].rglob("*")):
        inside = path.relative_to(originals[task])
        wrapper = (
            inside.parts[0] if task == "fsd50k" else "lists" if path.suffix in (".csv", ".txt") else f"v{number % 3}"
        )
        if path.is_file():
            target = tmp_path / wrapper / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    data = load_task(TASKS[task], tmp_path)
    assert all(clip.path.is_file() for clip in data.clips)
    assert described(data) == described(load_task(TASKS[task], originals[task]))


@pytest.mark.parametrize(
    ("task", "folder"), [("cremad", "CREMA-D/AudioWAV"), ("libricount", "test"), ("vggsound", ".")]
)
def test_the_folder_of_the_clips_themselves(task, folder, copy):
    root = copy(task)
    expected = described(load_task(TASKS[task], root))
    if task == "vggsound":
        (root / "metadata").mkdir()
        (root / "vggsound.csv").rename(root / "metadata" / "vggsound.csv")
    assert described(load_task(TASKS[task], root / folder)) == expected


def moved(root, place):
    """Move each clip to where ``place`` says, of its own folder and its name."""
    for path in media(root):
        target = root / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


@pytest.mark.parametrize(
    ("truth", "dev", "evaluation"),
    [("FSD50K_ground_truth", "FSD50K_dev_audio", "FSD50K_eval_audio"), ("ground_truth", "dev_audio", "eval_audio"),
     ("FSD50K.ground_truth", "FSD50K.dev_audio_16k", "FSD50K.eval_audio_16k"), ("labels", "clips/dev", "clips/eval")],
)  # fmt: skip
def test_fsd50ks_folders_in_other_spellings(truth, dev, evaluation, copy):
    root = copy("fsd50k")
    expected = described(load_task(find_task("fsd50k"), root))
    for before, after in (("FSD50K.ground_truth", truth), ("FSD50K.dev_audio", dev), ("FSD50K.eval_audio", evaluation)):
        (root / after).parent.mkdir(exist_ok=True)
        (root / before).rename(root / after)
    data = load_task(find_task("fsd50k"), root)
    assert all(clip.path.is_file() for clip in data.clips)
    assert described(data) == expected


@pytest.mark.parametrize(
    ("task", "place"),
    [("cremad", lambda path: f"CREMA-D/AudioWAV/{path.name[:4]}/{path.name}"),
     ("cremad", lambda path: f"{'test' if path.name < '1003' else 'train'}/{path.name}"),
     ("libricount", lambda path: f"test/{path.name.split('_')[0]}/{path.name}"),
     ("ucf101", lambda path: f"UCF-101/{path.name}"),
     ("voxforge", lambda path: f"sets/{path.relative_to(path.parents[3]).parts[0]}/main/"
                               f"{'/'.join(path.relative_to(path.parents[3]).parts[1:])}")],
)  # fmt: skip
def test_clips_in_folders_of_ones_own_are_all_read(task, place, originals, copy):
    """By actor, count, part of somebody's split, or all in one: never one of the folders as if it were the set."""
    root = copy(task)
    moved(root, place)
    data = load_task(TASKS[task], root)
    assert all(clip.path.is_file() for clip in data.clips)
    assert described(data) == described(load_task(TASKS[task], originals[task]))


def test_fluents_tables_beside_the_sounds(originals, copy):
    root = copy("fluent-speech-commands") / "fluent_speech_commands_dataset"
    for path in (root / "data").iterdir():
        path.rename(root / path.name)
    expected = described(load_task(find_task("fluent"), originals["fluent-speech-commands"]))
    assert described(load_task(find_task("fluent"), root)) == expected


def test_voxlinguas_dev_set_is_taken_before_training_languages_beside_it(originals, copy):
    root = copy("voxlingua10")
    for language in ("ab", "fr"):
        for number in range(9):
            touch(root / language / f"{number}.wav")
    data = load_task(find_task("voxlingua10"), root)
    assert described(data) == described(load_task(find_task("voxlingua10"), originals["voxlingua10"]))
    for number in range(34):
        touch(root / "train" / f"a{chr(97 + number % 26)}{'x' * (number // 26)}" / "1.wav")
    assert "34 languages are the training set's" in load_task(find_task("voxlingua10"), root / "train").notes[1]


def test_another_edition_is_named(copy, originals):
    root = copy("tut18")
    home, mobile = (root / f"TUT-urban-acoustic-scenes-2018-{edition}development" for edition in ("", "mobile-"))
    shutil.copytree(home, mobile)
    (mobile / "meta.csv").write_text((mobile / "meta.csv").read_text().replace("\ta\n", "\tb\n", 2))
    assert load_task(find_task("tut18"), root).notes == (
        f"{home.name} is read; beside it and left out, of the same layout: {mobile.name}",
    )
    assert "recordings of devices a, b: the mobile set of task 1B" in load_task(find_task("tut18"), mobile).notes[0]
    words = load_task(find_task("speechcommands-full"), originals["speechcommands-full"])
    assert "32 of v0.02's 35 words are not there: backward, bed, bird, dog, down and others" in words.notes


@pytest.mark.parametrize("task", miniatures.TASKS)
def test_clips_are_named_in_results_wherever_the_data_set_lies(task, originals, copy):
    here, there = (load_task(TASKS[task], folder) for folder in (originals[task], copy(task)))
    assert list(map(here.key, here.clips)) == list(map(there.key, there.clips))


def test_of_several_hear_folders_one_must_be_given(tmp_path):
    for task in ("esc50", "cremad"):
        miniatures.make(task, tmp_path, "hear")
    with pytest.raises(UserError, match=r"holds 2 HEAR task folders \(esc50-v2.0.0-full, tfds_.*\); give one of them"):
        load_task(find_task("folder"), tmp_path)
    with pytest.raises(UserError, match=r"give one of them"):
        load_task(find_task("folder"), tmp_path / "hear-2021.0.6" / "tasks")
