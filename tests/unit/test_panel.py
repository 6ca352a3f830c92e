"""The panel on gpiozero's mock pins, through its real threads: what they do, and what happens when pins don't."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from gpiozero.pins.pi import PiPin
from msgspec.structs import replace

from reader.box import inputs, lights, wired
from reader.box import panel as module
from reader.box.inputs import mono_ns_from_ticks
from reader.box.lights import facts_from
from reader.box.panel import Panel
from reader.clock import SystemClock
from reader.config import PanelSettings
from reader.errors import UsageError
from reader.messages import Part, Status, Teardown
from reader.model import NS_PER_S, Fired, Instant, Marked
from tests.fakes.status import WELL
from tests.waiting import wait_until

MS = 1_000_000
ALL = PanelSettings(
    ready_led=17,
    uplink_led=27,
    read_led=22,
    fault_led=23,
    buzzer=24,
    gun=5,
    gun_name="elites",
    button=6,
    power_fail=13,
)
LIGHTS = ("ready_led", "uplink_led", "read_led", "fault_led", "buzzer")
CONTACTS = ("gun", "button", "power_fail")


class EdgePin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """A pin whose edges come with the times that the test gives them, and whose calls fail or hang as it wants."""

    before_call: Callable[[str], None] = staticmethod(lambda _: None)

    def change(self, state: bool, ticks: float) -> None:
        self._state = state
        PiPin._call_when_changed(self, ticks, state)

    def _get_state(self) -> bool:
        type(self).before_call(f"read {self.info.name}")
        return bool(super()._get_state())

    def _set_state(self, value: bool) -> None:
        type(self).before_call(f"write {self.info.name}")
        super()._set_state(value)

    def _set_function(self, value: str) -> None:
        type(self).before_call(f"open {self.info.name}")
        super()._set_function(value)


class Wall:
    """A panel on mock pins, and all that it hands on."""

    def __init__(self, settings: PanelSettings = ALL, make: Callable[[], Any] | None = None) -> None:
        self.pin_class = type("Pin", (EdgePin,), {})
        self.factory: Any = MockFactory(pin_class=self.pin_class)
        self.clock = SystemClock()
        self.handed: list[Fired | Marked] = []
        self.power: list[tuple[bool, Instant]] = []
        self.selftests: list[int] = []
        self.numbers = {name: getattr(settings, name) for name in (*LIGHTS, *CONTACTS) if getattr(settings, name)}
        self.panel = Panel(
            settings,
            self.clock,
            self.handed.append,
            lambda is_failing, at: self.power.append((is_failing, at)),
            lambda: self.selftests.append(1),
            make or (lambda: self.factory),
        )

    def start(self) -> Wall:
        self.panel.start()
        return self

    def begin(self) -> Wall:
        """Start, and until all pins are open."""
        self.start()
        wait_until(lambda: self.is_open, 5, "all pins")
        return self

    @property
    def is_open(self) -> bool:
        wireds = (self.panel._wired_in, self.panel._wired_out)
        return sum(len(one.pins) for one in wireds) == len(self.numbers) and set(self.panel._wired_in.pins) == set(
            self.panel._inputs._contacts
        )

    def pin(self, name: str) -> Any:
        return self.factory.pin(self.numbers[name])

    def is_lit(self, name: str) -> bool:
        """As the pin is, whatever reading would do."""
        return bool(self.pin(name)._state)

    def edges(self, name: str, *edges: tuple[bool, float]) -> int:
        """Closed or open, and how many ms ago; when the first was."""
        now_ns = self.clock.mono_ns()
        for is_closed, ago_ms in edges:
            self.pin(name).change(not is_closed, (now_ns - round(ago_ms * MS)) / NS_PER_S)
        return now_ns - round(edges[0][1] * MS)

    def show(self, status: Status = WELL, *, is_connected: bool = True) -> None:
        self.panel.show(status, is_connected=is_connected)

    def wait_for_light(self, name: str, is_lit: bool = True, limit_s: float = 5) -> None:
        wait_until(lambda: self.is_lit(name) == is_lit, limit_s, f"{name} {'on' if is_lit else 'off'}")


@pytest.fixture
def wall() -> Iterator[Wall]:
    wall = Wall().begin()
    assert wall.panel.trouble == ""
    yield wall
    wall.panel.stop()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the threads do once a second, or every five, they do more often."""
    monkeypatch.setattr(wired, "RETRY_NS", 20 * MS)
    monkeypatch.setattr(inputs, "LOOK_NS", 50 * MS)
    monkeypatch.setattr(lights, "IDLE_NS", 50 * MS)


