"""The table of modes, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.errors import UsageError
from reader.model import NS_PER_S
from reader.modes import Modes

MINUTE = 60 * NS_PER_S


def modes(*, raced_ns: int | None = None, has_gun: bool = False) -> Modes:
    return Modes(frozenset({"5EE9"}), raced_ns, has_gun=has_gun)


def test_a_test_ends_after_fifteen_minutes_and_begins_anew_when_asked_for_again() -> None:
    mat = modes()
    assert mat.ask("test", 0).mode == "test"
    mat.ask("test", 10 * MINUTE)
    assert mat.due_ns == 25 * MINUTE
    assert mat.tick(25 * MINUTE - 1) is None
    change = mat.tick(25 * MINUTE)
    assert change is not None
    assert (change.mode, change.was_race) == ("race", False)
    assert mat.due_ns is None


@pytest.mark.parametrize("minutes", [0, 29])
def test_no_test_soon_after_a_crossing(minutes: int) -> None:
    mat = modes()
    mat.crossed("A1", 0)
    with pytest.raises(UsageError, match=f"{minutes} minutes ago"):
        mat.ask("test", minutes * MINUTE)
    assert mat.mode == "race"


def test_a_test_half_an_hour_after_a_crossing_or_when_released() -> None:
    mat = modes(raced_ns=0)
    assert mat.ask("test", 30 * MINUTE).mode == "test"
    mat = modes(raced_ns=0, has_gun=True)
    mat.ask("released", MINUTE)
    assert mat.ask("test", 2 * MINUTE).mode == "test"


def test_no_test_after_a_gun_of_this_epoch() -> None:
    mat = modes()
    assert mat.fired() is None
    with pytest.raises(UsageError, match="after a gun"):
        mat.ask("test", 0)
    mat.new_epoch(has_gun=True)
    with pytest.raises(UsageError, match="after a gun"):
        mat.ask("test", 0)
    mat.new_epoch(has_gun=False)
    assert mat.ask("test", 0).mode == "test"


def test_a_gun_ends_a_test_as_a_race() -> None:
    mat = modes()
    mat.ask("test", 0)
    change = mat.fired()
    assert change is not None
    assert (change.mode, change.was_race) == ("race", True)


def test_twenty_chips_within_a_minute_are_a_race() -> None:
    mat = modes()
    mat.ask("test", 0)
    for number in range(19):
        assert mat.crossed(f"{number:04X}", number * 3 * NS_PER_S) is None
    change = mat.crossed("FFFF", MINUTE)
    assert change is not None
    assert (change.mode, change.was_race) == ("race", True)
    with pytest.raises(UsageError):
        mat.ask("test", MINUTE + 1)


@pytest.mark.parametrize(("chips", "apart_s"), [(19, 0), (60, 3.2)])
def test_one_test_chip_or_many_slowly_are_none(chips: int, apart_s: float) -> None:
    mat = modes()
    mat.ask("test", 0)
    for number in range(60):
        assert mat.crossed(f"{number % chips:04X}", int(number * apart_s * NS_PER_S)) is None
    assert mat.mode == "test"


def test_a_release_outlives_the_sweep_and_ends_with_a_runner() -> None:
    mat = modes()
    mat.ask("released", 0)
    assert mat.crossed("5EE9", MINUTE) is None
    change = mat.crossed("A1", 2 * MINUTE)
    assert change is not None
    assert (change.mode, change.was_race) == ("race", False)


def test_a_release_ends_after_two_hours() -> None:
    mat = modes()
    mat.ask("released", 0)
    assert mat.tick(120 * MINUTE - 1) is None
    change = mat.tick(120 * MINUTE)
    assert change is not None
    assert change.mode == "race"


@given(
    st.lists(
        st.tuples(st.integers(0, 40 * MINUTE), st.sampled_from(["test", "race", "released", "gun", "tick", "A1", "B2"]))
    )
)
def test_a_test_never_begins_within_half_an_hour_of_a_crossing_in_race(steps: list[tuple[int, str]]) -> None:
    mat = modes()
    now = 0
    raced: int | None = None
    for after_ns, step in steps:
        now += after_ns
        was = mat.mode
        if step == "gun":
            mat.fired()
        elif step == "tick":
            mat.tick(now)
        elif step in ("test", "race", "released"):
            try:
                mat.ask(step, now)  # type: ignore[arg-type] # one of the three
            except UsageError:
                assert mat.mode == was
        else:
            mat.crossed(step, now)
            raced = now if mat.mode == "race" else raced
        if was == "race" and mat.mode == "test":
            assert raced is None or now - raced >= 30 * MINUTE
        assert (mat.due_ns is None) == (mat.mode == "race")
