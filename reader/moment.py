"""The moment of crossing: which time a passing has, from the reads it was made of.

``best`` (WIRE.md of the design, "A passing"): the power-weighted mean of one antenna's reads within
0.75 s and 10 dB of the peak. The peak is the strongest read that has another within 10 dB and 0.75 s on
its antenna (if none has: the strongest), so that one wild read moves nothing. Without signal strengths
it is the middle of first and last.
"""

from __future__ import annotations

from typing import NamedTuple

REACH_NS = 750_000_000
REACH_DB = 10
WEIGHTS = [10.0 ** (-below / 10) for below in range(REACH_DB + 1)]  # power, by whole dB below the peak


NO_ANTENNA = 0  # of a reader that names none: antennas count from 1

Ear = tuple[str, int]
"""Where a read was heard: the reader and its antenna, or ``NO_ANTENNA``."""

KeptRead = tuple[int, Ear, int]
"""What the moment needs of a read: its time in ns, where it was heard, its dBm."""


class Moment(NamedTuple):
    """The best time, where it was heard, and how strong the peak was (None without signal strengths)."""

    t_ns: int
    ear: Ear
    peak_dbm: int | None


def best_of(reads: list[KeptRead]) -> Moment:
    """The best time of reads in any order, one at least; the same for every order of them."""
    by_strength = sorted((-rssi_dbm, t_ns, ear) for t_ns, ear, rssi_dbm in reads)
    weakness, peak_ns, ear = next((read for read in by_strength if _has_company(read, by_strength)), by_strength[0])
    # Around the peak, so that floating point has few digits to carry.
    weight_sum = moment_sum = 0.0
    for other_weakness, t_ns, other_ear in by_strength:
        if other_weakness > weakness + REACH_DB:
            break
        if other_ear == ear and abs(t_ns - peak_ns) <= REACH_NS and other_weakness >= weakness:
            weight = WEIGHTS[other_weakness - weakness]
            weight_sum += weight
            moment_sum += weight * (t_ns - peak_ns)
    return Moment(peak_ns + round(moment_sum / weight_sum), ear, -weakness)


def _has_company(read: tuple[int, int, Ear], by_strength: list[tuple[int, int, Ear]]) -> bool:
    weakness, t_ns, ear = read
    for other in by_strength:
        if other[0] > weakness + REACH_DB:
            return False
        if (
            other is not read
            and other[2] == ear
            and abs(other[1] - t_ns) <= REACH_NS
            and other[0] >= weakness - REACH_DB
        ):
            return True
    return False


def prune(kept: list[KeptRead]) -> list[KeptRead]:
    """The reads that can still matter to :func:`best_of`, whatever comes later.

    Once a peak has company no weaker read can be one, and of a stronger peak reads this weak are out of reach.
    """
    by_strength = sorted((-rssi_dbm, t_ns, ear) for t_ns, ear, rssi_dbm in kept)
    peak = next((read for read in by_strength if _has_company(read, by_strength)), None)
    if peak is None:
        return kept
    return [read for read in kept if read[2] >= -peak[0] - REACH_DB]
