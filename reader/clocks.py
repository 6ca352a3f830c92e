"""The clocks of the mat side by side, the host's and its readers', as `timing-mat clock` shows them: pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reader.clock import rfc3339_from_utc_ns
from reader.line.reader_clock import ReaderTime
from reader.line.state import LinkState
from reader.model import NS_PER_S, ClockQuality, ClockSource, Instant

ZONE_NS = 900 * NS_PER_S  # zones lie whole quarters of an hour from UTC,
MOST_ZONE_NS = 14 * 3600 * NS_PER_S  # and at most so far
NEAR_ZONE_NS = 120 * NS_PER_S  # a clock is set by hand to the minute at worst: what is off by more is no zone
MS_NS = 1_000_000


class HostClock(msgspec.Struct, frozen=True):
    """The box itself, and how good its clock is."""

    time: str
    synced: bool
    source: ClockSource
    error_ms: float | None


class ReaderClockLook(msgspec.Struct, frozen=True):
    """A reader's. ``time`` as it shows it, without a zone; ``zone`` and what it is ahead of UTC in that zone.

    The zone is found, not asked for, so only while this box's clock is good; without one ``ahead_ms`` is all that lies
    between the two. ``drift_ppm``: by how much it runs fast.
    """

    reader: str
    family: str | None
    time: str | None
    zone: str | None
    ahead_ms: float | None
    drift_ppm: float | None
    steps: int
    is_used: bool
    says: str


class Clocks(msgspec.Struct, frozen=True):
    """All of them at one moment."""

    host: HostClock
    readers: list[ReaderClockLook]


def clocks_from(now: Instant, quality: ClockQuality, states: list[LinkState], time_from: Mapping[str, str]) -> Clocks:
    """``time_from``: by reader, as configured."""
    host = HostClock(rfc3339_from_utc_ns(now.utc_ns), quality.synced, quality.source, quality.error_ms)
    return Clocks(host, [_look(state, now, quality, time_from[state.name]) for state in states])


def _look(state: LinkState, now: Instant, quality: ClockQuality, time_from: str) -> ReaderClockLook:
    time = state.time
    zone = ahead_ms = text = None
    if time is not None and time.is_dated:
        shows_ns = time.reader_ns + now.mono_ns - time.mono_ns
        zone_ns = zone_of(shows_ns - now.utc_ns) if quality.synced else None
        text = rfc3339_from_utc_ns(shows_ns).removesuffix("Z")[:-4]  # hundredths
        zone = None if zone_ns is None else _zone_text(zone_ns)
        ahead_ms = round((shows_ns - now.utc_ns - (zone_ns or 0)) / MS_NS, 1)
    return ReaderClockLook(
        reader=state.name,
        family=state.family,
        time=text,
        zone=zone,
        ahead_ms=ahead_ms,
        drift_ppm=None if time is None or time.drift_ppm is None else round(time.drift_ppm, 1),
        steps=0 if time is None else time.steps,
        is_used=time is not None and time.is_used,
        says=_says(state, time, time_from),
    )


def zone_of(ahead_ns: int) -> int | None:
    """The zone of a clock that is so far ahead of UTC, in nanoseconds; None where it is off by more than a zone."""
    zone_ns = (ahead_ns + ZONE_NS // 2) // ZONE_NS * ZONE_NS
    return zone_ns if abs(zone_ns) <= MOST_ZONE_NS and abs(ahead_ns - zone_ns) <= NEAR_ZONE_NS else None


def _zone_text(zone_ns: int) -> str:
    hours, minutes = divmod(abs(zone_ns) // NS_PER_S // 60, 60)
    return f"UTC{'-' if zone_ns < 0 else '+'}{hours:02d}:{minutes:02d}" if zone_ns else "UTC"


def _says(state: LinkState, time: ReaderTime | None, time_from: str) -> str:
    if time_from == "reader":
        return "its reads bear its time as it is, as configured"
    if time_from == "host":
        return "not used, as configured: reads bear the time of their arrival"
    if time is not None and time.is_uneven:
        return "does not run evenly: reads bear the time of their arrival"
    if time is not None and time.is_used:
        kind = "" if time.is_dated else ", a counter of milliseconds"
        return f"disciplined against this box's{kind}: reads keep their true time, however late they come"
    if time is None and state.family is None:
        return "no reader has shown itself yet"
    return "not known yet: it takes thirty reads or answers; reads bear the time of their arrival"
