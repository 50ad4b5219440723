"""What is read of containers: cover pictures, tags that are no text, names that look like addresses, encryption."""

import unicodedata

import av
import numpy as np
import pytest

from dubcli.errors import InputError
from dubcli.media.identity import content_of, fingerprint
from dubcli.media.matroska import language_tags
from dubcli.media.special import says_special
from dubcli.media.streams import is_encrypted, open_media, read_info
from helpers.boxes import tag_bcp47
from helpers.containers import RATE, Track, make_film


def test_tracks_are_described(tmp_path):
    comment = av.stream.Disposition.comment
    tracks = [
        Track("eng", layout="5.1", title="Surround"),
        Track("ger", title="Audiodeskription"),
        Track("fre", title="Commentaire du réalisateur"),
        Track("spa", disposition=comment),
        Track(None, codec="flac"),
    ]
    make_film(tmp_path / "film.mkv", seconds=1, size=(64, 36), tracks=tracks)
    info = read_info(tmp_path / "film.mkv")
    assert [(track.language, track.special) for track in info.audio] == [
        ("en", False), ("de", True), ("fr", True), ("es", True), (None, False)
    ]  # fmt: skip
    assert (info.audio[0].channels, info.audio[0].layout, info.audio[4].codec) == (6, "5.1(side)", "flac")
    assert (info.video.codec, info.video.width, info.video.height) == ("h264", 64, 36)
    assert info.duration_seconds == pytest.approx(1, abs=0.1)


SPECIAL = {
    "en": (
        "Director's Commentary",
        "Audio Description",
        "English AD",
        "For the blind",
        "SDH",
        "Isolated Score",
        "Audio Desc.",
        "M and E",
        "English_AD",
        "Clear Dialogue",
        "Instrumental",
        "Dir. Comm.",
    ),
    "de": ("Audiokommentar", "Klare Sprache", "Hörfilmfassung", "Audiodeskription", "für Hörgeschädigte"),
    "fr": (
        "Commentaire audio",
        "Version audiodécrite",
        "Audiodescription",
        "Audiovision",
        "Malentendants",
        "pour aveugles",
    ),
    "es": ("Comentarios del director", "Audiodescripción", "para sordos"),
    "pt": ("Comentário do diretor", "Audiodescrição", "para cegos"),
    "it": ("Commento del regista", "Audiodescrizione", "non vedenti"),
    "nl": ("Commentaar", "Blindenbeschrijving", "Audiodescriptie", "Audiobeschrijving", "slechtzienden"),
    "sv": ("Kommentarspår", "Syntolkning"),
    "da": ("Kommentarspor", "for hørehæmmede", "Synstolkning", "Lydbeskrivelse"),
    "fi": ("Kommenttiraita", "Äänikuvailu", "Kuvailutulkkaus"),
    "pl": ("Komentarz reżysera", "Audiodeskrypcja", "dla niewidomych"),
    "cs": ("Komentář režiséra", "Zvukový popis", "Audiopopis", "pro nevidomé"),
    "hu": ("Rendezői kommentár", "Hangalámondás", "Audionarráció"),
    "ro": ("Comentariu audio", "Descriere audio"),
    "tr": ("Yönetmen yorumu", "Sesli betimleme"),
    "ru": ("Комментарий режиссёра", "Аудио описание", "для незрячих", "Тифлокомментарий", "Аудиодискрипция"),
    "uk": ("Коментар режисера", "Аудіоопис", "Аудіодескрипція"),
    "el": ("Σχόλια σκηνοθέτη", "Ακουστική περιγραφή"),
    "ja": ("オーディオコメンタリー", "バリアフリー音声", "音声ガイド", "音声解説"),
    "ko": ("감독 코멘터리", "화면해설"),
    "zh": ("导演评论", "音频描述", "導演評論", "口述影像", "无障碍"),
    "ar": ("تعليق المخرج", "الوصف الصوتي", "وصف صوتي"),
    "he": ("פרשנות הבמאי", "תגובות הבמאי", "תיאור קולי"),
    "hr": ("Zvučni opis", "Opis za slijepe"),
    "lt": ("Garsinis vaizdavimas",),
    "lv": ("Audioapraksts",),
    "is": ("Hljóðlýsing",),
    "th": ("คำบรรยายผู้กำกับ",),
    "ms": ("Penerangan audio", "Ulasan pengarah"),
    "cy": ("Disgrifiad sain",),
    "eu": ("Audio-deskribapena",),
    "vi": ("Bình luận của đạo diễn", "cho người khiếm thị", "Mô tả âm thanh"),
}
PLAIN = (
    "", "Main", "Surround 5.1", "VF", "VFQ", "VO", "Latino", "Castellano", "Dublado", "Deutsch DTS-HD MA", "Lektor PL",
    "Дубляж", "Original", "吹替", "日本語", "국어", "国语", "粤语", "Adam", "Madrid", "Stereo", "SoundHandler",
    "Apple Sound Media Handler", "Blindness", "HD Audio", "Dolby Digital Plus", "Radio", "24-bit",
)  # fmt: skip