# ---- contacts ------------------------------------------------------------------------------------------------


def test_a_gun_has_the_time_of_its_first_edge_however_late_that_is_told(wall: Wall) -> None:
    first_ns = wall.edges("gun", (True, 40), (False, 38), (True, 35))
    wait_until(lambda: wall.handed, 5, "the gun")
    [fired] = wall.handed
    assert isinstance(fired, Fired)
    assert (fired.name, fired.source, fired.is_given) == ("elites", "input", False)
    assert fired.at.mono_ns == pytest.approx(first_ns, abs=1_000)
    now = wall.clock.now()
    assert fired.at.utc_ns - fired.at.mono_ns == pytest.approx(now.utc_ns - now.mono_ns, abs=MS)
    assert wall.panel.is_gun_closed() is True


def test_a_gun_that_is_told_of_only_after_it_is_over_is_told_all_the_same(wall: Wall) -> None:
    wall.edges("gun", (True, 900), (False, 600))
    wait_until(lambda: wall.handed, 5, "the gun")
    wait_until(lambda: wall.panel.is_gun_closed() is False, 5, "its end")


def test_the_button_makes_a_marker_and_a_spike_makes_nothing(wall: Wall) -> None:
    wall.edges("gun", (True, 60), (False, 59))
    first_ns = wall.edges("button", (True, 700), (False, 500))
    wait_until(lambda: wall.handed, 5, "the button")
    [marked] = wall.handed
    assert isinstance(marked, Marked)
    assert (marked.source, marked.text) == ("button", "")
    assert marked.at.mono_ns == pytest.approx(first_ns, abs=1_000)


def test_a_marker_that_still_waits_when_the_panel_stops_is_told(wall: Wall) -> None:
    wall.edges("button", (True, 100), (False, 1))
    wall.panel.stop()
    assert [type(one) for one in wall.handed] == [Marked]


def test_two_short_presses_mute_the_buzzer_and_make_no_marker(wall: Wall) -> None:
    wall.show()
    wall.edges("button", (True, 450), (False, 350), (True, 150), (False, 60))
    wait_until(lambda: wall.panel._lights.is_muted, 5, "mute")
    sounded = count_of(wall, "buzzer")
    wall.panel.committed(opened=1, reads=1)
    wall.wait_for_light("read_led")
    wall.wait_for_light("read_led", False)
    assert count_of(wall, "buzzer") == sounded
    assert wall.handed == []


def count_of(wall: Wall, name: str) -> int:
    """How often it went on, as the mock pin remembers."""
    return sum(bool(state.state) for state in wall.pin(name).states)


def has_been_on(wall: Wall, name: str) -> bool:
    return count_of(wall, name) == 1


def test_held_for_three_seconds_the_box_shows_itself_and_ready_does_not(wall: Wall) -> None:
    wall.show()
    wall.wait_for_light("ready_led")
    wall.edges("button", (True, 4_000), (False, 100))
    for name in ("uplink_led", "read_led", "fault_led", "buzzer"):
        wall.wait_for_light(name, False)
        wall.wait_for_light(name)
    assert wall.is_lit("ready_led")
    assert count_of(wall, "ready_led") == 1
    assert wall.handed == []


