"""Where a second copy can go: a folder that is named, or any USB stick that is mounted and may be written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
BLOCKS = Path("/sys/class/block")


class NoPlace(Exception):
    """There is nowhere to copy to, in words."""


def place_for(setting: str, journal: Path) -> Path:
    """The folder to copy into. NoPlace in words; never one of the journal's own disk, which would die with it."""
    if setting != "auto":
        return _named(Path(setting), journal)
    try:
        mounts = MOUNTS.read_text()
    except OSError as error:
        raise NoPlace(f"what is mounted can't be looked up ({error.strerror})") from error
    for place in usb_mounts(mounts, is_usb):
        if not _is_same_disk(place, journal):
            return place
    raise NoPlace("no USB stick is plugged in and mounted for writing: there is no second copy")


def usb_mounts(mounts: str, is_usb_device: Callable[[str], bool]) -> list[Path]:
    """The mount points of USB disks that may be written, from the text of /proc/mounts, in order of their names."""
    found = []
    for line in mounts.splitlines():
        device, point, _, options, *_ = line.split(" ")
        if device.startswith("/dev/") and "rw" in options.split(",") and is_usb_device(device):
            found.append(Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)))
    return sorted(found)


def is_usb(device: str) -> bool:
    """Whether a block device hangs on USB."""
    try:
        name = Path(device).resolve().name
        return "/usb" in str((BLOCKS / name).resolve(strict=True))
    except OSError:
        return False


def _named(place: Path, journal: Path) -> Path:
    if not place.is_dir():
        raise NoPlace(f"{place}: there is no such folder; plug the stick in, or name another in [journal] copy")
    if _is_same_disk(place, journal):
        says = f"{place} is on the journal's own disk, which would die with it: is the stick not mounted there?"
        raise NoPlace(says)
    return place


def _is_same_disk(place: Path, journal: Path) -> bool:
    try:
        return os.stat(place).st_dev == os.stat(journal.parent).st_dev  # noqa: PTH116 - of both alike
    except OSError:
        return False
