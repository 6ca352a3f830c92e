"""A broker as a process of the test's own: free ports of loopback, a folder of its own, ended by its own number."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import free_port, wait_until

START_LIMIT_S = 60.0


class Server(ABC):
    """What all have in common; it can be killed, and comes back on the same port with what its disk has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What starts it, in the foreground."""

    def environment(self) -> dict[str, str]:
        """What it is told besides."""
        return {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def output(self) -> str:
        """What it has said so far."""
        return (self.folder / "output").read_text(errors="replace")

    def start(self) -> None:
        """Begin, and wait until it takes a client."""
        self.begin()
        self.wait_for_mqtt()

    def begin(self) -> None:
        """Begin, and wait for nothing."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(word) for word in self.command()],
                cwd=self.folder,
                env=os.environ | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def wait_for_mqtt(self) -> None:
        """Until it takes a client."""
        wait_until(self._is_ready, START_LIMIT_S, f"{self.name} on port {self.port}")

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """kill -9: no chance to say or save anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """It is there and does nothing more, as a machine that hangs: connections stay, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def restart(self) -> None:
        """Kill it and begin again, on the same port."""
        self.kill()
        self.start()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended with {self._process.returncode}: {self.output}"
        return self._takes_a_client()

    def _takes_a_client(self) -> bool:
        return takes_a_client(self.host, self.port)


def takes_a_client(host: str, port: int) -> bool:
    """Whether an MQTT 3.1.1 broker that takes everybody answers there."""
    name = f"probe-{secrets.token_hex(4)}".encode()
    connect = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(name).to_bytes(2, "big") + name
    try:
        with socket.create_connection((host, port), timeout=2) as probe:
            probe.sendall(bytes([0x10, len(connect)]) + connect)
            answer = probe.recv(4)
            probe.sendall(b"\xe0\x00")
    except OSError:
        return False
    return answer == b"\x20\x02\x00\x00"
