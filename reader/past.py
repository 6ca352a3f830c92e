"""The long memory: the passings that the gate has let go of, of the whole epoch.

A log read out of a reader's memory brings reads hours late, and the whole log comes again: a read of a passing that
was told long ago must not open a second one. So of each there is kept whose it was, and from when to when.

To the nanosecond: a rounded time would move the edge of the dead time. In 15 bytes a passing, and one ``bytes`` for
each chip, so that a runner costs some 90 bytes: passings of one chip never overlap, so they lie in order, and those
that a time lies between are found by halving.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

# Five times the biggest marathon. A snapshot then has some 10 MB. Beyond it those that ended first go, an eighth at
# a time: what goes depends on the passings alone, so that a replay from any snapshot lets the same go.
MOST_PASSINGS = 250_000
FAR_NS = 1 << 62  # no passing of this chip is known

FIRST_BYTES, LENGTH_BYTES = 8, 7  # signed; and no passing lasts for two years
SIZE = FIRST_BYTES + LENGTH_BYTES


class Past:
    """Passings by chip. ``chips`` and ``rows``: what :meth:`rows` gave for these chips."""

    def __init__(self, chips: Iterable[str] = (), rows: Iterable[bytes] = ()) -> None:
        self._rows = {chip: row for chip, row in zip(chips, rows, strict=False) if row}
        self._passings = sum(map(len, self._rows.values())) // SIZE

    def __len__(self) -> int:
        return self._passings

    def rows(self, chips: Iterable[str]) -> list[bytes]:
        """For a snapshot: what is known of each of these chips, in their order."""
        return [self._rows.get(chip, b"") for chip in chips] if self._rows else []

    def keep(self, chip: str, first: int, last: int) -> None:
        """A passing is let go of."""
        row = self._rows.get(chip, b"")
        place = _place_after(row, first)
        self._rows[chip] = row[:place] + _packed(first, last) + row[place:]
        self._passings += 1
        if self._passings > MOST_PASSINGS:
            self._let_go()

    def gap_ns(self, chip: str, t: int) -> int:
        """How far the nearest passing of this chip is from that time."""
        row = self._rows.get(chip)
        return FAR_NS if row is None else _nearest(row, t)[0]

    def stretch(self, chip: str, t: int) -> None:
        """The nearest passing reaches to that time: a chip that stayed, as the log goes on to say, passed once."""
        row = self._rows[chip]
        gap_ns, place = _nearest(row, t)
        if gap_ns:
            first, last = _span(row, place)
            self._rows[chip] = row[:place] + _packed(min(first, t), max(last, t)) + row[place + SIZE :]

    def newest(self, chip: str) -> int:
        """When the newest passing of this chip began."""
        row = self._rows.get(chip)
        return -FAR_NS if row is None else _span(row, len(row) - SIZE)[0]

    def shift(self, by_ns: int) -> None:
        """Move all times."""
        for chip, row in self._rows.items():
            self._rows[chip] = b"".join(_packed(first + by_ns, last + by_ns) for first, last in _spans(row))

    def _let_go(self) -> None:
        lasts = sorted(last for row in self._rows.values() for _, last in _spans(row))
        until = lasts[len(lasts) // 8]
        for chip, row in list(self._rows.items()):
            gone = sum(last <= until for _, last in _spans(row))
            self._passings -= gone
            if gone * SIZE == len(row):
                del self._rows[chip]
            elif gone:
                self._rows[chip] = row[gone * SIZE :]


def _packed(first: int, last: int) -> bytes:
    return first.to_bytes(FIRST_BYTES, "big", signed=True) + (last - first).to_bytes(LENGTH_BYTES, "big")


def _span(row: bytes, place: int) -> tuple[int, int]:
    """First and last of the passing that stands there."""
    middle = place + FIRST_BYTES
    first = int.from_bytes(row[place:middle], "big", signed=True)
    return first, first + int.from_bytes(row[middle : place + SIZE], "big")


def _spans(row: bytes) -> list[tuple[int, int]]:
    return [_span(row, place) for place in range(0, len(row), SIZE)]


def _place_after(row: bytes, t: int) -> int:
    """Where those begin that began later."""
    return SIZE * bisect_right(range(0, len(row), SIZE), t, key=lambda place: _span(row, place)[0])


def _nearest(row: bytes, t: int) -> tuple[int, int]:
    """How far the nearest passing is, and where it stands; of two equally near the earlier."""
    after = _place_after(row, t)
    near = []
    if after:
        near.append((max(0, t - _span(row, after - SIZE)[1]), after - SIZE))
    if after < len(row):
        near.append((_span(row, after)[0] - t, after))
    return min(near)
