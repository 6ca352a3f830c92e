"""A socket that gathers: what paho sends packet by packet goes out together, what has come is received at once.

paho makes a system call for every packet it sends, and three for every one it receives; measured, that was
more than half of what a split costs on its way out.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

RECEIVED_BYTES = 65_536
DISCONNECT = 0xE0  # MQTT: the packet after which paho closes the socket


class GatheringSocket:
    """Stands in for a connected socket that does not block; :meth:`flush` sends what has been gathered.

    ``alert``: why the other end broke TLS off, after a handshake that had gone well; paho keeps it to itself.
    """

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._unsent = bytearray()
        self._received = b""
        self.alert: ssl.SSLError | None = None
        self.is_stuck = False  # the network did not take all that was there at the last flush

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for :meth:`flush`."""
        return bool(self._unsent)

    @property
    def holds_back(self) -> bool:
        """Whether something was received that has not been asked for: it wakes no poll."""
        if self._received:
            return True
        return isinstance(self._inner, ssl.SSLSocket) and self._inner.pending() > 0

    def flush(self) -> None:
        """Send as much as the network takes; OSError if the connection is no more."""
        self.is_stuck = True
        while self._unsent:
            try:
                sent = self._inner.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            del self._unsent[:sent]
        self.is_stuck = False

    # ---- what paho asks of a socket ------------------------------------------------------------------------

    def send(self, buffer: bytes | bytearray) -> int:
        """Take it all; a goodbye is sent at once, for the socket is closed after it."""
        self._unsent += buffer
        if buffer[0] == DISCONNECT:
            with contextlib.suppress(OSError):
                self.flush()
        return len(buffer)

    def recv(self, buffer_size: int) -> bytes:
        """Some of what has come, b"" at the end; BlockingIOError when there is nothing."""
        if not self._received:
            try:
                self._received = self._inner.recv(RECEIVED_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError):
                raise
            except ssl.SSLError as error:
                self.alert = error
                raise
        data, self._received = self._received[:buffer_size], self._received[buffer_size:]
        return data

    def setblocking(self, flag: bool) -> None:
        """As the socket does."""
        self._inner.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """As the socket does."""
        self._inner.setsockopt(level, option, value)

    def fileno(self) -> int:
        """As the socket does."""
        return self._inner.fileno()

    def close(self) -> None:
        """Hang up; what has not been sent is not sent."""
        self._inner.close()
