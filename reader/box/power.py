"""How long the supply lasts, and how it stands in a word and a sentence: pure.

What a battery says of its percentage is wrong under load, so that comes second: where a gauge counts what is left and
what is drawn, one by the other; else by how the charge, the percentage or (only where it is known at how many volts
the battery is empty) the voltage has fallen. Falling is found in the last hour's minutes, of each the median: the
median of the slopes between any two of them (Theil and Sen), so that a load that comes and goes and a few wild values
move it little. A jump is another battery, or a gauge that has thought better of it: what was before it is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean, median
from typing import Literal, NamedTuple

from reader.box.supply import Supply
from reader.clock import rfc3339_from_utc_ns
from reader.messages import Part, Power, Word
from reader.model import NS_PER_S, Instant

NS_PER_MIN = 60 * NS_PER_S
NS_PER_H = 3600 * NS_PER_S
WINDOW_NS = NS_PER_H
LEAST_H = 10 / 60  # of falling, before it is believed
JUMP = 0.05  # of the whole, within a minute
MOST_H = 1000.0  # no battery here lasts longer: so small a current is none that the gauge has measured
NOISE = 4  # so many times what the minutes are off the slope has to be fallen

SHORT_H = 0.5  # the battery has to last so much longer than it is needed
FAIL_H = 0.5
WARN_H = 1.0  # where nobody has said how long it is needed
WARN_PERCENT = 20.0
FAIL_PERCENT = 5.0
WARN_CELSIUS = 80.0
SLOWS_CELSIUS = 85.0

By = Literal["charge", "percentage", "voltage"]
Found = tuple[Word, str]
WORST: tuple[Word, ...] = ("fail", "warn", "ok", "unknown")


class Estimate(NamedTuple):
    """How long the battery lasts, and by what that was found."""

    hours: float
    by: By


class Measured(NamedTuple):
    """What a look has found. ``estimate``: None while it is not known. ``was_low``: ever, as far as is known."""

    supply: Supply
    estimate: Estimate | None = None
    was_low: bool = False


# ---- how long it lasts -----------------------------------------------------------------------------------


class History:
    """What was measured in the last hour."""

    def __init__(self) -> None:
        self._looks: deque[tuple[int, Supply]] = deque()

    def add(self, now_ns: int, supply: Supply) -> None:
        """One look more. ``now_ns``: monotonic."""
        self._looks.append((now_ns, supply))
        while self._looks[0][0] < now_ns - WINDOW_NS:
            self._looks.popleft()

    def steady_volts(self) -> float | None:
        """The median of the last minute: a load that comes for a moment pulls the voltage down, and means nothing."""
        volts = [one.volts for at_ns, one in self._looks if at_ns > self._looks[-1][0] - NS_PER_MIN]
        return median(known) if (known := [one for one in volts if one is not None]) else None

    def estimate(self, empty_volts: float | None = None) -> Estimate | None:
        """How long the battery lasts by all that is known now; None: it is not known, or it is on mains."""
        last_on_mains = max((place for place, (_, one) in enumerate(self._looks) if one.is_on_mains), default=-1)
        looks = list(self._looks)[last_on_mains + 1 :]
        if not looks:
            return None
        return estimate(looks, empty_volts)


def estimate(looks: Sequence[tuple[int, Supply]], empty_volts: float | None = None) -> Estimate | None:
    """From looks at a battery that empties: monotonic nanoseconds, and what was found then."""
    charges = _since_jump(_by_minute(looks, lambda supply: supply.charge))
    if charges:
        since_ns = looks[-1][0] + round((charges[0][0] - 1 / 60) * NS_PER_H)
        drawn = [one.drawn for at_ns, one in looks if at_ns >= since_ns and one.drawn is not None]
        hours = charges[-1][1] / fmean(drawn) if drawn else None
        if hours is None or hours > MOST_H:
            hours = hours_until(charges, 0.0, 0.01 * charges[0][1])
        if hours is not None:
            return Estimate(hours, "charge")
    percents = _since_jump(_by_minute(looks, lambda supply: supply.percent), whole=100.0)
    if (hours := hours_until(percents, 0.0, 2.0)) is not None:
        return Estimate(hours, "percentage")
    empty = empty_volts or next((one.empty_volts for _, one in reversed(looks) if one.empty_volts), None)
    volts = _since_jump(_by_minute(looks, lambda supply: supply.volts))
    if empty is not None and volts and (hours := hours_until(volts, empty, 0.004 * volts[0][1])) is not None:
        return Estimate(hours, "voltage")
    return None


def hours_until(points: Sequence[tuple[float, float]], empty: float, least: float) -> float | None:
    """When what falls will be at ``empty``. ``points``: hours before now (from -1 to 0), and how much it was then.

    None while there are less than ten minutes, or it has not fallen by ``least`` and clearly more than it wavers.
    """
    if len(points) < 2 or points[-1][0] - points[0][0] < LEAST_H:
        return None
    slope = median((late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(points, 2))
    now = median(value - slope * hours for hours, value in points)
    wavers = median(abs(value - slope * hours - now) for hours, value in points)
    fallen = -slope * (points[-1][0] - points[0][0])
    if fallen <= 0 or fallen < max(least, NOISE * wavers):
        return None
    return max(0.0, (now - empty) / -slope)


def _by_minute(
    looks: Sequence[tuple[int, Supply]], value: Callable[[Supply], float | None]
) -> list[tuple[float, float]]:
    """The median of each minute, counted back from the last look; the hours are those of its middle look."""
    minutes: dict[int, list[tuple[int, float]]] = {}
    for at_ns, supply in looks:
        if (measured := value(supply)) is not None:
            minutes.setdefault((looks[-1][0] - at_ns) // NS_PER_MIN, []).append((at_ns - looks[-1][0], measured))
    return [
        (median(ago_ns for ago_ns, _ in minute) / NS_PER_H, median(one for _, one in minute))
        for _, minute in sorted(minutes.items(), reverse=True)
    ]


def _since_jump(points: list[tuple[float, float]], whole: float | None = None) -> list[tuple[float, float]]:
    """Those after the last jump. ``whole``: what it may be at most; None: what it was before or after it.

    A jump lasts: it shows in the median of three minutes.
    """
    for place in range(len(points) - 3, 0, -1):
        before = median(value for _, value in points[max(0, place - 3) : place])
        after = median(value for _, value in points[place : place + 3])
        if abs(after - before) > JUMP * (whole or max(before, after)):
            return points[place:]
    return points


# ---- how it stands ---------------------------------------------------------------------------------------


def part_and_power(
    measured: Measured, hours_needed: float | None, failing_since: Instant | None, empty_volts: float | None = None
) -> tuple[Part, Power]:
    """In a word and a sentence, and in figures. ``hours_needed``: until the last runner is expected, if that is known.

    ``failing_since``: when the supply said that it is going.
    """
    supply, estimate = measured.supply, measured.estimate
    found = [
        *_of_failing(failing_since),
        *_of_battery(measured, hours_needed, empty_volts),
        *_of_voltage(measured),
        *_of_heat(supply),
    ]
    word = min((word for word, _ in found), key=WORST.index)
    power = Power(
        volts=None if supply.volts is None else round(supply.volts, 2),
        percent=supply.percent,
        hours_left=None if estimate is None else round(estimate.hours, 2),
        hours_needed=None if hours_needed is None else round(hours_needed, 2),
        failing=failing_since is not None,
    )
    return Part(word, "; ".join(says for _, says in found)), power


def supply_in_words(supply: Supply) -> str:
    """Where the power comes from, and what of it is measured: "on battery, 62 %, 12.1 V"."""
    battery = "the battery" if supply.percent is not None or supply.charge is not None else "the supply"
    away = "not on mains" if battery == "the supply" and supply.volts is None else "on battery"
    where = {True: "on mains", False: away, None: battery}[supply.is_on_mains]
    measured = figures(supply)
    if not measured:
        return where
    return f"{where} is at {measured}" if supply.is_on_mains is None else f"{where}, {measured}"


def figures(supply: Supply) -> str:
    """What of it is measured: "62 %, 12.1 V", or ""."""
    percent = "" if supply.percent is None else f"{supply.percent:.0f} %"
    volts = "" if supply.volts is None else f"{supply.volts:.1f} V"
    return ", ".join(one for one in (percent, volts) if one)


def _of_failing(since: Instant | None) -> list[Found]:
    if since is None:
        return []
    at = rfc3339_from_utc_ns(since.utc_ns)[11:19]
    says = f"the supply is failing since {at} UTC: bring power now; all is committed and copied at once, timing goes on"
    return [("fail", f"{says} until the power ends. Goodbye")]


def _of_battery(measured: Measured, needed: float | None, empty_volts: float | None) -> list[Found]:
    supply, estimate = measured.supply, measured.estimate
    if not supply.is_measured:
        if supply.has_voltage_alarm:
            return [("ok", "how long the supply lasts is not measured")]
        return [("unknown", "not measured")]
    says = supply_in_words(supply)
    if supply.is_on_mains:
        return [("ok", says)]
    empty = empty_volts or supply.empty_volts
    if not (estimate is not None and estimate.by == "charge") and _is_all_but_empty(supply, empty):
        return [("fail", f"{says}: the battery is all but empty: bring another battery now")]
    if estimate is not None:
        return [("ok", says), _of_hours(estimate, needed)]
    if supply.percent is not None and supply.percent <= WARN_PERCENT:
        return [("warn", f"{says}: the battery is low: bring another battery")]
    if supply.percent is None and supply.charge is None and empty is None:
        return [("ok", f"{says}; how long that lasts can't be told from it")]
    return [("ok", f"{says}; how long that lasts is not known yet")]


def _is_all_but_empty(supply: Supply, empty_volts: float | None) -> bool:
    """So near the end a slope is no comfort: what is not counted falls faster there."""
    if supply.percent is not None and supply.percent <= FAIL_PERCENT:
        return True
    return supply.volts is not None and empty_volts is not None and supply.volts <= empty_volts


def _of_hours(estimate: Estimate, needed: float | None) -> Found:
    says = f"the battery lasts some {in_words(estimate.hours)} by its {estimate.by}"
    if needed is not None:
        says += f", the last runner {expected_in_words(needed)}"
    if estimate.hours < FAIL_H:
        return "fail", f"{says}: bring another battery now"
    if estimate.hours < (WARN_H if needed is None else needed + SHORT_H):
        return "warn", f"{says}: bring another battery"
    return "ok", says


def _of_voltage(measured: Measured) -> list[Found]:
    supply = measured.supply
    if supply.is_low:
        return [
            ("warn", "under-voltage: the box may stop any moment; a shorter or thicker cable, or a stronger supply")
        ]
    if measured.was_low:
        return [("warn", "there was under-voltage since the box started; before the race change its cable or supply")]
    return [("ok", "no under-voltage")] if supply.has_voltage_alarm else []


def _of_heat(supply: Supply) -> list[Found]:
    if supply.celsius is None:
        return []
    says = f"the CPU is at {supply.celsius:.0f} °C"
    if supply.celsius > SLOWS_CELSIUS:
        return [("warn", f"{says} and slows itself down: give the box shade and air")]
    if supply.celsius > WARN_CELSIUS:
        return [("warn", f"{says}, and slows itself down at {SLOWS_CELSIUS:.0f}: give the box shade and air")]
    return [("unknown", says)]  # says nothing of the supply


def expected_in_words(hours: float) -> str:
    """When, after "the last runner": "is expected in 4.5 hours", "was expected by now"."""
    return f"is expected in {in_words(hours)}" if hours > 0 else "was expected by now"


def in_words(hours: float) -> str:
    """How long: "25 minutes", "3.1 hours", "12 hours"."""
    if hours < 1:
        minutes = round(hours * 60)
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    if hours >= 10:
        return f"{hours:.0f} hours"
    return f"{hours:.1f} hours"
