"""The crew's button: from the changes of its contact to what is asked for. Pure; times are monotonic nanoseconds.

::

    released before 3 s             a marker, at the time of its first edge
    the same twice within 0.5 s     mute on or off, and no marker
    released from 3 s to 8 s on     identify; a beep says that it may be let go
    still held at 8 s               the self-test begins; another beep

A marker waits until no second press can follow; its time stays that of its edge.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from reader.box.contact import Change
from reader.model import NS_PER_S

HELD_NS = 3 * NS_PER_S
LONG_HELD_NS = 8 * NS_PER_S
DOUBLE_NS = NS_PER_S // 2  # from edge to edge
LATE_NS = NS_PER_S // 10  # a change counts 50 ms after its edge, and is told a little later


class Asked(NamedTuple):
    """What the button asks for, and the edge with which it was pressed."""

    what: Literal["marker", "mute", "beep", "identify", "selftest"]
    at_ns: int


class Button:
    """At first it is not pressed. ``due_ns``: when to look again, or None."""

    def __init__(self) -> None:
        self._short_ns: int | None = None  # a short press that may be the first of two
        self._down_ns: int | None = None
        self._beeps = 0

    @property
    def due_ns(self) -> int | None:
        """When there is something to look for though nothing changes."""
        if self._down_ns is None:
            return None if self._short_ns is None else self._short_ns + DOUBLE_NS + LATE_NS
        if self._beeps == 2:
            return None
        return self._down_ns + (LONG_HELD_NS if self._beeps else HELD_NS) + LATE_NS

    def change(self, change: Change) -> list[Asked]:
        """It was pressed or let go."""
        at_ns = change.at_ns
        if change.is_closed:
            asks = self.end() if not self._is_second(at_ns) else []
            self._down_ns, self._beeps = at_ns, 0
            return asks
        if self._down_ns is None:  # it was pressed before anybody looked
            return []
        asks = self.look(at_ns)
        down_ns, self._down_ns = self._down_ns, None
        held_ns = at_ns - down_ns
        if held_ns >= LONG_HELD_NS:
            return asks if self._beeps == 2 else [*asks, Asked("selftest", down_ns)]
        if held_ns >= HELD_NS:
            return [*asks, *self.end(), Asked("identify", down_ns)]
        if self._short_ns is not None:
            self._short_ns = None
            return [*asks, Asked("mute", down_ns)]
        self._short_ns = down_ns
        return asks

    def look(self, now_ns: int) -> list[Asked]:
        """Time has passed."""
        if self._down_ns is None:
            if self._short_ns is None or now_ns < self._short_ns + DOUBLE_NS + LATE_NS:
                return []
            return self.end()
        asks = []
        if self._beeps == 0 and now_ns >= self._down_ns + HELD_NS + LATE_NS:
            self._beeps = 1
            asks = [*self.end(), Asked("beep", self._down_ns)]
        if self._beeps == 1 and now_ns >= self._down_ns + LONG_HELD_NS + LATE_NS:
            self._beeps = 2
            asks += [Asked("beep", self._down_ns), Asked("selftest", self._down_ns)]
        return asks

    def end(self) -> list[Asked]:
        """No second press follows: a short one that waited for it is a marker."""
        short_ns, self._short_ns = self._short_ns, None
        return [] if short_ns is None else [Asked("marker", short_ns)]

    def _is_second(self, at_ns: int) -> bool:
        return self._short_ns is not None and at_ns - self._short_ns <= DOUBLE_NS
