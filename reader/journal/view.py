"""Connections to the journal that only read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from reader.journal.schema import connect_reading, translate
from reader.journal.trust import crc_of
from reader.model import Identity, Input

_inputs = msgspec.msgpack.Decoder(list[Input])


class EpochRow(NamedTuple):
    """One epoch of this journal; ``delivered_seq`` may lag behind what was really delivered."""

    epoch: str
    identity: Identity
    is_current: bool
    last_seq: int
    delivered_seq: int


class Entry(NamedTuple):
    """One row of the log; ``body`` is the message as JSON without its envelope."""

    epoch: str
    seq: int
    type: str
    body: bytes


class ToldEntry(NamedTuple):
    """One row of the log, with its time on both clocks as it was told."""

    seq: int
    type: str
    utc_ns: int
    mono_ns: int
    body: bytes


class KeptInputs(NamedTuple):
    """One row of what the gate was given, and in which boot, under what clock."""

    n: int
    boot: str
    synced: bool
    inputs: list[Input]


class JournalView:
    """A read-only connection, for the thread that made it; it may be opened while the writer lives.

    Its transactions are single statements over one page, so that the log file can always be folded in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect_reading(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def epochs(self) -> list[EpochRow]:
        """All epochs here, oldest first; the current one last."""
        rows = self._rows(
            "SELECT epoch, event, point, mat, box, delivered_seq,"
            " coalesce((SELECT max(seq) FROM entry WHERE entry.epoch = epoch.n), 0) FROM epoch ORDER BY n"
        )
        return [
            EpochRow(epoch, Identity(event, point, mat, box), place == len(rows), last_seq, delivered_seq)
            for place, (epoch, event, point, mat, box, delivered_seq, last_seq) in enumerate(rows, 1)
        ]

    def entries(self, epoch: str, after_seq: int, limit: int) -> list[Entry]:
        """At most ``limit`` entries of that epoch with a higher ``seq``, in order."""
        return [
            Entry(epoch, *row)
            for row in self._rows(
                "SELECT seq, type, body FROM entry"
                " WHERE epoch = (SELECT n FROM epoch WHERE epoch = ?) AND seq > ? ORDER BY seq LIMIT ?",
                (epoch, after_seq, limit),
            )
        ]

    def entries_at(self, epoch: str, seqs: list[int]) -> list[Entry]:
        """Those entries of that epoch, as far as they are there and as they were written, in order."""
        has_crc = self._rows("SELECT 1 FROM pragma_table_info('entry') WHERE name = 'crc'")
        rows = self._rows(
            f"SELECT seq, type, utc_ns, mono_ns, body, {'crc' if has_crc else 'NULL'} FROM entry"  # noqa: S608 - constants
            " WHERE epoch = (SELECT n FROM epoch WHERE epoch = ?)"
            " AND seq IN (SELECT value FROM json_each(?)) ORDER BY seq",
            (epoch, json.dumps(seqs)),
        )
        return [
            Entry(epoch, columns[0], columns[1], columns[4])
            for *columns, crc in rows
            if crc is None or crc == crc_of(epoch, *columns)
        ]

    def sizes(
        self, epoch: str, low: int, high: int, since_utc_ns: int | None, until_utc_ns: int | None, chip: str | None
    ) -> list[tuple[int, int]]:
        """``seq`` and the body's bytes of entries from ``low`` to ``high``, within that time, of that chip."""
        has_chip = None if chip is None else f'"chip":"{chip}"'.encode()
        return self._rows(
            "SELECT seq, length(body) FROM entry WHERE epoch = (SELECT n FROM epoch WHERE epoch = ?)"
            " AND seq BETWEEN ? AND ? AND utc_ns BETWEEN coalesce(?, utc_ns) AND coalesce(?, utc_ns)"
            " AND (? IS NULL OR instr(body, ?)) ORDER BY seq",
            (epoch, low, high, since_utc_ns, until_utc_ns, has_chip, has_chip),
        )

    def told(self, epoch: str, after_seq: int, limit: int) -> list[ToldEntry]:
        """At most ``limit`` entries of that epoch with a higher ``seq``, in order, with their times on both clocks."""
        return [
            ToldEntry(*row)
            for row in self._rows(
                "SELECT seq, type, utc_ns, mono_ns, body FROM entry"
                " WHERE epoch = (SELECT n FROM epoch WHERE epoch = ?) AND seq > ? ORDER BY seq LIMIT ?",
                (epoch, after_seq, limit),
            )
        ]

    def last_told(self, epoch: str, type_: str, limit: int) -> list[ToldEntry]:
        """The last ``limit`` entries of that type in that epoch, the latest first."""
        return [
            ToldEntry(*row)
            for row in self._rows(
                "SELECT seq, type, utc_ns, mono_ns, body FROM entry"
                " WHERE epoch = (SELECT n FROM epoch WHERE epoch = ?) AND type = ? ORDER BY seq DESC LIMIT ?",
                (epoch, type_, limit),
            )
        ]

    def boots(self) -> list[str]:
        """The boots in which something was heard, the latest last."""
        return [boot for (boot,) in self._rows("SELECT boot FROM reads GROUP BY boot ORDER BY max(n)")]

    def inputs_of_boot(self, boot: str, limit: int) -> list[KeptInputs]:
        """The last ``limit`` rows of that boot, the latest first."""
        rows = self._rows(
            "SELECT n, boot, synced, inputs FROM reads WHERE boot = ? ORDER BY n DESC LIMIT ?", (boot, limit)
        )
        return [KeptInputs(n, of_boot, bool(synced), _inputs.decode(packed)) for n, of_boot, synced, packed in rows]

    def kept_inputs(self, after_n: int = 0, page: int = 200) -> Iterator[KeptInputs]:
        """What the gate was given, in order, from the row after ``after_n``; read in pages."""
        for rows in self.pages_of_inputs(after_n, page):
            yield from rows

    def pages_of_inputs(self, after_n: int, page: int) -> Iterator[list[KeptInputs]]:
        """The same, ``page`` rows at a time."""
        while rows := self._rows(
            "SELECT n, boot, synced, inputs FROM reads WHERE n > ? ORDER BY n LIMIT ?", (after_n, page)
        ):
            yield [KeptInputs(n, boot, bool(synced), _inputs.decode(packed)) for n, boot, synced, packed in rows]
            after_n = rows[-1][0]

    def last_inputs(self) -> KeptInputs | None:
        """The last row of them, or None."""
        rows = self._rows("SELECT n, boot, synced, inputs FROM reads ORDER BY n DESC LIMIT 1")
        return KeptInputs(rows[0][0], rows[0][1], bool(rows[0][2]), _inputs.decode(rows[0][3])) if rows else None

    def rows_of_inputs(self) -> int:
        """How many rows :meth:`kept_inputs` has, for a progress bar."""
        return int(self._rows("SELECT count(*) FROM reads")[0][0])

    def gate_state(self) -> tuple[int, bytes, bytes] | None:
        """The gate as it was after a row of its inputs: (row, settings, state); None if it was never written."""
        rows = self._rows("SELECT reads_n, settings, state FROM gate")
        return rows[0] if rows else None

    def _rows(self, statement: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
