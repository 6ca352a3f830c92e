"""What the design says of a passing, done the plainest way: everything is kept and looked through anew each time.

Written from the document's words ("A passing"), not from the gate's code, and nothing of it is shared: a test that
compares the two compares two readings of one text. It is slow and forgets nothing: of what the gate has let go of it
knows that, and when.

Where the document leaves a choice, a comment says so and begins with "choice:".
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from reader.model import Reads
from reader.passing import Rules

S = 1_000_000_000
MS = 1_000_000
Ear = tuple[str, int | None]


class Read(NamedTuple):
    """One read: when (gate time), what "now" was when it came, how strong, by which reader and antenna."""

    t: int
    came: int
    dbm: int | None
    ear: Ear


class Revision(NamedTuple):
    """A passing as told; all times in gate time."""

    why: str | None
    time: int
    first: int
    best: int
    last: int
    reads: int
    dbm: int | None
    ear: Ear
    lingering: bool
    left: bool


@dataclass(eq=False)
class Crossing:
    """One passing: all its reads, and all that was said of it."""

    chip: str
    nth: int
    loiter: bool
    linger_at: int
    reads: list[Read] = field(default_factory=list)
    told: list[Revision] = field(default_factory=list)
    time_told_at: int = 0
    told_dbm: int | None = None
    told_lone: bool = False
    owed: str | None = None
    owed_time: int = 0
    owed_since: int = 0
    lingering: bool = False
    left: bool = False
    left_at: int = 0
    is_let_go: bool = False

    @property
    def first(self) -> int:
        return min(read.t for read in self.reads)

    @property
    def last(self) -> int:
        return max(read.t for read in self.reads)


def dbm(read: Read) -> int:
    assert read.dbm is not None
    return read.dbm


def name(read: Read) -> tuple[str, int]:
    reader, antenna = read.ear
    return reader, antenna or 0


def is_beside(read: Read, peak: Read) -> bool:
    return read.ear == peak.ear and abs(read.t - peak.t) <= 0.75 * S and abs(dbm(read) - dbm(peak)) <= 10


def peak_of(reads: list[Read]) -> Read | None:
    """The strongest read that has another beside it, or if none has the strongest; None without any signal."""
    # choice: of equally strong ones the earliest; of those at one instant, the first by reader and antenna.
    signals = sorted(
        (read for read in reads if read.dbm is not None), key=lambda read: (-dbm(read), read.t, name(read))
    )
    accompanied = [peak for peak in signals if any(is_beside(read, peak) for read in signals if read is not peak)]
    return (accompanied + signals + [None])[0]


def is_accompanied(reads: list[Read]) -> bool:
    """Whether any of them has another beside it."""
    signals = [read for read in reads if read.dbm is not None]
    return any(is_beside(read, peak) for peak in signals for read in signals if read is not peak)


def best_of(reads: list[Read], last: int) -> int:
    """The `best` moment of these reads."""
    peak = peak_of(reads)
    if peak is None:
        return (min(read.t for read in reads) + last) // 2
    beside = [read for read in reads if read.dbm is not None and is_beside(read, peak)]
    powers = [10 ** ((dbm(read) - dbm(peak)) / 10) for read in beside]
    mean = sum(power * (read.t - peak.t) for power, read in zip(powers, beside, strict=True)) / sum(powers)
    return peak.t + round(mean)


class Oracle:
    """The gate of one line, told of the same things at the same times as the real one."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.crossings: list[Crossing] = []
        self.repeats = 0
        self._spells: list[tuple[int, int | None]] = []
        self._seen: list[tuple[object, int]] = []
        self._newest: tuple[int, int] | None = None  # the newest reader time, and the host's when it came

    # ---- what happens --------------------------------------------------------------------------------------

    def hear(self, given: Reads, host_ns: int) -> None:
        self.advance(host_ns)  # a newer reader time can put "now" back: what was due before it stays done
        for read in given.reads:
            t = given.at.mono_ns
            if self.rules.time_from == "reader":
                assert read.reader_ns is not None
                t = read.reader_ns - given.zone_offset_ns
                if self._newest is None or t > self._newest[0]:
                    # choice: where that puts "now" back by the dead time, nothing waits longer for it.
                    if self._newest is not None and self._now(host_ns) - t >= self.rules.dead_time_ns:
                        self._put_back(t)
                    self._newest = (t, host_ns)
            now = self._now(host_ns)
            self._settle(now)
            if read.reader_ns is not None:
                mark = (given.reader, read.chip, read.reader_ns)
                if any(seen == mark and host_ns - when <= 60 * S for seen, when in self._seen):
                    self.repeats += 1
                    continue
                self._seen.append((mark, host_ns))  # choice: the minute is one of the host's clock
            ear = (given.reader, read.antenna)
            self._take(read.chip, Read(t, now, read.rssi_dbm, ear))

    def advance(self, host_ns: int) -> None:
        if self._has_now():
            self._settle(self._now(host_ns))

    def cease(self, host_ns: int) -> None:
        self.advance(host_ns)
        if self._has_now() and (not self._spells or self._spells[-1][1] is not None):
            self._spells.append((self._now(host_ns), None))

    def resume(self, host_ns: int) -> None:
        self.advance(host_ns)
        if self._spells and self._spells[-1][1] is None:
            self._spells[-1] = (self._spells[-1][0], self._now(host_ns))

    def _has_now(self) -> bool:
        return self.rules.time_from == "host" or self._newest is not None

    def _now(self, host_ns: int) -> int:
        """The host's monotonic clock; or the newest reader time, run on by host time since."""
        if self.rules.time_from == "host":
            return host_ns
        assert self._newest is not None
        newest, then = self._newest
        return newest + host_ns - then

    def _put_back(self, now: int) -> None:
        for crossing in self.crossings:
            crossing.reads = [read._replace(came=min(read.came, now)) for read in crossing.reads]
            crossing.owed_since = min(crossing.owed_since, now)

    # ---- which passing ---------------------------------------------------------------------------------------

    def _take(self, chip: str, read: Read) -> None:
        mine = [crossing for crossing in self.crossings if crossing.chip == chip]
        # choice: 300 s after it was closed, or heard late, a passing is let go of. No read changes it any more: those
        # nearer to it than the dead time are repeats, and it reaches to them. It is known for nothing else.
        old = [crossing for crossing in mine if crossing.is_let_go]
        known = [crossing for crossing in mine if not crossing.is_let_go]
        old_gap = min((_gap(crossing, read.t) for crossing in old), default=1 << 62)
        near = [
            crossing
            for crossing in known
            # choice: of two equally near, the one not let go of; but nothing joins beyond one that is.
            if self._absence(crossing, read.t) < self.rules.dead_time_ns and _gap(crossing, read.t) <= old_gap
        ]
        if near:
            # choice: of two equally near, the earlier.
            self._add(min(near, key=lambda crossing: (_gap(crossing, read.t), crossing.first)), read)
            return
        if old_gap < self.rules.dead_time_ns:  # choice: deaf spells aside
            min(old, key=lambda crossing: (_gap(crossing, read.t), crossing.first)).reads.append(read)
            self.repeats += 1
            return
        recent = [crossing for crossing in known if abs(read.t - crossing.first) <= 300 * S]
        is_loiter = len(recent) >= 3 and self.rules.use != "lap"
        self.crossings.append(Crossing(chip, len(mine) + 1, is_loiter, read.t + self.rules.linger_ns, [read]))
        if self.rules.pick == "first":
            self._tell(self.crossings[-1], read.came, None)

    def _absence(self, crossing: Crossing, t: int) -> int:
        """How long the chip had been absent between this passing and that time, deaf spells taken off."""
        begin, end = (t, crossing.first) if t < crossing.first else (crossing.last, t)
        return end - begin - self._deaf(begin, end) if begin < end else 0

    def _deaf(self, begin: int, end: int) -> int:
        """What is taken off that time: of each spell at most 60 s."""
        overlaps = (min(end, end if over is None else over) - max(begin, since) for since, over in self._spells)
        return sum(min(overlap, 60 * S) for overlap in overlaps if overlap > 0)

    # ---- what a read changes ---------------------------------------------------------------------------------

    def _add(self, crossing: Crossing, read: Read) -> None:
        first, last = crossing.first, crossing.last
        # choice: the moment of freezing follows an earlier first read until it is past, then it is a fact. What has
        # counted by then goes on to count.
        if read.t < first and read.came < crossing.linger_at:
            last_kept = max(kept.t for kept in self._kept(crossing))
            crossing.linger_at = max(read.t + self.rules.linger_ns, last_kept)
        crossing.reads.append(read)
        # choice: at the very moment of freezing is still before it.
        is_frozen = read.t > crossing.linger_at
        if not crossing.told:
            crossing.lingering = crossing.lingering or is_frozen
            return
        # choice: late means heard before its time was last told.
        is_late = read.t < crossing.time_told_at
        match self.rules.pick:
            case "first" if read.t < first:
                self._owe(crossing, "late_reads", read)
            case "last" if read.t > last:
                self._owe(crossing, "late_reads" if is_late else "heard_again", read)
            case "best" if not is_frozen and is_late:
                self._owe(crossing, "late_reads", read)
            case "best" if not is_frozen and self._is_stronger(crossing, read):
                self._owe(crossing, "stronger", read)
        if is_frozen and not crossing.lingering:
            crossing.lingering = True
            self._tell(crossing, read.came, "still_here")

    def _is_stronger(self, crossing: Crossing, read: Read) -> bool:
        """By six decibels than the peak that was told."""
        # choice: without any signal told, nothing is stronger.
        if read.dbm is None or crossing.told_dbm is None:
            return False
        # choice: of a peak that was told without company, any that has it is stronger.
        has_more_weight = crossing.told_lone and is_accompanied(self._kept(crossing))
        return has_more_weight or read.dbm >= crossing.told_dbm + 6

    def _owe(self, crossing: Crossing, why: str, read: Read) -> None:
        """A read that may change the time has come: the wait begins anew if it does."""
        time = self._time(crossing)
        if abs(time - crossing.told[-1].time) < MS:
            crossing.owed = None
        elif crossing.owed is None or time != crossing.owed_time:
            crossing.owed, crossing.owed_time, crossing.owed_since = why, time, read.came

    def _kept(self, crossing: Crossing) -> list[Read]:
        """The reads that `best` is made of."""
        # choice: those up to the moment of freezing, whatever the pick.
        return [read for read in crossing.reads if read.t <= crossing.linger_at]

    def _best(self, crossing: Crossing) -> int:
        kept = self._kept(crossing)
        return best_of(kept, crossing.last if self.rules.pick == "last" else max(read.t for read in kept))

    def _time(self, crossing: Crossing) -> int:
        match self.rules.pick:
            case "first":
                return crossing.first
            case "best":
                return self._best(crossing)
            case "last":
                return crossing.last

    # ---- what time brings ------------------------------------------------------------------------------------

    def _settle(self, now: int) -> None:
        """Do all that is due up to now, in the order in which it fell due."""
        while True:
            dues = [(self._due(crossing), place) for place, crossing in enumerate(self.crossings)]
            if not dues or min(dues)[0] > now:
                return
            due, place = min(dues)
            self._do(self.crossings[place], due)

    def _due(self, crossing: Crossing) -> int:
        dues = [1 << 62]
        if not crossing.told:
            dues += [self._settled_at(crossing), self._frozen_at(crossing)]
        if crossing.owed:
            dues.append(crossing.owed_since + self.rules.quiet_ns)
        if not crossing.left:
            dues.append(self._closed_at(crossing))
        elif not crossing.is_let_go:
            dues.append(max(crossing.left_at, self._heard_at(crossing)) + 300 * S)
        return min(dues)

    def _heard_at(self, crossing: Crossing) -> int:
        return max(read.came for read in crossing.reads)

    def _is_late(self, crossing: Crossing) -> bool:
        """It opened, with a read out of a reader's memory, when it should have been told or closed."""
        # choice: deaf spells aside.
        should_have_been = crossing.linger_at + min(0, self.rules.dead_time_ns - self.rules.linger_ns)
        return crossing.reads[0].came >= should_have_been

    def _frozen_at(self, crossing: Crossing) -> int:
        """When it is told at the latest."""
        # choice: a late one `linger_s` after it opened.
        return crossing.reads[0].came + self.rules.linger_ns if self._is_late(crossing) else crossing.linger_at

    def _closed_at(self, crossing: Crossing) -> int:
        # choice: a late one not before nothing has been heard of it for `quiet_s`.
        absent_at = self._absent_at(crossing)
        return max(absent_at, self._heard_at(crossing) + self.rules.quiet_ns) if self._is_late(crossing) else absent_at

    def _settled_at(self, crossing: Crossing) -> int:
        """When nothing has come for `quiet_s` that would change the time."""
        since = self._heard_at(crossing)
        if self.rules.pick == "best" and peak_of(crossing.reads) is not None:
            strongest = max(dbm(read) for read in crossing.reads if read.dbm is not None)
            place = next(place for place, read in enumerate(crossing.reads) if read.dbm == strongest)
            # choice: a reader's time that is late puts "now" back, and the wait begins no earlier for it.
            since = max(read.came for read in crossing.reads[: place + 1])
        return since + self.rules.quiet_ns

    def _absent_at(self, crossing: Crossing) -> int:
        """The first moment at which the chip has been absent for the dead time, if it is not heard again."""
        earliest = crossing.last + self.rules.dead_time_ns
        moments = range(earliest, earliest + 60 * S * len(self._spells) + 1)
        is_absent = bisect_left(moments, self.rules.dead_time_ns, key=lambda t: self._absence(crossing, t))
        return moments[is_absent]

    def _do(self, crossing: Crossing, at: int) -> None:
        """What is due first of it."""
        if not crossing.told:
            self._tell(crossing, at, None)
        elif crossing.owed and crossing.owed_since + self.rules.quiet_ns <= at:
            if self._has_changed(crossing):
                self._tell(crossing, at, crossing.owed)
            crossing.owed = None
        elif crossing.left:
            crossing.is_let_go = True
        else:
            crossing.left, crossing.left_at = True, at
            if crossing.lingering or self.rules.pick == "first" or (crossing.owed and self._has_changed(crossing)):
                self._tell(crossing, at, "left")
            crossing.owed = None

    def _has_changed(self, crossing: Crossing) -> bool:
        return abs(self._time(crossing) - crossing.told[-1].time) >= MS

    def _tell(self, crossing: Crossing, at: int, why: str | None) -> None:
        peak = peak_of(self._kept(crossing))
        if why == "still_here" or (why == "left" and not crossing.owed):
            time = crossing.told[-1].time
        else:
            time = self._time(crossing)
            crossing.time_told_at = max(at, self._heard_at(crossing))
            crossing.told_dbm = None if peak is None else dbm(peak)
            crossing.told_lone = not is_accompanied(self._kept(crossing))
        crossing.told.append(
            Revision(
                why=why,
                time=time,
                first=crossing.first,
                best=self._best(crossing),
                last=crossing.last,
                reads=len(crossing.reads),
                dbm=max((dbm(read) for read in crossing.reads if read.dbm is not None), default=None),
                # choice: without any signal, where the passing opened.
                ear=(peak or crossing.reads[0]).ear,
                lingering=crossing.lingering,
                left=crossing.left,
            )
        )


def _gap(crossing: Crossing, t: int) -> int:
    return max(crossing.first - t, t - crossing.last, 0)
