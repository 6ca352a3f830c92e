"""One contact to ground: which of its edges count. Pure; times are monotonic nanoseconds.

A change counts if it is still so 50 ms after its first edge, and that edge is its time: a contact bounces. Edges may be
told late, and several at once: where the contact is not as they say, the next one is waited for, 200 ms long.
"""

from __future__ import annotations

from typing import NamedTuple

RECHECK_NS = 50_000_000
LATE_NS = 200_000_000


class Change(NamedTuple):
    """It is closed, or open, since then."""

    at_ns: int
    is_closed: bool


class Contact:
    """``is_closed``: how it is, as far as its changes have counted; at first as it was found."""

    def __init__(self, is_closed: bool = False) -> None:
        self.is_closed = is_closed
        self._is_told = is_closed  # as the last edge said
        self._edge_ns: int | None = None
        self._again_ns = 0
        self._has_no_edge = False

    @property
    def due_ns(self) -> int | None:
        """When to look again; None while no change has yet to count."""
        return None if self._edge_ns is None else max(self._edge_ns + RECHECK_NS, self._again_ns)

    def edge(self, at_ns: int, is_closed: bool) -> Change | None:
        """It was closed or opened then; the change before, if that counts by how it was until then."""
        counts = self.look(at_ns, self._is_told)
        if self._has_no_edge and is_closed == self.is_closed:
            self.is_closed = not is_closed  # here is the edge of what was found
        self._has_no_edge = False
        self._is_told = is_closed
        if self._edge_ns is None and is_closed != self.is_closed:
            self._edge_ns, self._again_ns = at_ns, 0
        return counts

    def look(self, now_ns: int, is_closed: bool) -> Change | None:
        """How it is now; the change, if it counts from here on."""
        if self._edge_ns is None or now_ns < self._edge_ns + RECHECK_NS:
            return None
        if is_closed != self._is_told:
            self._again_ns = self._again_ns or now_ns + LATE_NS
            if now_ns < self._again_ns:
                return None
        edge_ns, self._edge_ns = self._edge_ns, None
        self._is_told = is_closed
        if is_closed == self.is_closed:
            return None  # a spike
        self.is_closed = is_closed
        return Change(edge_ns, is_closed)

    def found(self, is_closed: bool) -> bool:
        """How it is though nobody has told of an edge; whether that is news. When it became so is not known."""
        if self._edge_ns is not None or is_closed == self.is_closed:
            return False
        self.is_closed = self._is_told = is_closed
        self._has_no_edge = True
        return True
