"""The command `timing-mat` on the pins of a made-up board: ``python -m tests.pins FOLDER run …``.

A file FOLDER/GPIO17 connects that pin to ground for as long as it is there.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory

from reader.cli import main

EVERY_S = 0.01


class Board:
    """What the files say, on the pins of every factory that is made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._factories: list[Any] = []

    def be_the_only_one(self) -> None:
        """In place of real pins, for as long as the process lives."""
        made = MockFactory.__init__

        def be_made(factory: Any) -> None:
            made(factory)
            self._factories.append(factory)

        MockFactory.__init__ = be_made
        os.environ["GPIOZERO_PIN_FACTORY"] = "mock"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            threading.Event().wait(EVERY_S)
            for factory in list(self._factories):
                for info, pin in list(factory.pins.items()):
                    is_closed = (self._folder / info.name).exists()
                    if pin.function == "input" and pin.pull == "up" and pin.state == is_closed:
                        pin.drive_low() if is_closed else pin.drive_high()


def run() -> None:
    """What was typed, but for the folder."""
    Board(Path(sys.argv.pop(1))).be_the_only_one()
    main()


if __name__ == "__main__":
    run()
