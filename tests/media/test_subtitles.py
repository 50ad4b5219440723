"""SubRip as it comes: encodings, tags, sounds in brackets, and what is written is read again."""

import pytest

from dubcli.media.subtitles import Subtitle, read_srt, write_srt

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hola,</i> amigo.

2
00:00:03.000 --> 00:00:04,000
[TRUENO]

3
00:00:05,250 --> 00:00:06,000
- MARIA: Vamos
{\\an8}ahora.
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_subtitles_are_read_as_they_come(tmp_path, encoding):
    path = tmp_path / "film.es.srt"
    path.write_bytes((SRT + "\n4\n00:00:08,0 --> 00:00:09,5\n¿Mañana?\n").replace("\n", "\r\n").encode(encoding))
    found = read_srt(path)
    assert [(s.start_seconds, s.stop_seconds) for s in found] == [(1.0, 2.5), (5.25, 6.0), (8.0, 9.5)]
    assert [s.text for s in found] == ["Hola, amigo.", "Vamos ahora.", "¿Mañana?"]


def test_subtitles_written_are_read_again(tmp_path):
    subtitles = [Subtitle(start_seconds=3661.007, stop_seconds=3662.5, text="Ça va ?")]
    write_srt(tmp_path / "x.fr.srt", subtitles)
    assert read_srt(tmp_path / "x.fr.srt") == subtitles
