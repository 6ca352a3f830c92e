"""The words everyone speaks: frozen values, no behaviour.

Times are integers of nanoseconds: ``utc_ns`` since 1970 in UTC, ``mono_ns`` on the host's monotonic
clock. Text stands only in what goes out: entry bodies, whose times are RFC 3339 with microseconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

NS_PER_S = 1_000_000_000


class Instant(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One moment, on both clocks of this host."""

    utc_ns: int
    mono_ns: int


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Bytes as one read of the port returned them, and when it returned."""

    data: bytes
    at: Instant


# ---- what a reader says: values out of line/protocols ----------------------------------------------


class Reason(StrEnum):
    """Why bytes were rejected, in the order in which a decoder finds out."""

    GARBAGE = "garbage"  # not the beginning of any frame
    LENGTH = "length"  # a frame's beginning, and a length it can't have
    INTEGRITY = "integrity"  # checksum wrong
    SANITY = "sanity"  # checksum right, content impossible
    CHIP_CRC = "chip-crc"  # the frame is whole, but the chip's own CRC is wrong: heard badly over the air
    INCOMPLETE = "incomplete"  # the line fell silent in the middle


class ChipRead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One report of one chip by the reader.

    ``chip``: upper-case hex, leading zeros kept. ``antenna``: from 1, or None. ``rssi_dbm``: or None.
    ``reader_ns``: the reader's own *dated* clock, as nanoseconds since 1970 had its zone been UTC; None
    where the record bears no date. ``reader_ms``: an undated counter (ThingMagic). ``size``: the bytes
    of the line it was made of.
    """

    chip: str
    antenna: int | None
    rssi_dbm: int | None
    reader_ns: int | None
    reader_ms: int | None
    size: int


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Anything else that a reader says on purpose: answers, keep-alives, banners, faults.

    ``name`` is the family's word for it (its module lists them); ``fields`` what it carries.
    """

    name: str
    fields: dict[str, object]
    size: int


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Bytes that mean nothing, and why."""

    reason: Reason
    data: bytes

    @property
    def size(self) -> int:
        """Bytes of the line."""
        return len(self.data)


Event = ChipRead | Reply | Rejected


# ---- what goes from the line to the recorder, and is kept in the journal as it came ------------------

Hears = Literal["up", "partial", "down"]
StampedBy = Literal["host", "disciplined"]
Source = Literal["input", "button", "command"]
NoticeKind = Literal["mode", "released", "command", "journal", "config", "clock", "restart", "power"]


class Reads(msgspec.Struct, frozen=True, array_like=True, tag="r", gc=False):
    """The chip reads of one chunk of one reader.

    ``at``: when the chunk came. ``times``: when each chip was read, on the host's monotonic clock, by what
    ``time_from`` says: the arrival of its last byte, or the reader's own clock disciplined; empty: all at ``at``.
    ``error_us``: how far these times may be off. ``zone_offset_ns``: what to take off the reads' ``reader_ns`` to
    have UTC.
    """

    reader: str
    at: Instant
    zone_offset_ns: int
    reads: list[ChipRead]
    times: list[int] = []
    time_from: StampedBy = "host"
    error_us: int = 0


class Hearing(msgspec.Struct, frozen=True, array_like=True, tag="h", gc=False):
    """A reader, or one antenna of it, began or ceased to hear.

    ``antenna``: None for the reader as a whole. ``is_partial``: it hears, but not with all its antennas, or less than
    it should. ``since_ns``: since when, on the host's monotonic clock, where that was before ``at``.
    """

    reader: str
    at: Instant
    hears: bool
    reason: str
    antenna: int | None = None
    is_partial: bool = False
    since_ns: int | None = None

    @property
    def hearing(self) -> Hears:
        """In one word."""
        return "down" if not self.hears else "partial" if self.is_partial else "up"

    @property
    def since(self) -> Instant:
        """Since when, on both clocks."""
        if self.since_ns is None:
            return self.at
        return Instant(self.at.utc_ns - (self.at.mono_ns - self.since_ns), self.since_ns)


class Began(msgspec.Struct, frozen=True, array_like=True, tag="b", gc=False):
    """The daemon began; before that nothing could hear since ``deaf_since`` (monotonic ns of this boot).

    ``shift_ns``: what makes earlier monotonic times those of this boot: 0 in the same boot; None where it
    is not known, so that what was can't be tied to what comes.
    """

    at: Instant
    boot: str
    deaf_since: int
    shift_ns: int | None


class Ticked(msgspec.Struct, frozen=True, array_like=True, tag="t", gc=False):
    """Deadlines were met up to here: a replay meets them at the same moment."""

    at: Instant


class Fired(msgspec.Struct, frozen=True, array_like=True, tag="g", gc=False):
    """A start signal. ``is_given``: its time came with it, by another's clock; ours can't put it right."""

    at: Instant
    name: str
    source: Source
    is_given: bool = False


class Marked(msgspec.Struct, frozen=True, array_like=True, tag="m", gc=False):
    """A time without a chip."""

    at: Instant
    text: str
    source: Source


class PutRight(msgspec.Struct, frozen=True, array_like=True, tag="c", gc=False):
    """UTC minus the monotonic clock of that boot is now known to be ``offset_ns``.

    ``passings``: those told again for it with this input, one revision more for each.
    """

    at: Instant
    boot: str
    offset_ns: int
    passings: list[str]


class Noted(msgspec.Struct, frozen=True, array_like=True, tag="n", gc=False):
    """Something that must not be forgotten, for the log. ``by``: who did it, or ""."""

    at: Instant
    kind: NoticeKind
    says: str
    by: str = ""


class ToldAgain(msgspec.Struct, frozen=True, array_like=True, tag="a", gc=False):
    """These passings were told again as they stood, in another mode: one revision more for each."""

    at: Instant
    passings: list[str]


Input = Reads | Hearing | Began | Ticked | Fired | Marked | PutRight | Noted | ToldAgain


# ---- what entries and messages share ----------------------------------------------------------------

Mode = Literal["race", "test", "released"]
Role = Literal["main", "backup", "side"]
Pick = Literal["first", "best", "last"]
Use = Literal["start", "split", "finish", "lap", "start-finish"]
ClockSource = Literal["ntp", "gps", "ptp", "rtc", "unset", "unknown"]


class ClockQuality(msgspec.Struct, frozen=True, gc=False):
    """How good the host's clock was."""

    synced: bool
    source: ClockSource
    error_ms: float | None


class Identity(msgspec.Struct, frozen=True):
    """Whose messages these are: the levels of the topic, and the box they come from."""

    event: str
    point: str
    mat: str
    box: str
