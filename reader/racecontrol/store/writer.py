"""Race control's database: the one connection that writes it, and what it had when it was opened.

What is handed to :meth:`Store.commit` stands, synced, when it returns, all of it or none. Whatever is lost with the
file can be had from the mats again, so that nothing here need survive a broken disk: it must only never claim to have
what it has not.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from reader.errors import UsageError
from reader.model import Identity
from reader.racecontrol.seen import Run
from reader.racecontrol.store.crossings import TOUCHED, News, name_runners, take_passings
from reader.racecontrol.store.database import connect, hold, turn
from reader.racecontrol.store.tables import open_tables, translate
from reader.racecontrol.taken import Entry


class MatRow(NamedTuple):
    """A row of `mat`; ``status``: the message, or None while there was none."""

    event: str
    point: str
    mat: str
    box: str
    link: str
    mode: str
    status: str | None
    last_word_utc_us: int | None


class LostRow(NamedTuple):
    """A row of `lost`."""

    epoch: str
    from_seq: int
    through_seq: int
    why: str


class WishRow(NamedTuple):
    """A row of `wish`: ``body`` is JSON; ``point`` "": all points; ``mat`` None: all mats."""

    n: int
    point: str
    mat: str | None
    body: str
    done: bool


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit writes. ``acks``: collector, epoch, seq; ``lost``: all there are of these epochs now."""

    entries: list[tuple[Entry, str]] = []
    mats: list[MatRow] = []
    acks: list[tuple[str, str, int]] = []
    lost: dict[str, list[LostRow]] = {}
    done: list[int] = []


_ENTRY = "INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
# A run is where seq and its own place in the row of them differ by the same.
_RUNS = """
    SELECT epoch, min(seq), max(seq) FROM (
        SELECT epoch, seq, seq - row_number() OVER (PARTITION BY epoch ORDER BY seq) AS run FROM entry
    ) GROUP BY epoch, run ORDER BY epoch, min(seq)
"""
_SPLITS = """
    SELECT body FROM entry WHERE type = 'split' AND EXISTS (
        SELECT 1 FROM passing WHERE passing.passing = json_extract(entry.body, '$.passing')
            AND passing.epoch = entry.epoch AND passing.seq = entry.seq
    ) ORDER BY rowid
"""
_EPOCHS = """
    SELECT epoch, event, point, mat, box FROM entry WHERE rowid IN (SELECT min(rowid) FROM entry GROUP BY epoch)
    ORDER BY rowid
"""


class Store:
    """A database of one event, open for writing; ``path`` None: in memory."""

    def __init__(self, path: Path | None, event: str) -> None:
        """JournalInUse, JournalDamaged, DiskRefused; UsageError if the file is of another event."""
        self.path = path
        self.where = str(path or "the database in memory")
        self._held = hold(path) if path else -1
        try:
            self._connection = connect(path)
            try:
                with self._turn():
                    open_tables(self._connection, self.where)
                    self._connection.execute(TOUCHED)
                    self._check_event(event)
            except BaseException:
                self._connection.close()
                raise
        except BaseException as error:
            self._let_go()
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.where) from error
            raise

    def close(self) -> None:
        """Close the file; another may open it."""
        with self._turn():
            self._connection.close()  # it checkpoints
        self._let_go()

    # ---- what it had ---------------------------------------------------------------------------------------

    def epochs(self) -> dict[str, tuple[Identity, list[Run]]]:
        """The epochs in the order in which they were first heard of: whose each is, and which seqs stand here."""
        found: dict[str, tuple[Identity, list[Run]]] = {
            epoch: (Identity(*whose), []) for epoch, *whose in self._rows(_EPOCHS)
        }
        for epoch, first, last in self._rows(_RUNS):
            found[epoch][1].append((first, last))
        return found

    def lost(self) -> list[LostRow]:
        """What is known to be lost."""
        return [LostRow(*row) for row in self._rows("SELECT * FROM lost")]

    def mats(self) -> list[tuple[MatRow, int]]:
        """The mats as last heard of, and how many passings each has told."""
        counts = {tuple(key): count for *key, count in self._rows(_COUNTS)}
        rows = [MatRow(*row) for row in self._rows("SELECT * FROM mat")]
        return [(row, counts.get(row[:3], 0)) for row in rows]

    def passings(self) -> Iterator[Any]:
        """Of every passing (point, chip, bib or None, mode, use, utc_us)."""
        return iter(self._connection.execute("SELECT point, chip, bib, mode, use, utc_us FROM passing"))

    def splits(self) -> Iterator[str]:
        """The highest revision of every passing, as it came, in the order in which they came."""
        return (body for (body,) in self._connection.execute(_SPLITS))

    def wishes(self, after_n: int = 0) -> list[WishRow]:
        """Those beyond that one, in the order in which they were said."""
        rows = self._rows(_WISHES, (after_n,))
        return [WishRow(n, point, mat, body, bool(done)) for n, point, mat, body, done in rows]

    # ---- what comes ----------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> list[News]:
        """Write and sync it; what of it is news. DiskRefused, DiskFull, JournalDamaged: none of it was written."""
        try:
            with self._transaction():
                self._connection.executemany(_ENTRY, (_entry_row(*one) for one in batch.entries))
                news = take_passings(self._connection, batch.entries)
                self._connection.executemany("INSERT OR REPLACE INTO mat VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.mats)
                self._connection.executemany("INSERT OR REPLACE INTO ack VALUES (?, ?, ?)", batch.acks)
                for epoch, rows in batch.lost.items():
                    self._connection.execute("DELETE FROM lost WHERE epoch = ?", (epoch,))
                    self._connection.executemany("INSERT INTO lost VALUES (?, ?, ?, ?)", rows)
                self._connection.executemany("UPDATE wish SET done = 1 WHERE n = ?", ((n,) for n in batch.done))
        except sqlite3.Error as error:
            raise translate(error, self.where) from error
        return news

    def name_runners(self, bib_of: Callable[[str], str | None]) -> None:
        """Give the passings that have no bib the bib that their chip has by now."""
        try:
            with self._transaction():
                name_runners(self._connection, bib_of)
        except sqlite3.Error as error:
            raise translate(error, self.where) from error

    # ---- inside --------------------------------------------------------------------------------------------

    def _rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self.where) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._turn():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _check_event(self, event: str) -> None:
        for (other,) in self._rows("SELECT event FROM entry LIMIT 1"):
            if other != event:
                raise UsageError(f"{self.where}: is of the event {other}, expected {event}; name another file")

    def _turn(self) -> AbstractContextManager[None]:
        return turn(self.path) if self.path else nullcontext()

    def _let_go(self) -> None:
        if self._held >= 0:
            os.close(self._held)


_WISHES = "SELECT n, point, mat, body, done FROM wish WHERE n > ? ORDER BY n"
_COUNTS = "SELECT event, point, mat, count(*) FROM passing GROUP BY event, point, mat"


def _entry_row(entry: Entry, body: str) -> tuple[object, ...]:
    whose = (entry.event, entry.point, entry.mat, entry.box)
    return (entry.epoch, entry.seq, entry.type, *whose, entry.utc_us, body)