def test_held_for_eight_seconds_the_self_test_begins(wall: Wall) -> None:
    wall.edges("button", (True, 8_500))
    wait_until(lambda: wall.selftests, 5, "the self-test")
    wall.edges("button", (False, 1))
    wall.panel.stop()
    assert (wall.selftests, wall.handed) == ([1], [])


def test_the_supply_s_contact_is_told_when_it_closes_and_when_it_opens(wall: Wall) -> None:
    failed_ns = wall.edges("power_fail", (True, 60))
    wait_until(lambda: wall.power, 5, "the supply's word")
    wall.edges("power_fail", (False, 1))
    wait_until(lambda: len(wall.power) == 2, 5, "its end")
    assert [is_failing for is_failing, _ in wall.power] == [True, False]
    assert wall.power[0][1].mono_ns == pytest.approx(failed_ns, abs=1_000)


def test_a_contact_that_is_closed_already_is_no_gun_no_press_and_a_failing_supply() -> None:
    wall = Wall()
    for name in CONTACTS:
        wall.pin(name)._state = False
        type(wall.pin(name))._set_pull = lambda *_: None  # mock pins go where they are pulled
    wall.start()
    try:
        wait_until(lambda: wall.power, 5, "the supply's word")
        wait_until(lambda: wall.is_open, 5, "all pins")
        assert [is_failing for is_failing, _ in wall.power] == [True]
        assert wall.panel.is_gun_closed() is True
    finally:
        wall.panel.stop()
    assert wall.handed == []


def test_a_button_that_was_let_go_without_an_edge_is_let_go(wall: Wall) -> None:
    wall.edges("button", (True, 200))
    wait_until(lambda: wall.panel._inputs.is_closed("button"), 5, "the press")
    wall.pin("button")._state = True
    wait_until(lambda: wall.handed, 5, "the marker")
    assert wall.panel._inputs._button.due_ns is None


def test_edges_that_nobody_tells_are_found_and_said(wall: Wall) -> None:
    for name in ("gun", "power_fail"):
        wall.pin(name)._state = False
    wait_until(lambda: wall.power, 5, "the supply's word")
    wait_until(lambda: "no edge was told" in wall.panel.trouble, 5, "a word on the gun")
    assert wall.handed == []
    wall.edges("gun", (False, 300), (True, 200))
    wait_until(lambda: wall.handed, 5, "the gun")
    assert wall.panel.trouble == ""


# ---- lights --------------------------------------------------------------------------------------------------


def test_ready_is_off_until_the_first_status_and_when_it_ends() -> None:
    wall = Wall().begin()
    wait_until(lambda: wall.panel._outputs.progress_ns, 5, "a round")
    assert not any(wall.is_lit(name) for name in LIGHTS)
    wall.show()
    wall.wait_for_light("ready_led")
    wall.wait_for_light("uplink_led")
    pin = wall.pin("ready_led")
    wall.panel.stop()
    assert not pin._state
    assert pin.function == "input"  # given back


def test_a_new_chip_flashes_and_beeps_once_it_is_committed(wall: Wall) -> None:
    wall.show()
    wall.panel.committed(opened=0, reads=7)
    wall.wait_for_light("ready_led")
    assert count_of(wall, "read_led") == 0
    wall.panel.committed(opened=2, reads=7)
    for name in ("read_led", "buzzer"):
        wait_until(partial(has_been_on, wall, name), 5, name)
        wall.wait_for_light(name, False)
        off = wall.pin(name).states[-1]
        assert 0.05 < off.timestamp < 2  # how long it was on


