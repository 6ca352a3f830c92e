"""The panel: lights, buzzer, button, gun and the supply's word that it is failing; nobody else loads gpiozero.

Two threads: the contacts' (`inputs`) and the lights' (`outputs`). Neither is in a pin while it holds what the recorder
or the main thread could wait for: a panel that is dead, or hangs, never touches timing, nor do lights that hang a gun.
Whatever is wrong is said in ``trouble``, and tried again for ever. Where no pin is configured nothing is started, nor
imported.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from reader.box.button import Asked
from reader.box.finding import Showing
from reader.box.inputs import NAMES as INPUTS
from reader.box.inputs import Edge, Inputs, mono_ns_from_ticks
from reader.box.lights import NAMES, Lights, Look, facts_from, is_within
from reader.box.outputs import Outputs
from reader.box.wired import InputPin, OutputPin, Wired
from reader.clock import Clock
from reader.config import PanelSettings
from reader.errors import UsageError
from reader.messages import Status, Verdict
from reader.model import NS_PER_S, Fired, Instant, Marked
from reader.wording import counted

IDENTIFY_S = 10
HANGS_NS = 15 * NS_PER_S
STOP_LIMIT_S = 1.0
DRIVER = "lgpio"  # where $GPIOZERO_PIN_FACTORY names no other; what gpiozero falls back to tells no edges in time


def make_factory() -> Any:
    """The pins of this board, as gpiozero has them; anything may be raised."""
    name = os.environ.get("GPIOZERO_PIN_FACTORY", DRIVER).lower()
    found = entry_points(group="gpiozero_pin_factories", name=name)
    if not found:
        raise LookupError(f"gpiozero has no pin factory {name!r}")
    try:
        return next(iter(found)).load()()
    except ModuleNotFoundError as error:
        raise LookupError(f"{error}: pip install 'timing-mat[pi]', or Debian's python3-{DRIVER}") from error


class Pins:
    """The driver below all pins, made when the first is opened; a :class:`reader.box.wired.Driver`."""

    def __init__(self, make: Callable[[], Any], threads: int) -> None:
        self.generation = 0
        self._threads = threads
        self._make = make
        self._factory: Any = None
        self._works: set[str] = set()
        self._lock = threading.Lock()

    def pin(self, number: int) -> Any:
        """The pin of that BCM number, as gpiozero has it."""
        with self._lock:
            if self._factory is None:
                self._factory = self._make()
            return self._factory.pin(number)

    def note(self, name: str, *, works: bool) -> None:
        """Whether the pin of that name does what it should."""
        (self._works.add if works else self._works.discard)(name)

    def give_up_if_dead(self, generation: int) -> None:
        """Another factory, if none of this one's pins works: never for one bad light, which the gun would feel."""
        with self._lock:
            if self._works or generation != self.generation or self._factory is None:
                return
            self.generation += 1
            self._close()

    def leave(self) -> None:
        """A thread has given its pins back, for good; the last one closes the factory: another mat may follow here."""
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                self._close()

    def _close(self) -> None:
        factory, self._factory = self._factory, None
        with contextlib.suppress(Exception):
            factory.close()


class _Output:
    """A light or the buzzer: on when the pin is high. Off when it is opened."""

    def __init__(self, pin: Any) -> None:
        self._pin = pin
        pin.output_with_state(False)

    def set(self, is_on: bool) -> None:
        self._pin.state = is_on

    def close(self) -> None:
        self._pin.close()


class _Input:
    """A contact. ``hand_on`` is called in the driver's thread."""

    def __init__(self, name: str, pin: Any, clock: Clock, hand_on: Callable[[Edge], None]) -> None:
        self._name = name
        self._pin = pin
        self._clock = clock
        self._hand_on = hand_on
        pin.input_with_pull("up")
        pin.edges = "both"
        pin.when_changed = self._changed

    def is_closed(self) -> bool:
        return not self._pin.state

    def close(self) -> None:
        self._pin.when_changed = None
        self._pin.close()

    def _changed(self, ticks: float, state: int) -> None:
        self._hand_on(Edge(self._name, mono_ns_from_ticks(ticks, self._clock.now()), not state))


def _ignore(*_: object) -> None:
    """Nobody has asked to be told."""


