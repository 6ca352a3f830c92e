"""The lock beside a journal, by which there is never a second writer."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from reader.errors import DiskRefused, JournalInUse


def is_in_use(path: Path) -> bool:
    """Whether a daemon writes that journal now. PermissionError where that can't be known."""
    try:
        lock = os.open(_lock_beside(path), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # for no longer than this: a daemon may begin any time
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock_beside(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def hold(path: Path) -> int:
    """The lock beside the journal, held as long as it is open: two writers could lose committed rows."""
    # A file of its own: closing any descriptor of the database itself would drop SQLite's own locks.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(_lock_beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise DiskRefused(
            f"{path}: can't be written there ({error.strerror}); look at the folder and the disk"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalInUse(
            f"{path}: another timing-mat writes this journal; stop it, or give this one a [journal] path of its own"
        ) from error
    return lock
