"""The reader's own clock, as its reads bear it: when each was, on the host's monotonic clock.

Belongs to the reader's port thread. What :mod:`.discipline` finds out is put into :class:`Reads`; reads that bear no
time, or whose clock is not followed, keep the time of their arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

from reader.config import ReaderSettings
from reader.line.discipline import Discipline, Settled, Word
from reader.line.protocols import ClockSaid, Family
from reader.model import NS_PER_S, ChipRead, Instant, Reads

DATED_NS = 10_000_000  # IPICO and Trident: hundredths, rounded down
COUNTER_NS = 1_000_000
COUNTER_WRAPS_NS = 2**32 * COUNTER_NS
US_NS = 1_000


class ReaderTime(NamedTuple):
    """How it stands with a reader's clock. ``reader_ns``: what it shows at the host's ``mono_ns``, UTC its zone.

    ``is_used``: its reads bear its time; ``is_uneven``: they can't, for it does not run as a clock does. ``steps``: how
    often it was set, as far as was seen. ``drift_ppm``: by how much it is fast.
    """

    reader_ns: int
    mono_ns: int
    is_dated: bool
    is_used: bool
    is_uneven: bool
    drift_ppm: float | None
    steps: int


class ReaderClock:
    """Of one reader; :meth:`begin` before all else."""

    def __init__(self, settings: ReaderSettings) -> None:
        self._name = settings.name
        self._zone = None if settings.zone == "UTC" else ZoneInfo(settings.zone)
        self._is_followed = settings.time_from == "auto"
        self._family = ""
        self._is_dated = False
        self._discipline = Discipline(COUNTER_NS, COUNTER_WRAPS_NS)
        self._said: ClockSaid | None = None

    def begin(self, family: Family) -> None:
        """A conversation begins. A clock with a date has gone on meanwhile; a counter has begun anew."""
        if family.name != self._family or not family.has_date:
            self._family, self._is_dated = family.name, family.has_date
            self._discipline = Discipline(DATED_NS) if family.has_date else Discipline(COUNTER_NS, COUNTER_WRAPS_NS)
            self._said = None

    def stamp(self, reads: list[ChipRead], at: Instant, came: list[int], byte_ns: int) -> list[Reads]:
        """The reads of one chunk, with their times; without those whose time is to be told later.

        ``at``: when the chunk came; ``came``: when the last byte of each read did, or nothing: all then; ``byte_ns``:
        how long a byte takes on the line, 0 where that is not known.
        """
        zone_offset_ns = self._zone_offset_ns(reads[0])
        hear, time_of = self._discipline.hear, self._time_of
        if not self._is_followed or time_of(reads[0]) is None:
            return [Reads(self._name, at, zone_offset_ns, reads, came)]
        by_reader: list[ChipRead] = []
        times: list[int] = []
        by_host: list[ChipRead] = []
        arrived: list[int] = []
        for place, read in enumerate(reads):
            came_ns = came[place] if came else at.mono_ns
            x_ns = time_of(read)
            # The clock was looked at when the chip was heard, before the first of these bytes was sent.
            said = Word.HOST if x_ns is None else hear(x_ns, came_ns - read.size * byte_ns, (read, came_ns))
            if isinstance(said, int):
                by_reader.append(read)
                times.append(said)
            elif said is Word.HOST:
                by_host.append(read)
                arrived.append(came_ns)
        given = []
        if by_reader:
            error_us = self._discipline.error_ns(cast(int, time_of(by_reader[-1]))) // US_NS
            given.append(Reads(self._name, at, zone_offset_ns, by_reader, times, "disciplined", error_us))
        if by_host:
            given.append(Reads(self._name, at, zone_offset_ns, by_host, arrived if came else []))
        return given

    def settle(self, now: Instant) -> Iterator[Reads]:
        """Reads whose time it was too early to tell, and is not any more."""
        return self._told(self._discipline.settle(now.mono_ns), now)

    def finish(self, now: Instant) -> Iterator[Reads]:
        """The line is gone: nothing is kept back."""
        return self._told(self._discipline.finish(), now)

    def _told(self, settled: list[Settled], now: Instant) -> Iterator[Reads]:
        for token, mono_ns, error_ns in settled:
            if token is None:
                continue  # an answer
            read, came_ns = cast("tuple[ChipRead, int]", token)
            zone_offset_ns = self._zone_offset_ns(read)
            if mono_ns is None:
                yield Reads(self._name, now, zone_offset_ns, [read], [came_ns])
            else:
                yield Reads(self._name, now, zone_offset_ns, [read], [mono_ns], "disciplined", error_ns // US_NS)

    def listen(self, said: ClockSaid | None) -> None:
        """What the reader last said of its clock; the same object again is no news."""
        if said is not None and said is not self._said:
            self._discipline.answered(*said)
        self._said = said

    @property
    def is_in_doubt(self) -> bool:
        """Whether an answer of the reader would decide when its reads were."""
        return self._discipline.is_in_doubt

    @property
    def warning(self) -> str:
        """What is wrong with it, or nothing."""
        if self._is_followed and self._discipline.is_uneven:
            return "its clock does not run evenly and is not used: reads bear the time of their arrival"
        return ""

    def state(self, now_ns: int) -> ReaderTime | None:
        """How it stands with it; None while nothing is known."""
        offset_ns = self._discipline.offset_ns()
        if offset_ns is None:
            return None
        return ReaderTime(
            reader_ns=now_ns - offset_ns,
            mono_ns=now_ns,
            is_dated=self._is_dated,
            is_used=self._is_followed and self._discipline.is_ready,
            is_uneven=self._discipline.is_uneven,
            drift_ppm=self._discipline.drift_ppm(),
            steps=self._discipline.steps,
        )

    def _time_of(self, read: ChipRead) -> int | None:
        if self._is_dated:
            return read.reader_ns
        return None if read.reader_ms is None else read.reader_ms * COUNTER_NS

    def _zone_offset_ns(self, read: ChipRead) -> int:
        if read.reader_ns is None or self._zone is None:
            return 0
        local = datetime.fromtimestamp(read.reader_ns // NS_PER_S, UTC).replace(tzinfo=self._zone)
        return utc_offset_ns(local)


def utc_offset_ns(local: datetime) -> int:
    """By how much local time is ahead of UTC then."""
    offset = local.utcoffset()
    return int(offset.total_seconds()) * NS_PER_S if offset else 0
