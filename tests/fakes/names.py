"""Name servers that do not answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def dead_name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The system asks them on and on, for numbers it need not. Which names it was asked for."""
    asked: list[str] = []
    over = threading.Event()
    really = socket.getaddrinfo

    def look_up(host: str, port: int, family: int, kind: int, protocol: int, flags: int) -> Any:
        if flags & socket.AI_NUMERICHOST:
            return really(host, port, family, kind, protocol, flags)
        asked.append(host)
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "at last")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        yield asked
    finally:
        over.set()
