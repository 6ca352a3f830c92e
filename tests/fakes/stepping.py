"""The daemon with a clock that steps: `python -m tests.fakes.stepping --config FILE CLOCK`.

``CLOCK`` is a file of 9 bytes: by how many nanoseconds UTC is ahead of this machine's, and whether it claims to be
good.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

from reader.clock import SystemClock
from reader.config import load
from reader.model import ClockQuality, Instant
from reader.serving import serve

FORM = struct.Struct("<q?")


def set_clock(path: Path, ahead_ns: int, *, synced: bool) -> None:
    """Step it, at once for whoever reads it."""
    with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
        file.write(FORM.pack(ahead_ns, synced))


class SteppingClock(SystemClock):
    """This machine's clocks, but UTC as the file says."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_RDONLY)

    def now(self) -> Instant:
        now = super().now()
        return Instant(now.utc_ns + self._said()[0], now.mono_ns)

    def quality(self) -> ClockQuality:
        synced = self._said()[1]
        return ClockQuality(synced=synced, source="ntp" if synced else "unset", error_ms=1.0 if synced else None)

    def _said(self) -> tuple[int, bool]:
        ahead_ns, synced = FORM.unpack(os.pread(self._fd, FORM.size, 0))
        return ahead_ns, synced


if __name__ == "__main__":
    serve(load(Path(sys.argv[2])), clock=SteppingClock(sys.argv[3]))
