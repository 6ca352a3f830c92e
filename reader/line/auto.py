"""Finding the reader for the daemon: where to look next, whether it is really there, and the search on an open port.

What was found last is tried first: a mat that restarts in the middle of a race records again at once. If nothing
there shows itself in time, the line is searched; and so on, in turns, for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from reader.clock import Clock
from reader.config import ReaderSettings
from reader.errors import PortRefused
from reader.line.port import Port
from reader.line.probe import Found, Probe
from reader.line.protocols import BY_NAME, Family, load
from reader.model import NS_PER_S, Chunk, Event, Instant, Rejected

READ_WAIT_S = 0.1
SHOWS_NS = 3 * NS_PER_S  # in which a reader that is there says something, if only to a question
# One without keep-alives may show itself by a chip only: unless what comes is garbage, it is given longer.
SHOWS_BY_CHIP_NS = 60 * NS_PER_S
GARBAGE_BYTES = 100
ASK_AGAIN_NS = NS_PER_S


class Place(NamedTuple):
    """Where a reader is, and which."""

    port: str
    family: str
    baud: int


class Try(NamedTuple):
    """What to try now. ``family``: to be talked with, None to search; ``has_to_show``: it is not sure to be there."""

    port: str
    baud: int | None
    family: str | None
    has_to_show: bool


class Search:
    """Where to look for one reader, again and again. ``last``: where it was when last seen."""

    def __init__(self, settings: ReaderSettings, last: Place | None) -> None:
        self._settings = settings
        self._last = last if last is not None and self._fits(last) else None
        self._is_last_due = True
        self._is_last_gone = False
        self._turn = 0

    def next(self, ports: Sequence[str]) -> Try:
        """What to try now; ``ports`` (at least one): those that there are, or the one that is set."""
        settings, last = self._settings, self._last
        port = self._port_of_last(ports)
        self._is_last_gone = last is not None and last.port not in ports
        if settings.protocol != "auto":
            given = settings.baud or BY_NAME[settings.protocol].baud
            if settings.port != "auto":
                return Try(settings.port, given, settings.protocol, has_to_show=False)
            port = port if port is not None and self._is_last_due else ports[self._turn % len(ports)]
            return Try(port, given, settings.protocol, has_to_show=len(ports) > 1)
        if last is not None and port is not None and self._is_last_due:
            return Try(port, last.baud, last.family, has_to_show=True)
        return Try(ports[self._turn % len(ports)], settings.baud, None, has_to_show=True)

    def found(self, place: Place) -> None:
        """It has shown itself there."""
        self._last, self._is_last_due = place, True

    def missed(self) -> None:
        """Nothing there: elsewhere next, and after that where it was last."""
        if self._last is not None and self._is_last_due:
            self._is_last_due = False
        else:
            self._is_last_due = True
            self._turn += 1

    def is_back(self, ports: Sequence[str]) -> bool:
        """Whether the port where it was last has been plugged in again since :meth:`next`."""
        return self._is_last_gone and self._last is not None and self._last.port in ports

    def _fits(self, last: Place) -> bool:
        """Whether it is still what is asked for, and known."""
        settings = self._settings
        return (
            last.family in BY_NAME
            and settings.protocol in ("auto", last.family)
            and settings.port in ("auto", last.port)
        )

    def _port_of_last(self, ports: Sequence[str]) -> str | None:
        if self._last is None:
            return None
        if self._last.port in ports:
            return self._last.port
        # Under another name since it was pulled out; the only one there is.
        return ports[0] if len(ports) == 1 else None


class Proof:
    """Whether a family that is taken to be there shows itself in time.

    One whose conversation says nothing of its own accord (``is_silent``) is asked its question.
    """

    def __init__(self, family: Family, now_ns: int, *, is_silent: bool) -> None:
        self._family = family
        self._events: list[Event] = []
        self._question = family.question if is_silent else b""
        self._ask_ns = now_ns
        self._began_ns = now_ns
        self.is_there = False

    def question(self, now_ns: int) -> bytes:
        """What to send, if it is time to ask."""
        if self.is_there or now_ns < self._ask_ns:
            return b""
        self._ask_ns = now_ns + ASK_AGAIN_NS
        return self._question

    def take(self, events: list[Event]) -> bool:
        """These were decoded: whether it has shown itself just now."""
        if self.is_there:
            return False
        self._events = [*self._events, *events][-100:]
        self.is_there = load(self._family.name).is_proof(self._events)
        return self.is_there

    def is_late(self, now_ns: int) -> bool:
        """Whether to look elsewhere."""
        garbage = sum(event.size for event in self._events if isinstance(event, Rejected))
        is_patient = not self._family.has_keep_alives and garbage < GARBAGE_BYTES
        return not self.is_there and now_ns - self._began_ns >= (SHOWS_BY_CHIP_NS if is_patient else SHOWS_NS)


def probe_port(
    port: Port, probe: Probe, clock: Clock, goes_on: Callable[[Chunk | None], bool] = lambda _: True
) -> Found | None:
    """Run a probe on an open port to its end; what it found. PortGone.

    ``goes_on``: told what came after each turn, ten times a second at least; False ends it.
    """
    probe.begin(clock.mono_ns())
    while True:
        now_ns = clock.mono_ns()
        if sent := probe.tick(now_ns):
            port.write(sent)
        _follow(port, probe, now_ns)
        if probe.found is not None or probe.is_over:
            return probe.found
        chunk = port.read(min(max((probe.due_ns - clock.mono_ns()) / NS_PER_S, 0.0), READ_WAIT_S))
        if chunk is not None:
            probe.feed(chunk.data, chunk.at.mono_ns)
            _follow(port, probe, now_ns)
        if not goes_on(chunk):
            return probe.found


def heard_since(found: Found, now: Instant) -> list[tuple[list[Event], Instant]]:
    """What was decoded before the family was known, with the moments when it came."""
    return [(events, Instant(now.utc_ns - now.mono_ns + mono_ns, mono_ns)) for mono_ns, events in found.heard]


def has_speeds(port: str) -> bool:
    """Whether a speed means anything on that line."""
    return not port.startswith("socket://")


def _follow(port: Port, probe: Probe, now_ns: int) -> None:
    """Set the line to the speed that the probe is at."""
    while port.baud != probe.baud and not probe.is_over:
        try:
            port.flush()  # what was said at the old speed goes out at it
            port.set_baud(probe.baud)
        except PortRefused:
            probe.refuse("this line can't have it", now_ns)
