"""The line that a simulated reader speaks on: a pseudo-terminal, or a TCP port."""

from __future__ import annotations

import array
import fcntl
import os
import secrets
import select
import socket
import termios
import time
import tty
from pathlib import Path
from typing import Protocol, Self

from reader.errors import PortRefused, UsageError

READ_SIZE = 4096
CLOSED_PAUSE_S = 0.02  # a line that nobody has open can't be waited on, only asked again
SPEEDS = {
    getattr(termios, f"B{baud}"): baud
    for baud in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
}


class Line(Protocol):
    """A line that can be pulled out and put back; it never blocks but in ``wait``."""

    address: str  # what a program opens

    @property
    def is_open(self) -> bool:
        """Somebody has opened the other end."""

    @property
    def is_drained(self) -> bool:
        """All that was sent has been read, or nobody is there to read it."""

    @property
    def host_baud(self) -> int | None:
        """The speed that the other end has set, 0 for one of its own; None where a line has no speed."""

    def plug(self) -> None:
        """The line is there from now."""

    def unplug(self) -> None:
        """The line goes away; whoever has it open sees it hang up."""

    def send(self, data: bytes) -> int:
        """How many of these bytes the line took: none where it is full or closed."""

    def receive(self) -> bytes:
        """What the other end has sent since; nothing where it is closed."""

    def wait(self, timeout_s: float, *, for_room: bool) -> None:
        """Until the other end has sent something, there is room (where asked for), or the time is over."""


class PseudoTerminal:
    """One end of a pseudo-terminal pair in raw mode; the other end's path is ``address``, or a link to it.

    The other end is not held open here, so that it shows when somebody else does: until then, and after
    the last one has closed it, this end reports a hang-up.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master = -1
        self._device = ""
        self.address = ""

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def plug(self) -> None:
        """A new pair, and the link set to it; UsageError where something else stands at the link's path."""
        if self._link is not None:
            _refuse_unless_replaceable(self._link)
        self._master, other = os.openpty()
        tty.setraw(other)
        self._device = os.ttyname(other)
        os.close(other)  # the settings stay with the pair
        os.set_blocking(self._master, False)
        if self._link is not None:
            try:
                _set_link(self._link, self._device)
            except OSError as error:
                self.unplug()
                raise UsageError(f"--link {self._link}: can't be made: {error.strerror}.") from error
        self.address = str(self._link or self._device)

    def unplug(self) -> None:
        """Close the pair, and remove the link if it is still ours."""
        if self._master < 0:
            return
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self._device:
            self._link.unlink()
        os.close(self._master)
        self._master = -1

    @property
    def is_open(self) -> bool:
        """Somebody has opened the other end."""
        if self._master < 0:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not poll.poll(0)

    @property
    def is_drained(self) -> bool:
        """The other end's queue is empty."""
        if not self.is_open:
            return True
        try:
            other = os.open(self._device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            return True  # held for one program alone (TIOCEXCL): not to be known
        try:
            return _queued(other, termios.FIONREAD) == 0
        finally:
            os.close(other)

    @property
    def host_baud(self) -> int | None:
        """The speed that whoever opened it last has set: the settings are those of the pair."""
        return None if self._master < 0 else SPEEDS.get(termios.tcgetattr(self._master)[4], 0)

    def send(self, data: bytes) -> int:
        """How many of these bytes the line took."""
        try:
            return os.write(self._master, data) if self._master >= 0 else 0
        except BlockingIOError:
            return 0

    def receive(self) -> bytes:
        """What the other end has sent since."""
        try:
            return os.read(self._master, READ_SIZE) if self._master >= 0 else b""
        except OSError:  # nothing there (EAGAIN), or nobody (EIO)
            return b""

    def wait(self, timeout_s: float, *, for_room: bool) -> None:
        """Until there is something to do, or the time is over."""
        if self.is_open:
            select.select([self._master], [self._master] if for_room else [], [], timeout_s)
        else:
            time.sleep(min(timeout_s, CLOSED_PAUSE_S))


class TcpServer:
    """A TCP port that serves one client at a time, for ``socket://HOST:PORT``."""

    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port)
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self.address = f"socket://{host}:{port}"

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def plug(self) -> None:
        """Listen; PortRefused where the address can't be had."""
        try:
            self._listener = socket.create_server(self._at, backlog=1)
        except OSError as error:
            raise PortRefused(
                f"{self.address}: can't listen: {error.strerror}. Choose another --tcp HOST:PORT."
            ) from error
        self._listener.setblocking(False)
        host, port = self._listener.getsockname()[:2]
        self._at = (host, port)  # port 0 asked for any
        self.address = f"socket://{host}:{port}"

    def unplug(self) -> None:
        """Hang up, and listen no longer."""
        self._hang_up()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @property
    def is_open(self) -> bool:
        """A client is connected; the next in the queue is let in here."""
        if self._client is None and self._listener is not None:
            try:
                self._client, _ = self._listener.accept()
            except BlockingIOError:
                return False
            self._client.setblocking(False)
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._client is not None

    @property
    def is_drained(self) -> bool:
        """The client's host has taken all; what it has, a close does not take back."""
        return self._client is None or _queued(self._client.fileno(), termios.TIOCOUTQ) == 0

    @property
    def host_baud(self) -> int | None:
        """A socket has no speed."""
        return None

    def send(self, data: bytes) -> int:
        """How many of these bytes the line took."""
        try:
            return self._client.send(data) if self._client is not None else 0
        except BlockingIOError:
            return 0
        except OSError:
            self._hang_up()
            return 0

    def receive(self) -> bytes:
        """What the client has sent since."""
        if self._client is None:
            return b""
        try:
            data = self._client.recv(READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def wait(self, timeout_s: float, *, for_room: bool) -> None:
        """Until there is something to do, or the time is over."""
        end = self._client or self._listener
        if end is None:
            time.sleep(min(timeout_s, CLOSED_PAUSE_S))
        else:
            select.select([end], [end] if for_room and end is self._client else [], [], timeout_s)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _queued(fd: int, question: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(fd, question, count)
    return count[0]


def _refuse_unless_replaceable(link: Path) -> None:
    """A link to nothing or to a pseudo-terminal is one that a simulator left; anything else is not ours."""
    is_left_over = link.is_symlink() and (not link.exists() or str(link.resolve()).startswith("/dev/pts/"))
    if link.exists() and not is_left_over:
        raise UsageError(f"--link {link}: a file or device, or a link to one, stands there. Choose another path.")


def _set_link(link: Path, device: str) -> None:
    """In one step: whoever looks finds the old one or the new one."""
    beside = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    beside.symlink_to(device)
    beside.replace(link)
