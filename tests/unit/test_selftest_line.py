"""The self-test's checks of the serial lines, each made to pass, warn, fail and skip by a made-up box."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reader.box.hardware import VARIABLE
from reader.line.auto import Place
from reader.selftest import line as line_module
from reader.selftest.holders import holders_of
from reader.selftest.standing import LINES
from tests.daemon import Line
from tests.fakes.links import HEARS, LOOKED_FOR, FakeLinks, bench_with, finding

BY_ID = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
PORT_CHECKS = ("serial-device", "serial-permissions", "serial-holder", "latency-timer")


class Box:
    """A folder that stands for the root of a box with one USB adapter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.device = self.write("dev/ttyUSB0", "")
        self.process(1, "systemd")

    def write(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def link(self, path: str, to: Path) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(to)

    def process(self, pid: int, name: str, *opened: Path) -> None:
        self.write(f"proc/{pid}/comm", f"{name}\n")
        self.link(f"proc/{pid}/fd/0", Path("/dev/null"))
        for number, path in enumerate(opened, 3):
            self.link(f"proc/{pid}/fd/{number}", path)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setattr(line_module, "find_ports", lambda: ["/dev/serial/by-id/other"])
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # those of pytest are closed to all others
        monkeypatch.setenv(VARIABLE, folder)
        yield Box(Path(folder))


def found_at(port: str) -> FakeLinks:
    return FakeLinks(HEARS._replace(found=Place(port, "thingmagic", 115200)))


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, where the tests have them: root may open everything."""
    if os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


# ---- the device ------------------------------------------------------------------------------------------


def test_a_device_by_a_name_that_stays_passes(box: Box) -> None:
    box.link(f"dev/serial/by-id/{BY_ID}", box.device)
    found = finding("serial-device", bench_with(FakeLinks(HEARS), port=f"/dev/serial/by-id/{BY_ID}"))
    assert (found.name, found.result) == ("serial-device:main", "pass")
    assert found.value == f"/dev/serial/by-id/{BY_ID}"
    # And the pins of a Pi, whose number nothing changes.
    box.write("dev/ttyAMA0", "")
    assert finding("serial-device", bench_with(FakeLinks(HEARS), port="/dev/ttyAMA0")).result == "pass"


def test_a_number_that_may_change_is_warned_of_with_the_name_that_stays(box: Box) -> None:
    found = finding("serial-device", bench_with(FakeLinks(HEARS)))
    assert found.result == "warn"
    assert "another number" in found.says
    assert "/dev/serial/by-id or /dev/timing-mat" in found.do
    box.link(f"dev/serial/by-id/{BY_ID}", box.device)
    found = finding("serial-device", bench_with(FakeLinks(HEARS)))
    assert found.do == f'set port = "/dev/serial/by-id/{BY_ID}" in mat.toml'
    # One that is looked for is found again whatever its number.
    assert finding("serial-device", bench_with(found_at("/dev/ttyUSB0"), port="auto")).result == "pass"


def test_a_device_that_is_not_there_fails_and_the_others_are_named(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    found = finding("serial-device", bench_with(FakeLinks(HEARS), port="/dev/ttyUSB7"))
    assert found.result == "fail"
    assert found.says == "/dev/ttyUSB7 is not there, there is /dev/serial/by-id/other"
    assert "`port`" in found.do
    monkeypatch.setattr(line_module, "find_ports", list)
    found = finding("serial-device", bench_with(FakeLinks(HEARS), port="/dev/ttyUSB7"))
    assert found.says == "/dev/ttyUSB7 is not there, nor is any other serial device"
    assert found.do == "plug the reader in"
    for name in PORT_CHECKS[1:]:
        assert finding(name, bench_with(FakeLinks(HEARS), port="/dev/ttyUSB7")).result == "skip"


def test_a_reader_that_is_still_looked_for(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "find_ports", lambda: ["/dev/ttyUSB0", "/dev/ttyUSB1"])
    for name in PORT_CHECKS:
        found = finding(name, bench_with(FakeLinks(LOOKED_FOR), protocol="auto", port="auto"))
        assert found.result == "skip"
    monkeypatch.setattr(line_module, "find_ports", lambda: ["/dev/ttyUSB0"])
    found = finding("serial-device", bench_with(FakeLinks(LOOKED_FOR), protocol="auto", port="auto"))
    assert (found.result, found.value) == ("pass", "/dev/ttyUSB0")
    monkeypatch.setattr(line_module, "find_ports", list)
    found = finding("serial-device", bench_with(FakeLinks(LOOKED_FOR), protocol="auto", port="auto"))
    assert (found.result, found.do) == ("fail", "plug the reader in")


def test_a_line_over_the_network_is_no_device(box: Box) -> None:
    for name in PORT_CHECKS:
        found = finding(name, bench_with(FakeLinks(HEARS), port="socket://10.0.0.5:10000"))
        assert found.result == "skip"
        assert "over the network" in found.says


def test_ports_are_looked_at_though_the_lines_are_not_opened_and_nothing_else_is(box: Box) -> None:
    missing = {LINES: "not opened"}
    assert finding("serial-device", bench_with(FakeLinks(HEARS), missing=missing)).result == "warn"
    found = finding("baud", bench_with(FakeLinks(HEARS), missing=missing))
    assert (found.result, found.says) == ("skip", "not opened")


# ---- permissions ---------------------------------------------------------------------------------------------


def test_who_may_open_the_device(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.device.chmod(0o660)
    found = finding("serial-permissions", bench_with(FakeLinks(HEARS)))
    assert found.result == "pass"
    assert found.value.endswith(" 660")
    box.device.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = finding("serial-permissions", bench_with(FakeLinks(HEARS)))
    assert found.result == "warn"
    assert "a service with a user of its own may not" in found.says


def test_who_may_not_is_told_the_group_to_join_or_that_rules_are_missing(box: Box) -> None:
    box.device.chmod(0o060)
    bench = bench_with(FakeLinks(HEARS))
    with nobody():
        found = finding("serial-permissions", bench)
    assert found.result == "fail"
    assert "may not open /dev/ttyUSB0" in found.says
    assert found.do.startswith("sudo adduser ")
    box.device.chmod(0o000)
    with nobody():
        assert "systemd/install" in finding("serial-permissions", bench).do


# ---- holders -------------------------------------------------------------------------------------------------


def test_who_else_has_the_device_open(box: Box) -> None:
    box.process(7, "bash")
    box.process(os.getpid(), "timing-mat", box.device)  # ourselves
    found = finding("serial-holder", bench_with(FakeLinks(HEARS)))
    assert (found.result, found.value) == ("pass", "")
    box.process(9, "ModemManager")
    found = finding("serial-holder", bench_with(FakeLinks(HEARS)))
    assert (found.result, found.value) == ("warn", "ModemManager")
    box.process(4711, "minicom", box.device)
    found = finding("serial-holder", bench_with(FakeLinks(HEARS)))
    assert (found.result, found.value) == ("fail", "minicom (pid 4711)")


def test_what_may_not_be_looked_into_is_said(box: Box) -> None:
    box.process(7, "secret")
    fds = box.root / "proc/7/fd"
    fds.chmod(0)
    try:
        with nobody():
            found = holders_of(box.device)
            says = finding("serial-holder", bench_with(FakeLinks(HEARS))).says
    finally:
        fds.chmod(0o755)
    assert (found.names, found.unseen) == ((), 1)
    assert "as far as can be seen: 1 program of other users" in says


def test_a_service_that_does_not_see_the_others_says_so(box: Box) -> None:
    assert "as far as" not in finding("serial-holder", bench_with(FakeLinks(HEARS))).says
    (box.root / "proc/1").rename(box.root / "proc/hidden")
    found = finding("serial-holder", bench_with(FakeLinks(HEARS)))
    assert found.result == "pass"
    assert "as far as can be seen: the programs of other users" in found.says


def test_another_program_is_found_on_a_real_line(tmp_path: Path) -> None:
    with Line(tmp_path / "line") as line:
        bench = bench_with(FakeLinks(HEARS), port=str(line.link))
        assert finding("serial-holder", bench).result == "pass"
        program = "import sys; line = open(sys.argv[1], 'rb', 0); print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", program, str(line.link)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            found = finding("serial-holder", bench)
            other.communicate()
        assert found.result == "fail"
        assert f"(pid {other.pid})" in found.value
        assert finding("serial-holder", bench).result == "pass"


# ---- latency, garbage ----------------------------------------------------------------------------------------


def test_the_latency_timer_of_an_adapter(box: Box) -> None:
    assert finding("latency-timer", bench_with(FakeLinks(HEARS))).result == "skip"
    timer = "sys/class/tty/ttyUSB0/device/latency_timer"
    for text, result in (("1\n", "pass"), ("16\n", "warn"), ("many\n", "skip")):
        box.write(timer, text)
        found = finding("latency-timer", bench_with(FakeLinks(HEARS)))
        assert found.result == result
        if result != "skip":
            assert (found.value, found.limit) == (f"{text.strip()} ms", "1 ms")


@pytest.mark.parametrize(
    ("bytes_read", "rejected_bytes", "result", "value"),
    [
        (0, 0, "skip", ""),
        (40, 0, "pass", "0 %"),
        (100_000, 99, "pass", "0.099 %"),
        (100_000, 100, "warn", "0.1 %"),
        (1000, 49, "warn", "4.9 %"),
        (1000, 50, "fail", "5 %"),
        (1000, 1000, "fail", "100 %"),
    ],
)
def test_garbage(bytes_read: int, rejected_bytes: int, result: str, value: str) -> None:
    links = FakeLinks(HEARS._replace(bytes_read=bytes_read, rejected_bytes=rejected_bytes))
    found = finding("baud", bench_with(links))
    assert (found.result, found.value) == (result, value)
    if result == "fail":
        assert "`baud`" in found.do
