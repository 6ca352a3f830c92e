"""The checks of the supply, as it is and as it was since the box started, and of the box's heat.

They look for themselves: how long the battery lasts a running daemon knows better, for it has looked for longer.
"""

from __future__ import annotations

from collections.abc import Iterator

from reader.box.power import (
    FAIL_H,
    SHORT_H,
    SLOWS_CELSIUS,
    WARN_CELSIUS,
    WARN_H,
    estimate,
    expected_in_words,
    figures,
    in_words,
    supply_in_words,
)
from reader.box.supply import Firmware, Supply, look_at_supply
from reader.messages import Check, Power, Result
from reader.selftest.bench import Bench
from reader.selftest.plan import Plan

POWER = "power"
LOW_VOLTAGE = "under-voltage"
TEMPERATURE = "temperature"

WARN_PERCENT = 50.0  # before a race, that is
FAIL_PERCENT = 15.0
ANOTHER = "Put another battery in"


def _look(bench: Bench) -> Supply:
    return look_at_supply(Firmware(), bench.clock.mono_ns())


# ---- where the power comes from --------------------------------------------------------------------------


def _power(bench: Bench) -> Iterator[Check]:
    supply = _look(bench)
    known = bench.status().power if bench.status is not None else Power()
    says, value = supply_in_words(supply), figures(supply)
    if known.failing:
        yield Check(name=POWER, result="fail", value=value, says="the supply says that it is failing", do="Bring power")
    elif not supply.is_measured:
        says = "the supply is not measured: the system knows of no battery's gauge, no plug and no measuring chip"
        yield Check(name=POWER, result="skip", says=says)
    elif supply.is_on_mains:
        yield Check(name=POWER, result="pass", value=value, says=says)
    else:
        yield _of_battery(supply, says, known, bench)


def _of_battery(supply: Supply, says: str, known: Power, bench: Bench) -> Check:
    empty_volts = bench.config.box.empty_volts
    hours = known.hours_left
    if hours is None and (found := estimate([(bench.clock.mono_ns(), supply)], empty_volts)) is not None:
        hours = found.hours
    if hours is not None:
        found_by_hours = _of_hours(hours, known.hours_needed, says)
        if found_by_hours.result != "pass" or known.hours_needed is not None or supply.percent is None:
            return found_by_hours
        says = found_by_hours.says  # nobody has said whether that is enough: how full it is has to do
    value, empty = figures(supply), empty_volts or supply.empty_volts
    if supply.volts is not None and empty is not None and supply.volts <= empty:
        limit = f"more than {empty:.1f} V"
        return Check(name=POWER, result="fail", value=value, limit=limit, says=f"{says}: it is empty", do=ANOTHER)
    if supply.percent is None:
        return Check(name=POWER, result="pass", value=value, says=f"{says}; how long that lasts is not known yet")
    limit = f"{WARN_PERCENT:.0f} %"
    if supply.percent <= FAIL_PERCENT:
        return Check(name=POWER, result="fail", value=value, limit=limit, says=f"{says}: it is low", do=ANOTHER)
    if supply.percent < WARN_PERCENT:
        says = f"{says}: it may not last through the race"
        return Check(name=POWER, result="warn", value=value, limit=limit, says=says, do=ANOTHER)
    return Check(name=POWER, result="pass", value=value, limit=limit, says=says)


def _of_hours(hours: float, needed: float | None, says: str) -> Check:
    least = WARN_H if needed is None else needed + SHORT_H
    value, limit = in_words(hours), in_words(least)
    says = f"{says}, lasts some {value}"
    if needed is not None:
        says = f"{says}; the last runner {expected_in_words(needed)}"
    if hours >= least:
        return Check(name=POWER, result="pass", value=value, limit=limit, says=says)
    result: Result = "fail" if hours < FAIL_H else "warn"
    return Check(name=POWER, result=result, value=value, limit=limit, says=says, do=ANOTHER)


# ---- whether it is enough, and the heat ------------------------------------------------------------------


def _under_voltage(bench: Bench) -> Iterator[Check]:
    supply = _look(bench)
    if supply.is_low:
        says = "the box gets too little voltage, and may stop any moment"
        do = "Use a shorter or thicker cable, or a stronger power supply"
        yield Check(name=LOW_VOLTAGE, result="fail", value="now", limit="none", says=says, do=do)
    elif supply.was_low:
        says = "the box has had too little voltage since it started"
        do = "Change its cable or its power supply, and start the box again: only then it forgets"
        yield Check(name=LOW_VOLTAGE, result="warn", value="earlier", limit="none", says=says, do=do)
    elif supply.has_voltage_alarm:
        says = "enough voltage now" if supply.was_low is None else "enough voltage since the box started"
        yield Check(name=LOW_VOLTAGE, result="pass", value="none", limit="none", says=says)
    else:
        says = "this box does not tell of under-voltage, as a Raspberry Pi does"
        yield Check(name=LOW_VOLTAGE, result="skip", says=says)


def _temperature(bench: Bench) -> Iterator[Check]:
    celsius = _look(bench).celsius
    if celsius is None:
        yield Check(name=TEMPERATURE, result="skip", says="this box does not tell how warm its CPU is")
        return
    value, limit = f"{celsius:.1f} °C", f"{WARN_CELSIUS:.0f} °C"
    if celsius <= WARN_CELSIUS:
        yield Check(name=TEMPERATURE, result="pass", value=value, limit=limit, says="the CPU is not too warm")
        return
    slows = f"slows itself down above {SLOWS_CELSIUS:.0f} °C"
    result: Result = "fail" if celsius > SLOWS_CELSIUS else "warn"
    says = f"the CPU is too hot: it {slows}" if result == "fail" else f"the CPU is hot; it {slows}"
    do = "Give the box shade and air, or a heat sink"
    yield Check(name=TEMPERATURE, result=result, value=value, limit=limit, says=says, do=do)


POWER_PLANS = (
    Plan(POWER, "where the power comes from, and how long it lasts", _power),
    Plan(LOW_VOLTAGE, "whether the box has enough voltage, and had since it started", _under_voltage),
    Plan(TEMPERATURE, "how warm the CPU is", _temperature),
)
