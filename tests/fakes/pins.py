"""Pins for a daemon of its own process: what it does with them is written down, and the test moves its contacts.

gpiozero finds it by its entry points (:func:`install`), as it finds the drivers of real boards.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from gpiozero.pins.mock import MockFactory, MockPin

ROOT = Path(__file__).parents[2]
FOLDER = "TIMING_MAT_TEST_PINS"
for_ever = threading.Event()


class WrittenPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """Each change of an output goes into the file; ``hangs``: each call from here on never ends."""

    hangs = False

    def _set_state(self, value: bool) -> None:
        if self.hangs:
            for_ever.wait()
        if self._state != bool(value):
            with (Path(os.environ[FOLDER]) / "lit").open("a") as file:
                file.write(f"{self._number} {int(value)} {time.monotonic_ns()}\n")
        super()._set_state(value)


class WrittenFactory(MockFactory):  # type: ignore[misc] # gpiozero has no types
    """Takes ``NUMBER 0|1`` (a contact's level) and ``hang`` as datagrams."""

    def __init__(self) -> None:
        super().__init__(pin_class=WrittenPin)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = Path(os.environ[FOLDER]) / "socket"
        path.unlink(missing_ok=True)  # of the factory before this one
        self._socket.bind(str(path))
        threading.Thread(target=self._obey, daemon=True).start()

    def _obey(self) -> None:
        while True:
            match self._socket.recv(64).decode().split():
                case ["hang"]:
                    WrittenPin.hangs = True
                case [number, level]:
                    pin = self.pin(int(number))
                    (pin.drive_high if level == "1" else pin.drive_low)()


class Lit(NamedTuple):
    """An output that changed."""

    pin: int
    is_on: bool
    mono_ns: int


class Wiring:
    """The test's side of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lit(self, pin: int) -> list[Lit]:
        """What that pin has done so far."""
        path = self._folder / "lit"
        lines = path.read_text().splitlines() if path.exists() else []
        all_lit = [Lit(int(number), on == "1", int(ns)) for number, on, ns in (line.split() for line in lines)]
        return [one for one in all_lit if one.pin == pin]

    def is_lit(self, pin: int) -> bool:
        """Whether it is on."""
        return bool((lit := self.lit(pin)) and lit[-1].is_on)

    def say(self, words: str) -> None:
        """To the factory in the daemon."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.sendto(words.encode(), str(self._folder / "socket"))


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Wiring:
    """Every daemon that the test starts from here on has these pins; ``folder`` is theirs."""
    info = folder / "written_pins-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: written-pins\nVersion: 1\n")
    entry = f"written = {__name__}:{WrittenFactory.__name__}"
    (info / "entry_points.txt").write_text(f"[gpiozero_pin_factories]\n{entry}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(folder)]))
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "written")
    monkeypatch.setenv(FOLDER, str(folder))
    return Wiring(folder)
