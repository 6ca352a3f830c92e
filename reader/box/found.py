"""Where each reader that is looked for was when last seen, so that a mat that restarts begins there.

::

    {"main": {"port": "/dev/serial/by-id/usb-FTDI…", "family": "thingmagic", "baud": 115200}}

It is a memory, no more: without the file, or with a broken one, the readers are looked for as on the first day.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from reader.box.state_folder import state_folder


class Found(msgspec.Struct, frozen=True):
    """One reader: its port, its family's name and the speed of its line."""

    port: str
    family: str
    baud: Annotated[int, Meta(ge=1, le=4_000_000)]


class FoundFile:
    """The file; by default in the state folder, as the last good configuration."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _place()
        self._known = self._read()

    def get(self, reader: str) -> Found | None:
        """Where the reader of that name was."""
        return self._known.get(reader)

    def note(self, reader: str, found: Found) -> None:
        """It is there now. Written only where that is news: the card is spared; what can't be written is let be."""
        if self._known.get(reader) == found:
            return
        self._known[reader] = found
        with contextlib.suppress(OSError):
            self._write()

    def _read(self) -> dict[str, Found]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Found])
        except (OSError, msgspec.MsgspecError, UnicodeError):
            return {}

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(self._known) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._path)


def _place() -> Path:
    return state_folder() / "found.json"
