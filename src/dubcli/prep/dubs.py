"""The tracks of a film beside each other: which dubs are in sync, and what is done about those that are not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import chain

from dubcli.errors import InputError
from dubcli.media.clip_mels import Lag, Sink
from dubcli.media.clock import read_packets
from dubcli.media.sound import StereoTrack
from dubcli.media.sources import ChosenTrack
from dubcli.media.streams import open_media, start_of
from dubcli.prep.config import PrepConfig
from dubcli.prep.sound import TrackMels, valid_clips
from dubcli.prep.sync import SyncReport, SyncTrace, estimate_sync


class TrackPass:
    """A chosen track on its way into the cache. ``stereo`` is None until something decodes it."""

    def __init__(self, choice: ChosenTrack, sink: Sink, *, traced: bool) -> None:
        self.choice, self._sink = choice, sink
        self.trace = SyncTrace() if traced else None
        self.mels = TrackMels(sink, trace=self.trace)
        self.stereo: StereoTrack | None = None
        self.sync: SyncReport | None = None
        self.fixed: dict[str, float] | None = None
        self.gain = 1.0

    @property
    def lag(self) -> Lag | None:
        """By how much it is moved; None where it is taken as it is."""
        if self.fixed is None:
            return None
        offset, slope = self.fixed["lag_ms_at_start"] * 1e-3, self.fixed["drift_ppm"] * 1e-6
        return lambda at_seconds: offset + slope * at_seconds

    def again(self) -> None:
        """Get ready to decode the track once more, moved by ``lag`` and at ``gain``."""
        self.mels = TrackMels(self._sink, gain=self.gain, lag=self.lag)
        self.stereo = None


def decode_alone(one: TrackPass, start: Fraction | None, n_clips: int) -> None:
    """Decode one track of its container and nothing else; ``start`` None: the clock of its own file.

    Raises InputError when the file cannot be opened.
    """
    with open_media(one.choice.path) as container:
        stream = container.streams[one.choice.track.index]
        zero = start_of(container) if start is None else start
        one.stereo = StereoTrack(stream, zero)
        for packet in chain(read_packets(container, [stream], zero, one.stereo.problems), [None]):
            for block in one.stereo.decode(packet):
                one.mels.add(block)
    one.mels.finish(n_clips)


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
    if one.sync.status != "off":
        return None
    steady = one.sync.unsteady_ms is not None and one.sync.unsteady_ms <= config.max_lag_ms
    if not steady:
        return (
            f"off by up to {one.sync.max_lag_ms:.0f} ms, more than --max-lag-ms {config.max_lag_ms:g}, and not "
            f"steadily: it is cut differently"
        )
    if config.fix_lag:
        at_start = one.sync.lag_seconds(0.0, primary.trace.seconds)
        one.fixed = {"lag_ms_at_start": round(at_start * 1e3, 2), "drift_ppm": one.sync.drift_ppm or 0.0}
        return None
    return (
        f"off by {one.sync.max_lag_ms:.0f} ms (drift {one.sync.drift_ppm:.0f} ppm), more than --max-lag-ms "
        f"{config.max_lag_ms:g}; --fix-lag corrects it"
    )


def _gain(primary: TrackPass, one: TrackPass) -> float:
    if primary.mels.level.power == 0 or one.mels.level.power == 0:
        return 1.0
    return float((primary.mels.level.power / one.mels.level.power) ** 0.5)


def _decode_again(one: TrackPass, n_clips: int) -> None:
    assert one.stereo is not None
    start = one.stereo.start_seconds
    one.again()
    try:
        decode_alone(one, start, n_clips)
    except InputError as error:
        raise InputError(f"{one.choice.path}: {error}") from None
