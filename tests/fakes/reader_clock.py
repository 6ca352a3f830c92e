"""A reader's clock and the way of its reads to the host, with all that befalls them; knows nothing of any discipline.

What happened at which true time is known here, so that what is made of it can be held against the truth.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NamedTuple

MS = 1_000_000
S = 1_000 * MS


class Came(NamedTuple):
    """One read as it came: the time it bears, when it came; and what only the world knows."""

    x_ns: int
    came_ns: int
    true_ns: int
    is_prompt: bool


@dataclass
class World:
    """From ``true_ns`` 1,000 s on; all times in nanoseconds of the host's monotonic clock."""

    dice: random.Random
    resolution_ns: int
    drift_ppm: float
    jitter_ms: float
    clock_ns: int = 0  # what the reader's clock shows now
    wraps_ns: int | None = None
    late_share: float = 0.0
    now_ns: int = 1_000 * S
    restless_ns: list[int] = field(default_factory=list)  # when the clock started, was set or began anew
    came: list[Came] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restless_ns.append(self.now_ns)

    def go(self, by_ns: int) -> None:
        self.now_ns += by_ns
        self.clock_ns += round(by_ns * (1 + self.drift_ppm / 1e6))

    def set_clock(self, to_ns: int) -> None:
        self.clock_ns = to_ns
        self.restless_ns.append(self.now_ns)

    def shown(self) -> int:
        shown = self.clock_ns // self.resolution_ns * self.resolution_ns
        return shown if self.wraps_ns is None else shown % self.wraps_ns

    def read(self) -> None:
        """One now, on its way at once, or late by up to 6 s."""
        jitter_ns = min(round(self.dice.expovariate(1 / self.jitter_ms) * MS), 20 * MS) if self.jitter_ms else 0
        is_prompt = self.dice.random() >= self.late_share
        delay_ns = jitter_ns if is_prompt else self.dice.randrange(6 * S)
        self.came.append(Came(self.shown(), self.now_ns + delay_ns, self.now_ns, is_prompt))

    def reads(self, seconds: float, a_second: float) -> None:
        """Chips pass."""
        end_ns = self.now_ns + round(seconds * S)
        while True:
            wait_ns = round(self.dice.expovariate(a_second) * S)
            if self.now_ns + wait_ns >= end_ns:
                self.go(end_ns - self.now_ns)
                return
            self.go(wait_ns)
            self.read()

    def held_back(self, seconds: float, a_second: float, until_ns: int | None = None, apart_ns: int = 0) -> None:
        """Chips pass, and what is said of them comes only at the end, or later, one ``apart_ns`` after the other."""
        before = len(self.came)
        self.reads(seconds, a_second)
        came_ns = self.now_ns if until_ns is None else until_ns
        for place in range(before, len(self.came)):
            one = self.came[place]
            self.came[place] = one._replace(came_ns=max(came_ns, one.came_ns), is_prompt=False)
            came_ns += apart_ns

    def saturated(self, seconds: float, a_second: float, fit_a_second: float) -> None:
        """More is said than the line can carry: what comes waits, and is drained at the line's speed."""
        before = len(self.came)
        self.reads(seconds, a_second)
        free_ns = 0
        for place in range(before, len(self.came)):
            one = self.came[place]
            came_ns = max(free_ns, one.came_ns)
            free_ns = came_ns + round(S / fit_a_second)
            self.came[place] = one._replace(came_ns=came_ns, is_prompt=one.is_prompt and came_ns == one.came_ns)

    def in_order(self) -> list[Came]:
        """As they came; one line gives out one after the other."""
        return sorted(self.came, key=lambda one: one.came_ns)
