"""The machines that these tests stand on are what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.systemd.machine import Machine

pytestmark = [pytest.mark.long, pytest.mark.systemd]


def test_a_fresh_debian_boots_takes_commands_reboots_and_goes_off(plain: list[Path], tmp_path: Path) -> None:
    with Machine(tmp_path / "mat", plain) as machine:
        machine.write("/etc/motto", "slow is smooth")
        assert machine.boot() == "running"
        assert machine.run("cat", "/etc/motto").stdout == "slow is smooth"
        assert machine.run("cat", "/proc/1/comm").stdout == "systemd\n"
        first = machine.run("cat", "/etc/machine-id").stdout
        assert machine.reboot() == "running"
        assert machine.run("cat", "/etc/machine-id").stdout == first
        machine.poweroff()
    assert not list(tmp_path.glob("mat/root/*"))


def test_the_program_is_installed_without_a_network(machine: Callable[..., Machine]) -> None:
    assert "timing-mat" in machine().run_alone("/opt/timing-mat/bin/timing-mat", "--help")
