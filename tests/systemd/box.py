"""A box of these tests: a machine with the program, a reader on its line, and race control's broker beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon import Line
from tests.systemd.machine import Machine
from tests.waiting import wait_until

DIALOUT = 20  # Debian's number of the group, the same on every machine

MAT = """\
[mat]
event = "units"
point = "finish"
id = "finish-main"
[[reader]]
protocol = "ipico"
port = "/dev/ttyUSB0"
[gate]
quiet_s = 0.1
[mqtt]
port = {port}
"""


class Box:
    """``line``: what is written there, its reader says."""

    def __init__(self, machine: Machine, line: Line, text: str) -> None:
        self.machine = machine
        self.line = line
        machine.write("/etc/timing-mat/mat.toml", text)

    def configure(self, unit: str, text: str) -> None:
        """A drop-in for a unit, before the boot."""
        self.machine.write(f"/etc/systemd/system/{unit}.d/test.conf", text)

    def seconds_to(self, happened: Callable[[], object], what: str, limit_s: float = 20.0) -> float:
        """From the start of the service's process until then."""
        wait_until(happened, limit_s, what)
        return (
            time.clock_gettime(time.CLOCK_MONOTONIC)
            - int(self.machine.show("timing-mat", "ExecMainStartTimestampMonotonic")) / 1e6
        )

    def says(self, part: str) -> str:
        """What the status says of a part: its word and its sentence."""
        return "{word}: {says}".format(**self.machine.status()["parts"][part])

    def inhibitors(self) -> str:
        """Who keeps this machine from being shut down."""
        return self.machine.run("systemd-inhibit", "--list", "--no-pager", "--no-legend").stdout


@contextmanager
def reader(folder: Path) -> Iterator[tuple[Line, dict[str, str]]]:
    """A line, and what to bind so that a machine has it as /dev/ttyUSB0, as udev would have made it."""
    with Line(folder / "line") as line:
        device = os.path.realpath(line.link)
        os.chown(device, 0, DIALOUT)
        os.chmod(device, 0o660)  # noqa: PTH101 - beside chown
        yield line, {device: "/dev/ttyUSB0"}
