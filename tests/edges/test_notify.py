"""What systemd hears, at a real datagram socket."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from reader.box.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = str(tmp_path / "notify") if request.param == "path" else f"@timing-mat-{uuid.uuid4()}"
        listener.bind(name.replace("@", "\0", 1))
        listener.settimeout(5)
        yield listener, name


def test_every_word_is_one_datagram(ear: tuple[socket.socket, str]) -> None:
    listener, name = ear
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.status("recording, 3 chips\nREADY=0")
    notifier.watchdog()
    notifier.stopping()
    assert [listener.recv(4096) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=recording, 3 chips READY=0",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]
    notifier.close()
    notifier.ready()
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(4096)


def test_a_full_ear_is_not_waited_for(ear: tuple[socket.socket, str]) -> None:
    listener, name = ear
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(10_000):
        notifier.watchdog()
    notifier.close()
    assert listener.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "@", "relative", "/" + "x" * 300, "vsock:2:1"])
def test_nobody_there_is_no_fault(name: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.status("\ud800")
    notifier.stopping()
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "90000000"}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": str(os.getpid())}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_known(environ: dict[str, str], expected: float | None) -> None:
    assert Notifier(environ).watchdog_s == expected
