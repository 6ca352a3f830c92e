"""The pins of one thread: opened where they can be, closed where they fail, and tried again for ever.

Whatever is wrong with a pin is said in ``trouble`` and stops nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from reader.model import NS_PER_S

RETRY_NS = 5 * NS_PER_S


class Pin(Protocol):
    """One pin, open."""

    def close(self) -> None:
        """Give it back."""


class OutputPin(Pin, Protocol):
    """A light, or the buzzer."""

    def set(self, is_on: bool) -> None:
        """Switch it."""


class InputPin(Pin, Protocol):
    """A contact to ground."""

    def is_closed(self) -> bool:
        """Whether it is connected to ground now."""


class Driver(Protocol):
    """What all pins stand on. ``generation`` grows when it was given up, and its pins with it."""

    generation: int

    def note(self, name: str, *, works: bool) -> None:
        """Whether the pin of that name does what it should."""

    def give_up_if_dead(self, generation: int) -> None:
        """Begin anew, if no pin of any thread works."""

    def leave(self) -> None:
        """A thread has given its pins back, for good."""


P = TypeVar("P", bound=Pin)


class Wired(Generic[P]):
    """``numbers``: BCM numbers by name. ``pins``: those that are open; ``trouble``: by name, why one is not, or ""."""

    def __init__(self, numbers: dict[str, int], open_pin: Callable[[str, int], P], driver: Driver) -> None:
        self.pins: dict[str, P] = {}
        self.trouble = dict.fromkeys(numbers, "")
        self._numbers = numbers
        self._open = open_pin
        self._driver = driver
        self._generation = driver.generation
        self._try_ns: int | None = None

    def mend(self, now_ns: int) -> None:
        """Open those that are not open, if it is time to try again."""
        if self._generation != self._driver.generation:
            self.pins.clear()  # they died with it
        missing = self._numbers.keys() - self.pins.keys()
        if not missing or (self._try_ns is not None and now_ns < self._try_ns):
            return
        self._try_ns = now_ns + RETRY_NS
        self._generation = self._driver.generation
        for name in sorted(missing):
            try:
                self.pins[name] = self._open(name, self._numbers[name])
            except Exception as error:
                self._note(name, error)
            else:
                self._note(name, None)
        if len(self.pins) < len(self._numbers):
            self._driver.give_up_if_dead(self._generation)

    def fail(self, name: str, error: Exception) -> None:
        """A call of that pin has failed: it is closed, and tried again later."""
        with contextlib.suppress(Exception):
            self.pins.pop(name).close()
        self._note(name, error)

    def close(self) -> None:
        """Give all of them back, for good."""
        while self.pins:
            with contextlib.suppress(Exception):
                self.pins.popitem()[1].close()
        self._driver.leave()

    def says(self) -> str:
        """Which can't be used and why, in words; or ""."""
        names_of: dict[str, list[str]] = {}
        for name, trouble in self.trouble.items():
            if trouble:
                names_of.setdefault(trouble, []).append(f"{name} on pin {self._numbers[name]}")
        return "; ".join(
            f"{', '.join(names)} can't be used ({trouble}); look at [panel] and the wiring"
            for trouble, names in names_of.items()
        )

    def _note(self, name: str, error: Exception | None) -> None:
        self.trouble[name] = "" if error is None else str(error) or type(error).__name__
        self._driver.note(name, works=error is None)
