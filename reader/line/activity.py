"""What each antenna heard in the last minute: reads, chips, the strongest signal."""

from __future__ import annotations

from typing import NamedTuple

from reader.model import NS_PER_S, ChipRead

SPAN_NS = 10 * NS_PER_S
SPANS = 6


class Heard60s(NamedTuple):
    """Of one antenna (None: the reader does not name them) in the last 50 to 60 seconds."""

    antenna: int | None
    reads: int
    chips: int
    best_dbm: int | None


class _Span:
    def __init__(self, until_ns: int) -> None:
        self.until_ns = until_ns
        self.reads: dict[int | None, int] = {}
        self.chips: dict[int | None, set[str]] = {}
        self.best_dbm: dict[int | None, int] = {}


class Activity:
    """Counts in spans of ten seconds; the oldest falls away whole."""

    def __init__(self) -> None:
        self._spans: list[_Span] = []
        self._antennas: set[int | None] = set()

    def note(self, reads: list[ChipRead], now_ns: int) -> None:
        """These were heard now."""
        self._age(now_ns)
        span = self._spans[-1]
        for read in reads:
            antenna = read.antenna
            if antenna in span.reads:
                span.reads[antenna] += 1
                span.chips[antenna].add(read.chip)
            else:
                span.reads[antenna] = 1
                span.chips[antenna] = {read.chip}
                self._antennas.add(antenna)
            if read.rssi_dbm is not None and read.rssi_dbm > span.best_dbm.get(antenna, -1000):
                span.best_dbm[antenna] = read.rssi_dbm

    def last_minute(self, now_ns: int) -> list[Heard60s]:
        """Every antenna heard since the beginning, those that were silent too."""
        self._age(now_ns)
        return [
            Heard60s(
                antenna,
                sum(span.reads.get(antenna, 0) for span in self._spans),
                len(set().union(*(span.chips.get(antenna, ()) for span in self._spans))),
                max((span.best_dbm[antenna] for span in self._spans if antenna in span.best_dbm), default=None),
            )
            for antenna in sorted(self._antennas, key=lambda antenna: antenna or 0)
        ]

    def _age(self, now_ns: int) -> None:
        if not self._spans or now_ns >= self._spans[-1].until_ns:
            self._spans = [span for span in self._spans if span.until_ns > now_ns - (SPANS - 1) * SPAN_NS]
            self._spans.append(_Span(now_ns + SPAN_NS))