class Panel:
    """What a crew sees and presses.

    ``hand_on`` takes guns and markers. ``power_failing`` is told when the supply says that it is failing, and when no
    longer; ``begin_selftest`` when the button asks for it. All three return at once.

    ``names``: the lights that are wired, and the buzzer, by their keys of `[panel]`. ``is_wired``: whether anything is.
    """

    def __init__(
        self,
        settings: PanelSettings,
        clock: Clock,
        hand_on: Callable[[Fired | Marked], None],
        power_failing: Callable[[bool, Instant], None] = _ignore,
        begin_selftest: Callable[[], None] = _ignore,
        make_factory: Callable[[], Any] = make_factory,
    ) -> None:
        numbers: dict[str, int] = {
            name: number for name in (*NAMES, *INPUTS) if (number := getattr(settings, name)) is not None
        }
        self.names = [name for name in NAMES if name in numbers]
        self.is_wired = bool(numbers)
        self._clock = clock
        self._quiet_hours = settings.quiet_hours
        self._hand_on = hand_on
        self._begin_selftest = begin_selftest
        self._lights = Lights(self.names)
        self._lock = threading.Lock()  # of the lights' state; nobody touches a pin under it
        self._is_begun = False
        pins = Pins(make_factory, threads=bool(self.names) + (len(numbers) > len(self.names)))
        self._inputs = Inputs(
            clock, lambda at: hand_on(Fired(at, settings.gun_name, "input")), self._asked, power_failing
        )
        self._wired_in = Wired[InputPin](
            {name: number for name, number in numbers.items() if name in INPUTS},
            lambda name, number: _Input(name, pins.pin(number), clock, self._inputs.edge),
            pins,
        )
        self._wired_out = Wired[OutputPin](
            {name: number for name, number in numbers.items() if name in NAMES},
            lambda _, number: _Output(pins.pin(number)),
            pins,
        )
        self._outputs = Outputs(self._wired_out, self._look, clock)

    def start(self) -> None:
        """Begin, where anything is wired."""
        self._is_begun = True
        if self._wired_in.trouble:
            self._inputs.start(self._wired_in)
        if self._wired_out.trouble:
            self._outputs.start()

    def stop(self) -> None:
        """All lights off and the pins given back; takes two seconds at most, whatever hangs."""
        if self._is_begun:
            if self._wired_in.trouble:
                self._inputs.stop(STOP_LIMIT_S)
            if self._wired_out.trouble:
                self._outputs.stop(STOP_LIMIT_S)

    # ---- what is shown: from any thread ------------------------------------------------------------------

    def show(self, status: Status, *, is_connected: bool) -> None:
        """How the box stands now, to be said some times a second; ``is_connected``: to the broker."""
        if not self.names:
            return
        facts = facts_from(status, is_connected=is_connected)
        with self._lock:
            has_changed = self._lights.stand(facts, self._clock.mono_ns())
        if has_changed:
            self._outputs.wake()

    def committed(self, *, opened: int, reads: int) -> None:
        """So many passings, and raw reads, have come to the disk."""
        with self._lock:
            is_shown = self._lights.committed(opened, reads)
        if is_shown:
            self._outputs.wake()

    def identify(self, light: str | None = None, for_s: int = IDENTIFY_S) -> str:
        """The whole box shows itself, or one light alone is on, for so long; what is to be seen, in words.

        UsageError where nothing would be, or where it would be mistaken.
        """
        if hangs := self._hanging(self._wired_out, self._outputs):
            raise UsageError(f"identify: {hangs}")
        facts = self._lights.facts
        showing = Showing(self._wired_out.trouble, self._why_silent(), None if facts is None else facts.mode)
        if refusal := showing.why_not(light):
            raise UsageError(refusal)
        self._show_itself(for_s, light)
        what = f"the box shows itself by {', '.join(showing.by())}" if light is None else f"{light} is on"
        return f"{what}, for {counted(for_s, 'second')}"

    def answer(self, verdict: Verdict) -> None:
        """The self-test that the button asked for has ended so."""
        with self._lock:
            self._lights.answer(verdict, self._clock.mono_ns())
        self._outputs.wake()

    # ---- how it stands: from any thread ------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """Why the panel, or a pin of it, can't be used; or ""."""
        return "; ".join(trouble for trouble in self._troubles() if trouble)

    def is_gun_closed(self) -> bool | None:
        """Whether the gun's contact is closed now; None where none is wired, or it can't be used."""
        return self._inputs.is_closed("gun")

    def _troubles(self) -> list[str]:
        return [
            self._hanging(self._wired_in, self._inputs),
            self._inputs.fault,
            self._wired_in.says(),
            self._inputs.missed,
            self._hanging(self._wired_out, self._outputs),
            self._outputs.fault,
            self._wired_out.says(),
        ]

    def _hanging(self, wired: Wired[Any], thread: Inputs | Outputs) -> str:
        if not (self._is_begun and wired.trouble) or self._clock.mono_ns() - thread.progress_ns < HANGS_NS:
            return ""
        if thread is self._inputs:
            return "the contacts of the panel hang: no gun and no button is noticed"
        return "the lights of the panel hang: they show what was, not what is"

    def _why_silent(self) -> str:
        if self._lights.is_muted:
            return "the buzzer is muted: press the button twice, then ask again"
        if self._is_quiet():
            return f"the buzzer is silent from {self._quiet_hours} (quiet_hours, by the box's local time)"
        return ""

    def _is_quiet(self) -> bool:
        local = time.localtime(self._clock.now().utc_ns // NS_PER_S)
        return is_within(self._quiet_hours, local.tm_hour * 60 + local.tm_min)

    # ---- the threads ------------------------------------------------------------------------------------

    def _look(self, now_ns: int) -> Look:
        is_quiet = self._is_quiet()
        with self._lock:
            return self._lights.look(now_ns, is_quiet=is_quiet)

    def _show_itself(self, for_s: int, light: str | None = None) -> None:
        with self._lock:
            self._lights.show(self._clock.mono_ns() + for_s * NS_PER_S, light)
        self._outputs.wake()

    def _asked(self, asked: Asked, at: Instant) -> None:
        match asked.what:
            case "marker":
                self._hand_on(Marked(at, "", "button"))
            case "selftest":
                self._begin_selftest()
            case "identify":
                self._show_itself(IDENTIFY_S)
            case "mute" | "beep":
                with self._lock:
                    (self._lights.mute if asked.what == "mute" else self._lights.beep)()
                self._outputs.wake()
