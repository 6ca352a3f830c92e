"""The tables of race control's database, and its errors in words. Others read it: the names are fixed.

::

    entry      one row an entry, its message as it came. The view `latest`: of guns, markers and coverage the highest
               revision, and all notices
    passing    one row a passing, at its highest revision, those of mode `test` too
    crossing   one row a crossing: the passings that belong together (`joining`); `nth`: the runner's how-many-th here
    mat        one row a mat: what it last said of itself
    ack        through which seq of each epoch all stands here, as acknowledged by that collector
    lost       what the mat does not have any more, in its own words
    wish       what `timing-mat expect` wants published, at a point ("": all) and mat (null: all); `done` once it was

Times are microseconds since 1970 in UTC. ``user_version`` is the number of this schema.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from reader.errors import DiskFull, DiskRefused, JournalDamaged, JournalError

VERSION = 1

TABLES = """
CREATE TABLE entry (
    epoch TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL,
    event TEXT NOT NULL, point TEXT NOT NULL, mat TEXT NOT NULL, box TEXT NOT NULL,
    utc_us INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (epoch, seq)
);
CREATE INDEX entry_other ON entry (type) WHERE type <> 'split';
CREATE VIEW latest AS
    SELECT epoch, seq, type, event, point, mat, box, utc_us, body FROM (
        SELECT *, row_number() OVER (
            PARTITION BY type, coalesce(json_extract(body, '$.of'), epoch || '/' || seq)
            ORDER BY json_extract(body, '$.rev') DESC, seq DESC
        ) AS place FROM entry WHERE type <> 'split'
    ) WHERE place = 1;
CREATE TABLE passing (
    passing TEXT PRIMARY KEY, rev INTEGER NOT NULL,
    event TEXT NOT NULL, point TEXT NOT NULL, mat TEXT NOT NULL, box TEXT NOT NULL,
    line TEXT NOT NULL, role TEXT NOT NULL, mode TEXT NOT NULL, use TEXT NOT NULL,
    chip TEXT NOT NULL, bib TEXT, runner TEXT NOT NULL,
    utc_us INTEGER NOT NULL, time_error_ms REAL, spread_ms REAL, reader_error_ms REAL,
    clock_synced INTEGER, boot TEXT NOT NULL, lingering INTEGER NOT NULL, loiter INTEGER NOT NULL,
    after_restart INTEGER NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX passing_runner ON passing (event, point, runner);
CREATE TABLE crossing (
    n INTEGER PRIMARY KEY,
    event TEXT NOT NULL, point TEXT NOT NULL, runner TEXT NOT NULL, nth INTEGER NOT NULL,
    bib TEXT, chip TEXT NOT NULL, utc_us INTEGER NOT NULL, time_error_ms REAL,
    role TEXT NOT NULL, mat TEXT NOT NULL, passing TEXT NOT NULL, passings TEXT NOT NULL,
    UNIQUE (event, point, runner, nth)
);
CREATE TABLE mat (
    event TEXT NOT NULL, point TEXT NOT NULL, mat TEXT NOT NULL,
    box TEXT NOT NULL, link TEXT NOT NULL, mode TEXT NOT NULL, status TEXT, last_word_utc_us INTEGER,
    PRIMARY KEY (event, point, mat)
) WITHOUT ROWID;
CREATE TABLE ack (
    collector TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (collector, epoch)
) WITHOUT ROWID;
CREATE TABLE lost (
    epoch TEXT NOT NULL, from_seq INTEGER NOT NULL, through_seq INTEGER NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (epoch, from_seq)
) WITHOUT ROWID;
CREATE TABLE wish (
    n INTEGER PRIMARY KEY, point TEXT NOT NULL, mat TEXT, body TEXT NOT NULL,
    said_utc_us INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0
);
"""

DISK_ERRORS = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}


def open_tables(connection: sqlite3.Connection, path: Path | str) -> None:
    """Make the tables where there are none. JournalDamaged if there is something else, or newer ones."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master LIMIT 3")]
    if version or names:
        found = f"schema {version}" if version else f"the tables {', '.join(names)} …"
        raise JournalDamaged(
            f"{path}: found {found}, expected a database of this `timing-mat collect` (schema {VERSION}) or no file; "
            "name another file"
        )
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";")[:-1]:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def translate(error: sqlite3.Error, path: Path | str) -> JournalError:
    """SQLite's error as the leaf that has its remedy."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
        return DiskFull(f"{path}: the disk is full; free some")
    if code is not None and code & 0xFF in DISK_ERRORS:
        return DiskRefused(f"{path}: the disk refused it ({error}); look at its free space, its mount and its health")
    return JournalDamaged(
        f"{path}: can't be read as a database ({error}); name another file: what the mats still have comes by itself"
    )
