"""How good UTC is, from what the kernel and chrony said; and whether it was set: pure.

``error_ms`` is chrony's root distance where chrony knows better than the kernel. Else it is the last measured offset
and what a crystal may have gone since. When that was is seen by ``maxerror``: whoever disciplines the clock sets it at
each poll (systemd-timesyncd to zero, ntpd to its root distance), and the kernel adds 500 microseconds each second.
"""

from __future__ import annotations

import dataclasses

from reader.model import ClockQuality, ClockSource, Instant

GOOD_NS = 100_000_000
CRYSTAL_PPM = 20
MAXERROR_PPM = 500
MILLION = 1_000_000
STEP_NS = 500_000


@dataclasses.dataclass(frozen=True)
class KernelSample:
    """adjtimex(2) at one moment. ``offset_ns``: what is still to be slewed of the last measured offset."""

    mono_ns: int
    is_synced: bool
    maxerror_ns: int
    offset_ns: int


@dataclasses.dataclass(frozen=True)
class Tracking:
    """What chrony says. ``distance_ns``: its bound of the error; ``measured``: its word for when it last measured."""

    is_synced: bool
    source: ClockSource
    distance_ns: int
    measured: str


class LastPoll:
    """When the clock was last compared with a better one, and how far it was off then: from successive samples."""

    def __init__(self) -> None:
        self._last: KernelSample | None = None
        self._polled_ns = 0
        self._error_ns = 0

    def note(self, sample: KernelSample) -> None:
        """The next sample; one that is not synchronised makes all before it void."""
        last = self._last
        self._last = sample if sample.is_synced else None
        if not sample.is_synced:
            return
        if last is None:
            age_ns = sample.maxerror_ns * MILLION // MAXERROR_PPM
            self._polled_ns, self._error_ns = sample.mono_ns - age_ns, abs(sample.offset_ns)
        elif sample.maxerror_ns < last.maxerror_ns:
            # More than the time since the last sample can have added is what the setter knows not to know.
            grown_ns = (sample.mono_ns - last.mono_ns) * MAXERROR_PPM // MILLION + MAXERROR_PPM * 1000
            unknown_ns = max(0, sample.maxerror_ns - grown_ns)
            self._polled_ns, self._error_ns = sample.mono_ns, abs(sample.offset_ns) + unknown_ns

    def error_ns(self) -> int | None:
        """How far UTC may be off at the last sample; None while that one is not synchronised."""
        if self._last is None:
            return None
        return self._error_ns + (self._last.mono_ns - self._polled_ns) * CRYSTAL_PPM // MILLION


def quality_from(
    kernel: KernelSample | None, error_ns: int | None, tracking: Tracking | None, *, is_set_by_rtc: bool
) -> ClockQuality:
    """The best word there is. ``error_ns``: the kernel's, from :class:`LastPoll`."""
    if tracking is not None and tracking.is_synced:
        return _synced(tracking.source, tracking.distance_ns)
    if kernel is not None and kernel.is_synced and error_ns is not None:
        return _synced("ntp", error_ns)
    if is_set_by_rtc:
        return ClockQuality(synced=False, source="rtc", error_ms=None)
    return ClockQuality(synced=False, source="unset" if kernel or tracking else "unknown", error_ms=None)


def _synced(source: ClockSource, error_ns: int) -> ClockQuality:
    """Synchronised, but to be relied on only while the error is small."""
    return ClockQuality(synced=error_ns < GOOD_NS, source=source, error_ms=round(error_ns / MILLION, 3))


@dataclasses.dataclass(frozen=True)
class Step:
    """UTC was set: ``by_ns`` is what it gained; ``at`` the first moment known after it."""

    by_ns: int
    at: Instant


class StepSeer:
    """Sees by successive instants that UTC was set: that it moved against the monotonic clock by over 0.5 ms.

    A thread held up between reading the two clocks gives an instant whose clocks don't belong together: a move is
    told when two instants in a row agree on it. Many small moves add up.
    """

    def __init__(self) -> None:
        self._last: Instant | None = None
        self._settled_ns: int | None = None

    def look(self, now: Instant) -> Step | None:
        """What has happened by ``now``, if anything has."""
        last, self._last = self._last, now
        if last is None or abs(_ahead_ns(now) - _ahead_ns(last)) > STEP_NS:
            return None
        if self._settled_ns is None:
            self._settled_ns = _ahead_ns(last)
        by_ns = _ahead_ns(now) - self._settled_ns
        if abs(by_ns) <= STEP_NS:
            return None
        self._settled_ns = _ahead_ns(now)
        return Step(by_ns, last)


def _ahead_ns(instant: Instant) -> int:
    return instant.utc_ns - instant.mono_ns
