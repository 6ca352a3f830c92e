"""The gun and the button: gpiozero's mock pins, with edge times given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from gpiozero.pins.pi import PiPin

from reader.box.panel import Contact, Inputs, mono_ns_from_ticks
from reader.clock import SystemClock
from reader.config import PanelSettings
from reader.model import NS_PER_S, Fired, Instant, Marked
from tests.waiting import wait_until

MS = 1_000_000


class EdgePin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """A pin whose edges come with the times that the test gives them."""

    def change(self, state: bool, ticks: float) -> None:
        self._state = state
        PiPin._call_when_changed(self, ticks, state)


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    factory = MockFactory(pin_class=EdgePin)
    yield factory
    factory.reset()


class Panel:
    """Inputs on mock pins 17 (gun) and 4 (button), and what they hand on."""

    def __init__(self, factory: MockFactory) -> None:
        self.told: list[Fired | Marked] = []
        self.clock = SystemClock()
        self.inputs = Inputs(PanelSettings(gun=17, gun_name="elites", button=4), self.clock, self.told.append, factory)
        self.inputs.start()
        self.pins: dict[str, Any] = {"gun": factory.pin(17), "button": factory.pin(4)}

    def edges(self, name: str, *edges: tuple[bool, float]) -> int:
        """Closed or open, and how many ms ago; when the first was."""
        now_ns = self.clock.mono_ns()
        for is_closed, ago_ms in edges:
            self.pins[name].change(not is_closed, (now_ns - round(ago_ms * MS)) / NS_PER_S)
        return now_ns - round(edges[0][1] * MS)


@pytest.fixture
def panel(factory: MockFactory) -> Iterator[Panel]:
    panel = Panel(factory)
    assert panel.inputs.trouble == ""
    yield panel
    panel.inputs.stop()


def test_a_gun_has_the_time_of_its_first_edge_however_late_that_is_told(panel: Panel) -> None:
    first_ns = panel.edges("gun", (True, 40), (False, 38), (True, 35))
    wait_until(lambda: panel.told, 5, "the gun")
    [fired] = panel.told
    assert isinstance(fired, Fired)
    assert (fired.name, fired.source, fired.is_given) == ("elites", "input", False)
    assert fired.at.mono_ns == pytest.approx(first_ns, abs=1_000)
    now = panel.clock.now()
    assert fired.at.utc_ns - fired.at.mono_ns == pytest.approx(now.utc_ns - now.mono_ns, abs=MS)


def test_a_gun_that_is_told_of_only_after_it_is_over_is_told_all_the_same(panel: Panel) -> None:
    panel.edges("gun", (True, 900), (False, 600))
    wait_until(lambda: panel.told, 5, "the gun")


def test_a_button_makes_a_marker_and_a_spike_makes_nothing(panel: Panel) -> None:
    panel.edges("gun", (True, 60), (False, 59))
    panel.edges("button", (True, 55))
    wait_until(lambda: panel.told, 5, "the button")
    assert [(type(one), one.source) for one in panel.told] == [(Marked, "button")]


def test_without_pins_nothing_is_started_and_a_pin_that_can_not_be_had_is_said(factory: MockFactory) -> None:
    none = Inputs(PanelSettings(), SystemClock(), print)
    none.start()
    none.stop()
    assert none.trouble == ""
    taken = Inputs(PanelSettings(gun=17, button=17), SystemClock(), print, factory)
    taken.start()
    assert "the button on pin 17 can't be used" in taken.trouble
    taken.stop()


# ---- one contact, without pins -----------------------------------------------------------------------------


def firings(*changes: tuple[int, bool]) -> list[int]:
    """Edges in ms and whether closed from then on; when it counted, looked at each millisecond."""
    contact, closed, found = Contact(), False, []
    edges = dict(changes)
    for t_ms in range(changes[-1][0] + 200):
        if t_ms in edges:
            closed = edges[t_ms]
            assert contact.edge(t_ms * MS, closed) is None  # it has been looked at just before
        if (edge_ns := contact.look(t_ms * MS, closed)) is not None:
            found.append(edge_ns // MS)
    return found


def test_what_counts_as_a_firing() -> None:
    assert firings((10, True)) == [10]
    assert firings((10, True), (12, False), (14, True)) == [10]
    assert firings((10, True), (12, False)) == []
    assert firings((10, True), (59, False)) == []
    assert firings((10, True), (5_000, False), (5_002, True), (5_004, False), (9_000, True)) == [10, 9_000]
    assert firings((10, True), (500, False), (520, True)) == [10]  # it was hardly open


def test_two_guns_are_two() -> None:
    assert firings(*((t, n % 2 == 0) for n, t in zip(range(6), count(10, 100), strict=False))) == [10, 210, 410]


def test_ticks_are_of_either_clock() -> None:
    now = Instant(1_700_000_000 * NS_PER_S, 500 * NS_PER_S)
    assert mono_ns_from_ticks(499.75, now) == 499_750_000_000
    assert mono_ns_from_ticks(1_699_999_999.75, now) == 499_750_000_000
    assert mono_ns_from_ticks(7.0, now) == now.mono_ns
