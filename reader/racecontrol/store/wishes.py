"""A word to `timing-mat collect`, left in its database by another process: what it is to publish as `expect`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from reader.errors import JournalError
from reader.racecontrol.store.database import connect, turn
from reader.racecontrol.store.tables import VERSION, translate


def wish(path: Path, *, point: str, mat: str | None, body: dict[str, object], said_utc_ns: int) -> int:
    """Leave it there, on disk; its number. ``mat`` None: for all mats of the point. JournalError in words."""
    if not path.is_file():
        raise JournalError(f"{path}: there is no database here; `timing-mat collect --db {path}` makes it")
    row = (point, mat, msgspec.json.encode(body).decode(), said_utc_ns // 1000)
    try:
        # Opening and closing too are within the turn: each may write to the log or fold it in.
        with turn(path), closing(connect(path)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                raise JournalError(f"{path}: not a database of this `timing-mat collect`")
            cursor = connection.execute("INSERT INTO wish (point, mat, body, said_utc_us) VALUES (?, ?, ?, ?)", row)
            return cursor.lastrowid or 0
    except sqlite3.Error as error:
        raise translate(error, path) from error


def is_done(path: Path, n: int) -> bool:
    """Whether that wish has been published."""
    try:
        with turn(path), closing(connect(path)) as connection:
            found = connection.execute("SELECT done FROM wish WHERE n = ?", (n,)).fetchone()
            return bool(found and found[0])
    except sqlite3.Error as error:
        raise translate(error, path) from error
