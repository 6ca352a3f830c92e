"""The words everyone speaks: frozen values, no behaviour.

Times are integers of nanoseconds: ``utc_ns`` since 1970 in UTC, ``mono_ns`` on the host's monotonic
clock. Text stands only in what goes out: entry bodies, whose times are RFC 3339 with microseconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

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


class Reads(msgspec.Struct, frozen=True, array_like=True, tag="r", gc=False):
    """The chip reads of one chunk of one reader.

    ``zone_offset_ns``: what to take off the reads' ``reader_ns`` to have UTC.
    """

    reader: str
    at: Instant
    zone_offset_ns: int
    reads: list[ChipRead]


class Hearing(msgspec.Struct, frozen=True, array_like=True, tag="h", gc=False):
    """A reader began or ceased to hear."""

    reader: str
    at: Instant
    hears: bool
    reason: str


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


Input = Reads | Hearing | Began | Ticked


# ---- what the log holds: entry bodies, as they stand in the messages ----------------------------------

Mode = Literal["race", "test", "released"]
Role = Literal["main", "backup", "side"]
Pick = Literal["first", "best", "last"]
Use = Literal["start", "split", "finish", "lap", "start-finish"]
Source = Literal["ntp", "gps", "ptp", "rtc", "unset", "unknown"]


class ClockQuality(msgspec.Struct, frozen=True, gc=False):
    """How good the host's clock was."""

    synced: bool
    source: Source
    error_ms: float | None


class Common(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every sequenced message bears besides its envelope (v, type, epoch, seq, event, point, mat, box)."""

    mode: Mode
    role: Role
    time: str
    boot: str
    clock: ClockQuality
    durable: bool | UnsetType = UNSET


class Split(Common, frozen=True, kw_only=True, tag="split", tag_field="type", gc=False):
    """A passing as told to the world."""

    passing: str
    rev: int
    revised_for: str | UnsetType = UNSET
    chip: str
    bib: str | UnsetType = UNSET
    listed: bool | UnsetType = UNSET
    pick: Pick
    use: Use
    first: str
    best: str
    last: str
    time_error_ms: float | None
    nth: int
    reads: int
    rssi_dbm: int | None
    line: str
    reader: str
    antenna: int | None
    time_from: Literal["host", "reader", "disciplined"]
    lingering: bool
    left: bool
    loiter: bool
    after_restart: bool


class Gun(Common, frozen=True, kw_only=True, tag="gun", tag_field="type", gc=False):
    """A start signal."""

    of: str
    n: int
    rev: int
    name: str
    source: Literal["input", "button", "command"]


class Marker(Common, frozen=True, kw_only=True, tag="marker", tag_field="type", gc=False):
    """A time without a chip."""

    of: str
    n: int
    rev: int
    text: str
    source: Literal["input", "button", "command"]


class Coverage(Common, frozen=True, kw_only=True, tag="coverage", tag_field="type", gc=False):
    """The mat, or one antenna of it, began or ceased to hear."""

    of: str
    n: int
    rev: int
    reader: str
    antenna: int | None
    hearing: Literal["up", "partial", "down"]
    reason: str
    since: str


class Notice(Common, frozen=True, kw_only=True, tag="notice", tag_field="type", gc=False):
    """What else must not be forgotten."""

    kind: Literal["mode", "released", "command", "journal", "config", "clock", "restart"]
    says: str
    by: str | UnsetType = UNSET


Body = Split | Gun | Marker | Coverage | Notice


class Identity(msgspec.Struct, frozen=True):
    """Whose messages these are: the levels of the topic, and the box they come from."""

    event: str
    point: str
    mat: str
    box: str


class Heard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A chip was first heard: for announcers and screens, never for scoring."""

    v: int = 1
    type: Literal["heard"] = "heard"
    event: str
    point: str
    mat: str
    box: str
    mode: Mode
    passing: str
    chip: str
    bib: str | UnsetType = UNSET
    time: str
    line: str
    reader: str
    antenna: int | None
    clock: ClockQuality


# ---- what the box says of itself: the message `status` --------------------------------------------------

Word = Literal["ok", "warn", "fail", "unknown"]


class Part(msgspec.Struct, frozen=True):
    """How one part of the box is."""

    word: Word
    says: str


class Antenna(msgspec.Struct, frozen=True):
    """What one antenna hears."""

    reader: str
    antenna: int | None
    state: str
    reads_60s: int
    chips_60s: int
    best_dbm: int | None


class OnMat(msgspec.Struct, frozen=True):
    """Chips that stay on the mat: how many, and the longest as (chip, seconds)."""

    count: int
    longest: list[tuple[str, float]]


class Counts(msgspec.Struct, frozen=True):
    """Since the daemon began; ``rejected`` by reason."""

    reads: int
    splits: int
    chips: int
    rejected: dict[str, int]


class Teardown(msgspec.Struct, frozen=True):
    """Whether the mat may be rolled up, and why (not)."""

    verdict: Literal["HOLD", "CLEAR"]
    reasons: list[str]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole box; ``line_use_pct`` is by reader."""

    time: str
    every_s: int
    box: str
    label: str | None
    mode: Mode
    recording: bool
    parts: dict[str, Part]
    antennas: list[Antenna]
    on_mat: OnMat
    counts: Counts
    last_read: str | None
    epoch: str
    last_seq: int
    delivered_seq: int
    acks: dict[str, int]
    backlog: int
    line_use_pct: dict[str, float]
    version: str
    uptime_s: int
    teardown: Teardown
