"""When the daemon was last alive, for its next run: the time in between is no chip's absence.

The mark stands beside the control socket, in memory (/run), so it costs no card; it is as old as a second.
It means something in the same boot only, like the clock it is taken from.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from reader.model import Instant


class AliveMark:
    """The file of the mark."""

    def __init__(self, control: Path) -> None:
        self._path = control.with_name(control.name + ".alive")

    def read(self, boot: str) -> int | None:
        """Monotonic nanoseconds of this boot, or None if there is no mark of it."""
        try:
            marked_boot, mono_ns = self._path.read_text().split()
            return int(mono_ns) if marked_boot == boot else None
        except (OSError, ValueError):
            return None

    def write(self, boot: str, at: Instant) -> None:
        """Mark it; where that can't be done, the last entry says it, less well."""
        with contextlib.suppress(OSError):
            self._path.write_text(f"{boot} {at.mono_ns}\n")
