"""The tables of the journal, and how connections to it are opened.

::

    binding   the box, event, point and mat this file belongs to, one row
    epoch     one row an epoch: the one being written, and older ones with something still to deliver
    entry     the log: (epoch, seq) and the message's body as JSON
    reads     the gate's inputs as they came, one row a commit, packed (msgpack of [Input])
    gate      the gate's state after ``reads`` row ``reads_n``: a restart replays what came later
    taken     files set aside whose undelivered entries have been copied here

All but the first and the last bear a checksum of their row (``trust``): NULL in rows of schema 1, which had none.

``user_version`` is the schema's number; a file with a higher one was written by a newer program.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from reader.errors import DiskFull, DiskRefused, JournalDamaged, JournalError

VERSION = 2

TABLES = """
CREATE TABLE binding (box TEXT NOT NULL, event TEXT NOT NULL, point TEXT NOT NULL, mat TEXT NOT NULL);
CREATE TABLE epoch (
    n INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE,
    event TEXT NOT NULL, point TEXT NOT NULL, mat TEXT NOT NULL, box TEXT NOT NULL,
    delivered_seq INTEGER NOT NULL DEFAULT 0,
    crc INTEGER
);
CREATE TABLE entry (
    epoch INTEGER NOT NULL REFERENCES epoch (n),
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    utc_ns INTEGER NOT NULL,
    mono_ns INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER,
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE TABLE reads (n INTEGER PRIMARY KEY, boot TEXT NOT NULL, synced INTEGER NOT NULL, utc_ns INTEGER NOT NULL,
                    inputs BLOB NOT NULL, crc INTEGER);
CREATE TABLE gate (reads_n INTEGER NOT NULL, settings BLOB NOT NULL, state BLOB NOT NULL, crc INTEGER);
CREATE TABLE taken (file TEXT PRIMARY KEY);
"""

FROM_1 = """
ALTER TABLE epoch ADD COLUMN crc INTEGER;
ALTER TABLE entry ADD COLUMN crc INTEGER;
ALTER TABLE reads ADD COLUMN crc INTEGER;
ALTER TABLE gate ADD COLUMN crc INTEGER;
"""


def connect_writing(path: Path) -> sqlite3.Connection:
    """The one connection that writes: WAL, every commit synced. JournalError in words if it can't be had."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # Measured: checkpoints of 100 pages write less to the card than the default 1,000, and commit faster.
        connection.execute("PRAGMA wal_autocheckpoint=100")
        connection.execute("PRAGMA foreign_keys=ON")
        # It only ever appends: a quarter of SQLite's usual 2 MB of pages does as well.
        connection.execute("PRAGMA cache_size=-512")
    except sqlite3.Error as error:
        raise translate(error, path) from error
    return connection


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files are."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that can't write. JournalError in words if there is nothing to read."""
    if not path.exists():
        raise JournalError(f"{path}: there is no journal here; it is made when the daemon first runs")
    # Without a log beside it nobody writes it, and SQLite can't make the log's index for one that only reads.
    rest = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro{rest}", uri=True, isolation_level=None, timeout=5
        )
        connection.execute("SELECT 1 FROM epoch LIMIT 1").fetchall()
    except sqlite3.Error as error:
        raise translate(error, path) from error
    return connection


def connect_aside(path: Path, *, with_log: bool = True) -> sqlite3.Connection:
    """A connection to a file set aside, which stays as it is; its log, if it has one, counts unless told not to."""
    has_log = with_log and path.with_name(path.name + "-wal").exists()
    rest = "" if has_log else "&immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro{rest}", uri=True, isolation_level=None, timeout=5)
    # Otherwise SQLite reads nothing at all of a file that is shorter than its first page says.
    connection.execute("PRAGMA writable_schema=ON")
    return connection


DISK_ERRORS = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
}


def translate(error: sqlite3.Error, path: Path) -> JournalError:
    """SQLite's error as the leaf that has its remedy."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return DiskFull(f"{path}: the disk is full; free some")
    if code is not None and code & 0xFF in DISK_ERRORS:
        return DiskRefused(f"{path}: the disk refused it ({error}); look at its free space, its mount and its health")
    return JournalDamaged(f"{path}: not a journal that can be read ({error})")
