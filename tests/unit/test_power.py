"""How long a battery lasts, from how it has fallen; and the words for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.box.power import Estimate, History, Measured, in_words, part_and_power, supply_in_words
from reader.box.supply import Supply
from reader.health import hours_until_last_runner
from reader.messages import Part, Power
from reader.model import NS_PER_S, Instant
from reader.uplink.wire import Expect

BATTERY = Supply(is_on_mains=False)
EVERY_S = 10
PER_MINUTE = 60 // EVERY_S


def after(minutes: float, supply_at: Callable[[float], Supply], empty_volts: float | None = None) -> Estimate | None:
    """What is known when it was looked at for so long; ``supply_at``: by the hours since the start."""
    history = History()
    for look in range(round(minutes * PER_MINUTE) + 1):
        seconds = look * EVERY_S
        history.add(seconds * NS_PER_S, supply_at(seconds / 3600))
    return history.estimate(empty_volts)


def percent(value: float) -> Supply:
    """As gauges tell it: in whole per cent."""
    return BATTERY._replace(percent=float(max(0, min(100, round(value)))))


# ---- the slope -------------------------------------------------------------------------------------------


def test_a_gauge_that_counts_knows_at_once_and_by_the_mean_of_what_was_drawn() -> None:
    assert after(0, lambda _: BATTERY._replace(charge=6.0, drawn=1.5, percent=99)) == Estimate(4.0, "charge")
    # Half of the time the reader transmits: what is drawn at this moment is not what will be.
    by_turns = after(30, lambda hours: BATTERY._replace(charge=6.0, drawn=1.0 if round(hours * 3600) % 20 else 3.0))
    assert by_turns is not None
    assert by_turns.hours == pytest.approx(3.0, rel=0.02)


def test_a_gauge_that_measures_next_to_no_current_is_not_believed() -> None:
    idle = BATTERY._replace(charge=6.0, drawn=0.001)
    assert after(30, lambda _: idle) is None
    found = after(30, lambda hours: idle._replace(percent=round(80 - 40 * hours)))
    assert found is not None
    assert found.by == "percentage"
    assert found.hours == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize(
    ("supply_at", "by", "hours"),
    [
        (lambda hours: BATTERY._replace(charge=5 - hours), "charge", 4.5),
        (lambda hours: percent(80 - 16 * hours), "percentage", 4.5),
        (lambda hours: BATTERY._replace(volts=12.6 - 0.3 * hours), "voltage", 4.83),
    ],
)
def test_what_falls_evenly_is_followed_to_its_end(supply_at: Callable[[float], Supply], by: str, hours: float) -> None:
    found = after(30, supply_at, empty_volts=11.0)
    assert found is not None
    assert found.by == by
    assert found.hours == pytest.approx(hours, rel=0.05)


def test_nothing_is_known_before_ten_minutes_and_soon_after() -> None:
    assert after(9, lambda hours: percent(80 - 40 * hours)) is None
    assert after(12, lambda hours: percent(80 - 40 * hours)) is not None


def test_charge_goes_before_percentage_and_percentage_before_voltage() -> None:
    def all_of_it(hours: float) -> Supply:
        return BATTERY._replace(charge=5 - hours, percent=90 - 50 * hours, volts=12 - hours)

    found = [
        after(30, all_of_it, 11),
        after(30, lambda hours: all_of_it(hours)._replace(charge=None), 11),
        after(30, lambda hours: all_of_it(hours)._replace(charge=None, percent=None), 11),
    ]
    assert [one.by for one in found if one] == ["charge", "percentage", "voltage"]


def test_volts_say_nothing_where_nobody_knows_when_they_are_at_an_end() -> None:
    assert after(60, lambda hours: BATTERY._replace(volts=12.6 - hours)) is None
    assert after(60, lambda hours: BATTERY._replace(volts=12.6 - hours, empty_volts=11.0)) is not None
    told = after(60, lambda hours: BATTERY._replace(volts=12.6 - hours, empty_volts=9.0), 11.0)
    assert told is not None
    assert told.hours == pytest.approx(0.6, abs=0.05)  # the configuration goes before the gauge


@pytest.mark.parametrize("falls", [0.0, 1.0, -10.0], ids=["steady", "all but steady", "charging"])
def test_what_does_not_fall_has_no_end(falls: float) -> None:
    assert after(60, lambda hours: percent(60 - falls * hours)) is None


def test_a_charge_that_rises_has_no_end() -> None:
    assert after(30, lambda hours: Supply(charge=2 + hours)) is None


def test_on_mains_nothing_is_asked_and_what_was_before_is_forgotten() -> None:
    def plugged(hours: float) -> Supply:
        return percent(90 - 20 * hours)._replace(is_on_mains=hours < 0.5)

    assert after(29, plugged) is None
    assert after(36, plugged) is None
    found = after(50, plugged)
    assert found is not None
    assert found.hours == pytest.approx((90 - 20 * 50 / 60) / 20, rel=0.1)


def test_another_battery_is_another_slope() -> None:
    def swapped(hours: float) -> Supply:
        return percent(30 - 20 * hours if hours < 0.5 else 95 - 20 * (hours - 0.5))

    assert after(35, swapped) is None  # never hours of the old one on what the new one has
    found = after(55, swapped)
    assert found is not None
    assert found.hours == pytest.approx((95 - 20 * 25 / 60) / 20, rel=0.1)


def test_another_battery_is_known_at_once_to_a_gauge_that_counts() -> None:
    found = after(35, lambda hours: BATTERY._replace(charge=1.0 if hours < 0.5 else 6.0, drawn=2.0))
    assert found == Estimate(3.0, "charge")


def test_a_minute_of_nonsense_and_a_gap_change_little() -> None:
    def nonsense(hours: float) -> Supply:
        minute = hours * 60
        if 20 <= minute < 21:
            return percent(5)
        if 30 <= minute < 33:
            return Supply(is_on_mains=False)
        return percent(80 - 16 * hours)

    found = after(45, nonsense)
    assert found is not None
    assert found.hours == pytest.approx(68 / 16, rel=0.07)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_borne(seed: int) -> None:
    """Two per cent to and fro, and a load that comes and goes with three tenths of a volt."""
    chance = random.Random(seed)
    by_percent = after(60, lambda hours: percent(80 - 16 * hours + chance.uniform(-2, 2)))
    assert by_percent is not None
    assert by_percent.hours == pytest.approx(4.0, rel=0.1)
    by_volts = after(
        60,
        lambda hours: BATTERY._replace(volts=12.6 - 0.3 * hours - chance.choice((0, 0.3)) + chance.gauss(0, 0.02)),
        11,
    )
    assert by_volts is None or by_volts.hours == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_slope(seed: int) -> None:
    chance = random.Random(seed)
    assert after(60, lambda _: percent(60 + chance.uniform(-3, 3))) is None


def test_a_voltage_that_wavers_is_not_taken_for_one_that_falls() -> None:
    chance = random.Random(7)
    found = [after(15, lambda _: BATTERY._replace(volts=12 + chance.uniform(-0.5, 0.5)), 11) for _ in range(50)]
    assert sum(one is not None for one in found) <= 2


@pytest.mark.parametrize("seed", range(10))
def test_one_look_in_ten_may_be_wild(seed: int) -> None:
    chance = random.Random(seed)
    found = after(45, lambda hours: percent(5 if chance.random() < 0.1 else 80 - 16 * hours))
    assert found is not None
    assert found.hours == pytest.approx(68 / 16, rel=0.07)


falling = st.lists(st.floats(0, 5), min_size=2, max_size=200)


@given(start=st.floats(0, 100), falls=falling, empty=st.none() | st.floats(0.1, 50), data=st.data())
def test_what_only_falls_never_lasts_less_than_nothing(
    start: float, falls: Iterable[float], empty: float | None, data: st.DataObject
) -> None:
    history = History()
    now_s, left = 0, start
    for fall in falls:
        now_s += data.draw(st.sampled_from((1, 10, 60, 600)))
        left = max(0.0, left - fall)
        one, other, third = data.draw(st.permutations((left, None, None)))
        history.add(now_s * NS_PER_S, BATTERY._replace(percent=one, volts=other, charge=third))
        found = history.estimate(empty)
        assert found is None or found.hours >= 0


@given(per_hour=st.floats(4, 60), start=st.floats(30, 100), minutes=st.integers(20, 60))
def test_an_even_fall_is_found_wherever_it_begins(per_hour: float, start: float, minutes: int) -> None:
    left = start - per_hour * minutes / 60
    found = after(minutes, lambda hours: BATTERY._replace(percent=max(0.0, start - per_hour * hours)))
    if left > 1 and per_hour * (minutes - 1) / 60 > 2:
        assert found is not None
        assert found.hours == pytest.approx(left / per_hour, rel=0.02, abs=0.01)


# ---- the words -------------------------------------------------------------------------------------------


def part(
    supply: Supply,
    hours: float | None = None,
    needed: float | None = None,
    *,
    was_low: bool = False,
    empty_volts: float | None = None,
) -> Part:
    estimate = None if hours is None else Estimate(hours, "charge")
    return part_and_power(Measured(supply, estimate, was_low), needed, None, empty_volts)[0]


@pytest.mark.parametrize(
    ("supply", "word", "says"),
    [
        (Supply(), "unknown", "not measured"),
        (Supply(celsius=48.2), "unknown", "not measured; the CPU is at 48 °C"),
        (Supply(is_low=False), "ok", "how long the supply lasts is not measured; no under-voltage"),
        (Supply(is_on_mains=True), "ok", "on mains"),
        (Supply(is_on_mains=True, volts=5.08, percent=3), "ok", "on mains, 3 %, 5.1 V"),
        (Supply(volts=12.1), "ok", "the supply is at 12.1 V; how long that lasts can't be told from it"),
        (BATTERY, "ok", "not on mains; how long that lasts can't be told from it"),
        (BATTERY._replace(percent=62), "ok", "on battery, 62 %; how long that lasts is not known yet"),
        (BATTERY._replace(percent=20), "warn", "on battery, 20 %: the battery is low: bring another battery"),
        (
            BATTERY._replace(percent=5),
            "fail",
            "on battery, 5 %: the battery is all but empty: bring another battery now",
        ),
        (BATTERY._replace(volts=10.9, empty_volts=11), "fail", "bring another battery now"),
        (Supply(is_on_mains=True, is_low=True), "warn", "a shorter or thicker cable, or a stronger supply"),
        (Supply(is_on_mains=True, celsius=80), "ok", "on mains; the CPU is at 80 °C"),
        (Supply(is_on_mains=True, celsius=80.6), "warn", "the CPU is at 81 °C, and slows itself down at 85: give the"),
        (Supply(is_on_mains=True, celsius=85.4), "warn", "the CPU is at 85 °C and slows itself down: give the box"),
    ],
)
def test_each_supply_in_a_word_and_a_sentence(supply: Supply, word: str, says: str) -> None:
    found = part(supply)
    assert found.word == word
    assert says in found.says
    if word in ("ok", "unknown"):
        assert found.says == says


def test_near_the_end_only_a_gauge_that_counts_is_a_comfort() -> None:
    supply = BATTERY._replace(percent=4.0, volts=11.2)
    for by, word in (("percentage", "fail"), ("voltage", "fail"), ("charge", "ok")):
        found, _ = part_and_power(Measured(supply, Estimate(5.0, cast(Any, by))), 2.0, None)
        assert found.word == word
    at_its_volts = Measured(BATTERY._replace(volts=11.0), Estimate(5.0, "percentage"))
    assert part_and_power(at_its_volts, None, None, 11.0)[0].word == "fail"


def test_under_voltage_that_is_over_is_said_otherwise() -> None:
    over = part(Supply(is_on_mains=True, is_low=False), was_low=True)
    assert over.word == "warn"
    assert "there was under-voltage since the box started; before the race change" in over.says
    assert over != part(Supply(is_on_mains=True, is_low=True), was_low=True)


@pytest.mark.parametrize(
    ("hours", "needed", "word", "says"),
    [
        (3.1, 4.5, "warn", "the battery lasts some 3.1 hours by its charge, the last runner is expected in 4.5 hours"),
        (4.6, 4.5, "warn", "bring another battery"),  # nobody lifts a mat in no time
        (5.1, 4.5, "ok", "lasts some 5.1 hours"),
        (5.1, None, "ok", "the battery lasts some 5.1 hours by its charge"),
        (0.9, None, "warn", "the battery lasts some 54 minutes by its charge: bring another battery"),
        (0.9, 0.0, "ok", "the last runner was expected by now"),
        (0.4, 0.0, "fail", "bring another battery now"),
        (0.0, 4.5, "fail", "lasts some 0 minutes"),
        (0.4, None, "fail", "the battery lasts some 24 minutes by its charge: bring another battery now"),
    ],
)
def test_how_long_it_lasts_against_how_long_it_is_needed(
    hours: float, needed: float | None, word: str, says: str
) -> None:
    found = part(BATTERY._replace(percent=40), hours, needed)
    assert found.word == word
    assert says in found.says


def test_a_supply_that_fails_says_goodbye_and_the_figures_go_with_it() -> None:
    since = Instant(1_700_000_000 * NS_PER_S, 0)
    supply = BATTERY._replace(percent=40.0, volts=12.123)
    found, power = part_and_power(Measured(supply, Estimate(3.14159, "charge")), 4.5, since)
    assert found.word == "fail"
    assert found.says.startswith("the supply is failing since 22:13:20 UTC: bring power now")
    assert "Goodbye" in found.says
    assert power == Power(volts=12.12, percent=40.0, hours_left=3.14, hours_needed=4.5, failing=True)


@pytest.mark.parametrize(
    ("hours", "words"),
    [(0, "0 minutes"), (1 / 60, "1 minute"), (0.999, "60 minutes"), (3.14, "3.1 hours"), (12.4, "12 hours")],
)
def test_hours_in_words(hours: float, words: str) -> None:
    assert in_words(hours) == words


def test_where_the_power_comes_from_in_words() -> None:
    assert supply_in_words(BATTERY._replace(percent=62.0, volts=12.1)) == "on battery, 62 %, 12.1 V"
    assert supply_in_words(Supply(percent=62.0)) == "the battery is at 62 %"
    assert supply_in_words(Supply(charge=1.0)) == "the battery"


# ---- when the last runner is expected --------------------------------------------------------------------

NOON_NS = 1_772_884_800 * NS_PER_S  # 2026-03-07T12:00:00Z


@pytest.mark.parametrize(
    ("last_runner_at", "as_of", "hours"),
    [
        ("2026-03-07T16:30:00Z", "2026-03-07T11:00:00Z", 4.5),
        ("2026-03-07T10:30:00-06:00", "2026-03-07T11:00:00Z", 4.5),
        ("2026-03-07T11:00:00Z", "2026-03-07T10:00:00Z", 0.0),
        ("2026-03-06T20:00:00Z", "2026-03-06T19:00:00Z", None),  # another race
        ("2026-03-07T16:30:00Z", "2026-03-07T15:00:00Z", 1.5),  # the box's clock is behind
        (None, "2026-03-07T11:00:00Z", None),
        ("half past four", "2026-03-07T11:00:00Z", None),
    ],
)
def test_hours_until_the_last_runner(last_runner_at: str | None, as_of: str, hours: float | None) -> None:
    assert hours_until_last_runner(Expect(1, as_of, last_runner_at=last_runner_at), NOON_NS) == hours
    assert hours_until_last_runner(None, NOON_NS) is None
