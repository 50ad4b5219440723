"""The paper's 15 data sets in miniature, each exactly as it lies on disk after unpacking; for tests and examples.

``make("esc50", folder)`` writes what the publisher's archive leaves in ``folder``, which is then ``dubav probe esc50
CKPT --data folder``. ``layout="hear"`` writes the task folder of HEAR's archive instead, where there is one. Names of
folders and files, headers of tables, and what macOS leaves in archives are the real ones; clips are few and short: a
label is a tone (or a flashing picture), so that a head has something to learn.
"""

import itertools
from pathlib import Path

from helpers.containers import Track, make_film
from probe.layouts import hear_task, sound, text, touch

TONES = {"a": 150.0, "b": 1000.0, "c": 6000.0}
"""Hz, so far apart that features of random networks keep them apart."""

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
"""How a ``._x.wav`` begins, which macOS leaves beside ``x.wav``."""

HEAR = {  # task: name, version and mode of HEAR's folder, how many folds (0: train, valid, test), type, metrics
    "esc50": ("esc50", "v2.0.0", "full", 5, "multiclass", ("top1_acc", "mAP", "d_prime", "aucroc")),
    "fsd50k": ("fsd50k", "v1.0", "full", 0, "multilabel", ("mAP", "d_prime", "aucroc", "top1_acc")),
    "vocalimitation": ("vocal_imitation", "v1.1.3", "full", 3, "multiclass", ("mAP", "d_prime", "aucroc", "top1_acc")),
    "cremad": ("tfds_crema_d", "1.0.0", "full", 5, "multiclass", ("top1_acc", "mAP", "d_prime", "aucroc")),
    "gtzan-music-speech": ("tfds_gtzan_music_speech", "1.0.0", "full", 10, "multiclass",
                           ("top1_acc", "mAP", "d_prime", "aucroc")),
    "libricount": ("libricount", "v1.0.0-hear2021", "full", 5, "multiclass", ("top1_acc", "mAP", "d_prime", "aucroc")),
    "speechcommands-5h": ("speech_commands", "v0.0.2", "5h", 0, "multiclass", ("top1_acc",)),
    "speechcommands-full": ("speech_commands", "v0.0.2", "full", 0, "multiclass", ("top1_acc",)),
    "voxlingua10": ("vox_lingua_top10", "hear2021", "full", 5, "multiclass", ("top1_acc", "mAP", "d_prime", "aucroc")),
}  # fmt: skip


