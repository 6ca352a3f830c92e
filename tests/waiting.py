"""Waiting for a condition, with a limit: the only way a test here waits."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], limit_s: float = 15.0, what: str = "the condition") -> T:
    """The first true value of ``condition``; AssertionError naming ``what`` after ``limit_s``."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {limit_s} s; last seen: {value!r}")
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of loopback that nothing listens on now.

    Below those that the kernel gives to whoever connects (32768 and up): a broker that comes back finds it free.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port among a hundred tried")
