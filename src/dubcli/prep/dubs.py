"""The tracks of a film beside each other: which dubs are in sync, and what is done about those that are not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from dubcli.errors import InputError
from dubcli.media.clip_mels import Float, Lag, Sink
from dubcli.media.clock import read_packets
from dubcli.media.identity import content_of
from dubcli.media.sound import StereoTrack
from dubcli.media.sources import PROGRAMME, ChosenTrack
from dubcli.media.streams import open_media
from dubcli.media.stretch import Stretcher
from dubcli.prep.config import SAME, SILENT, UNKNOWN, PrepConfig, kept_verdicts
from dubcli.prep.sync import SyncReport, estimate_sync
from dubcli.prep.trace import SyncTrace
from dubcli.prep.track_mels import TrackMels, valid_clips

NOT_HEARD = "empty"  # of a track of which nothing could be decoded, among the verdicts of ``dubcli.prep.sync``


class TrackPass:
    """A chosen track on its way into the cache. ``stereo`` is None until something decodes it.

    ``traced``: the folder on whose disk its trace is kept; None: it has none. ``content``: the fingerprint of the file
    that it is in. Raises InputError where that cannot be read.
    """

    def __init__(self, choice: ChosenTrack, sink: Sink, *, traced: Path | None) -> None:
        self.choice, self._sink = choice, sink
        self.content = content_of(choice.path)  # before it is read
        self.trace = None if traced is None else SyncTrace(traced)
        self.mels = TrackMels(sink, trace=self.trace)
        self.stereo: StereoTrack | None = None
        self.sync: SyncReport | None = None
        self.fixed: dict[str, Any] | None = None
        self.gain = 1.0
        self._stretcher: Stretcher | None = None

    @property
    def verdict(self) -> str:
        """In a word, what became of the track."""
        return NOT_HEARD if self.sync is None else self.sync.status

    @property
    def lag(self) -> Lag | None:
        """By how much it is moved; None where it is taken as it is."""
        if self.fixed is None:
            return None
        offset, slope = self.fixed["lag_ms_at_start"] * 1e-3, self.fixed["drift_ppm"] * 1e-6
        return lambda at_seconds: offset + slope * at_seconds

    def again(self) -> None:
        """Get ready to decode the track once more, moved by ``lag`` and at ``gain``."""
        lag, self.stereo = self.lag, None
        if lag is not None and self.fixed is not None and self.fixed.get("pitch_kept"):
            tempo = 1 + self.fixed["drift_ppm"] * 1e-6
            self._stretcher = Stretcher(tempo)
            offset = lag(0.0) / tempo  # of what the stretcher gives, all along
            lag = lambda _: offset  # noqa: E731
        self.mels = TrackMels(self._sink, gain=self.gain, lag=lag)

    def add(self, block: Float) -> None:
        """Take the next samples, (2, samples)."""
        self.mels.add(block if self._stretcher is None else self._stretcher.push(block))

    def finish(self, n_clips: int) -> None:
        """Call at the end of the track."""
        if self._stretcher is not None:
            self.mels.add(self._stretcher.finish())
        self.mels.finish(n_clips)


def decode_alone(one: TrackPass, n_clips: int) -> None:
    """Decode one track of its container and nothing else, on the film's clock.

    Raises InputError when the file cannot be opened.
    """
    with open_media(one.choice.path) as container:
        stream = container.streams[one.choice.track.index]
        zero = one.choice.start_seconds
        one.stereo = StereoTrack(stream, zero)
        for packet in chain(read_packets(container, [stream], zero, one.stereo.problems), [None]):
            for block in one.stereo.decode(packet):
                one.add(block)
    one.finish(n_clips)


def check_dubs(
    passes: dict[str, TrackPass], drop_mel: Callable[[str], None], config: PrepConfig, n_clips: int
) -> dict[str, str]:
    """Estimate every dub's lag, correct or leave it out, and match levels. Returns {language: reason} left out.

    ``drop_mel`` forgets what was written of a language: it is left out, or written anew.
    """
    primary = passes.get(config.primary)
    left_out = {}
    for language, one in passes.items():
        if language == config.primary:
            continue
        reason = _nothing_heard(one, n_clips)
        if reason is None and primary is not None:
            reason = _check(primary, one, config)
        if reason is not None:
            left_out[language] = reason
            drop_mel(language)
            continue
        if config.match_level and primary is not None:
            one.gain = _gain(primary, one)
        if one.gain != 1.0 or one.fixed is not None:
            drop_mel(language)
            _decode_again(one, n_clips)
    return left_out


def _nothing_heard(one: TrackPass, n_clips: int) -> str | None:
    assert one.stereo is not None
    if one.stereo.refusal is not None:
        return one.stereo.refusal
    first, stop = valid_clips(one.stereo.first_sample, one.stereo.position, n_clips)
    problem = f"; {one.stereo.problems[0]}" if one.stereo.problems else ""
    return None if first < stop else f"no whole clip of it could be decoded{problem}"


def _check(primary: TrackPass, one: TrackPass, config: PrepConfig) -> str | None:
    """None where the dub can stay; else why not. Marks it to be corrected where that is asked for."""
    if primary.trace is None or one.trace is None:
        return None
    one.sync = estimate_sync(primary.trace, one.trace, max_lag_ms=config.max_lag_ms)
    reason = _why_not(one.sync, config, one.choice)
    if reason is None and one.sync.is_off(config.max_lag_ms):
        at_start = one.sync.lag_seconds(0.0, primary.trace.seconds)
        one.fixed = {"lag_ms_at_start": round(at_start * 1e3, 2), "drift_ppm": one.sync.drift_ppm or 0.0}
        if one.sync.pitch_kept:
            one.fixed["pitch_kept"] = True
    return reason


def _why_not(sync: SyncReport, config: PrepConfig, choice: ChosenTrack) -> str | None:
    """None where a dub of that verdict can stay, corrected perhaps; else why not."""
    if sync.status == UNKNOWN and choice.how == PROGRAMME:
        return (
            f"of programme {choice.track.program}, not the picture's, and too little is shared with {config.primary} "
            f"to tell that it is of this film; name it in a manifest to keep it"
        )
    if sync.status not in kept_verdicts(config):
        return {
            SILENT: f"silent: next to nothing is heard where {config.primary} sounds; --keep-same keeps it",
            SAME: f"the same as {config.primary} once more, which is no dub; --keep-same keeps it",
            UNKNOWN: f"sync unknown, too little is shared with {config.primary} to tell; --unknown keep keeps it",
        }[sync.status]
    if not sync.is_off(config.max_lag_ms):
        return None
    limit = f"more than --max-lag-ms {config.max_lag_ms:g}"
    if sync.unsteady_ms is None or sync.unsteady_ms > config.max_lag_ms:
        return f"off by up to {sync.max_lag_ms:.0f} ms, {limit}, and not steadily: it is cut differently"
    if config.fix_lag:
        return None
    drift = f"drift {sync.drift_ppm:.0f} ppm" + (", its pitch kept" if sync.pitch_kept else "")
    return f"off by {sync.max_lag_ms:.0f} ms ({drift}), {limit}; --fix-lag corrects it"


def _gain(primary: TrackPass, one: TrackPass) -> float:
    if primary.mels.level.power == 0 or one.mels.level.power == 0:
        return 1.0
    return float((primary.mels.level.power / one.mels.level.power) ** 0.5)


def _decode_again(one: TrackPass, n_clips: int) -> None:
    assert one.stereo is not None
    one.again()
    try:
        decode_alone(one, n_clips)
    except InputError as error:
        raise InputError(f"{one.choice.path}: {error}") from None