def make(task: str, folder: Path, layout: str = "published") -> Path:
    """Write the data set of ``task`` (a name of ``dubav probe --list``) into ``folder``, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "hear":
        name, version, mode, folds, kind, metrics = HEAR[task]
        splits = [f"fold{fold:02}" for fold in range(folds)] or ["train", "valid", "test"]
        hear_task(folder / "hear-2021.0.6" / "tasks", name=name, version=version, mode=mode, splits=splits, kind=kind,
                  evaluation=metrics)  # fmt: skip
    else:
        PUBLISHED[task](folder)
    return folder


def layouts(task: str) -> tuple[str, ...]:
    """What ``make`` can write for a task."""
    return ("published", "hear") if task in HEAR else ("published",)


def esc50(root: Path) -> None:
    """ESC-50-master.zip of GitHub."""
    home = root / "ESC-50-master"
    rows = []
    for fold, (target, label, tone), take in itertools.product(range(1, 6), ((0, "dog", "a"), (10, "rain", "c")), "AB"):
        name = f"{fold}-{100000 + 32 * len(rows)}-{take}-{target}.wav"
        sound(home / "audio" / name, tone=TONES[tone], seed=len(rows))
        rows.append(f"{name},{fold},{target},{label},{target < 20},{name.split('-')[1]},{take}")
    text(home / "meta" / "esc50.csv", "filename,fold,target,category,esc10,src_file,take", *rows)
    text(home / "meta" / "esc50-human.xlsx", "no table")
    text(home / "README.md", "# ESC-50: Dataset for Environmental Sound Classification")


def fsd50k(root: Path) -> None:
    """The five archives of Zenodo 4060432, unpacked beside each other; one of the 12 over-long clips is listed."""
    mids = {"Bark": "/m/05tny_", "Guitar": "/m/0342h", "Music": "/m/04rlf"}
    kinds = ((("Bark",), "a"), (("Guitar", "Music"), "c"), (("Music",), "b"))
    rows: dict[str, list[str]] = {"dev": [], "eval": []}
    for number, (part, (labels, tone)) in enumerate(
        itertools.product(("train", "train", "train", "val", "test", "test"), kinds)
    ):
        archive = "eval" if part == "test" else "dev"
        sound(root / f"FSD50K.{archive}_audio" / f"{64760 + number}.wav", tone=TONES[tone], seed=number)
        row = f'{64760 + number},"{",".join(labels)}","{",".join(mids[label] for label in labels)}"'
        rows[archive].append(row if part == "test" else f"{row},{part}")
    rows["dev"].append("83299,Bark,/m/05tny_,train")
    truth = root / "FSD50K.ground_truth"
    text(truth / "dev.csv", "fname,labels,mids,split", *rows["dev"])
    text(truth / "eval.csv", "fname,labels,mids", *rows["eval"])
    text(truth / "vocabulary.csv", *(f"{number},{name},{mid}" for number, (name, mid) in enumerate(mids.items())))
    text(root / "FSD50K.metadata" / "class_info_FSD50K.json", "{}")
    text(root / "FSD50K.metadata" / "collection" / "collection_dev.csv", "fname,labels,mids", "64760,Bark,/m/05tny_")
    text(root / "FSD50K.doc" / "README.md", "FSD50K")


def tut18(root: Path) -> None:
    """The archives of Zenodo 1228142; ``fold1_test.txt`` has no labels, ``fold1_evaluate.txt`` has."""
    home = root / "TUT-urban-acoustic-scenes-2018-development"
    rows, parts = [], {"train": [], "test": [], "evaluate": []}
    for (label, tone), number in itertools.product((("airport", "a"), ("bus", "b"), ("metro", "c")), range(4)):
        name = f"audio/{label}-barcelona-{number // 2}-{number}-a.wav"
        sound(home / name, tone=TONES[tone], seconds=0.5, seed=len(rows))
        rows.append(f"{name}\t{label}\tbarcelona-{number // 2}\ta")
        if number < 3:
            parts["train"].append(f"{name}\t{label}")
        else:
            parts["test"].append(name)
            parts["evaluate"].append(f"{name}\t{label}")
    text(home / "meta.csv", "filename\tscene_label\tidentifier\tsource_label", *rows)
    for part, lines in parts.items():
        text(home / "evaluation_setup" / f"fold1_{part}.txt", *lines)
    text(home / "README.md", "TUT Urban Acoustic Scenes 2018, Development dataset")


def vocalimitation(root: Path) -> None:
    """VocalImitationSet.zip of Zenodo 1340763: names with spaces and commas made ``_``, imitations left out."""
    home = root / "VocalImitationSet"
    kinds = (("000", "Animal_Domestic animals_ pets_Cat_Growling", "a"), ("041", "Human sounds_Hands_Clapping", "c"))
    columns = "imitation_id imitation_filename category_id category_d1 reference_filename included draft training"
    rows = ["\t".join(["", *columns.split()])]
    for (category, name, tone), number in itertools.product(kinds, range(7)):
        file, included = f"{category}{name}-{4808870065078272 + number}.wav", number < 6
        place = home / "vocal_imitations" / ("included" if included else "excluded")
        sound(place / file, tone=TONES[tone], seed=len(rows))
        reference = f"{category}{name}_reference.wav"
        cells = (file, int(category), name.split("_")[0], reference, included, False, False)
        rows.append("\t".join(map(str, (len(rows) - 1, len(rows) - 1, *cells))))
        sound(home / "original_recordings" / "reference" / reference, tone=TONES[tone], seed=len(rows))
    text(home / "vocal_imitations.txt", *rows)
    text(home / "duplicates.csv", "imitation_filename")


def vggsound(root: Path) -> None:
    """``vggsound.csv`` and the clips that are still on YouTube, one of them gone, in train and test folders."""
    rows = ["gone_gone_g,5,dog barking,train"]
    for first, label in enumerate(("dog barking", "rain, on a roof")):
        for number, part in enumerate(("train", "train", "test")):
            video = f"-{'bcdefghi'[number]}cd_fghi{first}-"
            film(root / "video" / f"{video}_{30 * number:06d}.mp4", 3 * first + number, [Track(codec="aac")])
            rows.append(f'{video},{30 * number},"{label}",{part}')
    text(root / "vggsound.csv", *rows)


def cremad(root: Path) -> None:
    """The repository of GitHub with its sounds; the videos, MP3s and tables beside them are no clips."""
    home = root / "CREMA-D"
    for (number, emotion), actor in itertools.product(enumerate(("ANG", "HAP", "SAD")), range(1001, 1006)):
        name = f"{actor}_DFA_{emotion}_XX"
        sound(home / "AudioWAV" / f"{name}.wav", tone=TONES["abc"[number]], seed=actor + 10 * number)
        touch(home / "VideoFlash" / f"{name}.flv")
        touch(home / "AudioMP3" / f"{name}.mp3")
    text(home / "SentenceFilenames.csv", '"Stimulus_Number","Filename"', '1,"1001_DFA_ANG_XX"')


def gtzan(root: Path) -> None:
    """music_speech.tar.gz, made on a Mac: a ``._x.wav`` beside each ``x.wav``."""
    home = root / "music_speech"
    for (label, tone), number in itertools.product((("music", "a"), ("speech", "c")), range(10)):
        path = sound(home / f"{label}_wav" / f"{label[0]}{number}.wav", tone=TONES[tone], seed=number)
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)
    text(home / "music_speech.mf", "music_wav/m0.wav\tmusic")


def libricount(root: Path) -> None:
    """LibriCount10-0dB.zip of Zenodo 1216072, made on a Mac; a JSON file per sound says who speaks when."""
    for count, number in itertools.product((0, 2, 10), range(5)):
        name = f"{count}_{16 * count + number:06x}"
        sound(root / "test" / f"{name}.wav", tone=TONES["abc"[count // 5 + (count == 2)]], seed=10 * count + number)
        text(root / "test" / f"{name}.json", "[]")
        touch(root / "__MACOSX" / "test" / f"._{name}.json")


def fluent(root: Path) -> None:
    """fluent_speech_commands_dataset as Fluent.ai (and its copies) pack it."""
    home = root / "fluent_speech_commands_dataset"
    header = ",path,speakerId,transcription,action,object,location"
    kinds = (("Turn on the lights", "activate", "lights", "none", "a"), ("Louder, please", "increase", "volume", "none",
             "b"), ("Kitchen lights off", "deactivate", "lights", "kitchen", "c"))  # fmt: skip
    for part, speakers in (("train", 4), ("valid", 2), ("test", 2)):
        rows = []
        for speaker, (words, action, what, where, tone) in itertools.product(range(speakers), kinds):
            place = f"wavs/speakers/{part}{speaker}k/{len(rows):08x}-c2f1-11e9.wav"
            sound(home / place, tone=TONES[tone], seed=len(rows) + {"train": 0, "valid": 100, "test": 200}[part])
            rows.append(f'{len(rows)},{place},{part}{speaker}k,"{words}",{action},{what},{where}')
        text(home / "data" / f"{part}_data.csv", header, *rows)
    text(home / "data" / "speaker_demographics.csv", "speakerId,Self-reported fluency level", "train0k,native")
    text(home / "readme.md", "Fluent Speech Commands")


def speechcommands(root: Path) -> None:
    """The two archives of v0.02, each in a folder of its name; the sounds of the test set end in ``.wav.wav``."""
    home, test = root / "speech_commands_v0.02", root / "speech_commands_test_set_v0.02"
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    for number, (word, tone) in enumerate((("yes", "a"), ("no", "c"), ("cat", "b"))):
        for speaker in range(6):
            name = f"{word}/{speaker:08x}_nohash_0.wav"
            sound(home / name, tone=TONES[tone], seed=10 * number + speaker)
            if speaker > 3:
                lists["validation" if speaker == 4 else "testing"].append(name)
    for part, lines in lists.items():
        text(home / f"{part}_list.txt", *lines)
    for number, noise in enumerate(("doing_the_dishes", "running_tap")):
        sound(home / "_background_noise_" / f"{noise}.wav", tone=1.0, seconds=2.2, seed=90 + number)
    text(home / "_background_noise_" / "README.md", "noise")
    text(home / "LICENSE", "CC BY")
    for number, (label, tone) in enumerate((("yes", 150.0), ("no", 6000.0), ("_unknown_", 1000.0), ("_silence_", 1.0))):
        for take in range(2):
            seconds = 1.0 if label == "_silence_" else 0.25
            path = test / label / f"{label.strip('_')}_{take}.wav.wav"
            sound(path, tone=tone, seconds=seconds, seed=200 + 10 * number + take)


def voxforge(root: Path) -> None:
    """Submissions (a .tgz each) unpacked in a folder per language; speakers submit more than once."""
    for number, (language, tone) in enumerate((("de", "a"), ("en", "b"), ("fr", "c"))):
        for speaker, session in itertools.product(range(4), ("20080101-abc", "20090202-def")):
            home = root / language / f"speaker{speaker}-{session}"
            seed = 100 * number + 10 * speaker + len(session) + int(session[3])
            sound(home / "wav" / f"{language}-0001.wav", tone=TONES[tone], seed=seed)
            text(home / "etc" / "PROMPTS", "words")


def voxlingua10(root: Path) -> None:
    """dev.zip: a folder per language, names of a YouTube id and a place in it."""
    for (number, language), clip in itertools.product(enumerate(("ar", "fr", "haw")), range(5)):
        name = f"QbXjbXFAp{language[0]}{clip}__U__S{clip}---0010.210-0013.760.wav"
        sound(root / "dev" / language / name, tone=TONES["abc"[number]], seed=10 * number + clip)


def hmdb51(root: Path) -> None:
    """hmdb51_org.rar and the archive per action in it, each unpacked in a folder of its own; names with signs."""
    for first, action in enumerate(("brush_hair", "shoot_gun")):
        marks: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for number in range(4):
            name = f"#{number}_(HQ)_A;B_&_C!_{action}_u_nm_np1_fr_goo_{number}.avi"
            film(root / "hmdb51_org" / action / action / name, 4 * first + number)
            for split, lines in marks.items():
                lines.append(f"{name} {2 if number == split else 1 if number else 0} ")
        for split, lines in marks.items():
            text(root / "testTrainMulti_7030_splits" / f"{action}_test_split{split}.txt", *lines)


def ucf101(root: Path) -> None:
    """UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip; one action's files are spelt unlike its folder."""
    actions = (("Archery", "Archery"), ("HandstandPushups", "HandStandPushups"))
    names = [f"{folder}/v_{action}_g0{group}_c01.avi" for folder, action in actions for group in (1, 2, 3)]
    for number, name in enumerate(names):
        film(root / "UCF-101" / name, number)
    lists = root / "UCF101TrainTestSplits-RecognitionTask" / "ucfTrainTestlist"
    text(lists / "classInd.txt", "1 Archery", "2 HandstandPushups")
    for split in (1, 2, 3):
        test = [name for name in names if f"_g0{split}_" in name]
        text(lists / f"trainlist0{split}.txt", *(f"{name} {1 + (name > 'B')}" for name in names if name not in test))
        text(lists / f"testlist0{split}.txt", *test)


def film(path: Path, number: int, tracks: tuple[Track, ...] | list[Track] = ()) -> Path:
    """A second of moving picture, another for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make_film(path, size=(64, 48), seconds=1.0, fps=8, flashes=range(number), tracks=list(tracks))
    return path


PUBLISHED = {
    "esc50": esc50,
    "fsd50k": fsd50k,
    "tut18": tut18,
    "vocalimitation": vocalimitation,
    "vggsound": vggsound,
    "cremad": cremad,
    "gtzan-music-speech": gtzan,
    "libricount": libricount,
    "fluent-speech-commands": fluent,
    "speechcommands-5h": speechcommands,
    "speechcommands-full": speechcommands,
    "voxforge": voxforge,
    "voxlingua10": voxlingua10,
    "hmdb51": hmdb51,
    "ucf101": ucf101,
}
TASKS = tuple(PUBLISHED)
