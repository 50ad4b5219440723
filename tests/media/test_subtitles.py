"""Subtitle files as they come: every cue is spoken, or counted among those that are not; no mojibake is spoken."""

import pytest

from dubcli.errors import UserError
from dubcli.media.spoken import Speech
from dubcli.media.subtitles import Subtitle, read_subtitles, subtitle_language, write_srt


def srt(*texts, seconds=2.0):
    """Cues of one second each, ``seconds`` apart, from 1 s on."""
    clock = lambda s: f"00:{int(s) // 60:02}:{int(s) % 60:02},{round(s % 1 * 1000):03}"  # noqa: E731
    times = [1 + i * seconds for i in range(len(texts))]
    cues = [f"{clock(at)} --> {clock(at + 1)}\n{text}\n" for at, text in zip(times, texts, strict=True)]
    return "\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, 1))


SPANISH = srt("Mañana será otro día.", "¿Quién es el señor?")
SPOKEN_SPANISH = ["Mañana será otro día.", "¿Quién es el señor?"]
JAPANESE = srt("彼は扉を開けました。", "それは嘘でした。")
SPOKEN_JAPANESE = ["彼は扉を開けました。", "それは嘘でした。"]
RUSSIAN = srt("Привет, как дела?", "Я не знаю, что сказать.")
ROLLING = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start position:0%
 
hola<00:00:00.500><c> amigo</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
hola amigo
 

00:00:02.010 --> 00:00:04.000 align:start position:0%
hola amigo
qué<00:00:02.500><c> tal</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
qué tal
 

00:00:04.010 --> 00:00:06.000 align:start position:0%
qué tal
muy<00:00:04.500><c> bien</c>
"""  # noqa: W293 - as it comes
ASS = r"""[Script Info]
[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,comentario
Dialogue: 0,0:00:01.00,0:00:02.00,Default,Ana,0,0,0,,{\i1}Hola, amigo{\i0}\N¿qué tal?
Dialogue: 1,0:00:01.00,0:00:02.00,Default,Ana,0,0,0,,{\b1}Hola, amigo\N¿qué tal?
Dialogue: 0,0:00:03.00,0:00:04.00,Sign,,0,0,0,,{\pos(1,2)}BAR
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\p1}m 0 0 l 100 0{\p0}
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\k20}la{\k20}la
Dialogue: 0,0:00:0x.00,0:00:06.00,Default,,0,0,0,,malo
Dialogue: 0,0:00:07.00,0:00:08.00,Default,,0,0,0,,Adiós, hasta luego
"""
SSA = """[Events]
Format: Start, End, Text
Dialogue: 0:00:01.00,0:00:02.00,Hola, amigo
"""
TIMES = """1
00:00:01.000 --> 00:00:03.000
a

0:00:04,5-->0:00:06,50
b

3
00:00:07:000 --> 00:00:08:000
c

4
00:00:09, 000 -> 00:00:10, 000
d

5
00:00:11 --> 00:00:12 X1:100 X2:600
e

6
-00:00:02,000 --> -00:00:01,000
antes

7
00:00:15,000 --> 00:00:15,000
cero

8
00:00:17,000 --> 00:00:16,000
al revés

9
-00:00:00,500 --> 00:00:00,500
f

10
00:75:00,0000 --> 00:75:01,0000
g

11
00：00：20，000 －－＞ 00：00：21，000
h

12
00:00:22:12 --> 00:00:23:00
i

13
00:0O:24,000 --> 00:00:25,000
letra

14
00:00:26,000 00:00:27,000
sin flecha

15
100:00:00,000 --&gt; 100:00:01,000 align:start
j
"""
VTT = """WEBVTT - título

STYLE
::cue { color: red }

NOTE esto no se dice
00:00:00.000 --> 00:00:01.000

00:01.000 --> 00:03.000 align:start position:0%
Hola <c.yellow>amigo</c>.

intro
100:00:04.000 --> 100:00:06.000 line:0
<v Ana>Hasta luego.</v>
1984

