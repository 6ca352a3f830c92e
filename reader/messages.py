"""What goes out: the bodies of the log's entries, and the messages beside them, field by field as in the JSON.

Times are text here: RFC 3339, UTC, microseconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from reader.model import ClockQuality, Hears, Mode, NoticeKind, Pick, Role, Source, Use


class Common(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every sequenced message bears besides its envelope (v, type, epoch, seq, event, point, mat, box)."""

    mode: Mode
    role: Role
    time: str
    boot: str
    clock: ClockQuality
    durable: bool | UnsetType = UNSET


class Split(Common, frozen=True, kw_only=True, tag="split", tag_field="type", gc=False):
    """A passing as told to the world.

    ``time_error_ms``: half-width of a 95 % interval, from the clock's error and the passing's own spread; None while
    that of the clock is not known. ``spread_ms``: the same from the reads alone, the clock taken as right: what
    decides between two splits of one mat, whose clock they share. ``reader_error_ms``: how far the reads' times may
    be off by the reader's own clock, the most of any of them; 0 where none bears its time, None where ``time_from`` is
    reader, for nobody knows. It is in ``clock.error_ms`` already. In entries of earlier versions both are missing.
    """

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
    spread_ms: float | None = None
    reader_error_ms: float | None = None
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
    """A start signal. ``is_given``: its time came with it, by the clock of who gave it."""

    of: str
    n: int
    rev: int
    revised_for: str | UnsetType = UNSET
    name: str
    source: Source
    is_given: bool = False


class Marker(Common, frozen=True, kw_only=True, tag="marker", tag_field="type", gc=False):
    """A time without a chip."""

    of: str
    n: int
    rev: int
    revised_for: str | UnsetType = UNSET
    text: str
    source: Source


class Coverage(Common, frozen=True, kw_only=True, tag="coverage", tag_field="type", gc=False):
    """A reader, or one antenna of it, began or ceased to hear. ``antenna``: None for all of them."""

    of: str
    n: int
    rev: int
    revised_for: str | UnsetType = UNSET
    reader: str
    antenna: int | None
    hearing: Hears
    reason: str
    since: str


class Notice(Common, frozen=True, kw_only=True, tag="notice", tag_field="type", gc=False):
    """What else must not be forgotten.

    With ``kind`` "clock": the entries ``from_seq`` to ``through_seq``, of the boot named, were told again, their times
    moved by ``offset_us`` at most.
    """

    kind: NoticeKind
    says: str
    by: str | UnsetType = UNSET
    from_seq: int | UnsetType = UNSET
    through_seq: int | UnsetType = UNSET
    offset_us: int | UnsetType = UNSET


Body = Split | Gun | Marker | Coverage | Notice


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
    """What one antenna hears. ``revisit_ms``: how long it waits for its next turn; None where it is not known."""

    reader: str
    antenna: int | None
    state: str
    reads_60s: int
    chips_60s: int
    best_dbm: int | None
    revisit_ms: float | None = None


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


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the box's supply; None where it is not measured.

    ``hours_left``: until it ends, as it has fallen so far. ``hours_needed``: until the last runner is expected here.
    ``failing``: the supply has said that it is going.
    """

    volts: float | None = None
    percent: float | None = None
    hours_left: float | None = None
    hours_needed: float | None = None
    failing: bool = False


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
    power: Power = Power()
    teardown: Teardown


# ---- what a self-test found: the message `selftest` -------------------------------------------------------

Result = Literal["pass", "warn", "fail", "skip"]
Verdict = Literal["pass", "warn", "fail"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the self-test. ``value``: as measured, with its unit; ``limit``: what it had to keep; or "".

    ``says``: how it is, in a sentence; ``do``: what to do about it, or "".
    """

    name: str
    result: Result
    value: str = ""
    limit: str = ""
    says: str
    do: str = ""


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole self-test. ``says``: one sentence that a crew can act on. ``took_s``: how long it took."""

    v: int = 1
    type: Literal["selftest"] = "selftest"
    time: str
    box: str
    label: str | None
    version: str
    took_s: float
    verdict: Verdict
    says: str
    checks: list[Check]
