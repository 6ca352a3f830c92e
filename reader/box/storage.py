"""The disk under the journal: how full it is, and where the log may go on without one."""

from __future__ import annotations

import os
from pathlib import Path

from reader.config import Config
from reader.messages import Part
from reader.model import NS_PER_S

WARN_FULL = 0.80
FAIL_FULL = 0.97
MAY_TAKE_NS = 4 * NS_PER_S  # cards stall for a second now and then


def look_at_storage(
    journal: Path, trouble: str, *, is_on_ballast: bool = False, waits_ns: int = 0, copy: Part | None = None
) -> Part:
    """``trouble``: what the disk refused last, or "". 80 % full is a warning.

    ``is_on_ballast``: it ran full, and the log is written in the room that was kept for that. ``waits_ns``: how long a
    commit has waited for it by now. ``copy``: how the second copy stands, where one is wanted.
    """
    if waits_ns > MAY_TAKE_NS:  # then nothing is asked of it besides
        says = f"the disk of {journal} has not answered for {waits_ns // NS_PER_S} s: what is heard waits in memory"
        disk = Part("fail", f"{says}; if it stays, change the card")
    else:
        disk = _look_at_disk(journal, trouble, is_on_ballast=is_on_ballast)
    if copy is None:
        return disk
    word = copy.word if copy.word == "warn" and disk.word == "ok" else disk.word
    return Part(word, f"{disk.says}; {copy.says}")


def _look_at_disk(journal: Path, trouble: str, *, is_on_ballast: bool) -> Part:
    if trouble:
        return Part("fail", trouble)
    try:
        disk = os.statvfs(journal.parent)
    except OSError as error:
        return Part("fail", f"{journal.parent}: can't be looked at ({error.strerror})")
    full = 1 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0
    free_mb = disk.f_bavail * disk.f_frsize // 1_000_000
    says = f"the disk of {journal} is {full:.0%} full, {free_mb} MB are free"
    if is_on_ballast:
        return Part("fail", f"{says}: it ran full, and the log uses its last reserve; free some now")
    if full >= FAIL_FULL:
        return Part("fail", f"{says}: free some, or timing goes on in memory only")
    if full >= WARN_FULL:
        return Part("warn", f"{says}: free some")
    return Part("ok", says)


def places_in_memory(config: Config) -> list[Path]:
    """Where a journal may go on without a disk: file systems in memory, the first that works."""
    mat = config.mat
    name = f"{mat.event}-{mat.point}-{mat.id}.journal-in-memory.db"
    return [config.box.control.with_name(name), Path("/dev/shm") / f"timing-mat-{name}"]  # noqa: S108 - memory, on purpose
