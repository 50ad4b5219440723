"""Real files, odd ones: what becomes of each, and that no cache is spoilt by them."""

import re
from pathlib import Path

import numpy as np
import pytest

from dubcli.cache.reader import Cache
from helpers.containers import Track, make_film
from helpers.prepping import findings, one_movie, prepare_here

# Clips of those that have three seconds of picture and a sound track; why the others are not taken.
CLIPS = {
    "0.ts": 1,
    "ChID_voices_1280x720p_25fps_h264_6ch_256kbps_ddp_sub_0000.ts": 2,
    "big_buck_bunny_0_30.webm": 10,
    "nasa_13013.mp4": 4,
    "sample.avi": 1,
    "sample_with_chapters.mkv": 1,
}
NO_PICTURE = [
    "5p1_iamf_opus.mp4",
    "ac3.mkv",
    "eac3.mkv",
    "multiple-aac-tracks.mp4",
    "opus-5.1.mka",
    "sample_ac3_aac.mp4",
    "sample_ac4.mp4",
    "sample_dthd.mp4",
    "sample_eac3.ts",
    "sample_rf64.wav",
    "sample_wav_format_extensible.wav",
    "sample_with_dts.mkv",
]
NO_SOUND = [
    "annex-b-avc.mkv",
    "av1_video.mkv",
    "bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4",
    "corrupted.mp4",
    "foreman-hevc-384.mp4",
    "invalid-bitstream.webm",
    "sample_video_only.mp4",
    "sar_2x1.mp4",
    "video_90.mov",
    "MOV00006.3gp",
]


def test_odd_files_are_taken_or_refused_with_a_reason(monkeypatch, tmp_path, real_data):
    files = sorted((real_data / "media").iterdir())
    outcomes = prepare_here(monkeypatch, files, tmp_path / "cache", "en,es", assume_primary=True)
    found = {Path(name).name: outcome for name, outcome in outcomes.items()}
    assert found.keys() == {file.name for file in files}
    assert findings(tmp_path / "cache") == []
    for name, outcome in found.items():
        assert "traceback" not in outcome.details, outcome.details["traceback"]
        if name in CLIPS:
            assert (outcome.status, outcome.details["clips"]) == ("ok", CLIPS[name]), outcome
            assert "damaged" not in outcome.warning
        else:
            pattern = (
                "no video stream, only sound" if name in NO_PICTURE else
                r"no en track \(audio tracks: (none|ja)\)" if name in NO_SOUND else
                r"^[01]\.\d\d s of picture could be decoded, a clip has 3"
            )  # fmt: skip
            assert outcome.status == "failed"
            assert re.search(pattern, outcome.reason), (name, outcome.reason)
    movies = {movie.meta["title"]: movie for movie in Cache(tmp_path / "cache").movies}
    assert movies["ChID_voices_1280x720p_25fps_h264_6ch_256kbps_ddp_sub_0000"].meta["start_seconds"] == 10.0
    assert movies["0"].meta["frame_size"] == [180, 320]


SILENT = {
    "annex-b-avc.mkv": (11, [320, 180]),
    "av1_video.mkv": (1, [320, 180]),
    "bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4": (1, [320, 180]),
    "corrupted.mp4": (1, [320, 180]),
    "foreman-hevc-384.mp4": (3, [320, 180]),
    "MOV00006.3gp": (5, [240, 180]),
    "sar_2x1.mp4": (1, [640, 180]),
}


def test_pictures_without_sound_beside_a_track_of_a_manifest(monkeypatch, tmp_path, real_data):
    make_film(tmp_path / "sound.mka", seconds=36, video_codec=None, tracks=[Track("eng")])
    rows = [f"{name},{real_data / 'media' / name},sound.mka" for name in SILENT]
    (tmp_path / "list.csv").write_text("\n".join(["movie,video,en", *rows]))
    outcomes = prepare_here(monkeypatch, [tmp_path / "list.csv"], tmp_path / "cache")
    assert findings(tmp_path / "cache") == []
    for movie in Cache(tmp_path / "cache").movies:
        clips, size = SILENT[movie.meta["title"]]
        assert (movie.n_clips, movie.meta["frame_size"]) == (clips, size), movie.id
    damaged = [name for name, outcome in outcomes.items() if "damaged" in (outcome.warning or "")]
    assert damaged == ["corrupted.mp4"]


@pytest.mark.parametrize("name", ["actions", "bunny", "nasa", "patchwork"])
def test_real_dubs_are_in_step(monkeypatch, tmp_path, real_data, name):
    film = real_data / "films" / f"{name}.mkv"
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache", "en,es,fr,ja")
    assert movie.languages == ("en", "es", "fr", "ja")
    assert outcome.warning is None
    lags = [movie.tracks[language]["sync"]["lag_ms"] for language in ("es", "fr", "ja")]
    assert np.abs(lags).max() < 5


def test_variable_rate_and_a_wrong_tag(monkeypatch, tmp_path, real_data):
    film = real_data / "dubs" / "counts" / "built" / "counts_6lang.mkv"
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache", "en,es,fr,ja")
    assert movie.n_clips == 3
    # counting voices over nothing share no background
    assert "es: sync unknown, too little is shared with en to tell" in outcome.warning
    assert "lacks ja" in outcome.warning
