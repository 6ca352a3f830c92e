"""The real daemon, as a process of its own; and a line to it, on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from reader.box.control import ask
from reader.errors import TimingMatError
from tests.waiting import wait_until

COMMAND = str(Path(sys.executable).with_name("timing-mat"))


class Daemon:
    """`timing-mat run` on a configuration made of ``text``; ``folder`` holds its journal, socket and output."""

    def __init__(self, folder: Path, text: str, *arguments: str, program: Sequence[str] = (COMMAND, "run")) -> None:
        self.folder = folder
        self.config = folder / "mat.toml"
        self.journal = folder / "journal.db"
        self.control = folder / "control.sock"
        self.output = folder / "output.txt"
        self._arguments = arguments
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        if text:
            text += f'\n[journal]\npath = "{self.journal}"\n[box]\ncontrol = "{self.control}"\n'
            self.config.write_text(text)

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Begin, and wait until it answers on its socket."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._program, "--config", str(self.config), *self._arguments],
                stdout=output,
                stderr=output,
                env=os.environ | {"STATE_DIRECTORY": str(self.folder / "state")},
            )
        wait_until(self._answers, 30, f"the daemon ({self.output})")

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(30)
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9: no chance to say or save anything."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def status(self) -> dict[str, Any]:
        """What it says of itself on the control socket."""
        status: dict[str, Any] = ask(self.control, {"do": "status"})["status"]
        return status

    def wait_for_recording(self, limit_s: float = 20.0) -> None:
        """Until a reader hears."""
        wait_until(lambda: self.status()["recording"], limit_s, "recording")

    def wait_for_delivery(self, limit_s: float = 60.0) -> None:
        """Until every entry of every epoch is delivered."""

        def is_delivered() -> bool:
            status = self.status()
            return bool(status["last_seq"] and status["backlog"] == 0)

        wait_until(is_delivered, limit_s, "delivery of the backlog")

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the daemon ended with {code}: {self.output.read_text()}"
        try:
            return bool(ask(self.control, {"do": "ping"})["ok"])
        except TimingMatError:
            return False


class Line:
    """A pseudo-terminal under a link; what is written here the daemon reads. Closing it is unplugging."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._master = -1

    def __enter__(self) -> Line:
        self.plug_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    def plug_in(self) -> None:
        """Make the device, and its name."""
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        name = os.ttyname(slave)
        os.close(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(name)

    def unplug(self) -> None:
        """The device is gone."""
        if self._master >= 0:
            self.link.unlink(missing_ok=True)
            os.close(self._master)
            self._master = -1

    def send(self, data: bytes) -> None:
        """All of it, as fast as the other end takes it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._master, view) :]

    def write(self, data: bytes) -> None:
        """All of it, and the other end has read it."""
        self.send(data)
        wait_until(lambda: self._unread() == 0, 10, "the line to be read")

    @property
    def is_open(self) -> bool:
        """Whether somebody has the other end open."""
        if self._master < 0:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not poll.poll(0)

    def offer(self, data: bytes) -> bool:
        """Say it to whoever reads fast enough; whether the line took all of it."""
        os.set_blocking(self._master, False)
        try:
            return os.write(self._master, data) == len(data)
        except BlockingIOError:
            return False
        finally:
            os.set_blocking(self._master, True)

    def read(self, wait_s: float = 0.0) -> bytes:
        """What the daemon has sent, waiting for it at most so long."""
        if not select.select([self._master], [], [], wait_s)[0]:
            return b""
        return os.read(self._master, 4096)

    def _unread(self) -> int:
        # What waits in the slave's input queue is the master's output, not yet taken.
        slave = os.open(self.link, os.O_RDWR | os.O_NOCTTY)
        try:
            return int.from_bytes(fcntl.ioctl(slave, termios.FIONREAD, bytes(4)), sys.byteorder)
        finally:
            os.close(slave)


def message(payload: bytes) -> dict[str, Any]:
    """A payload as the object it is."""
    decoded: dict[str, Any] = json.loads(payload)
    return decoded


def highest_revisions(payloads: list[bytes]) -> dict[str, dict[str, Any]]:
    """The last word on each passing, by its id."""
    highest: dict[str, dict[str, Any]] = {}
    for payload in payloads:
        split = message(payload)
        if split["rev"] > highest.get(split["passing"], {"rev": 0})["rev"]:
            highest[split["passing"]] = split
    return highest