suelto
"""
SDH = srt(
    "[PUERTA SE ABRE]",
    "- ¿Quién es?\n- Soy yo.",
    "—Nunca.\n–Siempre.",
    "♪ La la\nla ♪",
    "MARÍA: Ven aquí.",
    "HOMBRE 1: Ya voy.",
    "María: Ven.",
    "(suspira)\nNo sé.",
    "*llora*",
    ">> Aquí estoy.",
    "MUJER #2: Fue él.",
    "HOMBRE [al teléfono]: Diga.",
    "Subtítulos por www.ejemplo.org",
    "[música",
    "que sigue] Escucha: son las 10:30.",
    "# Bella ciao #",
    "...",
    "♪ canta\n- Hola.",
)
SPOKEN_SDH = ["¿Quién es? Soy yo.", "Nunca. Siempre.", "Ven aquí.", "Ya voy.", "Ven.", "No sé.", "Aquí estoy.",
              "Fue él.", "Diga.", "Escucha: son las 10:30.", "Hola."]  # fmt: skip

TTML = """<?xml version="1.0" encoding="ISO-8859-1"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div>
<p begin="00:00:01.000" end="00:00:02.000">Adiós<br/>amigo</p></div></body></tt>"""
BRACKETS = srt(
    "（ドアの音）",
    "漢字（かんじ）を読む｛よむ｝。",
    "♪～",
    "《心の声です》",
    "【笑い声】",
    "田中：はい➡",
    "漢字《かんじ》だ",
    "<ruby>漢字<rt>かんじ</rt></ruby>だね",
    "≪（花子）待って≫",
)

# file's name, its bytes, how its cues are counted, what is spoken
FILES = [
    ("cr.es.srt", SPANISH.replace("\n", "\r"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("crcrlf.es.srt", SPANISH.replace("\n", "\r\r\n"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("spaced.es.srt", SPANISH.replace("\n", "\n\n"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("noblank.es.srt", SPANISH.replace("\n\n", "\n"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("utf16.es.srt", SPANISH.encode("utf-16"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("utf16be.es.srt", SPANISH.encode("utf-16-be"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("utf32.es.srt", SPANISH.encode("utf-32"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("cp1252.es.srt", SPANISH.encode("cp1252"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("mac.es.srt", SPANISH.encode("mac_roman"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("dos.es.srt", SPANISH.encode("cp850"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("twice.es.srt", SPANISH.encode().decode("cp1252"), "2 cues: 2 spoken", SPOKEN_SPANISH),
    ("lost.es.srt", SPANISH.replace("ñ", "?"), "2 cues: 0 spoken, 2 letters not understood", []),
    ("mixed.es.srt", (SPANISH + srt("Hola.")).encode() + b"\n9\n00:00:09,000 --> 00:00:10,000\nA\xf1o.\n",
     "4 cues: 3 spoken, 1 letters not understood", [SPOKEN_SPANISH[0], "Hola.", SPOKEN_SPANISH[1]]),
    ("other.es.srt", RUSSIAN, "2 cues: 0 spoken, 2 letters not understood", []),
    ("sjis.ja.srt", JAPANESE.encode("cp932"), "2 cues: 2 spoken", SPOKEN_JAPANESE),
    ("euc.ja.srt", JAPANESE.encode("euc_jp"), "2 cues: 2 spoken", SPOKEN_JAPANESE),
    ("jis.ja.srt", JAPANESE.encode("iso2022_jp"), "2 cues: 2 spoken", SPOKEN_JAPANESE),
    ("utf16le.ja.srt", JAPANESE.encode("utf-16-le"), "2 cues: 2 spoken", SPOKEN_JAPANESE),
    ("times.es.srt", TIMES, "15 cues: 10 spoken, 5 times not understood", list("fabcdehigj")),
    ("vtt.es.vtt", VTT, "3 cues: 2 spoken, 1 times not understood", ["Hola amigo.", "Hasta luego. 1984"]),
    ("rolling.es.vtt", ROLLING, "5 cues: 3 spoken, 2 shown again", ["hola amigo", "qué tal", "muy bien"]),
    ("painted.es.srt", srt("Hola", "Hola amigo", "Hola amigo mío", seconds=1.0), "3 cues: 3 spoken",
     ["Hola", "amigo", "mío"]),
    ("doubled.es.srt", srt("No.") + srt("No.", "No."), "3 cues: 2 spoken, 1 shown again", ["No.", "No."]),
    ("sdh.es.srt", SDH, "18 cues: 11 spoken, 7 not speech", SPOKEN_SDH),
    ("year.es.srt", srt("¿En qué año?\n1984", "En\n1985"), "2 cues: 2 spoken", ["¿En qué año? 1984", "En 1985"]),
    ("years.es.srt", srt("1984", "1985").replace("\n\n", "\n"), "2 cues: 2 spoken", ["1984", "1985"]),
    ("blank.es.srt", srt("Uno\n\ny medio", "Dos"), "2 cues: 2 spoken", ["Uno y medio", "Dos"]),
    ("cut.es.srt", srt("Uno") + "\n2\nDos\n\n3\n00:00:0", "3 cues: 1 spoken, 2 times not understood", ["Uno"]),
    ("ass.es.ass", ASS, "7 cues: 2 spoken, 3 not speech, 1 shown again, 1 times not understood",
     ["Hola, amigo ¿qué tal?", "Adiós, hasta luego"]),
    ("columns.es.ssa", SSA, "1 cue: 1 spoken", ["Hola, amigo"]),
    ("rate.es.sub", "{1}{1}23,976\n{24}{48}Hola|amigo\n{72}{96}{y:i}Adiós\n{150}{}sin fin\n",
     "3 cues: 2 spoken, 1 times not understood", ["Hola amigo", "Adiós"]),
    ("norate.es.sub", "{25}{50}Hola|amigo\n", "1 cue: 1 spoken", ["Hola amigo"]),
    ("subviewer.es.sub", "[SUBTITLE]\n00:00:01.00,00:00:03.00\nHola[br]amigo\n", "1 cue: 1 spoken", ["Hola amigo"]),
    ("mpl2.es.txt", "[10][20]Hola|/amigo\n", "1 cue: 1 spoken", ["Hola amigo"]),
    ("slanted.es.sub", "{1}{1}25\n{25}{50}/Hola|/amigo 1/2\n", "1 cue: 1 spoken", ["Hola amigo 1/2"]),
    ("tmp.es.txt", "00:00:01:Hola|amigo\n00:00:10:Adiós\n00:00:12:\n", "2 cues: 2 spoken", ["Hola amigo", "Adiós"]),
    ("whisper.es.txt", "[00:00.000 --> 00:02.000]  Hola amigo\n", "1 cue: 1 spoken", ["Hola amigo"]),
    ("sami.es.smi", "<SAMI><BODY><SYNC Start=1000><P>Hola<br>amigo<SYNC Start=3000><P>&nbsp;</BODY></SAMI>",
     "2 cues: 1 spoken, 1 not speech", ["Hola amigo"]),
    ("latin.es.ttml", TTML.encode("latin-1"), "1 cue: 1 spoken", ["Adiós amigo"]),
    ("aside.es.srt", srt("Narrador (en off): Era tarde.", "Te dije (ayer): ven.", "Escucha (tú): oye, escucha."),
     "3 cues: 3 spoken", ["Era tarde.", "Te dije : ven.", "Escucha : oye, escucha."]),
    ("credits.es.srt", srt("Sincronizado por aRGENTeaM", "Corregido por Ana", "Sincronizad por favor los relojes."),
     "3 cues: 1 spoken, 2 not speech", ["Sincronizad por favor los relojes."]),
    ("credits.fr.srt", srt("Traduit par Luc", "Adapté par Luc et Anne", "Bonjour."),
     "3 cues: 1 spoken, 2 not speech", ["Bonjour."]),
    ("names.en.srt", srt("[Man on TV]: News.", "(BOTH): Hello", ": it is"), "3 cues: 3 spoken",
     ["News.", "Hello", "it is"]),
    ("wide.ja.srt", srt("－ 行こう\n－ うん"), "1 cue: 1 spoken", ["行こう うん"]),
    ("credits.de.srt", srt("Untertitel im Auftrag des ZDF", "Untertitelung des WDR, 2020", "Untertitel sind gut."),
     "3 cues: 1 spoken, 2 not speech", ["Untertitel sind gut."]),
    ("translated.es.srt", srt("Traducción: Juan Pérez", "¿La traducción: cómo va?"), "2 cues: 1 spoken, 1 not speech",
     ["¿La traducción: cómo va?"]),
    ("credits.ru.srt", srt("Субтитры сделал Иван", "Редактор субтитров И. Иванов", "Субтитры мне не нужны."),
     "3 cues: 1 spoken, 2 not speech", ["Субтитры мне не нужны."]),
    ("credits.nl.srt", srt("Ondertiteling door Jan", "Goedemorgen."), "2 cues: 1 spoken, 1 not speech",
     ["Goedemorgen."]),
    ("escaped.es.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n&lt;i&gt;Dijo&lt;/i&gt; &lt;hola&gt; &amp; adiós\n",
     "1 cue: 1 spoken", ["Dijo <hola> & adiós"]),
    ("hashes.en.srt", srt("#Bella ciao#", "#one\ntwo#", "#MeToo was here.", "He is #1."),
     "4 cues: 2 spoken, 2 not speech", ["#MeToo was here.", "He is #1."]),
    ("names.ko.srt", srt("철수: 이리 와.", "철수: 가자.", "철수: 빨리.", "들어봐: 누구야?"), "4 cues: 4 spoken",
     ["이리 와.", "가자.", "빨리.", "들어봐: 누구야?"]),
    ("brackets.ja.srt", BRACKETS,
     "9 cues: 6 spoken, 3 not speech", ["漢字を読む。", "心の声です", "はい", "漢字だ", "漢字だね", "待って"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "summary", "spoken"), FILES, ids=[file[0] for file in FILES])
def test_every_cue_is_spoken_or_counted(tmp_path, name, content, summary, spoken):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    script = read_subtitles(path, subtitle_language(path), frame_rate=25.0)
    assert script.summary() == summary
    assert [subtitle.text for subtitle in script.subtitles] == spoken


LEGACY = {
    "pl": ("Źle się czuję, żółw śpi.", ("cp1250", "iso8859_2", "cp852")),
    "cs": ("Příliš žluťoučký kůň", ("cp1250", "cp852")),
    "ru": ("Привет, как дела? Не знаю.", ("cp1251", "koi8_r", "cp866", "iso8859_5")),
    "el": ("Καλημέρα, φίλε. Τι κάνεις;", ("cp1253",)),
    "tr": ("Şimdi ağlıyor, ışık.", ("cp1254", "cp857")),
    "fr": ("Ça va ? Là-bas, l'été, cœur…", ("cp1252", "mac_roman")),
    "de": ("Schöne Grüße", ("cp1252", "cp850")),
    "ar": ("مرحبا يا صديقي", ("cp1256",)),
    "ko": ("안녕하세요 친구", ("cp949",)),
    "zh": ("你们在这里说什么？", ("gb18030",)),
    "he": ("שלום חבר", ("cp1255",)),
}


@pytest.mark.parametrize(("language", "encoding"), [(lang, e) for lang, (_, es) in LEGACY.items() for e in es])
def test_encodings_are_told_by_the_language(tmp_path, language, encoding):
    text = LEGACY[language][0]
    path = tmp_path / f"film.{language}.srt"
    path.write_bytes(srt(text).encode(encoding))
    assert [subtitle.text for subtitle in read_subtitles(path, language).subtitles] == [text]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("wrong.es.srt", RUSSIAN.encode("cp1251"), "neither UTF-8 nor Spanish"),
        ("wrong.es.srt", JAPANESE.encode("cp932"), "neither UTF-8 nor Spanish"),
        ("wrong.ja.srt", SPANISH.encode("cp1252"), "neither UTF-8 nor Japanese"),
        ("pictures.es.sub", b"\x00\x00\x01\xba" + b"\x12\x00" * 50, "is no text"),
        ("empty.es.srt", b"", "no subtitle"),
        ("prose.es.srt", b"hola", "no subtitle"),
        ("all.es.srt", b"1\n00:00:0x --> 00:00\nHola\n", "no subtitle"),
    ],
)
def test_files_that_cannot_be_understood_are_refused_by_name(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_subtitles(tmp_path / name, subtitle_language(name), 25.0)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_times_are_the_files(tmp_path):
    path = tmp_path / "times.es.srt"
    path.write_text(TIMES, encoding="utf-8")
    found = [(s.start_seconds, s.stop_seconds) for s in read_subtitles(path, "es", 25.0).subtitles]
    assert found == [(0, 0.5), (1, 3), (4.5, 6.5), (7, 8), (9, 10), (11, 12), (20, 21), (22.48, 23), (4500, 4501),
                     (360000, 360001)]  # fmt: skip
    assert read_subtitles(path, "es", 25.0).unknown_lines == (21, 25, 29, 49, 53)
    path.write_text("{1}{1}23.976\n{24}{48}Hola\n")
    found = read_subtitles(path, "es", 25.0).subtitles
    assert found[0].start_seconds == pytest.approx(24 / 23.976, abs=1e-3)


def test_overlapping_lines_stay_side_by_side(tmp_path):
    path = tmp_path / "film.es.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:04,000\nUno.\n\n2\n00:00:02,000 --> 00:00:05,000\nDos.\n")
    found = [(s.start_seconds, s.stop_seconds, s.text) for s in read_subtitles(path, "es").subtitles]
    assert found == [(1.0, 4.0, "Uno."), (2.0, 5.0, "Dos.")]


def test_cues_after_the_end_are_counted(tmp_path):
    path = tmp_path / "film.es.srt"
    path.write_text(srt("Uno.", "Dos.", "Tres."))
    script = read_subtitles(path, "es").later(10.0).until(15.0)
    assert script.summary() == "3 cues: 2 spoken, 1 after the end"
    assert [s.start_seconds for s in script.subtitles] == [11.0, 13.0]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("film.es.srt", "es"), ("es.srt", "es"), ("film.es.hi.srt", "es"), ("film.hi.srt", "hi"), ("hi.srt", "hi"),
        ("film.en.sdh.srt", "en"), ("film.es-419.forced.vtt", "es"), ("film.Spanish.srt", "es"),
        ("2_Spanish.srt", "es"), ("film.Español.srt", "es"), ("film.Français.cc.srt", "fr"), ("日本語.srt", "ja"),
        ("film.es (2).srt", "es"), ("film.Eng.srt", "en"),
        ("film.Spanish (Latin America).srt", "es"), ("film.English [CC].srt", "en"),
        ("film.pt-BR.hi.srt", "pt"), ("The.Man.hi.srt", "hi"), ("film.spa.cc.ass", "es"), ("film.es.2.srt", "es"),
    ],
)  # fmt: skip
def test_the_name_says_the_language(name, language):
    assert subtitle_language(name) == language


@pytest.mark.parametrize("name", ["subtitles.srt", "film.srt", "sdh.srt", "1.srt", "Her.srt", "Men.sdh.srt"])
def test_a_name_without_a_language_is_refused(name):
    with pytest.raises(UserError, match="does not say its language"):
        subtitle_language(name)


def test_names_before_a_colon_are_speakers_by_what_the_file_says():
    texts = ["Escucha: ven.", "Ana: Hola.", "Es verdad, Ana.", "Luis: Sí.", "Luis: No.", "Nota: no."]
    speech = Speech(texts, "es")
    assert [speech.lines(text) for text in texts] == [
        ["Escucha: ven."], ["Hola."], ["Es verdad, Ana."], ["Sí."], ["No."], ["Nota: no."]
    ]  # fmt: skip
    shouted = ["JOHN: HELLO.", "I SAID: STOP.", "JOHN: YES."]
    speech = Speech(shouted, "en")
    assert [speech.lines(text) for text in shouted] == [["HELLO."], ["I SAID: STOP."], ["YES."]]


def test_subtitles_written_are_read_again(tmp_path):
    subtitles = [Subtitle(start_seconds=3661.007, stop_seconds=3662.5, text="Ça va ?")]
    write_srt(tmp_path / "x.fr.srt", subtitles)
    assert list(read_subtitles(tmp_path / "x.fr.srt", "fr").subtitles) == subtitles
