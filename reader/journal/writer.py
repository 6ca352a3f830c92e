"""The one connection that writes the journal; it belongs to the recorder.

What is appended waits in memory until :meth:`Journal.commit`, which writes all of it in one
transaction, or none and keeps it: an insert that a failed sync has rolled back is made again.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from reader.errors import JournalDamaged
from reader.journal.lock import hold
from reader.journal.schema import TABLES, VERSION, connect_writing, sync_folder, translate
from reader.journal.trust import crc_of, examine, examine_log
from reader.journal.view import JournalView
from reader.model import Identity, Input

_pack = msgspec.msgpack.Encoder().encode


class OldEpoch(NamedTuple):
    """An epoch of a file set aside: ``rows`` of (seq, type, utc_ns, mono_ns, body)."""

    epoch: str
    identity: Identity
    delivered_seq: int
    rows: list[tuple[object, ...]]


class Journal:
    """The log of one mat, open for writing.

    ``epoch`` and ``last_seq`` are of the epoch being written; ``identity`` is whose log it is.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._entries: list[tuple[int, int, str, int, int, bytes]] = []
        self._inputs: list[Input] = []
        self._delivered: dict[str, int] = {}
        self._gate: tuple[int, bytes, bytes] | None = None
        row = self._execute("SELECT box, event, point, mat FROM binding").fetchone()
        box, event, point, mat = row
        self.identity = Identity(event, point, mat, box)
        self._epoch_n: int
        self.epoch: str
        self._epoch_n, self.epoch = self._execute("SELECT n, epoch FROM epoch ORDER BY n DESC LIMIT 1").fetchone()
        self.last_seq: int = self._execute(
            "SELECT coalesce(max(seq), 0) FROM entry WHERE epoch = ?", (self._epoch_n,)
        ).fetchone()[0]
        self.reads_n: int = self._execute("SELECT coalesce(max(n), 0) FROM reads").fetchone()[0]

    @classmethod
    def create(cls, path: Path, identity: Identity) -> Journal:
        """Begin a journal where there is none: a fresh epoch, bound to this identity."""
        lock = hold(path)
        connection = None
        try:
            connection = connect_writing(path)
            connection.execute("BEGIN IMMEDIATE")
            for statement in TABLES.split(";")[:-1]:
                connection.execute(statement)
            connection.execute(
                "INSERT INTO binding VALUES (?, ?, ?, ?)", (identity.box, identity.event, identity.point, identity.mat)
            )
            _insert_epoch(connection, secrets.token_hex(8), identity)
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
            sync_folder(path.parent)
            return cls(path, connection, lock)
        except BaseException as error:
            # The lock too: left open it would keep this process itself from trying again.
            if connection is not None:
                connection.close()
            os.close(lock)
            if isinstance(error, sqlite3.Error):
                raise translate(error, path) from error
            raise

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open a journal that exists, whoever's it is.

        JournalInUse, JournalDamaged (not whole, or not this program's), DiskRefused.
        """
        if not path.is_file():
            raise JournalDamaged(f"{path}: not a file")
        lock = hold(path)
        connection = None
        try:
            examine_log(path)
            connection = connect_writing(path)
            examine(connection, path)
            return cls(path, connection, lock)
        except BaseException as error:
            if connection is not None:
                connection.close()
            os.close(lock)
            if isinstance(error, sqlite3.Error):
                raise translate(error, path) from error
            if isinstance(error, TypeError):
                raise JournalDamaged(f"{path}: a journal without its first rows") from error
            raise

    def close(self) -> None:
        """Close the writer. Close it while a view is open, and the views last: SQLite then leaves the log readable."""
        self._connection.close()
        os.close(self._lock)

    # ---- what the recorder hands in ------------------------------------------------------------------

    def append(self, type_: str, utc_ns: int, mono_ns: int, body: bytes) -> int:
        """Append an entry; its ``seq``. It stands only after :meth:`commit`."""
        self.last_seq += 1
        self._entries.append((self._epoch_n, self.last_seq, type_, utc_ns, mono_ns, body))
        return self.last_seq

    def keep(self, given: Input) -> None:
        """Keep what the gate was given."""
        self._inputs.append(given)

    def delivered(self, epoch: str, seq: int) -> None:
        """Note how far an epoch has been delivered; written with the next commit, for it may lag."""
        self._delivered[epoch] = seq

    def save_gate(self, settings: bytes, state: bytes) -> None:
        """Keep the gate's state as it is after all that was kept so far."""
        self._gate = (len(self._inputs), settings, state)

    @property
    def has_unwritten(self) -> bool:
        """Whether a commit has something to do besides the cursor."""
        return bool(self._entries or self._inputs or self._gate)

    @property
    def has_cursor_to_write(self) -> bool:
        """Whether an epoch's delivery has moved since the last commit."""
        return bool(self._delivered)

    def commit(self, boot: str, synced: bool, utc_ns: int) -> None:
        """Write all of it and sync, or raise DiskRefused and keep all of it for another try."""
        delivered = dict(self._delivered)
        reads_n = gate_n = self.reads_n
        # What came after the gate's state was saved has a row of its own: a replay begins there.
        cut = self._gate[0] if self._gate else 0
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for inputs in (self._inputs[:cut], self._inputs[cut:]):
                if inputs:
                    reads_n += 1
                    row = (boot, int(synced), utc_ns, _pack(inputs))
                    self._connection.execute(
                        "INSERT INTO reads VALUES (?, ?, ?, ?, ?, ?)", (reads_n, *row, crc_of(*row))
                    )
            gate_n += cut > 0
            if self._entries:
                rows = ((*entry, crc_of(self.epoch, *entry[1:])) for entry in self._entries)
                self._connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            if self._gate:
                self._connection.execute("DELETE FROM gate")
                gate = (gate_n, *self._gate[1:])
                self._connection.execute("INSERT INTO gate VALUES (?, ?, ?, ?)", (*gate, crc_of(*gate)))
            for epoch, seq in delivered.items():
                _move_cursor(self._connection, epoch, seq)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise translate(error, self.path) from error
        self.reads_n = reads_n
        self._inputs.clear()
        self._entries.clear()
        self._gate = None
        for epoch, seq in delivered.items():
            if self._delivered.get(epoch) == seq:
                del self._delivered[epoch]

    def take_back(self) -> tuple[list[tuple[int, int, str, int, int, bytes]], list[Input]]:
        """What a commit could not write, to go on elsewhere; here it never was."""
        entries, inputs = self._entries, self._inputs
        self._entries, self._inputs, self._gate = [], [], None
        self.last_seq -= len(entries)
        return entries, inputs

    def forget_oldest_inputs(self) -> None:
        """Let half of the raw reads go, the older half."""
        self._execute("DELETE FROM reads WHERE n <= (SELECT (min(n) + max(n)) / 2 FROM reads)")

    # ---- files set aside ---------------------------------------------------------------------------

    def has_taken(self, file: str) -> bool:
        """Whether the file of that name has been taken in."""
        return self._execute("SELECT 1 FROM taken WHERE file = ?", (file,)).fetchone() is not None

    def take_in(self, file: str, old: list[OldEpoch], inputs: list[tuple[object, ...]] = []) -> int:  # noqa: B006 - read
        """Copy epochs of another file, in one commit; how many entries. ``inputs``: rows of ``reads``, but ``n``.

        They are told on their own topics; the current epoch stays the last one.
        """
        count = 0
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for epoch, identity, delivered_seq, rows in old:
                if epoch == self.epoch or not rows:
                    continue
                known = self._connection.execute("SELECT n FROM epoch WHERE epoch = ?", (epoch,)).fetchone()
                if known is None:
                    lowest = self._connection.execute("SELECT min(n) FROM epoch").fetchone()[0]
                    _insert_epoch(self._connection, epoch, identity, lowest - 1, delivered_seq)
                    known = (lowest - 1,)
                self._connection.executemany(
                    "INSERT OR IGNORE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)",
                    ((known[0], *row, crc_of(epoch, *row)) for row in rows),
                )
                count += len(rows)
            if inputs:
                rows_of_reads = ((*row, crc_of(*row)) for row in inputs)
                self._connection.executemany("INSERT INTO reads VALUES (NULL, ?, ?, ?, ?, ?)", rows_of_reads)
            self._connection.execute("INSERT INTO taken VALUES (?)", (file,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise translate(error, self.path) from error
        self.reads_n += len(inputs)
        return count

    def count_of(self, type_: str) -> int:
        """How many entries of that type the current epoch has, revisions not counted."""
        count: int = self._execute(
            "SELECT count(*) FROM entry WHERE epoch = ? AND type = ? AND instr(body, '\"rev\":1,')",
            (self._epoch_n, type_),
        ).fetchone()[0]
        return count

    def view(self) -> JournalView:
        """A read-only connection to the same file, for the thread that asks."""
        return JournalView(self.path)

    def _execute(self, statement: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, parameters)


def _insert_epoch(
    connection: sqlite3.Connection, epoch: str, identity: Identity, n: int | None = None, delivered_seq: int = 0
) -> None:
    row = (epoch, identity.event, identity.point, identity.mat, identity.box, delivered_seq)
    connection.execute("INSERT INTO epoch VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (n, *row, crc_of(*row)))


def _move_cursor(connection: sqlite3.Connection, epoch: str, seq: int) -> None:
    """Note how far an epoch is delivered; never back."""
    statement = "SELECT epoch, event, point, mat, box FROM epoch WHERE epoch = ? AND delivered_seq < ?"
    for row in connection.execute(statement, (epoch, seq)).fetchall():
        crc = crc_of(*row, seq)
        connection.execute("UPDATE epoch SET delivered_seq = ?, crc = ? WHERE epoch = ?", (seq, crc, epoch))
