"""Guns and markers: the real daemon, told over its control socket, tells race control."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.daemon import COMMAND, Daemon, Line
from tests.run import told
from tests.waiting import wait_until

MAT = """
[mat]
event = "race"
point = "start"
id = "start-main"
[[reader]]
protocol = "ipico"
port = "{port}"
baud = 115200
[mqtt]
port = 1
"""


def run(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command, as typed."""
    return subprocess.run(
        [COMMAND, *arguments, "--config", str(daemon.config)], capture_output=True, text=True, timeout=30, check=False
    )


def test_every_gun_and_marker_is_an_entry_of_its_own(tmp_path: Path) -> None:
    link = tmp_path / "reader"
    with Line(link), Daemon(tmp_path, MAT.format(port=link)) as daemon:
        assert run(daemon, "gun", "wheelchairs").returncode == 0
        assert run(daemon, "gun", "elites").stdout.startswith("gun elites: 20")
        assert run(daemon, "mark", "lead car").stdout.startswith("marked: 20")
        wait_until(lambda: len(told(daemon.journal).markers) == 1, 10, "the marker")
        refused = run(daemon, "gun", "elites", "--at", "noon")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "expected a time with its zone" in refused.stderr
        bodies = told(daemon.journal)
        assert [(gun.n, gun.name, gun.source, gun.rev) for gun in bodies.guns] == [
            (1, "wheelchairs", "command", 1),
            (2, "elites", "command", 1),
        ]
        [marker] = bodies.markers
        assert (marker.n, marker.text, marker.source) == (1, "lead car", "command")
        assert marker.of.endswith("-1")
        # A restart goes on counting.
        daemon.stop()
        daemon.start()
        assert run(daemon, "gun", "wave 2").returncode == 0
        wait_until(lambda: [gun.n for gun in told(daemon.journal).guns] == [1, 2, 3], 10, "the third gun")