def test_what_is_shown_of_a_status() -> None:
    facts = facts_from(WELL, is_connected=True)
    assert (facts.is_recording, facts.uplink, facts.fault, facts.is_clear, facts.mode) == (
        (True, "delivered", 0, False, "race")
    )
    assert facts_from(WELL, is_connected=False).uplink == "cut"
    other = replace(WELL, backlog=3, recording=False, mode="test", teardown=Teardown("CLEAR", []))
    facts = facts_from(replace(other, parts={"broker": Part("fail", "")}), is_connected=True)
    assert (facts.is_recording, facts.uplink, facts.fault, facts.is_clear, facts.mode) == (
        (False, "backlog", 7, True, "test")
    )


# ---- identify ------------------------------------------------------------------------------------------------


def test_to_identify_says_what_is_to_be_seen(wall: Wall) -> None:
    wall.show()
    says = wall.panel.identify(for_s=2)
    assert says == "the box shows itself by uplink_led, read_led, fault_led, buzzer, for 2 seconds"
    wall.wait_for_light("fault_led")


def test_one_light_alone_in_a_test_and_never_in_a_race(wall: Wall) -> None:
    wall.show()
    with pytest.raises(UsageError, match="in mode race"):
        wall.panel.identify("fault_led", 1)
    wall.show(replace(WELL, mode="test"))
    assert wall.panel.identify("fault_led", 1) == "fault_led is on, for 1 second"
    wall.wait_for_light("fault_led")
    wall.wait_for_light("uplink_led", False)
    assert wall.is_lit("ready_led")
    wall.wait_for_light("fault_led", False)
    wall.wait_for_light("uplink_led")


@pytest.mark.parametrize(
    ("wired", "light", "says"),
    [
        ({"gun": 4}, None, "no lights and no buzzer"),
        ({"gun": 4}, "fault_led", "no lights and no buzzer"),
        ({"ready_led": 4}, None, "ready_led alone is wired"),
        ({"ready_led": 4}, "fault_led", "expected one that is wired: ready_led"),
        ({"buzzer": 4}, None, "the buzzer is silent from 00:00-00:00"),
        ({"buzzer": 4}, "buzzer", "the buzzer is silent from 00:00-00:00"),
    ],
)
def test_what_can_not_be_shown_is_refused_in_words(wired: dict[str, int], light: str | None, says: str) -> None:
    panel = Panel(PanelSettings(**wired, quiet_hours="00:00-00:00"), SystemClock(), print)  # type: ignore[arg-type] # pins
    with pytest.raises(UsageError, match=says):
        panel.identify(light)


def test_a_muted_buzzer_alone_is_refused_in_words(wall: Wall) -> None:
    wall.show(replace(WELL, mode="released"))
    wall.panel._lights.mute()
    with pytest.raises(UsageError, match="press the button twice"):
        wall.panel.identify("buzzer")
    assert "buzzer" not in wall.panel.identify()


# ---- when pins don't -----------------------------------------------------------------------------------------


def test_without_pins_nothing_is_started_nor_imported() -> None:
    program = (
        "import sys, threading; from reader.box.panel import Panel; from reader.config import PanelSettings;"
        "from reader.clock import SystemClock; panel = Panel(PanelSettings(), SystemClock(), print); panel.start();"
        "assert (panel.trouble, panel.names, panel.is_wired, panel.is_gun_closed()) == ('', [], False, None);"
        "panel.stop(); assert threading.active_count() == 1; assert 'gpiozero' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_the_driver_is_named_by_gpiozero_s_own_variable_and_is_said_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "Mock")
    assert isinstance(module.make_factory(), MockFactory)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "none")
    with pytest.raises(LookupError, match="no pin factory 'none'"):
        module.make_factory()
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY")
    monkeypatch.setitem(sys.modules, "lgpio", None)
    with pytest.raises(LookupError, match=r"timing-mat\[pi\]"):
        module.make_factory()


