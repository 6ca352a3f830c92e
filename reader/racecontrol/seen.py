"""Which ``seq``s of one epoch have come: contiguous through where, and what is missing in between. Pure.

A race brings its entries nearly in order, so what has come is a run from 1 and, while something is missing, a few
runs beyond it; a million entries are some numbers here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import TypeAlias

Run: TypeAlias = tuple[int, int]  # from, through; both are in it


class Seen:
    """``through``: all from 1 to it have come. ``count``: how many have, in all."""

    def __init__(self) -> None:
        self.through = 0
        self.count = 0
        self._starts: list[int] = []  # of the runs beyond ``through``, ascending; none touches another
        self._ends: list[int] = []

    @property
    def last(self) -> int:
        """The highest that has come; 0 if none has."""
        return self._ends[-1] if self._ends else self.through

    def add(self, seq: int) -> bool:
        """It has come; False if it had before."""
        if seq <= self.through:
            return False
        at = bisect_right(self._starts, seq) - 1  # the run that begins at or before it
        if at >= 0 and seq <= self._ends[at]:
            return False
        self.count += 1
        if seq == self.through + 1:
            self.through = seq
            if self._starts and self._starts[0] == seq + 1:
                self.through = self._ends.pop(0)
                del self._starts[0]
            return True
        goes_on = at >= 0 and self._ends[at] == seq - 1
        meets_next = at + 1 < len(self._starts) and self._starts[at + 1] == seq + 1
        if goes_on and meets_next:
            self._ends[at] = self._ends.pop(at + 1)
            del self._starts[at + 1]
        elif goes_on:
            self._ends[at] = seq
        elif meets_next:
            self._starts[at + 1] = seq
        else:
            self._starts.insert(at + 1, seq)
            self._ends.insert(at + 1, seq)
        return True

    def add_run(self, run: Run) -> None:
        """A whole run has come, beyond all that had: how a store is loaded, run by run."""
        first, last = run
        self.count += last - first + 1
        if first == self.through + 1 and not self._starts:
            self.through = last
        else:
            self._starts.append(first)
            self._ends.append(last)

    def holes(self, last_seq: int) -> Iterator[Run]:
        """What is missing of 1 to ``last_seq``, ascending."""
        missing_from = self.through + 1
        for start, end in zip(self._starts, self._ends, strict=True):
            if start > last_seq:
                break
            yield missing_from, start - 1
            missing_from = end + 1
        if missing_from <= last_seq:
            yield missing_from, last_seq

    def missing(self, last_seq: int) -> int:
        """How many of 1 to ``last_seq``, which is :attr:`last` or beyond, have not come."""
        return last_seq - self.count
