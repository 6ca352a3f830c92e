"""The lights and the buzzer, in a thread of their own: switches them as `lights` says, and never ends for a fault."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from reader.box.lights import Look
from reader.box.wired import OutputPin, Wired
from reader.clock import Clock
from reader.model import NS_PER_S

AFTER_FAULT_S = 1.0


class Outputs:
    """``look`` says what is on at a moment, monotonic, and may be waited for; no pin is touched meanwhile.

    ``progress_ns``: when the thread last came round, which it does each second; ``fault``: what it fell over, or "".
    """

    def __init__(self, wired: Wired[OutputPin], look: Callable[[int], Look], clock: Clock) -> None:
        self.progress_ns = clock.mono_ns()
        self.fault = ""
        self._wired = wired
        self._look = look
        self._clock = clock
        self._stopping = threading.Event()
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lights", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something else to show; returns at once."""
        if self._woken.empty():
            self._woken.put(None)

    def stop(self, limit_s: float) -> None:
        """All off, and the pins given back; a thread that hangs in a pin is left to itself."""
        self._stopping.set()
        self._woken.put(None)
        self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                wait_ns = self._show() - self._clock.mono_ns()
                self.fault = ""
            except Exception as error:
                self.fault = f"the lights: a fault of this program ({error!r}); please report it"
                self._stopping.wait(AFTER_FAULT_S)
                continue
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=max(0, wait_ns) / NS_PER_S)
        for pin in self._wired.pins.values():
            with contextlib.suppress(Exception):
                pin.set(False)
        self._wired.close()

    def _show(self) -> int:
        """All as they should be now, written anew each time, whatever else may have touched them; when to come back."""
        self.progress_ns = self._clock.mono_ns()
        self._wired.mend(self.progress_ns)
        look = self._look(self._clock.mono_ns())
        for name, pin in list(self._wired.pins.items()):
            try:
                pin.set(name in look.lit)
            except Exception as error:
                self._wired.fail(name, error)
        return look.due_ns
