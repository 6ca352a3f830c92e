"""How long each antenna waits for its next turn: what decides whether a fast runner is heard at all."""

from __future__ import annotations

from collections import deque
from statistics import median

from reader.model import NS_PER_S

KEPT = 31
NS_PER_MS = 1_000_000
PAUSE_NS = 2 * NS_PER_S  # a longer gap was no turn of the antennas: the reader was silent, or set up anew


class Rounds:
    """The beginnings of the antennas' turns, and what lies between them."""

    def __init__(self) -> None:
        self._began_ns: dict[int, int] = {}
        self._gaps_ns: dict[int, deque[int]] = {}

    def begin(self, antenna: int, now_ns: int) -> None:
        """The turn of this antenna (from 1) begins now."""
        last_ns = self._began_ns.get(antenna)
        if last_ns is not None and 0 <= now_ns - last_ns <= PAUSE_NS:
            self._gaps_ns.setdefault(antenna, deque(maxlen=KEPT)).append(now_ns - last_ns)
        self._began_ns[antenna] = now_ns

    def revisit_ms(self, antenna: int) -> float | None:
        """From one beginning to the next: the median of the last ones; None while there were none."""
        gaps_ns = self._gaps_ns.get(antenna)
        return round(median(gaps_ns) / NS_PER_MS, 1) if gaps_ns else None
