"""What a crew writes on the boot partition is in force after a start of the box, and its secrets are nobody's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import Line
from tests.secured import SecuredMosquitto, issue_to_broker, make_authority, password_of
from tests.systemd.box import MAT, Box, reader
from tests.systemd.machine import Machine
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.systemd]

BOOT = "/boot/firmware/timing-mat.toml"
SECRETS = "/boot/firmware/timing-mat-secrets"
CREDENTIALS = "/etc/timing-mat/credentials"
PASSWORD = password_of("finish-main")


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SecuredMosquitto]:
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    make_authority(certificates)
    issue_to_broker(certificates, "IP:127.0.0.1")
    with SecuredMosquitto(certificates) as broker:
        yield broker


@pytest.fixture
def blank(machine: Callable[..., Machine], tmp_path: Path) -> Iterator[tuple[Machine, Line]]:
    """A machine with a reader and without a configuration."""
    with reader(tmp_path) as (line, binds):
        yield machine(binds), line


def test_a_password_and_a_certificate_from_a_laptop_reach_the_broker_and_leave_the_card(
    blank: tuple[Machine, Line], secured: SecuredMosquitto
) -> None:
    machine, _ = blank
    account = f'username = "finish-main"\npassword = "{PASSWORD}"  # of the race\nca_file = "ca.pem"\n'
    text = "\ufeff" + f"{MAT.format(port=secured.port)}{account}".replace("\n", "\r\n")
    machine.write(BOOT, text)
    machine.write(f"{SECRETS}/ca.pem", (secured.certificates / "ca.pem").read_bytes())
    assert machine.boot() == "running"
    assert machine.wait_for_recording()["parts"]["config"]["says"] == f"{BOOT} is in force"
    wait_until(lambda: machine.status()["parts"]["broker"]["word"] == "ok", 20, "the broker")
    assert PASSWORD not in machine.path(BOOT).read_text()
    assert machine.path(BOOT).read_bytes().decode() == text.replace(
        f'password = "{PASSWORD}"', 'password_file = "mqtt-password"'
    )
    assert not machine.path(SECRETS).exists()
    assert machine.path(f"{CREDENTIALS}/mqtt-password").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in machine.log()
    # The next start has nothing to do, and all is as it was.
    assert machine.reboot() == "running"
    machine.wait_for_recording()
    wait_until(lambda: machine.status()["parts"]["broker"]["word"] == "ok", 20, "the broker again")


def test_a_broken_file_there_is_left_as_it_is_and_timing_starts(blank: tuple[Machine, Line]) -> None:
    machine, _ = blank
    text = f'[mat\npassword = "{PASSWORD}"\n'
    machine.write(BOOT, text)
    assert machine.boot() == "running"
    assert "is left as it is: timing-mat config check" in machine.log("timing-mat-import.service")
    assert machine.path(BOOT).read_text() == text
    wait_until(lambda: "no file was ever good" in machine.status()["parts"]["config"]["says"], 20, "the word")
    assert PASSWORD not in machine.log()


def test_a_card_that_can_not_be_written_keeps_no_mat_from_starting(blank: tuple[Machine, Line]) -> None:
    machine, line = blank
    box = Box(machine, line, MAT.format(port=1883))
    machine.write(f"{SECRETS}/ca.pem", "x")
    machine.write(
        "/etc/systemd/system/timing-mat-import.service.d/test.conf", "[Service]\nReadOnlyPaths=/boot/firmware\n"
    )
    assert machine.boot() == "degraded"
    assert "Read-only file system; the secrets stay where they are" in machine.log("timing-mat-import.service")
    assert machine.path(f"{SECRETS}/ca.pem").read_text() == "x"
    machine.wait_for_recording()
    assert box.says("config").startswith("ok")


def test_a_secret_that_can_not_be_moved_costs_neither_the_name_nor_the_reader_of_the_mat(
    blank: tuple[Machine, Line],
) -> None:
    machine, _ = blank
    machine.write(BOOT, f'{MAT.format(port=1883)}username = "finish-main"\npassword = "{PASSWORD}"\n')
    machine.write(
        "/etc/systemd/system/timing-mat-import.service.d/test.conf", "[Service]\nReadOnlyPaths=/boot/firmware\n"
    )
    assert machine.boot() == "degraded"
    config = machine.wait_for_recording()["parts"]["config"]
    assert config["word"] == "fail"
    assert config["says"].endswith("all else in it is in force")
    assert "timing units/finish/finish-main" in machine.log("timing-mat")
    assert PASSWORD not in machine.log()


@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
def test_without_secrets_it_starts(box: Box, *, is_there: bool) -> None:
    if not is_there:
        box.machine.path(CREDENTIALS).rmdir()
        box.machine.path("/etc/tmpfiles.d/timing-mat.conf").unlink()
    assert box.machine.boot() == "running"
    assert box.machine.path(CREDENTIALS).exists() is is_there
    box.machine.wait_for_recording()
    wait_until(lambda: box.says("broker").startswith("ok"), 20, "the broker")
