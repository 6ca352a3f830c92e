"""The contacts, in a thread of their own: the gun, the crew's button, and the supply's word that it is failing.

All are contacts to ground (pulled up, active low). The time of an edge is the kernel's, which the driver hands on, not
that of the callback, which may come late. Lights that hang hold none of this up.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from reader.box.button import Asked, Button
from reader.box.contact import RECHECK_NS, Change, Contact
from reader.box.wired import InputPin, Wired
from reader.clock import Clock
from reader.model import NS_PER_S, Instant

GUN, BUTTON, POWER_FAIL = NAMES = ("gun", "button", "power_fail")

LOOK_NS = NS_PER_S  # for contacts whose edges nobody tells, and pins to be tried again
ROOM = 1000  # edges, should this thread hang
AFTER_FAULT_S = 1.0
NEAR_NS = 60 * NS_PER_S  # an edge is told within this


class Edge(NamedTuple):
    """An edge as the driver tells it; ``at_ns``: monotonic."""

    name: str
    at_ns: int
    is_closed: bool


def mono_ns_from_ticks(ticks: float, now: Instant) -> int:
    """When an edge was, from gpiozero's ticks: seconds of the monotonic clock, or of UTC with older drivers."""
    at_ns = round(ticks * 1_000_000) * 1000  # seconds since 1970 have no more digits
    for age_ns in (now.mono_ns - at_ns, now.utc_ns - at_ns):
        if -NEAR_NS < age_ns < NEAR_NS:
            return min(now.mono_ns - age_ns, now.mono_ns)
    return now.mono_ns


class Inputs:
    """What the contacts mean, and who is told.

    ``fired``: the gun's contact closed; ``asked``: the button asks for something; ``power_failing``: the supply's
    contact closed, or opened. Each is called in this thread, which waits for it. ``progress_ns`` and ``fault``: as of
    the lights' thread. ``missed``: a gun that closed without an edge, or "".
    """

    def __init__(
        self,
        clock: Clock,
        fired: Callable[[Instant], None],
        asked: Callable[[Asked, Instant], None],
        power_failing: Callable[[bool, Instant], None],
    ) -> None:
        self.progress_ns = clock.mono_ns()
        self.fault = ""
        self.missed = ""
        self._clock = clock
        self._fired = fired
        self._asked = asked
        self._power_failing = power_failing
        self._is_failing = False
        self._contacts: dict[str, Contact] = {}
        self._button = Button()
        self._edges: queue.SimpleQueue[Edge | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="contacts", daemon=True)

    def start(self, wired: Wired[InputPin]) -> None:
        """Begin to watch these."""
        self._wired = wired
        self._thread.start()

    def stop(self, limit_s: float) -> None:
        """Tell what was held back, and give the pins back; a thread that hangs in a pin is left to itself."""
        self._stopping.set()
        self._edges.put(None)
        self._thread.join(limit_s)

    def edge(self, edge: Edge) -> None:
        """From the driver's thread; returns at once."""
        if self._edges.qsize() < ROOM:
            self._edges.put(edge)

    def is_closed(self, name: str) -> bool | None:
        """How that contact is, as far as it counts; None where it is not wired, or can't be used."""
        contact = self._contacts.get(name)
        return None if contact is None else contact.is_closed

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
                self.fault = ""
            except Exception as error:
                self.fault = f"the contacts: a fault of this program ({error!r}); please report it"
                self._stopping.wait(AFTER_FAULT_S)
        with contextlib.suppress(Exception):
            self._end()
        self._wired.close()

    def _watch(self) -> None:
        """One round: what is told until something is due, or the first edge."""
        now_ns = self.progress_ns = self._clock.mono_ns()
        self._wired.mend(now_ns)
        self._contacts = {name: contact for name, contact in self._contacts.items() if name in self._wired.pins}
        for name in self._wired.pins.keys() - self._contacts.keys():
            self._begin(name, self._wired.pins[name])
        dues = [now_ns + LOOK_NS, *(due for contact in self._contacts.values() if (due := contact.due_ns) is not None)]
        if self._button.due_ns is not None:
            dues.append(self._button.due_ns)
        try:
            edge = self._edges.get(timeout=max(0, min(dues) - now_ns) / NS_PER_S)
        except queue.Empty:
            self._look(self._clock.mono_ns(), is_idle=True)
            return
        if edge is not None:
            self._take(edge)
            self._look(self._clock.mono_ns(), is_idle=False)  # a contact that never rests holds up no other

    def _take(self, edge: Edge) -> None:
        if edge.name in self._contacts:
            self._tell(edge.name, self._contacts[edge.name].edge(edge.at_ns, edge.is_closed))

    def _end(self) -> None:
        """Nothing more comes: what waited to be sure has waited long enough."""
        while not self._edges.empty():
            if (edge := self._edges.get()) is not None:
                self._take(edge)
        self._look(self._clock.mono_ns() + RECHECK_NS, is_idle=False)
        self._ask(self._button.end())

    def _begin(self, name: str, pin: InputPin) -> None:
        """As it is found: nobody saw it become so."""
        try:
            is_closed = pin.is_closed()
        except Exception as error:
            self._wired.fail(name, error)
            return
        self._contacts[name] = Contact(is_closed)
        if name == BUTTON:
            self._button = Button()
        if name == POWER_FAIL:
            self._tell_power(is_closed, self._clock.now())

    def _look(self, now_ns: int, *, is_idle: bool) -> None:
        """At the contacts that are due; where nothing else happens, at the others for edges that nobody told."""
        for name, pin in list(self._wired.pins.items()):
            contact = self._contacts[name]
            is_due = contact.due_ns is not None and contact.due_ns <= now_ns
            if not (is_due or is_idle):
                continue
            try:
                is_closed = pin.is_closed()
            except Exception as error:
                self._wired.fail(name, error)
                continue
            if is_due:
                self._tell(name, contact.look(now_ns, is_closed))
            elif contact.found(is_closed):
                self._note_found(name, Change(now_ns, is_closed))
        if self._edges.empty():
            self._ask(self._button.look(now_ns))

    def _note_found(self, name: str, change: Change) -> None:
        """It has changed, and nobody told of an edge: for all but a gun, now is time enough."""
        if name != GUN:
            self._tell(name, change)
        elif change.is_closed:
            self.missed = "the gun's contact closed and no edge was told: no gun was written; timing-mat gun gives it"

    def _tell(self, name: str, change: Change | None) -> None:
        if change is None:
            return
        at = self._instant(change.at_ns)
        if name == BUTTON:
            self._ask(self._button.change(change))
        elif name == POWER_FAIL:
            self._tell_power(change.is_closed, at)
        elif change.is_closed:
            self.missed = ""
            self._fired(at)

    def _tell_power(self, is_failing: bool, at: Instant) -> None:
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            self._power_failing(is_failing, at)

    def _ask(self, asks: list[Asked]) -> None:
        for asked in asks:
            self._asked(asked, self._instant(asked.at_ns))

    def _instant(self, at_ns: int) -> Instant:
        now = self._clock.now()
        return Instant(now.utc_ns - (now.mono_ns - at_ns), at_ns)
