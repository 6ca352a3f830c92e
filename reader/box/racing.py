"""The mark that the mat is in mode race: while it is there, `timing-mat-inhibit` keeps the box from being shut down.

It stands beside the control socket, in memory (/run). It outlives a daemon that dies, for the next one begins in race;
a service that is stopped loses its folder, and the mark with it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


class RacingMark:
    """The file of the mark."""

    def __init__(self, control: Path) -> None:
        self._path = control.with_name(f"{control.name}.racing")

    def note(self, *, is_racing: bool) -> None:
        """Set it or take it away; where that can't be done, the box can be shut down, and timing goes on."""
        if self._path.exists() == is_racing:
            return
        with contextlib.suppress(OSError):
            if is_racing:
                self._path.touch()
            else:
                self._path.unlink(missing_ok=True)
