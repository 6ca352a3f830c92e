"""The lesser units: the inhibitor, the self-test at boot, sticks, the page, the rules."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import message
from tests.systemd.box import Box
from tests.systemd.machine import Machine
from tests.systemd.root import SYSTEMD
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.systemd]

MAT = "/opt/timing-mat/bin/timing-mat"
AS_ANYBODY = ("setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups")


def test_while_it_races_nobody_but_root_shuts_it_down_until_it_is_released(box: Box) -> None:
    machine = box.machine
    machine.boot()
    wait_until(lambda: "timing-mat release --by NAME" in box.inhibitors(), 10, "the inhibitor")
    assert "shutdown:sleep" in box.inhibitors()
    refused = machine.run(*AS_ANYBODY, "systemctl", "poweroff", "--check-inhibitors=yes", check=False)
    assert refused.returncode != 0
    assert "timing-mat" in refused.stderr
    machine.run(MAT, "release", "--by", "anna")
    wait_until(lambda: box.inhibitors() == "", 10, "its end")
    machine.run(MAT, "mode", "race")
    wait_until(lambda: "timing-mat" in box.inhibitors(), 10, "the inhibitor again")
    # It says nothing of a daemon that is gone.
    machine.run("systemctl", "stop", "timing-mat")
    wait_until(lambda: box.inhibitors() == "", 10, "its end")
    assert machine.run("systemctl", "is-system-running").stdout == "running\n"


def test_a_daemon_that_dies_in_race_leaves_the_inhibitor(box: Box) -> None:
    box.machine.boot()
    wait_until(lambda: "timing-mat" in box.inhibitors(), 10, "the inhibitor")
    box.machine.run("systemctl", "kill", "--signal=KILL", "timing-mat")
    box.machine.wait_for_recording()
    assert "timing-mat" in box.inhibitors()
    assert box.machine.log("timing-mat-inhibit.service").count("Started") == 1


def test_a_self_test_is_made_after_the_start_and_told(box: Box, mosquitto: Mosquitto) -> None:
    machine = box.machine
    machine.write("/etc/systemd/system/timing-mat-selftest.timer.d/test.conf", "[Timer]\nOnBootSec=\nOnActiveSec=1\n")
    with Subscriber(mosquitto.port, "timing/units/#") as subscriber:
        machine.boot()
        machine.wait_for_recording()
        (report,) = subscriber.wait_for("/selftest", 1, 60)
    assert message(report.payload)["checks"]
    wait_until(lambda: machine.show("timing-mat-selftest", "ActiveState") == "inactive", 30, "its end")
    assert machine.show("timing-mat-selftest", "Result") == "success"
    assert machine.wait_until_booted() == "running"


def test_the_group_talks_to_the_daemon_and_nobody_else_does(box: Box) -> None:
    box.machine.boot()
    box.machine.wait_for_recording()
    status = (MAT, "status", "--socket", "/run/timing-mat/control.sock")
    box.machine.run("setpriv", "--reuid=daemon", "--regid=timing-mat", "--clear-groups", *status)
    refused = box.machine.run(*AS_ANYBODY, *status, check=False)
    assert refused.returncode == 1
    assert "only members of its group" in refused.stderr


def test_without_the_page_its_unit_is_no_failure(machine: Callable[..., Machine]) -> None:
    made = machine()
    assert made.boot() == "running"
    made.run("systemctl", "start", "timing-mat-web")
    assert made.show("timing-mat-web", "ConditionResult") == "no"


def test_udev_reads_every_rule(machine: Callable[..., Machine]) -> None:
    made = machine()
    made.boot()
    said = made.run("udevadm", "test", "--action=add", "/sys/class/tty/tty", check=False).stderr
    assert "Reading rules file: /etc/udev/rules.d/99-timing-mat.rules" in said
    assert [line for line in said.splitlines() if "timing-mat" in line and "Reading rules file" not in line] == []


def test_a_stick_is_mounted_for_the_daemon(machine: Callable[..., Machine], tmp_path: Path) -> None:
    """A file system with owners; a stick of a camera's kind this kernel may not know."""
    image = tmp_path / "stick"
    with image.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    device = subprocess.run(["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True)
    loop = device.stdout.strip()
    name = Path(loop).name
    try:
        made = machine({loop: loop})
        # A container has no udev, and so no units of devices.
        unit = (SYSTEMD / "timing-mat-stick@.service").read_text()
        made.write(
            "/etc/systemd/system/timing-mat-stick@.service",
            "\n".join(line for line in unit.splitlines() if "dev-%i.device" not in line),
        )
        made.boot()
        made.run("systemctl", "start", f"timing-mat-stick@{name}")
        options = made.run("findmnt", "--noheadings", "--output=OPTIONS", f"/media/timing-mat/{name}").stdout
        assert {"rw", "noatime", "nosuid", "nodev", "noexec"} <= set(options.strip().split(","))
        owner = made.run("stat", "--format=%U %a", f"/media/timing-mat/{name}/timing-mat").stdout
        assert owner == "timing-mat 750\n"
        made.run("systemctl", "stop", f"timing-mat-stick@{name}")
        assert made.run("ls", "/media/timing-mat").stdout == ""
        made.poweroff()
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)
