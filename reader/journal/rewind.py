"""Entries that somebody asks for again: looked up in the journal and in those set aside beside it, given out in pages.

::

    Wanted ──plan──▶ [[place, place, …], …]     a page: at most 500 entries and 64 KiB, the log's order
                        │
                        └──read──▶ [(whose, entry), …]

It is read with connections of its own, in statements of some milliseconds, by whoever asks: neither the recorder nor
the uplink wait for it. Where an entry is in two files (what was undelivered is copied), it is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

from reader.errors import JournalError, UsageError
from reader.journal.view import Entry, JournalView
from reader.model import Identity

PAGE_ENTRIES = 500
PAGE_BYTES = 64 * 1024  # a slow line carries a split between two pages
LIMIT = 20_000  # entries for one question
ENVELOPE_BYTES = 200
STRIDE = 1_000  # seqs looked through by one statement
MOST = 1 << 24  # entries of one epoch; a damaged file may claim any number


class Wanted(NamedTuple):
    """Which entries: of one epoch or of all; by ``seq``, by time, by chip; None for any."""

    epoch: str | None = None
    from_seq: int | None = None
    through_seq: int | None = None
    since_utc_ns: int | None = None
    until_utc_ns: int | None = None
    chip: str | None = None


class Place(NamedTuple):
    """Where an entry stands: in which of the files, and its body's size in bytes."""

    file: int
    epoch: str
    seq: int
    size: int


Page: TypeAlias = list[Place]


class Rewind:
    """One question: :attr:`pages`, each of which :meth:`read` gives. JournalError, UsageError in words.

    ``files``: the journal first, then those set aside; what of those can't be read is left out.
    """

    def __init__(self, files: list[Path], wanted: Wanted) -> None:
        self._views = list(_views(files))
        self._whose: dict[tuple[int, str], Identity] = {}
        try:
            self.pages = _pages(self._find(wanted))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the files."""
        for view in self._views:
            view.close()

    def read(self, page: Page) -> list[tuple[Identity, Entry]]:
        """The entries of a page, and whose they are."""
        read: dict[tuple[str, int], tuple[Identity, Entry]] = {}
        for file, epoch in dict.fromkeys((place.file, place.epoch) for place in page):
            seqs = [place.seq for place in page if (place.file, place.epoch) == (file, epoch)]
            for entry in self._views[file].entries_at(epoch, seqs):
                read[epoch, entry.seq] = (self._whose[file, epoch], entry)
        return [read[place.epoch, place.seq] for place in page if (place.epoch, place.seq) in read]

    def _find(self, wanted: Wanted) -> list[Place]:
        found: dict[tuple[str, int], Place] = {}
        order: dict[str, int] = {}
        # The oldest first, so that the epochs come as they were; the journal in use has the last word.
        for file in (*range(1, len(self._views)), 0):
            try:
                for row in self._views[file].epochs():
                    order.setdefault(row.epoch, len(order))
                    self._whose[file, row.epoch] = row.identity
                    if wanted.epoch in (None, row.epoch):
                        for place in self._look(file, row.epoch, row.last_seq, wanted):
                            found[place.epoch, place.seq] = place
                            if len(found) > LIMIT:
                                raise UsageError(_too_much(found, wanted))
            except JournalError:
                if file == 0:
                    raise  # of one set aside, perhaps damaged, there is what there is
        if wanted.epoch is not None and wanted.epoch not in order:
            known = ", ".join(order) or "none"
            raise UsageError(f"epoch: found {wanted.epoch!r}, and no journal of this box has it; here are: {known}")
        return [found[key] for key in sorted(found, key=lambda epoch_and_seq: (order[epoch_and_seq[0]], epoch_and_seq))]

    def _look(self, file: int, epoch: str, last_seq: int, wanted: Wanted) -> Iterator[Place]:
        first = max(1, wanted.from_seq or 1)
        last = min(last_seq, wanted.through_seq or MOST, MOST)
        for low in range(first, last + 1, STRIDE):
            high = min(low + STRIDE - 1, last)
            for seq, size in self._views[file].sizes(
                epoch, low, high, wanted.since_utc_ns, wanted.until_utc_ns, wanted.chip
            ):
                yield Place(file, epoch, seq, size)


def _views(files: list[Path]) -> Iterator[JournalView]:
    for number, file in enumerate(files):
        try:
            yield JournalView(file)
        except JournalError:
            if number == 0:
                raise


def _pages(places: list[Place]) -> list[Page]:
    """One page at least: that there is nothing is an answer too."""
    pages: list[Page] = [[]]
    size = 0
    for place in places:
        if pages[-1] and (len(pages[-1]) == PAGE_ENTRIES or size + place.size + ENVELOPE_BYTES > PAGE_BYTES):
            pages.append([])
            size = 0
        pages[-1].append(place)
        size += place.size + ENVELOPE_BYTES
    return pages


def _too_much(found: dict[tuple[str, int], Place], wanted: Wanted) -> str:
    says = f"that is more than {LIMIT} entries, the most for one rewind; ask in parts"
    if wanted.epoch is not None and wanted.chip is None:
        first = min(seq for _, seq in found)
        says += f", as in from_seq {first}, through_seq {first + LIMIT - 1}"
    return says
