"""The speed of the line to a ThingMagic module: set, found again. It is lost with the module's power."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from reader.line.protocols.asking import Script, Stuck, line_baud, pause
from reader.line.protocols.settings import Value
from reader.line.protocols.thingmagic.ask import CHECK, PROGRAM, STOP, done, question
from reader.line.protocols.thingmagic.frame import BAUDS, SET_BAUD

NS_PER_MS = 1_000_000
SWITCH_NS = 50 * NS_PER_MS  # both ends have changed
HUNT_NS = 300 * NS_PER_MS
CYCLE_NS = 1_100 * NS_PER_MS

ask_baud: Callable[[], Script[Value | None]] = line_baud


def put_baud(value: Value) -> Script[None]:
    """Both ends go to another speed, and back if nobody answers there."""
    old, new = (yield from line_baud()), cast(int, value)
    yield from done(question("another speed of the line", SET_BAUD, new.to_bytes(4)))
    yield from _go_to(new)
    if (yield PROGRAM) is not None:
        return
    if old is not None:
        yield from _go_to(old)
    if not (yield from find_speed((None, *BAUDS), lambda: 0)):
        raise Stuck(f"does not answer at {new} baud, nor at any other: {CHECK}", is_unanswered=True)
    raise Stuck(f"does not answer at {new} baud; it stays as it was")


def find_speed(bauds: Iterable[int | None], count: Callable[[], int]) -> Script[bool]:
    """Whether the module is at one of these speeds (None: the line's as it is), which is the line's from now on.

    ``count``: of the good frames that have come so far; a module that streams may answer late.
    """
    for place, baud in enumerate(dict.fromkeys(bauds)):
        if baud is not None:
            yield from _go_to(baud)
        before = count()
        # A line that only carries reads is not left: whoever streams is heard once a cycle.
        yield STOP._replace(wait_ns=HUNT_NS if place else CYCLE_NS)
        if (yield PROGRAM._replace(tries=1, wait_ns=HUNT_NS)) is not None or count() > before:
            return True
    return False


def _go_to(baud: int) -> Script[None]:
    yield from pause(0, then_baud=baud)
    # What follows a change at once would still go out at the old speed.
    yield from pause(SWITCH_NS)
