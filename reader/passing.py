"""A passing: what the gate keeps of one, and what it says of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from reader.model import NS_PER_S, Pick, Use
from reader.moment import Ear, KeptRead

REPEAT_WITHIN_NS = 60 * NS_PER_S

RevisedFor = Literal["late_reads", "stronger", "heard_again", "still_here", "left"]
TimeFrom = Literal["host", "reader", "disciplined"]


class Rules(msgspec.Struct, frozen=True):
    """What a gate goes by; kept with its state, so that a restart replays under the rules of then."""

    pick: Pick
    use: Use
    quiet_ns: int
    dead_time_ns: int
    linger_ns: int
    time_from: Literal["host", "reader"]


class Passing(msgspec.Struct, array_like=True, eq=False):
    """One chip going over once. Times are gate time; ``*_now`` are the gate's "now" when something came.

    ``by_host``: a read of it bears the host's stamp; ``error_us``: how far its reads' times may be off. ``came_now``:
    of the read that opened it. ``told_half_ns``: half-width of the time told, 0 while none is known; ``told_lone``:
    its peak had no company.
    """

    id: str
    order: int
    chip: str
    nth: int
    loiter: bool
    after_restart: bool
    ear: Ear
    offset_ns: int
    mono_ns: int
    first: int
    last: int
    last_kept: int
    linger_at: int
    heard_now: int
    stronger_now: int
    reads: int = 0
    strongest_dbm: int | None = None
    kept: list[KeptRead] = []
    rev: int = 0
    told_ns: int = 0
    told_now: int = 0
    told_peak_dbm: int | None = None
    owed: RevisedFor | None = None
    owed_ns: int = 0
    owed_now: int = 0
    lingering: bool = False
    left: bool = False
    queued: int = -1
    by_host: bool = False
    error_us: int = 0
    came_now: int = 0
    left_now: int = 0
    told_half_ns: int = 0
    told_lone: bool = False


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A chip was first heard: what ``heard`` tells."""

    passing: str
    chip: str
    utc_ns: int
    line: str
    reader: str
    antenna: int | None


class Told(msgspec.Struct, frozen=True, gc=False):
    """A passing as it is to be told now: what ``split`` tells. ``mono_ns`` is the host's at ``utc_ns``.

    ``half_width_ns``: of the 95 % interval of that time by the reads alone; ``error_ns``: how far the reader's own
    clock, disciplined, may be off for any of them; 0 where all have the host's stamps.
    """

    passing: str
    rev: int
    revised_for: RevisedFor | None
    chip: str
    utc_ns: int
    mono_ns: int
    first_ns: int
    best_ns: int
    last_ns: int
    nth: int
    reads: int
    rssi_dbm: int | None
    line: str
    reader: str
    antenna: int | None
    lingering: bool
    left: bool
    loiter: bool
    after_restart: bool
    time_from: TimeFrom
    half_width_ns: int
    error_ns: int


class Seen(msgspec.Struct, array_like=True, eq=False):
    """The reads of one reader with its own time, of the last one to two minutes: a repeat is found in them.

    By chip and reader time, when it came by the host's monotonic clock, for a log puts the gate's "now" back by hours;
    the old half falls away whole.
    """

    since: int
    young: dict[str, dict[int, int]] = {}
    old: dict[str, dict[int, int]] = {}

    def age(self, host_ns: int) -> None:
        """Time has passed."""
        if abs(host_ns - self.since) > REPEAT_WITHIN_NS:
            self.young, self.old, self.since = {}, self.young, host_ns

    def has(self, chip: str, reader_ns: int, host_ns: int) -> bool:
        """Whether this very read has come within the last minute; if not, it has come now."""
        times = self.young.get(chip)
        if times is None:
            times = self.young[chip] = {}
        at = times.get(reader_ns)
        if at is None and chip in self.old:
            at = self.old[chip].get(reader_ns)
        if at is not None and abs(host_ns - at) <= REPEAT_WITHIN_NS:
            return True
        times[reader_ns] = host_ns
        return False

    def shift(self, by_ns: int) -> None:
        """Move all times."""
        self.since += by_ns
        for half in (self.young, self.old):
            for times in half.values():
                for reader_ns in times:
                    times[reader_ns] += by_ns


class GateState(msgspec.Struct, array_like=True):
    """All that a gate remembers, for a snapshot. ``past``: of each chip in ``nth``, in that order."""

    passings: list[Passing]
    nth: dict[str, int]
    spells: list[tuple[int, int | None]]
    seen: dict[str, Seen]
    newest: int | None
    newest_host: int
    order: int
    doubtful: dict[str, int]
    counts: dict[str, int]
    past: list[bytes] = []