@pytest.mark.parametrize("language", SPECIAL)
def test_commentary_and_description_by_their_words(language):
    for title in SPECIAL[language]:
        for form in ("NFC", "NFD"):
            assert says_special(unicodedata.normalize(form, title)), title
            assert says_special(unicodedata.normalize(form, title.upper())), title


def test_plain_titles_are_plain():
    assert [title for title in PLAIN if says_special(title)] == []


def test_matroskas_bcp_47_tags_are_read(tmp_path):
    path = tmp_path / "film.mkv"
    tags = {"AAAAAAA": "yue", "BBBBBBBBBBBB": "cmn-Hans", "CCCCCCC": "pt-BR", "DDDDDDDD": "es-419", "EEEEEE": "zxx"}
    make_film(path, seconds=0.5, tracks=[Track("chi", title=title, seed=3) for title in tags] + [Track("fre")])
    for title, tag in tags.items():
        tag_bcp47(path, title, tag)
    tracks = read_info(path).audio
    assert [(track.tag, track.language) for track in tracks] == [
        ("yue", "yue"), ("cmn-Hans", "zh"), ("pt-BR", "pt"), ("es-419", "es"), ("zxx", None), ("fre", "fr")
    ]  # fmt: skip
    data = path.read_bytes()
    for end in range(40, 900, 37):  # cut anywhere, damaged anywhere: never worse than without
        path.write_bytes(data[:end])
        assert isinstance(language_tags(path), dict)
        path.write_bytes(data[:end] + b"\xff\x00\x80" + data[end + 3 :])
        assert isinstance(language_tags(path), dict)


def test_a_cover_picture_is_no_film(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=RATE, layout="stereo")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        frame = av.AudioFrame.from_ndarray(np.zeros((2, RATE), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for packet in [*cover.encode(picture), *cover.encode(None), *sound.encode(frame), *sound.encode(None)]:
            container.mux(packet)
    info = read_info(path)
    assert info.video is None
    assert len(info.audio) == 1


def test_tags_that_are_no_utf_8(tmp_path):
    path = tmp_path / "film.mkv"
    make_film(path, seconds=1, tracks=[Track("eng", title="XXXXXXXX")])
    path.write_bytes(path.read_bytes().replace(b"XXXXXXXX", b"\xff\xfe\xe9\xe8XXXX"))
    assert read_info(path).audio[0].language == "en"


@pytest.mark.parametrize(
    "name", ["concat:a|b.mkv", "http:x.mkv", "-i.mkv", "%03d.mkv", "pipe:.mkv", "a\nb.mkv", "映画.mkv"]
)
def test_names_are_files_whatever_they_look_like(tmp_path, monkeypatch, name):
    make_film(tmp_path / "film.mkv", seconds=0.5)
    (tmp_path / "film.mkv").rename(tmp_path / name)
    assert read_info(tmp_path / name).video is not None
    monkeypatch.chdir(tmp_path)
    assert read_info(name).video is not None


def test_reasons_are_one_line(tmp_path):
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "text.mkv").write_text("text")
    for name, reason in (
        ("empty.mkv", "the file is empty"),
        ("text.mkv", "not a media file"),
        ("gone.mkv", "the file is not there"),
        (".", "is not a file"),
    ):
        with pytest.raises(InputError, match=reason) as error, open_media(tmp_path / name):
            pass
        assert len(str(error.value).splitlines()) == 1


def test_encryption_is_seen_and_not_imagined(tmp_path):
    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
            "encryption_kid": "a7e61c373e219033c21091fa607bf3b8"}  # fmt: skip
    make_film(tmp_path / "locked.mp4", seconds=1, tracks=[Track("eng", codec="aac")], container_options=keys)
    make_film(tmp_path / "open.mp4", seconds=1, tracks=[Track("eng", codec="aac")])
    make_film(tmp_path / "open.ts", seconds=1, video_codec="mpeg2video", tracks=[Track("eng")])
    data = bytearray((tmp_path / "open.ts").read_bytes())
    for start in range(188 * 3, len(data), 188):  # the tables are never scrambled
        data[start + 3] |= 0x80
    (tmp_path / "locked.ts").write_bytes(data)
    found = {path.name: is_encrypted(path) for path in tmp_path.iterdir()}
    assert found == {"locked.mp4": True, "open.mp4": False, "open.ts": False, "locked.ts": True}
    assert is_encrypted(tmp_path / "gone.mp4") is False


def test_fingerprints_tell_contents_apart(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(3_000_000))
    other.write_bytes(bytes(3_000_000))
    assert fingerprint(one) == fingerprint(other) == content_of(one)
    for change in (bytes(2_999_999) + b"\1", b"\1" + bytes(2_999_999), bytes(3_000_001), b""):
        other.write_bytes(change)
        assert fingerprint(one) != fingerprint(other)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        content_of(tmp_path / "gone")
