"""What the reader says, on its way to whoever has the line open: in order, at the line's pace."""

from __future__ import annotations

from reader.clock import Clock
from reader.model import NS_PER_S
from reader.simulator.line import Line

BATCH = 16_384  # bytes waiting for the line beyond which nothing more is put in
SETTLE_NS = 200_000_000  # a program that has opened a line may still throw away what comes before it is ready
BYTE_TURN_S = 0.002  # while bytes wait for their time on the line
BITS_PER_BYTE = 10  # start bit, eight, stop bit


class Speech:
    """Bytes waiting for the line, and whether anybody listens.

    ``is_paced``: each byte takes its time at ``baud``. ``keeps``: what nobody listens to waits; else it is lost.
    ``is_garbled``: what is said and heard from now on is as ``garbling``, a table of 256 bytes, makes it.
    """

    def __init__(self, line: Line, clock: Clock, garbling: bytes, *, is_paced: bool, keeps: bool) -> None:
        self._line, self._clock, self._garbling = line, clock, garbling
        self.is_garbled = False
        self._is_paced, self._keeps = is_paced, keeps
        self._waiting = bytearray()
        self._line_free_ns: int | None = None  # monotonic: until then the line is busy with what was sent
        self._opened_ns: int | None = None
        self.is_listened_to = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def room(self) -> int:
        """How many bytes may be said before the line has to catch up."""
        return BATCH - len(self._waiting)

    def say(self, data: bytes) -> None:
        """After all that was said before."""
        self._waiting += data.translate(self._garbling) if self.is_garbled else data

    def listen(self) -> bytes:
        """What the other end has said; whether it listens is known afterwards."""
        if not self._line.is_open:
            self._opened_ns, self.is_listened_to = None, False
            return b""
        now_ns = self._clock.mono_ns()
        if self._opened_ns is None:
            self._opened_ns = now_ns
        heard = self._line.receive()
        if heard or now_ns - self._opened_ns >= SETTLE_NS:
            self.is_listened_to = True
        return heard.translate(self._garbling) if self.is_garbled else heard

    def send(self, baud: int) -> None:
        """As much as the line takes now."""
        if not self.is_listened_to and not self._keeps:
            self._waiting.clear()
        if not self._waiting:
            self._line_free_ns = None
            return
        now_ns = self._clock.mono_ns()
        if self._line_free_ns is None:
            self._line_free_ns = now_ns
        size = len(self._waiting)
        if self._is_paced:
            size = min(size, (now_ns - self._line_free_ns) * baud // (BITS_PER_BYTE * NS_PER_S))
        if size and self.is_listened_to:
            taken = self._line.send(bytes(self._waiting[:size]))
            self._line_free_ns += taken * BITS_PER_BYTE * NS_PER_S // baud
            del self._waiting[:taken]

    def rest(self, limit_s: float) -> None:
        """Until the other end says something, the line can take more, or the time is over."""
        is_pressing = bool(self._waiting) and self.is_listened_to
        if is_pressing and self._is_paced:
            limit_s = min(limit_s, BYTE_TURN_S)
        self._line.wait(limit_s, for_room=is_pressing and not self._is_paced)

    def drain(self, baud: int, limit_s: float) -> None:
        """Until whoever listens has read it all: a pseudo-terminal that closes takes unread bytes with it."""
        end_ns = self._clock.mono_ns() + int(limit_s * NS_PER_S)
        empty = 0
        # Asked twice: the kernel hands bytes from one queue to the next, and only the second can be asked.
        while empty < 2 and self._line.is_open and self._clock.mono_ns() < end_ns:
            self.listen()
            self.send(baud)
            empty = empty + 1 if not self._waiting and self._line.is_drained else 0
            self._line.wait(BYTE_TURN_S, for_room=False)