@pytest.mark.usefixtures("hurried")
def test_a_factory_that_can_not_be_made_is_said_once_and_tried_for_ever() -> None:
    tries: list[int] = []

    def make() -> Any:
        tries.append(1)
        if len(tries) < 40:
            raise PermissionError(13, "Permission denied: '/dev/gpiochip0'")
        return factory

    factory = MockFactory(pin_class=type("Pin", (EdgePin,), {}))
    wall = Wall(make=make)
    wall.factory = factory
    wall.start()
    try:
        wait_until(lambda: "Permission denied" in wall.panel.trouble, 5, "a word on it")
        assert wall.panel.trouble.count("Permission denied") <= 2  # of the contacts, and of the lights
        assert "gun on pin 5" in wall.panel.trouble
        with pytest.raises(UsageError, match="Permission denied"):
            wall.panel.identify()
        wait_until(lambda: wall.is_open, 20, "all pins")
        assert wall.panel.trouble == ""
        wall.edges("gun", (True, 60))
        wait_until(lambda: wall.handed, 5, "the gun")
    finally:
        wall.panel.stop()


@pytest.mark.usefixtures("hurried")
def test_a_light_that_fails_is_said_and_tried_again_and_the_gun_never_feels_it() -> None:
    wall = Wall().begin()
    calls: list[str] = []

    def fail(call: str) -> None:
        calls.append(call)
        if call in ("write GPIO22", "open GPIO22"):
            raise OSError(5, "Input/output error")

    try:
        wall.show()
        wall.pin_class.before_call = staticmethod(fail)  # type: ignore[attr-defined] # made above
        wait_until(lambda: "read_led on pin 22" in wall.panel.trouble, 5, "a word on it")
        wait_until(lambda: calls.count("open GPIO22") > 3, 10, "several tries")
        wall.edges("gun", (True, 60))
        wait_until(lambda: wall.handed, 5, "the gun")
        assert "open GPIO5" not in calls
        assert wall.panel.trouble.count(" on pin ") == 1
        wall.pin_class.before_call = staticmethod(lambda _: None)  # type: ignore[attr-defined] # made above
        wait_until(lambda: wall.panel.trouble == "", 5, "all is well")
        wall.panel.committed(opened=1, reads=1)
        wall.wait_for_light("read_led")
    finally:
        wall.panel.stop()


@pytest.mark.usefixtures("hurried")
def test_a_factory_that_dies_is_made_anew() -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(MockFactory(pin_class=type("Pin", (EdgePin,), {})))
        return made[-1]

    def die(_: str) -> None:
        raise OSError("unknown handle")

    wall = Wall(make=make).begin()
    try:
        wall.factory = made[0]
        wall.show()
        wall.wait_for_light("ready_led")
        made[0].pin_class.before_call = staticmethod(die)
        wait_until(lambda: len(made) > 1 and wall.is_open, 20, "another factory")
        wall.factory = made[-1]
        wall.show()
        wall.wait_for_light("ready_led")
        wait_until(lambda: wall.panel.trouble == "", 5, "all is well")
        wall.edges("gun", (True, 60))
        wait_until(lambda: wall.handed, 5, "the gun")
    finally:
        wall.panel.stop()


class Given:
    """A driver without pins, and what it was told of them."""

    def __init__(self) -> None:
        self.generation = 0
        self.opened: list[str] = []
        self.given_up: list[int] = []

    def note(self, name: str, *, works: bool) -> None:
        pass

    def give_up_if_dead(self, generation: int) -> None:
        self.given_up.append(generation)

    def leave(self) -> None:
        pass

    def open(self, name: str, _: int) -> Given:
        self.opened.append(name)
        return self

    def close(self) -> None:
        pass


def test_pins_die_with_their_driver_and_are_opened_anew() -> None:
    driver = Given()
    pins = wired.Wired({"a": 1, "b": 2}, driver.open, driver)
    pins.mend(0)
    pins.mend(wired.RETRY_NS)
    assert driver.opened == ["a", "b"]
    driver.generation = 1  # another thread gave it up
    pins.mend(2 * wired.RETRY_NS)
    assert driver.opened == ["a", "b", "a", "b"]
    assert driver.given_up == []


