"""What the daemon tells systemd: sd_notify(3), by datagrams to ``$NOTIFY_SOCKET``.

Without the variable, as on a command line, nothing is sent. Nothing here raises or waits: systemd's ear
is worth less than the time of one chip.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notifier:
    """``watchdog_s``: systemd restarts the daemon if it hears no :meth:`watchdog` for so long; None if it doesn't."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        named = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket.
        self._address = "\0" + named[1:] if named.startswith("@") else named
        self.watchdog_s = _watchdog_s(environ)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if named else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def ready(self) -> None:
        """Start-up is done: it records."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def watchdog(self) -> None:
        """Still alive; to be said at least twice in ``watchdog_s``."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """It is ending on purpose."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Nothing is sent any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode(errors="replace"), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """As sd_watchdog_enabled(3) has it: microseconds, and meant for this process."""
    try:
        if int(environ.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return None
        watchdog_us = int(environ["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return None
    return watchdog_us / 1e6 if watchdog_us > 0 else None
