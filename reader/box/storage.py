"""The disk under the journal: how full it is."""

from __future__ import annotations

import os
from pathlib import Path

from reader.messages import Part

WARN_FULL = 0.80
FAIL_FULL = 0.97


def look_at_storage(journal: Path, trouble: str) -> Part:
    """``trouble``: what the disk refused last, or "". 80 % full is a warning."""
    if trouble:
        return Part("fail", trouble)
    try:
        disk = os.statvfs(journal.parent)
    except OSError as error:
        return Part("fail", f"{journal.parent}: can't be looked at ({error.strerror})")
    full = 1 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0
    free_mb = disk.f_bavail * disk.f_frsize // 1_000_000
    says = f"the disk of {journal} is {full:.0%} full, {free_mb} MB are free"
    if full >= FAIL_FULL:
        return Part("fail", f"{says}: free some, or timing goes on in memory only")
    if full >= WARN_FULL:
        return Part("warn", f"{says}: free some")
    return Part("ok", says)
