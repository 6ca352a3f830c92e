"""The file of race control's database: opening it, and whose turn it is to write to it.

SQLite before 3.51.3 can lose committed rows when two connections write or checkpoint at the same moment. So there are
two locks beside the file: ``.lock`` is held by the collector as long as it has the database open, ``.turn`` around
each transaction, also by `timing-mat expect`, which writes wishes from a process of its own.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reader.errors import DiskRefused, JournalInUse


def connect(path: Path | None) -> sqlite3.Connection:
    """A connection that writes; every commit is synced."""
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA cache_size=-65536")  # forty mats' runners are looked up all over the file
    return connection


def hold(path: Path) -> int:
    """The lock beside the database for as long as it is open, as a descriptor; JournalInUse if another has it."""
    lock = _lock_file(path, ".lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalInUse(
            f"{path}: another timing-mat collect writes this database; stop it, or give this one a --db of its own"
        ) from error
    return lock


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """The right to write to the database, or to checkpoint it, waiting for it."""
    lock = _lock_file(path, ".turn")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _lock_file(path: Path, ending: str) -> int:
    # Files of their own: closing any descriptor of the database itself would drop SQLite's own locks.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path.with_name(path.name + ending), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise DiskRefused(f"{path}: can't be written there ({error.strerror}); look at the folder and disk") from error
