"""The box's inputs and lights: the only importer of gpiozero. For now the gun and the crew's button.

Both are contacts to ground (pulled up, active low). The time of an edge is the kernel's, which gpiozero hands on, not
that of the callback, which may come late. A contact counts if it is still closed 50 ms after its first edge, and that
edge is its time; it counts again once it has been open for 50 ms.

Whatever is wrong with the pins is said and never touches timing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from reader.clock import Clock
from reader.config import PanelSettings
from reader.model import NS_PER_S, Fired, Instant, Marked

RECHECK_NS = 50_000_000
NEAR_NS = 60 * NS_PER_S  # an edge is told within this


class Contact:
    """One contact: which of its edges count. Pure; times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._is_held = False
        self._is_closed = False
        self._edge_ns: int | None = None

    @property
    def due_ns(self) -> int | None:
        """When to look again."""
        return None if self._edge_ns is None else self._edge_ns + RECHECK_NS

    def edge(self, at_ns: int, is_closed: bool) -> int | None:
        """It was closed or opened then; when it was closed, if that counts by how it was until then."""
        counts_ns = self.look(at_ns, self._is_closed)  # edges may be told late, several at once
        self._is_closed = is_closed
        if self._edge_ns is None and is_closed != self._is_held:
            self._edge_ns = at_ns
        return counts_ns

    def look(self, now_ns: int, is_closed: bool) -> int | None:
        """How it is now; when it was closed, if that counts from here on."""
        if self._edge_ns is None or now_ns < self._edge_ns + RECHECK_NS:
            return None
        edge_ns, self._edge_ns = self._edge_ns, None
        self._is_closed = is_closed
        if is_closed == self._is_held:
            return None  # a spike
        self._is_held = is_closed
        return edge_ns if is_closed else None


class _Edge(NamedTuple):
    name: str
    at_ns: int
    is_closed: bool


class _Pin:
    """One pin as gpiozero has it. ``hand_on`` is called in gpiozero's thread."""

    def __init__(self, name: str, number: int, clock: Clock, hand_on: Callable[[_Edge], None], factory: Any) -> None:
        from gpiozero import InputDevice  # a box without pins needs neither it nor a driver

        self._name = name
        self._clock = clock
        self._hand_on = hand_on
        self._device = InputDevice(number, pull_up=True, pin_factory=factory)
        self._device.pin.edges = "both"
        self._device.pin.when_changed = self._changed

    def is_closed(self) -> bool:
        """Whether it is connected to ground now."""
        return bool(self._device.is_active)

    def close(self) -> None:
        """Give it back."""
        self._device.close()

    def _changed(self, ticks: float, state: int) -> None:
        self._hand_on(_Edge(self._name, mono_ns_from_ticks(ticks, self._clock.now()), not state))


def mono_ns_from_ticks(ticks: float, now: Instant) -> int:
    """When an edge was, from gpiozero's ticks: seconds of the monotonic clock, or of UTC with older drivers."""
    at_ns = round(ticks * 1_000_000) * 1000  # seconds since 1970 have no more digits
    for age_ns in (now.mono_ns - at_ns, now.utc_ns - at_ns):
        if -NEAR_NS < age_ns < NEAR_NS:
            return min(now.mono_ns - age_ns, now.mono_ns)
    return now.mono_ns


class Inputs:
    """The gun and the button, watched in a thread of their own. ``trouble``: why they are not, in words, or ""."""

    def __init__(
        self, settings: PanelSettings, clock: Clock, hand_on: Callable[[Fired | Marked], None], factory: Any = None
    ) -> None:
        self.trouble = ""
        self._numbers = {"gun": settings.gun, "button": settings.button}
        self._gun_name = settings.gun_name
        self._clock = clock
        self._hand_on = hand_on
        self._factory = factory
        self._pins: dict[str, _Pin] = {}
        self._contacts: dict[str, Contact] = {}
        self._edges: queue.SimpleQueue[_Edge | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="panel", daemon=True)

    def start(self) -> None:
        """Begin; where there are no such pins, say so in ``trouble``."""
        for name, number in self._numbers.items():
            if number is None:
                continue
            try:
                self._pins[name] = _Pin(name, number, self._clock, self._edges.put, self._factory)
            except Exception as error:
                self.trouble = f"the {name} on pin {number} can't be used ({error}); look at [panel] and the wiring"
                continue
            self._contacts[name] = Contact()
        if self._pins:
            self._thread.start()

    def stop(self) -> None:
        """End, and give the pins back."""
        if self._pins:
            self._edges.put(None)
            self._thread.join(2.0)
        for pin in self._pins.values():
            pin.close()

    def _watch(self) -> None:
        while True:
            now_ns = self._clock.mono_ns()
            dues = [due - now_ns for contact in self._contacts.values() if (due := contact.due_ns) is not None]
            try:
                edge = self._edges.get(timeout=max(0.0, min(dues) / NS_PER_S) if dues else None)
            except queue.Empty:
                self._look()
                continue
            if edge is None:
                return
            self._tell(edge.name, self._contacts[edge.name].edge(edge.at_ns, edge.is_closed))

    def _look(self) -> None:
        for name, contact in self._contacts.items():
            self._tell(name, contact.look(self._clock.mono_ns(), self._pins[name].is_closed()))

    def _tell(self, name: str, edge_ns: int | None) -> None:
        if edge_ns is not None:
            now = self._clock.now()
            at = Instant(now.utc_ns - (now.mono_ns - edge_ns), edge_ns)
            self._hand_on(Fired(at, self._gun_name, "input") if name == "gun" else Marked(at, "", "button"))
