"""The demo as one picture, for a README: a scene, its tracks, how alike they are to each model."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from dubcli.core.atomic import atomic_write
from dubcli.core.languages import language_name
from dubcli.core.tracks import Track
from dubcli.demo.likeness import Placements
from dubcli.demo.page import groups, matrix_chart, scene_of
from dubcli.demo.summary import DemoSummary
from dubcli.pages.pictures import frame_strip, mel_picture

_WIDTH, _GAP, _LINE = 1280, 12, 24
_MEL_HEIGHT = 96


def write_demo_picture(summary: DemoSummary, shown: Placements) -> None:
    """``summary.picture``: a PNG of frames, below them each language's mel, below these each model's matrix."""
    clip = scene_of(shown)
    frames = Image.open(io.BytesIO(frame_strip(clip.movie.frame_bytes(clip.clip)[::2], columns=8, width=_WIDTH // 8)))
    languages = summary.learnt[0].languages
    group, models = next(groups(summary))
    cell = (_WIDTH - (len(models) - 1) * _GAP) // len(models)
    matrices = [_as_wide(Image.open(io.BytesIO(matrix_chart(group, one).png())), cell) for one in models]
    tops = [0, frames.height + _LINE, frames.height + 2 * _LINE + _MEL_HEIGHT + _GAP]
    bottom = tops[2] + _LINE + max(one.height for one in matrices)
    sheet = Image.new("RGB", (_WIDTH, bottom), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    sheet.paste(frames, (0, 0))
    width = (_WIDTH - (len(languages) - 1) * _GAP) // len(languages)
    for number, language in enumerate(languages):
        left = number * (width + _GAP)
        draw.text((left, tops[1] - 20), language_name(language), fill="black", font=font)
        mel = Image.open(io.BytesIO(mel_picture(clip.movie.mel(Track(language))[clip.clip])))
        sheet.paste(mel.resize((width, _MEL_HEIGHT)), (left, tops[1]))
    told = f"How alike are the tracks of a clip ({group}; 0: as those of any two clips, 1: the same)?"
    draw.text((0, tops[2]), told, fill="black", font=font)
    for number, matrix in enumerate(matrices):
        sheet.paste(matrix, (number * (cell + _GAP), tops[2] + _LINE))
    with atomic_write(summary.picture) as file:
        sheet.save(file, "PNG", optimize=True)


def _as_wide(picture: Image.Image, width: int) -> Image.Image:
    return picture.resize((width, round(picture.height * width / picture.width)))
