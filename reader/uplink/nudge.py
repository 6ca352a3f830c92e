"""Wakes a thread out of its poll."""

from __future__ import annotations

import os
import threading


class Nudge:
    """A pipe whose reading end, ``fd``, can be polled; given many times before it is taken, it is one."""

    def __init__(self) -> None:
        self.fd, self._giving_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_given = False
        self._lock = threading.Lock()

    def give(self) -> None:
        """From any thread; without effect once closed."""
        with self._lock:
            if not self._is_given and self._giving_fd >= 0:
                self._is_given = True
                os.write(self._giving_fd, b"!")

    def take(self) -> None:
        """Before looking at what it was given for: what comes after is another nudge."""
        with self._lock:
            if self._is_given:
                self._is_given = False
                os.read(self.fd, 1)

    def close(self) -> None:
        """Let go of the pipe; once more is no harm."""
        with self._lock:
            if self._giving_fd >= 0:
                os.close(self.fd)
                os.close(self._giving_fd)
                self.fd = self._giving_fd = -1
