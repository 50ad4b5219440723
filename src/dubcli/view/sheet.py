"""A contact sheet: one picture of a film, for a paper, a ticket or a message."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from dubcli.cache.clips import clock
from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Movie
from dubcli.errors import InputError
from dubcli.pages.pictures import frame_strip, mel_picture
from dubcli.view.facts import FilmFacts

_CELL = 300
_MEL_HEIGHT = 48
_LINE = 18
_SHOWN_FRAME = 8  # of 16: the one in the middle of the clip


def contact_sheet(one: FilmFacts, clips: list[int], *, columns: int = 6) -> Image.Image:
    """Each clip with its middle frame, its instant and the mel of each track; the film's name and flags above.

    A frame that does not decode leaves its place grey, with the reason.
    """
    frame_height = _frame_height(one.movie)
    tracks = one.movie.every_track
    height = _LINE + frame_height + len(tracks) * (_MEL_HEIGHT + _LINE) + 6
    columns = max(1, min(columns, len(clips)))
    head = (2 + min(3, len(one.flags))) * _LINE
    sheet = Image.new("RGB", (columns * (_CELL + 6), head + -(-len(clips) // columns) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    title = f"{one.title}   {one.clock}   {one.movie.n_clips} clips   {', '.join(one.languages)}"
    for number, line in enumerate([title, *one.flags[:3]]):
        draw.text((4, 2 + number * _LINE), line, fill="black", font=font)
    for index, clip in enumerate(clips):
        left, top = index % columns * (_CELL + 6), head + index // columns * height
        draw.text((left + 4, top), clock(clip * CLIP_SECONDS), fill="black", font=font)
        try:
            frame = frame_strip([one.movie.frame_bytes(clip)[_SHOWN_FRAME]], columns=1, width=_CELL)
            sheet.paste(Image.open(io.BytesIO(frame)), (left, top + _LINE))
        except InputError as error:
            draw.rectangle((left, top + _LINE, left + _CELL, top + _LINE + frame_height), fill="grey")
            draw.text((left + 4, top + _LINE), str(error), fill="black", font=font)
        below = top + _LINE + frame_height
        for track in tracks:
            draw.text((left + 4, below), track.name, fill="black", font=font)
            mel = Image.open(io.BytesIO(mel_picture(one.movie.mel(track)[clip])))
            sheet.paste(mel.resize((_CELL, _MEL_HEIGHT)), (left, below + _LINE))
            below += _MEL_HEIGHT + _LINE
    return sheet


def _frame_height(movie: Movie) -> int:
    width, height = movie.meta.get("frame_size") or (16, 9)
    return max(1, round(height * _CELL / width))