def test_a_driver_is_given_up_once_for_all_who_found_it_dead() -> None:
    made: list[MockFactory] = []

    def make() -> Any:
        made.append(MockFactory())
        return made[-1]

    pins = module.Pins(make, threads=2)
    pins.pin(4)
    pins.note("gun", works=True)
    pins.give_up_if_dead(0)
    assert pins.generation == 0
    pins.note("gun", works=False)
    for _ in range(2):
        pins.give_up_if_dead(0)
        pins.pin(4)
    assert (pins.generation, len(made)) == (1, 2)
    assert len(made[1].pins) == 1
    pins.leave()
    assert len(made[1].pins) == 1
    pins.leave()
    assert len(made[1].pins) == 0  # closed, with the last


def test_lights_that_hang_hold_up_neither_the_gun_nor_who_hands_in_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HANGS_NS", 300 * MS)
    wall = Wall().begin()
    let_go, hangs = threading.Event(), threading.Event()

    def hang(call: str) -> None:
        if call.startswith("write"):
            hangs.set()
            let_go.wait()

    try:
        wall.pin_class.before_call = staticmethod(hang)  # type: ignore[attr-defined] # made above
        wall.show()
        assert hangs.wait(5)
        began_s = time.monotonic()
        for n in range(20_000):
            wall.panel.committed(opened=1, reads=n)
            wall.show(replace(WELL, backlog=n % 2))
        assert time.monotonic() - began_s < 5
        assert wall.panel._outputs._woken.qsize() <= 2
        wait_until(lambda: "lights of the panel hang" in wall.panel.trouble, 5, "a word on it")
        wall.edges("gun", (True, 60))
        wait_until(lambda: wall.handed, 5, "the gun")
        with pytest.raises(UsageError, match="hang"):
            wall.panel.identify()
        began_s = time.monotonic()
        wall.panel.stop()
        assert time.monotonic() - began_s < 5
    finally:
        let_go.set()
        wall.panel._outputs._thread.join(5)


def test_contacts_that_hang_hold_up_nobody_and_take_no_more_memory_than_so_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HANGS_NS", 300 * MS)
    wall = Wall().begin()
    let_go, hangs = threading.Event(), threading.Event()

    def hang(call: str) -> None:
        if call.startswith("read"):
            hangs.set()
            let_go.wait()

    try:
        wall.pin_class.before_call = staticmethod(hang)  # type: ignore[attr-defined] # made above
        assert hangs.wait(5)
        wait_until(lambda: "contacts of the panel hang" in wall.panel.trouble, 5, "a word on it")
        for _ in range(5_000):
            wall.edges("gun", (True, 1), (False, 0))
        assert wall.panel._inputs._edges.qsize() <= 1_001
        wall.show()
        wall.wait_for_light("ready_led")
        began_s = time.monotonic()
        wall.panel.stop()
        assert time.monotonic() - began_s < 5
    finally:
        let_go.set()
        wall.panel._inputs._thread.join(5)


def test_a_callback_that_fails_is_said_and_the_next_gun_is_heard() -> None:
    wall = Wall()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    wall.panel._inputs._power_failing = fail
    wall.begin()
    try:
        wall.edges("power_fail", (True, 60))
        wait_until(lambda: "ZeroDivisionError" in wall.panel.trouble, 5, "a word on it")
        wall.edges("gun", (True, 60))
        wait_until(lambda: wall.handed, 5, "the gun")
        wait_until(lambda: wall.panel.trouble == "", 5, "all is well")
    finally:
        wall.panel.stop()


def test_ticks_are_of_either_clock() -> None:
    now = Instant(1_700_000_000 * NS_PER_S, 500 * NS_PER_S)
    assert mono_ns_from_ticks(499.75, now) == 499_750_000_000
    assert mono_ns_from_ticks(1_699_999_999.75, now) == 499_750_000_000
    assert mono_ns_from_ticks(7.0, now) == now.mono_ns
