"""What each antenna heard in the last minute: reads, chips, the strongest signal; and when it last heard anything."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from reader.model import NS_PER_S, ChipRead

SPAN_NS = 10 * NS_PER_S
SPANS = 6
MOST_OF_A_CHIP = 20  # reads in a span: a chip that lies on one antenna must not make the others look deaf


class Heard60s(NamedTuple):
    """Of one antenna (None: the reader does not name them) in the last 50 to 60 seconds.

    ``chips`` and ``best_dbm`` are the runners'; ``reads`` those of reference chips too. ``fair_reads``: the runners',
    of each chip ``MOST_OF_A_CHIP`` in ten seconds at most. ``last_ns``, ``reference_ns``: when it last heard anything,
    and a reference chip; monotonic, of all time.
    """

    antenna: int | None
    reads: int
    chips: int
    best_dbm: int | None
    fair_reads: int
    last_ns: int
    reference_ns: int | None


class _Span:
    def __init__(self, until_ns: int) -> None:
        self.until_ns = until_ns
        self.reads: dict[int | None, int] = {}
        self.chips: dict[int | None, dict[str, int]] = {}
        self.best_dbm: dict[int | None, int] = {}


class Activity:
    """Counts in spans of ten seconds; the oldest falls away whole. ``reference``: chips fixed to the mat."""

    def __init__(self, reference: Set[str] = frozenset()) -> None:
        self.references: dict[str, tuple[int | None, int]] = {}  # by chip: the antenna that last heard it, and when
        self._reference = reference
        self._reference_ns: dict[int | None, int] = {}
        self._spans: list[_Span] = []
        self._last_ns: dict[int | None, int] = {}

    def note(self, reads: list[ChipRead], now_ns: int) -> None:
        """These were heard now."""
        self._age(now_ns)
        span = self._spans[-1]
        for read in reads:
            antenna = read.antenna
            if antenna in span.reads:
                span.reads[antenna] += 1
            else:
                span.reads[antenna] = 1
                span.chips[antenna] = {}
            self._last_ns[antenna] = now_ns
            if read.chip in self._reference:
                self.references[read.chip] = antenna, now_ns
                self._reference_ns[antenna] = now_ns
                continue
            chips = span.chips[antenna]
            chips[read.chip] = chips.get(read.chip, 0) + 1
            if read.rssi_dbm is not None and read.rssi_dbm > span.best_dbm.get(antenna, -1000):
                span.best_dbm[antenna] = read.rssi_dbm

    def last_minute(self, now_ns: int) -> list[Heard60s]:
        """Every antenna heard since the beginning, those that were silent too."""
        self._age(now_ns)
        return [self._heard(antenna) for antenna in sorted(self._last_ns, key=lambda antenna: antenna or 0)]

    def _heard(self, antenna: int | None) -> Heard60s:
        chips = [span.chips[antenna] for span in self._spans if antenna in span.chips]
        return Heard60s(
            antenna,
            sum(span.reads.get(antenna, 0) for span in self._spans),
            len(set().union(*chips)),
            max((span.best_dbm[antenna] for span in self._spans if antenna in span.best_dbm), default=None),
            sum(min(reads, MOST_OF_A_CHIP) for by_chip in chips for reads in by_chip.values()),
            self._last_ns[antenna],
            self._reference_ns.get(antenna),
        )

    def _age(self, now_ns: int) -> None:
        if not self._spans or now_ns >= self._spans[-1].until_ns:
            self._spans = [span for span in self._spans if span.until_ns > now_ns - (SPANS - 1) * SPAN_NS]
            self._spans.append(_Span(now_ns + SPAN_NS))
