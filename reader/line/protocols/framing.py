"""Whole frames out of a stream in which no byte is escaped: for the binary families.

The byte that begins a frame may stand anywhere inside one too. So a place where a frame may begin is only
believed when its length is possible and its checksum right; if not, that *one* byte is dropped and the search
goes on behind it. What is dropped is rejected up to the next place where a frame may begin, at most
``MAX_REJECTED`` bytes at a time: the stream alone decides where the pieces end, however it was chunked.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reader.model import Event, Reason, Rejected

MAX_REJECTED = 64


class Framing:
    """A :class:`Decoder` for one family.

    ``beginning``: matches one byte that may begin a frame. ``measure(buffer, start)``: the size of the frame there;
    None while too few bytes have come to tell; a reason if none can begin there. ``decode(frame)``: what a whole
    frame of that size means (rejected too, if only its content is bad); None if its checksum is wrong.
    """

    def __init__(
        self,
        beginning: re.Pattern[bytes],
        measure: Callable[[bytes, int], int | Reason | None],
        decode: Callable[[bytes], Event | None],
    ) -> None:
        self._beginning = beginning
        self._measure = measure
        self._decode = decode
        self._pending = b""
        self._reason: Reason | None = None  # why what is pending can't be a frame; None while it may become one

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet, or fewer than ``MAX_REJECTED`` that are none."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order."""
        buffer = self._pending + data
        events: list[Event] = []
        start = search_from = 0
        reason = Reason.GARBAGE
        while True:
            found = self._beginning.search(buffer, search_from)
            here = found.start() if found else len(buffer)
            while here - start >= MAX_REJECTED:
                events.append(Rejected(reason, buffer[start : start + MAX_REJECTED]))
                start += MAX_REJECTED
                reason = Reason.GARBAGE
            if not found:
                break
            if start < here:
                events.append(Rejected(reason, buffer[start:here]))
                start = here
            size = self._measure(buffer, start)
            if isinstance(size, Reason):
                reason = size
            elif size is None or start + size > len(buffer):
                break
            elif event := self._decode(buffer[start : start + size]):
                events.append(event)
                reason = Reason.GARBAGE
                start = search_from = start + size
                continue
            else:
                reason = Reason.INTEGRITY
            search_from = start + 1
        self._pending, self._reason = buffer[start:], None if found else reason
        return events

    def idle(self) -> list[Event]:
        """The line is silent: whole frames inside what a false beginning waits for are let out, and what is none."""
        events: list[Event] = []
        while start := self._next_whole():
            events.append(Rejected(Reason.INCOMPLETE, self._pending[:start]))
            rest, self._pending = self._pending[start:], b""
            events += self.feed(rest)
        if self._pending and self._reason is not None:
            events.append(Rejected(self._reason, self._pending))
            self._pending = b""
        return events

    def _next_whole(self) -> int:
        """Where a whole frame begins behind the first pending byte; 0 for nowhere."""
        for found in self._beginning.finditer(self._pending, 1):
            start = found.start()
            size = self._measure(self._pending, start)
            if not isinstance(size, int) or start + size > len(self._pending):
                continue
            if self._decode(self._pending[start : start + size]):
                return start
        return 0
