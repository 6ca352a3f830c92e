"""How well each rule finds the moment of crossing: the model's reads through the gate, as the product has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from random import Random
from statistics import fmean, pstdev

from reader.gate import Gate
from reader.model import NS_PER_S, ChipRead, Instant, Pick, Reads
from reader.passing import Rules, Told
from tests.mat.model import Crossing, Mat, Read, Wear
from tests.mat.regression import regression, strongest

PICKS: tuple[Pick, ...] = ("first", "last", "best")
BEGIN_NS = 1000 * NS_PER_S
CHIP = "A1"


@dataclass(frozen=True)
class Timed:
    """One crossing: by rule how much too late its time is, by pick how far off that claims to be. All in ms."""

    speed_m_s: float
    antennas: int
    reads: int
    late_ms: dict[str, float]
    claimed_ms: dict[str, float]


def crossings(mat: Mat, wear: Wear, number: int, seed: int) -> list[Timed]:
    """So many crossings that were read at all, each by every rule. ``middle`` is ``best`` without signal strengths."""
    dice = Random(f"{seed} {wear}")
    found: list[Timed] = []
    while len(found) < number:
        crossing = Crossing(mat, wear, dice)
        if reads := crossing.reads(dice):
            found.append(_timed(crossing, reads))
    return found


def _timed(crossing: Crossing, reads: list[Read]) -> Timed:
    late_ms = {"strongest": strongest(reads) * 1000, "regression": regression(reads) * 1000}
    claimed_ms: dict[str, float] = {}
    for pick in PICKS:
        late_ms[pick], claimed_ms[pick] = through_gate(reads, pick)
    late_ms["middle"], claimed_ms["middle"] = through_gate(reads, "best", has_signals=False)
    return Timed(crossing.speed_m_s, crossing.antennas, len(reads), late_ms, claimed_ms)


def through_gate(reads: list[Read], pick: Pick, *, has_signals: bool = True) -> tuple[float, float]:
    """The time of the first passing's highest revision, and its half-width as it was then. In ms."""
    ids = count(1)
    rules = Rules(pick, "finish", 850_000_000, 20 * NS_PER_S, 8 * NS_PER_S, "host")
    gate = Gate("main", rules, lambda: str(next(ids)))
    told_ms = (math.nan, math.nan)

    def until(host_ns: int) -> None:
        nonlocal told_ms
        gate.advance(host_ns)
        for told in gate.take():
            if isinstance(told, Told) and told.passing == "1":
                told_ms = ((told.utc_ns - BEGIN_NS) / 1e6, told.half_width_ns / 1e6)

    for read in reads:
        t_ns = BEGIN_NS + round(read.t_s * NS_PER_S)
        until(t_ns)
        chip_read = ChipRead(CHIP, read.antenna, read.rssi_dbm if has_signals else None, None, None, 0)
        gate.hear(Reads("mat", Instant(t_ns, t_ns), 0, [chip_read]), t_ns)
    until(BEGIN_NS + round((reads[-1].t_s + 25) * NS_PER_S))
    return told_ms


# ---- figures -----------------------------------------------------------------------------------------------


def bias(late_ms: list[float]) -> float:
    """How much too late, on average."""
    return fmean(late_ms)


def scatter(late_ms: list[float]) -> float:
    """The standard deviation."""
    return pstdev(late_ms)


def robust_scatter(late_ms: list[float]) -> float:
    """Half of what lies between the 16th and the 84th of a hundred."""
    in_order = sorted(late_ms)
    return (in_order[round(0.84 * (len(in_order) - 1))] - in_order[round(0.16 * (len(in_order) - 1))]) / 2


def covered(timed: list[Timed], rule: str, only: Callable[[Timed], bool] = lambda _: True) -> float:
    """The share of those whose time, the constant bias of all taken off, is no farther off than it claims."""
    constant_ms = bias([one.late_ms[rule] for one in timed])
    right = [abs(one.late_ms[rule] - constant_ms) <= one.claimed_ms[rule] for one in timed if only(one)]
    return fmean(right) if right else math.nan


def of_rule(timed: Iterable[Timed], rule: str) -> list[float]:
    """By how much each is late by that rule."""
    return [one.late_ms[rule] for one in timed]


# ---- who stops -----------------------------------------------------------------------------------------------

STOPPERS = Mat(speed_m_s=(1.2, 4.0), swing=0.0)
STOPS_M = (0.3, 1.0)


def stoppers(wear: Wear, number: int, seed: int) -> list[float]:
    """By how many ms ``best`` is later for who stops just past the mat than for the same one walking on."""
    dice = Random(f"{seed} {wear} stops")
    later_ms: list[float] = []
    while len(later_ms) < number:
        drawn = dice.getrandbits(64)
        stops_m = dice.uniform(*STOPS_M)
        times_ms = []
        for place in (None, stops_m):
            again = Random(drawn)
            crossing = Crossing(STOPPERS, wear, again, place)
            if reads := crossing.reads(again):
                times_ms.append(through_gate(reads, "best")[0])
        if len(times_ms) == 2:
            later_ms.append(times_ms[1] - times_ms[0])
    return later_ms
