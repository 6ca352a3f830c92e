"""The rounds of an M100: begun, begun anew before their number is used up, and watched.

A poll of many rounds ends without a word after at most 65535 of them. It is stopped and begun anew long before, in a
round without a chip if one comes in time: each round says at least one frame, and a line of 115200 baud carries 1440
of the shortest a second, so in ``LATEST_NS`` the number can't be used up. The stop is waited for, since nothing tells
what a module does with a poll begun on top of another. One that knows no poll of many rounds is asked for each.
"""

from __future__ import annotations

from reader.line.protocols.m100.frame import POLL, POLL_MANY, STOP, command
from reader.model import NS_PER_S

NS_PER_MS = 1_000_000
MANY = command(POLL_MANY, bytes.fromhex("22FFFF"))
ONCE = command(POLL)
ENOUGH = command(STOP)

SOON_NS = 20 * NS_PER_S  # from here on a poll is begun anew in a round without a chip
LATEST_NS = 30 * NS_PER_S  # and here in any
STOP_NS = NS_PER_S // 5  # the answer to the stop is lost
SILENT_NS = NS_PER_S
SLOT_NS = 2 * NS_PER_MS  # more than a slot of a round takes; there are 2 to the power of Q
GAP_NS = 30 * NS_PER_MS  # after the last chip of a single round
ONCE_NS = NS_PER_S // 5  # in which a single round has to say something
MEASURED_NS = NS_PER_S


class Polling:
    """One poll under way. Times are monotonic nanoseconds, passed in. ``q``: of the query, 4 as it comes.

    ``is_single``: each round is asked for.

    ``silent_ns``: a longer silence is no round; then ``is_lost``. ``revisit_ms``: from one round to the next, measured
    while nobody is on the mat (rounds with chips say a frame for each chip, and nothing at their end).
    """

    def __init__(self, q: int = 4, *, is_single: bool = False) -> None:
        self.silent_ns = SILENT_NS + (SLOT_NS << q)
        self.is_lost = False
        self.revisit_ms: float | None = None
        self._once_ns = ONCE_NS + (SLOT_NS << q)
        self.is_single = is_single
        self._has_answered = False
        self._began_ns = self._last_ns = 0
        self._stopping_ns: int | None = None
        self._next_ns = 0  # of single rounds
        self._quiet_since_ns: int | None = None
        self._quiet_rounds = 0

    @property
    def due_ns(self) -> int:
        """When :meth:`tick` has something to do."""
        silent_ns = self._last_ns + self.silent_ns
        if self.is_single:
            return min(silent_ns, self._next_ns)
        if self._stopping_ns is not None:
            return min(silent_ns, self._stopping_ns + STOP_NS)
        return min(silent_ns, self._began_ns + LATEST_NS)

    def begin(self, now_ns: int) -> bytes:
        """The first poll."""
        self._last_ns = now_ns
        return self._poll(now_ns)

    def heard(self, reads: int, empty: int, now_ns: int) -> bytes:
        """So many chips, and rounds without one, came in one go."""
        self._last_ns = now_ns
        self._has_answered = True
        self._measure(reads, empty, now_ns)
        if self.is_single:
            if empty:
                return self._poll(now_ns)
            self._next_ns = now_ns + GAP_NS
        elif empty and not reads and self._stopping_ns is None and now_ns - self._began_ns >= SOON_NS:
            return self._stop(now_ns)
        return b""

    def stopped(self, now_ns: int) -> bytes:
        """The stop was answered."""
        return b"" if self._stopping_ns is None else self._poll(now_ns)

    def refused(self, now_ns: int) -> bytes:
        """A command is unknown to the module: it must have been the poll of many rounds."""
        return b"" if self._has_answered or self.is_single else self._poll_single(now_ns)

    def tick(self, now_ns: int) -> bytes:
        """Poll, stop, or find that it is lost, if it is time to."""
        if now_ns - self._last_ns >= self.silent_ns:
            if self.is_single or self._has_answered:
                self.is_lost = True
                return b""
            return self._poll_single(now_ns)
        if self.is_single:
            return self._poll(now_ns) if now_ns >= self._next_ns else b""
        if self._stopping_ns is not None:
            return self._poll(now_ns) if now_ns - self._stopping_ns >= STOP_NS else b""
        return self._stop(now_ns) if now_ns - self._began_ns >= LATEST_NS else b""

    def _poll_single(self, now_ns: int) -> bytes:
        self.is_single = True
        self._last_ns = now_ns
        return self._poll(now_ns)

    def _poll(self, now_ns: int) -> bytes:
        self._began_ns = now_ns
        self._stopping_ns = None
        self._next_ns = now_ns + self._once_ns
        return ONCE if self.is_single else MANY

    def _stop(self, now_ns: int) -> bytes:
        self._stopping_ns = now_ns
        return ENOUGH

    def _measure(self, reads: int, empty: int, now_ns: int) -> None:
        if reads:
            self._quiet_since_ns = None
            return
        if self._quiet_since_ns is None:
            self._quiet_since_ns, self._quiet_rounds = now_ns, 0
            return
        self._quiet_rounds += empty
        passed_ns = now_ns - self._quiet_since_ns
        if passed_ns >= MEASURED_NS:
            self.revisit_ms = round(passed_ns / self._quiet_rounds / NS_PER_MS, 1)
            self._quiet_since_ns, self._quiet_rounds = now_ns, 0
