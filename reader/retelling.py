"""Telling again what was told under a wrong clock (WIRE.md of the design, "When the clock is put right").

Once UTC has been good for 30 s, every entry of this boot that was told while it was not, or whose time is off by more
than was claimed of it, is told again, a revision higher; what to tell again is read from the journal, so a restart in
the middle goes on with the rest. The gates take part: they number the revisions of the passings they still hold.

Entries of an earlier boot can be put right if a reader with a dated clock of its own ran through both: its clock ties
the two monotonic clocks. Where none does, they stay as they were told, marked as not synchronised.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from reader.clock import rfc3339_from_utc_ns, utc_ns_from_rfc3339
from reader.journal import JournalView
from reader.journal.view import ToldEntry
from reader.messages import Body, Coverage, Gun, Marker, Notice, Split
from reader.model import NS_PER_S, ClockQuality, Identity, Instant, Reads
from reader.telling import by_clock, host_clock

STEADY_NS = 30 * NS_PER_S
MS_NS = 1_000_000
STEP_NS = MS_NS
PAGE = 500
BATCH = 100  # between two of them what is new goes first
SYNCED_MS = 100.0
GAP_NS = 48 * 3600 * NS_PER_S  # a reader's clock is believed to have run on for so long
CRYSTAL_PPM = 100
ROWS_LOOKED_AT = 500

_body = msgspec.json.Decoder(Body)


class Steady:
    """Whether UTC is good, and has been for long enough.

    A thread held up between reading the two clocks gives a moment at which they don't belong together: a step is what
    two moments in a row agree on.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._last_ns = 0
        self._since_ns = 0
        self._moved_ns = 0  # since when it may have been stepped

    def look(self, now: Instant, quality: ClockQuality) -> bool:
        """Look at both clocks; whether UTC was stepped since the last look."""
        offset_ns, last_ns = now.utc_ns - now.mono_ns, self._last_ns
        self._last_ns = offset_ns
        if self._offset_ns is None or not quality.synced:
            self._since_ns = now.mono_ns
        if self._offset_ns is None:
            self._offset_ns = offset_ns
        if abs(offset_ns - self._offset_ns) <= STEP_NS:
            return False
        if abs(offset_ns - last_ns) > STEP_NS:
            self._moved_ns = now.mono_ns
            return False
        self._offset_ns, self._since_ns = offset_ns, max(self._since_ns, self._moved_ns)
        return True

    def is_right(self, now: Instant) -> bool:
        """Whether it has been good for 30 s, and this moment is one of them."""
        if self._offset_ns is None or abs(now.utc_ns - now.mono_ns - self._offset_ns) > STEP_NS:
            return False
        return now.mono_ns - self._since_ns >= STEADY_NS


class Anchor(NamedTuple):
    """A moment on a reader's own clock and on the monotonic clock of a boot of this host."""

    reader_ns: int
    mono_ns: int
    error_us: int


def anchors_in(reads: Reads) -> Iterator[tuple[str, Anchor]]:
    """By reader: the last read whose own dated clock was disciplined against the host's."""
    if reads.time_from == "disciplined" and reads.reads:
        reader_ns = reads.reads[-1].reader_ns
        if reader_ns is not None:
            yield reads.reader, Anchor(reader_ns, reads.times[-1], reads.error_us)


def last_anchors(view: JournalView, boot: str) -> dict[str, Anchor]:
    """The last ones of an earlier boot, by reader."""
    found: dict[str, Anchor] = {}
    for row in view.inputs_of_boot(boot, ROWS_LOOKED_AT):
        for given in reversed(row.inputs):
            if isinstance(given, Reads):
                for reader, anchor in anchors_in(given):
                    found.setdefault(reader, anchor)
    return found


def linked(then: Anchor, now: Anchor, offset_ns: int, quality: ClockQuality) -> tuple[int, ClockQuality] | None:
    """UTC minus monotonic of the earlier boot, and how good that is; None where the reader's clock can't tie them."""
    gap_ns = now.reader_ns - then.reader_ns
    then_ns = now.mono_ns - gap_ns  # on this boot's clock, which began at 0: the other boot was before
    if not 0 <= gap_ns <= GAP_NS or then_ns >= 0 or quality.error_ms is None:
        return None
    error_ms = quality.error_ms + (then.error_us + now.error_us) / 1000 + gap_ns * CRYSTAL_PPM / 1e6 / MS_NS
    return then_ns + offset_ns - then.mono_ns, ClockQuality(
        synced=error_ms < SYNCED_MS, source=quality.source, error_ms=round(error_ms, 3)
    )


class Again(NamedTuple):
    """An entry to be told again; ``passing``: of a split, else ""."""

    passing: str
    type: str
    utc_ns: int
    mono_ns: int
    body: Body


class _Mark(msgspec.Struct):
    """What of an entry's body decides whether it has to be told again."""

    boot: str
    clock: ClockQuality
    passing: str = ""
    of: str = ""
    time_from: str = "host"
    is_given: bool = False
    reader_error_ms: float | None = None


