"""A person at a terminal: what a program shows there, and what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The program on a pseudo-terminal of its own, 100 columns wide. ``shown``: all so far, without colours."""

    def __init__(self, *command: str | Path) -> None:
        self._command: Sequence[str | Path] = command
        self._master = -1
        self._raw = b""

    def __enter__(self) -> Terminal:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        self._process = subprocess.Popen(
            self._command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, close_fds=True
        )
        os.close(slave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._master)

    @property
    def shown(self) -> str:
        """What stands there."""
        return ESCAPES.sub("", self._raw.decode(errors="replace")).replace("\r", "")

    def wait_for(self, text: str, limit_s: float = 20.0) -> None:
        """Until it shows that."""
        end = time.monotonic() + limit_s
        while text not in self.shown:
            assert self._read(end - time.monotonic()), f"{text!r} was not shown: {self.shown}"

    def type(self, text: str) -> None:
        """Type it, and Enter."""
        os.write(self._master, text.encode() + b"\n")

    def end(self, limit_s: float = 30.0) -> int:
        """Read it to its end; the exit code."""
        end = time.monotonic() + limit_s
        while self._read(end - time.monotonic()):
            pass
        return self._process.wait(max(0.1, end - time.monotonic()))

    def _read(self, limit_s: float) -> bool:
        """Whether more came."""
        if limit_s <= 0 or not select.select([self._master], [], [], limit_s)[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # the program has ended
            return False
        self._raw += piece
        return bool(piece)
