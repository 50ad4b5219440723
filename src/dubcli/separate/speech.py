"""Which stem of a model is speech: singing models call it vocals, models for films speech or dialogue."""

from __future__ import annotations

from collections.abc import Sequence

from dubcli.errors import UserError, did_you_mean

SPEECH_STEMS = ("vocals", "speech", "dialog", "dialogue")
"""The names that mean it, the first of a model's that is here; their case does not matter."""


def speech_stem(sources: Sequence[str], asked: str | None, model: str, channels: int = 2) -> str:
    """The name, as the model spells it, of the stem that is ``asked`` for; of None the one that its name says.

    Raises UserError where there is none, or where the model is not for stereo.
    """
    by_name = {source.casefold(): source for source in sources}
    for name in SPEECH_STEMS if asked is None else (asked.casefold(),):
        if name in by_name and channels == 2 and len(sources) > 1:
            return by_name[name]
    has = f"the model {model} has {channels} channels and the stems {', '.join(sources)}"
    if channels != 2 or len(sources) < 2:
        raise UserError(f"{has}; give a stereo --model with several stems, one of them named vocals or speech")
    if asked is not None:
        raise UserError(f"{has}, none named {asked}{did_you_mean(asked, sources)}; --speech-stem names one of them")
    raise UserError(f"{has}; none is named {' or '.join(SPEECH_STEMS)}: say with --speech-stem which is speech")