_mark = msgspec.json.Decoder(_Mark)
_Place: TypeAlias = tuple[int, int]  # which epoch, and seq


class Retelling:
    """What of one boot's entries is to be told again: read in pages, given out in batches.

    It looks in all epochs of ``identity``: a spell without a disk has one of its own; those set aside for another race
    have other topics. What is found is told again in the current one; ``from_seq`` and ``through_seq`` are of that.
    """

    def __init__(self, path: Path, identity: Identity, boot: str, offset_ns: int, quality: ClockQuality) -> None:
        self.boot = boot
        self.offset_ns = offset_ns
        self.quality = quality
        self.from_seq = 0
        self.through_seq = 0
        self.moved_ns = 0
        self.count = 0
        self._view = JournalView(path)
        self._epochs = [row for row in self._view.epochs() if row.identity == identity]
        self._reading = (0, 0)  # which of them, and through where
        self._highest: dict[tuple[str, str], tuple[_Place, bool]] = {}
        self._due: list[tuple[str, _Place]] | None = None  # passing or "", and where it stands; the first last

    def close(self) -> None:
        """Let go of the journal."""
        self._view.close()

    def read_page(self) -> bool:
        """Look through one page of entries; False when there are no more."""
        if self._due is not None:
            return False
        number, after_seq = self._reading
        if number < len(self._epochs):
            epoch = self._epochs[number]
            page = self._view.told(epoch.epoch, after_seq, PAGE)
            for entry in page:
                if entry.seq <= epoch.last_seq:
                    self._look_at(number, entry)
            is_more = bool(page) and page[-1].seq < epoch.last_seq
            self._reading = (number, page[-1].seq) if is_more else (number + 1, 0)
            return True
        found = [
            (name if type_ == "split" else "", place)
            for (type_, name), (place, is_due) in self._highest.items()
            if is_due
        ]
        self._due = sorted(found, key=lambda passing_and_place: passing_and_place[1], reverse=True)
        self._highest.clear()
        return False

    def _look_at(self, number: int, entry: ToldEntry) -> None:
        mark = _mark.decode(entry.body)
        key = (entry.type, mark.passing or mark.of)  # a passing and a coverage may have the same number
        if key[1] and mark.boot == self.boot and not mark.is_given and mark.time_from != "reader":
            moved_ns = self.offset_ns - (entry.utc_ns - entry.mono_ns)
            claimed = host_clock(mark.clock, mark.reader_error_ms)
            self._highest[key] = ((number, entry.seq), is_touched(claimed, moved_ns, self.quality))

    def batch(self, told_since: set[str]) -> list[Again]:
        """The next of them, but those told anew meanwhile; none when all have been given out."""
        batch: list[Again] = []
        while self._due and len(batch) < BATCH:
            passing, place = self._due.pop()
            if passing not in told_since:
                batch.append(self._again(passing, place))
        return batch

    def _again(self, passing: str, place: _Place) -> Again:
        number, seq = place
        [entry] = self._view.told(self._epochs[number].epoch, seq - 1, 1)
        utc_ns = entry.mono_ns + self.offset_ns
        moved_ns = utc_ns - entry.utc_ns
        self.count += 1
        if number == len(self._epochs) - 1:
            self.from_seq = min(self.from_seq or seq, seq)
            self.through_seq = max(self.through_seq, seq)
        if abs(moved_ns) > abs(self.moved_ns):
            self.moved_ns = moved_ns
        body = put_right(_body.decode(entry.body), utc_ns, moved_ns, self.quality)
        return Again(passing, entry.type, utc_ns, entry.mono_ns, body)


def is_touched(told: ClockQuality, moved_ns: int, quality: ClockQuality) -> bool:
    """Whether an entry told under that clock of the host's has to be told again: it is better, or claimed too much."""
    is_better = (quality.synced and not told.synced) or (told.error_ms is None and quality.error_ms is not None)
    return is_better or abs(moved_ns) > max(MS_NS, (told.error_ms or 0.0) * MS_NS)


def put_right(body: Body, utc_ns: int, moved_ns: int, quality: ClockQuality) -> Body:
    """The next revision of an entry: ``utc_ns`` its time, all its other times moved along."""
    time = rfc3339_from_utc_ns(utc_ns)

    def moved(text: str) -> str:
        return rfc3339_from_utc_ns(utc_ns_from_rfc3339(text) + moved_ns)

    match body:
        case Split():
            again = replace(
                body,
                time=time,
                rev=body.rev + 1,
                revised_for="clock",
                durable=UNSET,
                first=moved(body.first),
                best=moved(body.best),
                last=moved(body.last),
            )
            return by_clock(again, quality)
        case Coverage():
            return replace(
                body,
                time=time,
                rev=body.rev + 1,
                revised_for="clock",
                clock=quality,
                durable=UNSET,
                since=moved(body.since),
            )
        case Gun() | Marker():
            return replace(body, time=time, rev=body.rev + 1, revised_for="clock", clock=quality, durable=UNSET)
        case Notice():
            return body
