"""What the gate tells, as the bodies that the log keeps: pure."""

from __future__ import annotations

from math import hypot

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from reader.clock import rfc3339_from_utc_ns
from reader.messages import Coverage, Gun, Heard, Marker, Notice, Split
from reader.model import ClockQuality, Fired, Hearing, Identity, Instant, Marked, Mode, NoticeKind, Role
from reader.passing import Opened, Rules, Told

MS_NS = 1_000_000

encode = msgspec.json.Encoder().encode


class Teller(msgspec.Struct):
    """What all entries of this run have in common. ``bibs``: bib by chip, or None without a chip file."""

    identity: Identity
    role: Role
    boot: str
    rules_of_line: dict[str, Rules]
    bibs: dict[str, str] | None
    mode: Mode = "race"

    def split(self, told: Told, clock: ClockQuality) -> Split:
        """A passing as told to the world; ``clock``: how good the host's is."""
        rules = self.rules_of_line[told.line]
        split = Split(
            mode=self.mode,
            role=self.role,
            time=rfc3339_from_utc_ns(told.utc_ns),
            boot=self.boot,
            clock=clock,
            passing=told.passing,
            rev=told.rev,
            revised_for=told.revised_for or UNSET,
            chip=told.chip,
            bib=self._bib(told.chip),
            listed=UNSET if self.bibs is None else told.chip in self.bibs,
            pick=rules.pick,
            use=rules.use,
            first=rfc3339_from_utc_ns(told.first_ns),
            best=rfc3339_from_utc_ns(told.best_ns),
            last=rfc3339_from_utc_ns(told.last_ns),
            time_error_ms=None,
            spread_ms=round(told.half_width_ns / MS_NS, 3),
            reader_error_ms=None if told.time_from == "reader" else round(told.error_ns / MS_NS, 3),
            nth=told.nth,
            reads=told.reads,
            rssi_dbm=told.rssi_dbm,
            line=told.line,
            reader=told.reader,
            antenna=told.antenna,
            time_from=told.time_from,
            lingering=told.lingering,
            left=told.left,
            loiter=told.loiter,
            after_restart=told.after_restart,
        )
        return by_clock(split, clock)

    def heard(self, opened: Opened, clock: ClockQuality) -> Heard:
        """A chip was first heard."""
        return Heard(
            event=self.identity.event,
            point=self.identity.point,
            mat=self.identity.mat,
            box=self.identity.box,
            mode=self.mode,
            passing=opened.passing,
            chip=opened.chip,
            bib=self._bib(opened.chip),
            time=rfc3339_from_utc_ns(opened.utc_ns),
            line=opened.line,
            reader=opened.reader,
            antenna=opened.antenna,
            clock=clock,
        )

    def coverage(self, of: str, n: int, hearing: Hearing, clock: ClockQuality) -> Coverage:
        """A reader, or one antenna of it, began or ceased to hear."""
        return Coverage(
            mode=self.mode,
            role=self.role,
            time=rfc3339_from_utc_ns(hearing.at.utc_ns),
            boot=self.boot,
            clock=clock,
            of=of,
            n=n,
            rev=1,
            reader=hearing.reader,
            antenna=hearing.antenna,
            hearing=hearing.hearing,
            reason=hearing.reason,
            since=rfc3339_from_utc_ns(hearing.since.utc_ns),
        )

    def gun(self, of: str, n: int, fired: Fired, clock: ClockQuality) -> Gun:
        """A start signal. Of a time that was given nobody here knows how good it is."""
        return Gun(
            mode=self.mode,
            role=self.role,
            time=rfc3339_from_utc_ns(fired.at.utc_ns),
            boot=self.boot,
            clock=ClockQuality(synced=False, source="unknown", error_ms=None) if fired.is_given else clock,
            of=of,
            n=n,
            rev=1,
            name=fired.name,
            source=fired.source,
            is_given=fired.is_given,
        )

    def marker(self, of: str, n: int, marked: Marked, clock: ClockQuality) -> Marker:
        """A time without a chip."""
        return Marker(
            mode=self.mode,
            role=self.role,
            time=rfc3339_from_utc_ns(marked.at.utc_ns),
            boot=self.boot,
            clock=clock,
            of=of,
            n=n,
            rev=1,
            text=marked.text,
            source=marked.source,
        )

    def notice(self, kind: NoticeKind, says: str, at: Instant, clock: ClockQuality, by: str = "") -> Notice:
        """What else must not be forgotten."""
        return Notice(
            mode=self.mode,
            role=self.role,
            time=rfc3339_from_utc_ns(at.utc_ns),
            boot=self.boot,
            clock=clock,
            kind=kind,
            says=says,
            by=by or UNSET,
        )

    def put_right_notice(
        self, boot: str, from_seq: int, through_seq: int, moved_ns: int, at: Instant, clock: ClockQuality
    ) -> Notice:
        """Entries were told again, for UTC is known better now."""
        return Notice(
            mode=self.mode,
            role=self.role,
            time=rfc3339_from_utc_ns(at.utc_ns),
            boot=boot,
            clock=clock,
            kind="clock",
            says=f"entries {from_seq} to {through_seq} were told again: UTC was put right by {moved_ns / 1e9:+.3f} s",
            from_seq=from_seq,
            through_seq=through_seq,
            offset_us=moved_ns // 1000,
        )

    def _bib(self, chip: str) -> str | msgspec.UnsetType:
        return UNSET if self.bibs is None else self.bibs.get(chip, UNSET)


def by_clock(split: Split, host: ClockQuality) -> Split:
    """The split as told when the host's clock is so good: its ``clock`` and ``time_error_ms``."""
    clock = host
    if host.error_ms is not None and split.reader_error_ms:
        clock = replace(host, error_ms=round(host.error_ms + split.reader_error_ms, 3))
    split = replace(split, clock=clock)
    return replace(split, time_error_ms=time_error_ms(split))


def host_clock(clock: ClockQuality, reader_error_ms: float | None) -> ClockQuality:
    """What an entry's ``clock`` claims of the host's alone: a split's has its reader's error in it."""
    if clock.error_ms is None or not reader_error_ms:
        return clock
    return replace(clock, error_ms=max(0.0, clock.error_ms - reader_error_ms))


def time_error_ms(split: Split) -> float | None:
    """From the reads' spread and the clock's error; None where one is not known, or the reader's clock is as it is."""
    if split.spread_ms is None or split.clock.error_ms is None or split.time_from == "reader":
        return None
    return round(hypot(split.spread_ms, split.clock.error_ms), 3)
