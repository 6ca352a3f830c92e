"""The moment of crossing: which time a passing has, from the reads it was made of.

``best`` (WIRE.md of the design, "A passing"): the power-weighted mean of one antenna's reads within
0.75 s and 10 dB of the peak. The peak is the strongest read that has another within 10 dB and 0.75 s on
its antenna (if none has: the strongest), so that one wild read moves nothing. Without signal strengths
it is the middle of first and last.

:func:`half_width_ns` says how far the time may be off, from the passing's own spread. It is right 19 times in 20 on
the model of a mat in the tests (``python -m tests.mat``), once that mat's constant bias is taken off: its few numbers
have no unit, and were chosen there.
"""

from __future__ import annotations

from math import hypot, sqrt
from typing import NamedTuple

from reader.model import Pick

REACH_NS = 750_000_000
REACH_DB = 10
# Of the time for which a chip is within 10 dB: where in it the best time is, depends on body, fading and stride
# however many reads there are, and with few on where they fell.
LOBE_SHARE = 0.35
FEW_READS = 2
SPAN_SHARE = 0.3  # the same of the whole passing, for its middle
# The rest is in parts of the reach. So wide as a quarter of it is what one read alone leaves open: of a chip that was
# asked only once it may have been anywhere in the lobe, and n reads close up leave an n-th of that.
ONE_READ = 1 / 4
FLOOR = 1 / 20
MIDDLE_FLOOR = 1 / 5  # nothing says on which side of the line the chip was heard better
# First and last are off by most of what lies between them and the best time, and by several half-widths of that: by
# more at first, for the body is not yet between a bib and the mat, and it is heard from farther off.
AWAY_SHARE = 0.6
BEYOND_BEST: dict[Pick, float] = {"first": 3.8, "best": 1.0, "last": 2.9}
BEYOND_MIDDLE: dict[Pick, float] = {"first": 2.25, "best": 1.0, "last": 1.7}
WEIGHTS = [10.0 ** (-below / 10) for below in range(REACH_DB + 1)]  # power, by whole dB below the peak


NO_ANTENNA = 0  # of a reader that names none: antennas count from 1

Ear = tuple[str, int]
"""Where a read was heard: the reader and its antenna, or ``NO_ANTENNA``."""

KeptRead = tuple[int, Ear, int]
"""What the moment needs of a read: its time in ns, where it was heard, its dBm."""

_ByStrength = tuple[int, int, Ear]
"""The same with its weakness, dB under 0 dBm, first: sorted, the strongest stands first."""


class Moment(NamedTuple):
    """The best time, where it was heard, and how strong the peak was (None without signal strengths)."""

    t_ns: int
    ear: Ear
    peak_dbm: int | None


def best_of(reads: list[KeptRead]) -> Moment:
    """The best time of reads in any order, one at least; the same for every order of them."""
    by_strength = _by_strength(reads)
    return _mean_around(_peak_of(by_strength), by_strength)


def _mean_around(peak: _ByStrength, by_strength: list[_ByStrength]) -> Moment:
    weakness, peak_ns, ear = peak
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


def _by_strength(reads: list[KeptRead]) -> list[_ByStrength]:
    return sorted((-rssi_dbm, t_ns, ear) for t_ns, ear, rssi_dbm in reads)


def _peak_of(by_strength: list[_ByStrength]) -> _ByStrength:
    return _peak_with_company(by_strength) or by_strength[0]


def _peak_with_company(by_strength: list[_ByStrength]) -> _ByStrength | None:
    return next((read for read in by_strength if _has_company(read, by_strength)), None)


def _has_company(read: _ByStrength, by_strength: list[_ByStrength]) -> bool:
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


def has_company(kept: list[KeptRead]) -> bool:
    """Whether any of these reads can be a peak that no one wild read is."""
    return _peak_with_company(_by_strength(kept)) is not None


def prune(kept: list[KeptRead]) -> list[KeptRead]:
    """The reads that can still matter to :func:`best_of`, whatever comes later.

    Once a peak has company no weaker read can be one, and of a stronger peak reads this weak are out of reach.
    """
    peak = _peak_with_company(_by_strength(kept))
    if peak is None:
        return kept
    return [read for read in kept if read[2] >= -peak[0] - REACH_DB]


def half_width_ns(kept: list[KeptRead], pick: Pick, first_ns: int, last_ns: int, reads: int) -> int:
    """Half the width of the 95 % interval of that time, as far as the reads tell; the clock's error is not in it.

    ``first_ns`` and ``reads`` are the whole passing's; so is ``last_ns`` for the pick ``last``, else it is that of the
    reads which the best time is made of. ``kept`` may be pruned, or empty without signal strengths.
    """
    if kept:
        by_strength = _by_strength(kept)
        peak = _peak_of(by_strength)
        best_ns = _mean_around(peak, by_strength).t_ns
        half_ns, beyond = _half_width_around(peak, by_strength), BEYOND_BEST[pick]
    else:
        best_ns = (first_ns + last_ns) // 2
        span_ns = SPAN_SHARE * (last_ns - first_ns)
        half_ns, beyond = hypot(span_ns, REACH_NS * ONE_READ / reads, REACH_NS * MIDDLE_FLOOR), BEYOND_MIDDLE[pick]
    time_ns = {"first": first_ns, "best": best_ns, "last": last_ns}[pick]
    return round(AWAY_SHARE * abs(time_ns - best_ns) + beyond * half_ns)


def _half_width_around(peak: _ByStrength, by_strength: list[_ByStrength]) -> float:
    weakness, peak_ns, ear = peak
    near = [
        read
        for read in by_strength
        if weakness <= read[0] <= weakness + REACH_DB and abs(read[1] - peak_ns) <= REACH_NS
    ]
    counted = sum(read[2] == ear for read in near)
    times = [t_ns for _, t_ns, _ in near]
    lobe_ns = 0.0
    if len(near) > 1:
        # Of n times strewn over a lobe, the outermost are (n - 1) / (n + 1) of it apart.
        lobe_ns = min(2.0 * REACH_NS, (max(times) - min(times)) * (len(near) + 1) / (len(near) - 1))
    share = LOBE_SHARE * sqrt(1 + FEW_READS / counted)
    return hypot(share * lobe_ns, REACH_NS * ONE_READ / counted, REACH_NS * FLOOR)
