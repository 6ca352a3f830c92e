"""Looks at the supply every ten seconds, in a thread of its own: a driver that hangs holds up nobody.

When the supply says that it is going (a contact of the panel), that goes into the log at once, and with it all that
was heard; timing goes on until it dies. Nothing is shut down.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from reader.box.power import History, Measured, part_and_power
from reader.box.supply import Firmware, Supply, look_at_supply
from reader.clock import Clock
from reader.messages import Part, Power
from reader.model import NS_PER_S, Instant, Noted

EVERY_S = 10.0
HANGS_NS = 60 * NS_PER_S

log = logging.getLogger(__name__)


class PowerWatch:
    """``note``: takes what goes into the log. ``empty_volts``: of the battery, as configured. ``look``: as of now."""

    def __init__(
        self,
        clock: Clock,
        note: Callable[[Noted], None],
        empty_volts: float | None = None,
        look: Callable[[Firmware, int], Supply] = look_at_supply,
    ) -> None:
        self._clock = clock
        self._note = note
        self._empty_volts = empty_volts
        self._look = look
        self._firmware = Firmware()
        self._history = History()
        self._measured = Measured(Supply())
        self._looked_ns = clock.mono_ns()
        self._failing_since: Instant | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power", daemon=True)

    @property
    def is_failing(self) -> bool:
        """Whether the supply has said that it is going."""
        return self._failing_since is not None

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self, limit_s: float = 1.0) -> None:
        """End; a look that hangs is left to itself after ``limit_s``."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(limit_s)

    def power_failing(self, is_failing: bool, at: Instant) -> None:
        """The contact that tells of it was closed, or opened again, ``at`` that moment; from any thread."""
        since = self._failing_since
        if is_failing and since is None:
            self._failing_since = at
            says = "the supply is failing: timing goes on until the power ends; goodbye"
            self._note(Noted(at, "power", says))
            log.warning("%s", says)
        elif since is not None and not is_failing:
            self._failing_since = None
            self._note(Noted(at, "power", f"the supply is back after {(at.mono_ns - since.mono_ns) / NS_PER_S:.0f} s"))

    def stand(self, hours_needed: float | None) -> tuple[Part, Power]:
        """How it stands; never waits. ``hours_needed``: until the last runner is expected, if that is known."""
        silent_ns = self._clock.mono_ns() - self._looked_ns
        part, power = part_and_power(self._measured, hours_needed, self._failing_since, self._empty_volts)
        if silent_ns <= HANGS_NS:
            return part, power
        says = f"not measured: the system has not answered for {silent_ns // NS_PER_S} s"
        if self._failing_since is None:
            return Part("unknown", says), Power(hours_needed=power.hours_needed)
        return part, power

    def look(self) -> None:
        """Look now; whatever comes of it stands until the next."""
        now_ns = self._clock.mono_ns()
        supply = self._look(self._firmware, now_ns)
        self._history.add(now_ns, supply)
        was_low = self._measured.was_low or bool(supply.is_low) or bool(supply.was_low)
        supply = supply._replace(volts=self._history.steady_volts())
        self._measured = Measured(supply, self._history.estimate(self._empty_volts), was_low)
        self._looked_ns = self._clock.mono_ns()

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                log.exception("looking at the supply failed by a fault of this program; please report it")
            if self._stopping.wait(EVERY_S):
                return
