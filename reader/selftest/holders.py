"""Who has a device open: from what the kernel tells of every process that we may look into."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from reader.box.hardware import hardware

# They speak to every new serial device to find a modem or a Braille display, and get in the reader's way.
MEDDLERS = ("ModemManager", "brltty")


class Holders(NamedTuple):
    """``names``: the others that have it open, as ``name (pid 7)``; ``unseen``: how many may not be looked into.

    ``are_hidden``: programs of other users are not even seen to run (a service with ``ProtectProc=invisible``).
    ``meddlers``: programs that run and are known to speak to serial devices of others.
    """

    names: tuple[str, ...]
    unseen: int
    are_hidden: bool
    meddlers: tuple[str, ...]


def holders_of(device: Path) -> Holders:
    """Who has it open besides this process."""
    place = device.resolve()
    names: list[str] = []
    meddlers: set[str] = set()
    unseen = 0
    for process in sorted(hardware("proc").glob("[0-9]*"), key=lambda process: int(process.name)):
        if int(process.name) == os.getpid():
            continue
        command = ""
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            command = (process / "comm").read_text().strip()
        if command in MEDDLERS:
            meddlers.add(command)
        try:
            descriptors = list((process / "fd").iterdir())
        except PermissionError:
            unseen += 1
            continue
        except OSError:
            continue
        if place in map(_target, descriptors):
            names.append(f"{command or 'a program'} (pid {process.name})")
    are_hidden = not hardware("proc/1").exists()  # the first process is there on every box
    return Holders(tuple(names), unseen, are_hidden, tuple(sorted(meddlers)))


def _target(descriptor: Path) -> Path | None:
    try:
        return descriptor.readlink()
    except OSError:
        return None
