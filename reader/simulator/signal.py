"""The reads of one crossing, and the reads of all crossings in the order in which they are said."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

import msgspec

from reader.model import NS_PER_S
from reader.simulator.race import Crossing

LOBE_M = 2.0  # the stretch of road over which a chip is heard
LOBE_MAX_S = 3.0
ANSWER_GAP_NS = 10_000_000  # a chip answers at most once in 10 ms: IPICO's time can't tell more apart
REPEAT_AFTER_NS = 5_500_000_000  # IPICO in its event modes sends a record again after that time

WEAKEST_DBM, STRONGEST_DBM = -75, -45
FALL_DB = 18.0  # from the middle of the lobe to its edge
NEIGHBOUR_DB = 8.0  # how much weaker the antenna beside hears


class Mat(msgspec.Struct, frozen=True, kw_only=True):
    """How the mat hears."""

    reads: int = 12  # of one crossing
    antennas: int = 1
    disorder_s: float = 0.0  # how late a read may be said at most
    repeats: float = 0.0  # the share of reads that are said twice


class Told(msgspec.Struct, gc=False):
    """One crossing, and what has been said of it: by the reader's own clock, whole frames alone.

    ``reads`` counts no repeats; with none, the times are None: nobody can know of this crossing.
    """

    crossing: Crossing
    reads: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    strongest_ns: int | None = None
    strongest_dbm: int = -128
    still_to_say: int = 0


class Read(msgspec.Struct, gc=False):
    """One answer of a chip. ``is_told``: it has been said once; again is a repeat."""

    told: Told
    at_ns: int
    rssi_dbm: int
    antenna: int  # from 1
    is_told: bool = False


def reads_in_order(opened: Iterable[Told], mat: Mat, rng: random.Random) -> Iterator[tuple[int, Read]]:
    """``(said_ns, read)`` in the order of saying; ``opened`` comes in the order of crossing, and is drawn lazily."""
    waiting: list[tuple[int, int, Read]] = []
    count = 0
    disorder_ns = mat.disorder_s * NS_PER_S
    half_lobe_ns = int(LOBE_MAX_S * NS_PER_S) // 2
    for told in opened:
        # No later crossing's reads begin before this one's lobe may.
        while waiting and waiting[0][0] < told.crossing.at_ns - half_lobe_ns:
            said_ns, _, read = heappop(waiting)
            yield said_ns, read
        for read in reads_of(told, mat, rng):
            said_ns = read.at_ns
            if disorder_ns:
                said_ns += int(rng.random() * disorder_ns)
            count += 1
            told.still_to_say += 1
            heappush(waiting, (said_ns, count, read))
            if mat.repeats and rng.random() < mat.repeats:
                count += 1
                told.still_to_say += 1
                heappush(waiting, (said_ns + REPEAT_AFTER_NS, count, read))
    while waiting:
        said_ns, _, read = heappop(waiting)
        yield said_ns, read


def reads_of(told: Told, mat: Mat, rng: random.Random) -> Iterator[Read]:
    """The reads of one crossing in order of time: spread over its way through the lobe, strongest in the middle.

    ``mat.reads`` of them, fewer where the chip is too fast for that many at ``ANSWER_GAP_NS``.
    """
    crossing = told.crossing
    lobe_ns = int(min(LOBE_M / crossing.speed_m_s, LOBE_MAX_S) * NS_PER_S)
    reads = min(mat.reads, lobe_ns // ANSWER_GAP_NS)
    slot_ns = lobe_ns // reads
    play_ns = slot_ns - ANSWER_GAP_NS
    begins_ns = crossing.at_ns - lobe_ns // 2
    peak_dbm = STRONGEST_DBM - 12.0 * rng.random()
    lane = rng.randrange(mat.antennas)
    beside = lane + 1 if lane + 1 < mat.antennas else max(lane - 1, 0)
    for n in range(reads):
        at_ns = begins_ns + n * slot_ns + int(rng.random() * play_ns)
        off_middle = 2.0 * (at_ns - crossing.at_ns) / lobe_ns
        dbm = peak_dbm - FALL_DB * off_middle * off_middle + 3.0 * (rng.random() - 0.5)
        antenna = lane
        if beside != lane and rng.random() < 0.3:
            antenna, dbm = beside, dbm - NEIGHBOUR_DB
        yield Read(told, at_ns, min(max(round(dbm), WEAKEST_DBM), STRONGEST_DBM), antenna + 1)
