"""A file that takes up room beside the journal, to be thrown out when the disk is full.

SQLite can free nothing from inside a full disk: even a checkpoint and a DELETE want room first. So some is
kept aside while there is plenty, and given up when the log needs it; whoever looks after the box has that
long to free some more.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

BALLAST_BYTES = 8 << 20  # some 20,000 splits with their reads
PLENTY = 5  # times as much is free: only then it is made
TIGHT_BYTES = 1 << 20  # less than this, and opening a journal may fail


class Ballast:
    """The file beside a journal; no call raises. ``is_thrown_out``: until there is room for another."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".ballast")
        self.is_thrown_out = False

    def load(self) -> None:
        """Make it, if it is not there and there is plenty of room."""
        with contextlib.suppress(OSError):
            if not self.path.exists() and _free_bytes(self.path.parent) > PLENTY * BALLAST_BYTES:
                self._make()
                self.is_thrown_out = False

    def throw_out(self) -> bool:
        """Remove it; whether there was something to remove."""
        with contextlib.suppress(OSError):
            self.path.unlink()
            self.is_thrown_out = True
            return True
        return False

    def make_room(self) -> None:
        """Before the journal is opened: throw it out if the disk is as good as full."""
        with contextlib.suppress(OSError):
            if _free_bytes(self.path.parent) < TIGHT_BYTES:
                self.throw_out()

    def _make(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            # Real blocks, not a hole: they are what is to come free.
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
        except OSError:
            self.path.unlink()
            raise
        finally:
            os.close(descriptor)


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
