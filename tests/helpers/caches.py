"""Small clip caches written directly: seeded pictures and mels, any languages, no decoding of films."""

import io

import numpy as np
from PIL import Image

from dubcli.cache import layout
from dubcli.cache.writer import added_mel, new_movie, open_cache, update_movie
from dubcli.core.tracks import NOSPEECH, Track

_TAGS = (
    "en,es,fr,ja,de,it,pt,nl,sv,da,fi,pl,cs,hu,ro,bg,el,tr,ar,he,hi,th,ko,zh,ru,uk,vi,id,ms,ta,te,bn,ur,fa,sw,ca,eu,gl"
)
TAGS = [*_TAGS.split(","), "hr", "et"]  # of 40 languages


def make_cache(folder, *, films=3, clips=6, languages=("en", "es", "fr", "ja"), size=(64, 36), nospeech=False, seed=0):
    """A cache of ``films`` movies of ``clips`` clips each. Sound and picture of a clip go together, weakly."""
    cache = open_cache(folder, {"primary": languages[0]})
    for film in range(films):
        generator = np.random.default_rng([seed, film])
        identity = f"film{film:03d}-{film:08x}"
        with new_movie(cache, identity) as movie:
            movie.frame_size = size
            scenes = generator.uniform(0, 1, size=(clips, 4)).astype(np.float32)
            for scene in scenes:
                for number in range(layout.FRAMES_PER_CLIP):
                    movie.add_frame(_picture(scene, number, size, generator))
            for language in languages:
                movie.add_mel(language, _mels(scenes, Track(language).mel_frames, generator))
            tracks = {language: {"valid_clips": [0, clips], "codec": "test"} for language in languages}
            meta = {"id": identity, "n_clips": clips, "primary": languages[0], "tracks": tracks,
                    "frame_size": list(size), "source": {"path": f"/nowhere/{identity}.mkv"}}  # fmt: skip
            movie.finish(meta)
        if nospeech:
            target = layout.movie_folder(cache, identity)
            with added_mel(target, Track(languages[0], NOSPEECH)) as writer:
                writer.append(_mels(scenes, Track(languages[0], NOSPEECH).mel_frames, generator))
            update_movie(cache, target, lambda meta: meta.setdefault("nospeech", {}).update({languages[0]: {}}))
    return cache


def _picture(scene, number, size, generator):
    width, height = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin((x * (1 + 3 * s) + y * (2 - s)) / 9 + number / 3) for s in scene[:3]]
    image = 127 + 100 * np.stack(waves, axis=-1) * scene[3] + generator.normal(0, 8, size=(height, width, 3))
    file = io.BytesIO()
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def _mels(scenes, frames, generator):
    bands = np.linspace(0, 1, layout.MELS, dtype=np.float32)[None, None, :, None]
    level = -6 + 4 * np.cos(6.28 * (bands * (1 + 4 * scenes[:, 0, None, None, None]) + scenes[:, 1, None, None, None]))
    noise = generator.normal(0, 1, size=(len(scenes), 2, layout.MELS, frames))
    return (level + noise).astype(np.float16)
