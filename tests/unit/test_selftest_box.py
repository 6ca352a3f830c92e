"""The checks of the box itself, each made to pass, warn, fail and skip."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reader.clocks import ReaderClockLook
from reader.copying.copier import Copier
from reader.journal import JournalView
from reader.messages import Check, Part, Result
from reader.model import NS_PER_S, Mode
from reader.selftest import services
from reader.selftest.bench import Bench
from reader.selftest.clock import judge_reader
from reader.selftest.disk import judge_syncs, sync_times
from reader.selftest.runner import Found, examine, plans_named
from reader.selftest.table import PLANS
from tests.fakes.bench import Panel, Standing, bench_of, config_of
from tests.fakes.box import Box
from tests.fakes.clock import FakeClock
from tests.run import Run
from tests.waiting import wait_until

MS = 1_000_000


def check(name: str, bench: Bench) -> list[Check]:
    return [told.check for told in examine(plans_named([name], PLANS), bench) if isinstance(told, Found)]


def one(name: str, bench: Bench) -> Check:
    (found,) = check(name, bench)
    return found


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(tmp_path / "hardware")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    return box


# ---- the disk --------------------------------------------------------------------------------------------


def pretend(monkeypatch: pytest.MonkeyPatch, *, full: float = 0.1, flags: int = 0) -> None:
    stands = SimpleNamespace(f_bavail=1000 - int(full * 1000), f_blocks=1000, f_frsize=4_000_000, f_flag=flags)
    monkeypatch.setattr(os, "statvfs", lambda _: stands)


@pytest.mark.parametrize(("full", "result"), [(0.79, "pass"), (0.80, "warn"), (0.96, "warn"), (0.97, "fail")])
def test_a_disk_that_fills_up(full: float, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, full=full)
    found = one("disk-free", bench_of(config_of(tmp_path)))
    assert (found.result, found.limit) == (result, "80% full")
    assert found.value == f"{full:.0%} full, {4 * (1000 - int(full * 1000))} MB free"


def test_a_disk_that_is_gone_is_a_failure_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(os, "statvfs", refuse)
    found = one("disk-free", bench_of(config_of(tmp_path)))
    assert (found.result, found.says) == ("fail", f"{tmp_path}: Input/output error")


def test_a_disk_that_became_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_of(config_of(tmp_path))
    assert one("disk-read-only", bench).result == "pass"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert one("disk-read-only", bench).result == "skip"
    pretend(monkeypatch, flags=os.ST_RDONLY)
    assert one("disk-read-only", bench).result == "fail"


@pytest.mark.parametrize(
    ("p99_ms", "result"), [(9, "pass"), (50, "pass"), (51, "warn"), (500, "warn"), (501, "fail"), (4000, "fail")]
)
def test_a_disk_that_stalls_now_and_then(p99_ms: int, result: Result, tmp_path: Path) -> None:
    found = judge_syncs([2 * MS] * 197 + [p99_ms * MS] * 3, tmp_path)
    assert found.result == result
    assert found.value == f"p50 2.0 ms, p99 {p99_ms:.1f} ms over 200"


def test_two_hundred_syncs_are_timed_and_leave_nothing_behind(tmp_path: Path) -> None:
    synced: list[int] = []
    took_ns = sync_times(tmp_path, lambda _: None, synced.append)
    assert len(took_ns) == len(synced) == 200
    assert list(tmp_path.iterdir()) == []
    found = one("disk-sync", bench_of(config_of(tmp_path)))
    assert "over 200" in found.value
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk_is_known_by_fewer_syncs(tmp_path: Path) -> None:
    assert len(sync_times(tmp_path, lambda _: None, lambda _: None, for_s=0)) == 1


def test_a_disk_in_trouble_is_left_alone_and_one_of_others_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = Standing(journal=Part("fail", "the log goes on in memory"))
    assert one("disk-sync", bench_of(config_of(tmp_path), mode="race", status=trouble)).result == "skip"

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert "as the daemon's user" in one("disk-sync", bench_of(config_of(tmp_path))).says


# ---- the journal -----------------------------------------------------------------------------------------


def journal_with(folder: Path, chips: int) -> Path:
    run = Run(folder / "journal.db", FakeClock())
    run.begin_hearing()
    for number in range(chips):
        run.hear((f"{number:04X}", -50))
    run.wait(60)
    run.end()
    return folder / "journal.db"


def test_a_journal_that_is_not_as_it_was_written(tmp_path: Path) -> None:
    bench = bench_of(config_of(tmp_path))
    assert one("journal", bench).result == "skip"
    path = journal_with(tmp_path, 230)  # more than a page
    found = one("journal", bench)
    assert found.result == "pass"
    view = JournalView(path)
    (row,) = view.epochs()
    view.close()
    assert found.value == f"{row.last_seq} entries in 1 epoch"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entry SET body = replace(body, '0007', '0008') WHERE seq = 205")
    connection.close()
    found = one("journal", bench)
    assert (found.result, found.says) == (
        "fail",
        f"{path} is not as it was written: entry 205 of epoch {row.epoch}",
    )


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no journal" * 1000)
    found = one("journal", bench_of(config_of(tmp_path)))
    assert found.result == "fail"
    assert "journal.db" in found.says


@pytest.fixture
def stick() -> Iterator[Path]:
    """On another disk than the journal's."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def test_a_second_copy_that_is_not_there_or_behind(tmp_path: Path, stick: Path) -> None:
    assert one("copy", bench_of(config_of(tmp_path))).result == "skip"
    bench = bench_of(config_of(tmp_path, f'copy = "{stick}"'))
    assert one("copy", bench).says == f"{stick} is there, and there is nothing to copy yet"
    path = journal_with(tmp_path, 600)
    behind = one("copy", bench)
    assert (behind.result, behind.limit) == ("warn", "500 entries")
    copier = Copier(str(stick), path, lambda: path, {"north": "main"})
    copier.start()
    wait_until(lambda: copier.part.word == "ok", what="the copy")
    copier.stop()
    copied = one("copy", bench)
    assert (copied.result, copied.value) == ("pass", "0 entries behind")
    missing = one("copy", bench_of(config_of(tmp_path, f'copy = "{stick}/none"')))
    assert (missing.result, missing.do) == ("warn", "plug a USB stick in")


# ---- the clocks ------------------------------------------------------------------------------------------


def test_a_clock_without_a_source() -> None:
    bench = bench_of(clock=FakeClock(synced=False))
    assert (one("clock-source", bench).result, one("clock-offset", bench).result) == ("warn", "skip")
    assert one("clock-source", bench_of()).value == "ntp"


@pytest.mark.parametrize(
    ("error_ms", "result"), [(None, "skip"), (0.5, "pass"), (20, "pass"), (20.1, "warn"), (100, "warn"), (101, "fail")]
)
def test_a_clock_that_may_be_off(error_ms: float | None, result: Result) -> None:
    clock = FakeClock()
    clock.error_ms = error_ms
    assert one("clock-offset", bench_of(clock=clock)).result == result


@pytest.mark.parametrize(
    ("ahead_s", "is_synced", "result"),
    [
        (0, True, "pass"),
        (-2, True, "pass"),
        (3, True, "warn"),
        (-3600, True, "warn"),
        (-3601, True, "fail"),
        (-3601, False, "warn"),  # it may be the box's that is wrong
        (None, True, "fail"),
    ],
)
def test_a_battery_clock_that_is_off(box: Box, ahead_s: int | None, is_synced: bool, result: Result) -> None:
    clock = FakeClock(synced=is_synced)
    bench = bench_of(clock=clock)
    assert one("rtc", bench).result == "warn"  # there is none
    utc_s = clock.now().utc_ns // NS_PER_S
    box.write("sys/class/rtc/rtc0/since_epoch", "" if ahead_s is None else utc_s + ahead_s)
    found = one("rtc", bench)
    assert found.result == result
    assert ahead_s is None or found.value.startswith(f"{ahead_s:+d} s (")


@pytest.mark.parametrize(
    ("time_from", "ahead_ms", "is_used", "result"),
    [
        ("reader", 0.0, True, "pass"),
        ("reader", -100.0, True, "pass"),
        ("reader", 101.0, True, "warn"),
        ("reader", -501.0, True, "fail"),
        ("reader", None, True, "warn"),
        ("auto", 5000.0, True, "pass"),
        ("auto", None, False, "skip"),
    ],
)
def test_a_reader_whose_clock_is_off(time_from: str, ahead_ms: float | None, is_used: bool, result: Result) -> None:
    look = ReaderClockLook("main", "ipico", None, None, ahead_ms, None, 0, is_used, "so it is")
    found = judge_reader(look, time_from)
    assert (found.name, found.result) == ("reader-clock:main", result)


# ---- what keeps it running -------------------------------------------------------------------------------


class Systemd:
    """A `systemctl` that says what it is told to."""

    def __init__(self, box: Box, folder: Path) -> None:
        self._program = folder / "systemctl"
        (box.folder / "run/systemd/system").mkdir(parents=True)

    def says(self, **properties: object) -> None:
        lines = "".join(f"{name}={value}\n" for name, value in properties.items())
        self.runs(f"print({lines!r}, end='')")

    def runs(self, program: str) -> None:
        self._program.write_text(f"#!{sys.executable}\n{program}\n")
        self._program.chmod(0o755)


@pytest.fixture
def systemd(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    return Systemd(box, tmp_path / "bin")


GOOD = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NRestarts": 0}


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ({}, "pass"),
        ({"LoadState": "not-found"}, "warn"),
        ({"UnitFileState": "disabled"}, "fail"),
        ({"UnitFileState": "enabled-runtime"}, "pass"),
        ({"ActiveState": "failed"}, "warn"),
        ({"NRestarts": 3}, "warn"),
    ],
)
def test_a_unit_that_does_not_start_by_itself(systemd: Systemd, told: dict[str, Any], result: Result) -> None:
    systemd.says(**(GOOD | told))
    assert one("unit", bench_of()).result == result


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ({"LoadState": "loaded", "WatchdogUSec": "1min 30s"}, "pass"),
        ({"LoadState": "loaded", "WatchdogUSec": "0"}, "fail"),
        ({"LoadState": "loaded", "WatchdogUSec": "infinity"}, "fail"),
        ({"LoadState": "not-found", "WatchdogUSec": "0"}, "skip"),
    ],
)
def test_a_unit_without_a_watchdog(systemd: Systemd, told: dict[str, Any], result: Result) -> None:
    systemd.says(**told)
    assert one("watchdog", bench_of()).result == result


def test_what_systemd_has_told_the_daemon_of_its_watchdog(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "90000000")
    found = one("watchdog", bench_of(mode="race", status=Standing("race")))
    assert (found.result, found.value) == ("pass", "90 s")
    assert one("watchdog", bench_of()).result == "skip"  # it was meant for another


def test_a_box_without_systemd(box: Box) -> None:
    assert (one("unit", bench_of()).result, one("watchdog", bench_of()).result) == ("skip", "skip")


@pytest.mark.parametrize(
    ("program", "says"),
    [("import time; time.sleep(30)", "timed out"), ("raise SystemExit('no bus')", "systemd does not answer: no bus")],
)
def test_a_systemctl_that_hangs_or_fails(
    systemd: Systemd, program: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "LIMIT_S", 0.3)
    systemd.runs(program)
    for name in ("unit", "watchdog"):
        found = one(name, bench_of())
        assert (found.result, says in found.says) == ("skip", True)


def test_a_hardware_watchdog_that_nobody_feeds(box: Box, systemd: Systemd) -> None:
    assert one("hardware-watchdog", bench_of()).result == "warn"  # there is none
    place = services.WATCHDOG
    box.write(f"{place}/identity", "Broadcom BCM2835 Watchdog timer")
    box.write(f"{place}/timeout", 15)
    box.write(f"{place}/state", "inactive")
    assert one("hardware-watchdog", bench_of()).result == "warn"
    box.write(f"{place}/state", "active")
    found = one("hardware-watchdog", bench_of())
    assert (found.result, found.value) == ("pass", "Broadcom BCM2835 Watchdog timer, 15 s")
    box.write(f"{place}/state", None)  # a kernel that does not tell
    systemd.says(RuntimeWatchdogUSec="15s")
    assert one("hardware-watchdog", bench_of()).result == "pass"
    systemd.says(RuntimeWatchdogUSec="0")
    assert one("hardware-watchdog", bench_of()).result == "warn"


def test_which_program_and_which_configuration(tmp_path: Path) -> None:
    assert one("version", bench_of()).value.startswith("0.")
    assert one("config", bench_of(config_of(tmp_path))).result == "pass"
    broken = config_of(tmp_path, '[chips]\nbibs = "none.csv"')
    assert one("config", bench_of(broken)).result == "fail"
    last_good = Standing(config=Part("fail", "mat.toml can't be used; the last good file is in force"))
    found = one("config", bench_of(mode="race", status=last_good))
    assert (found.result, "last good" in found.says) == ("fail", True)


# ---- the panel -------------------------------------------------------------------------------------------


def test_a_light_that_nobody_saw() -> None:
    panel = Panel(["ready_led", "fault_led", "buzzer"])
    in_race = check("panel", bench_of(mode="race", lights=panel))
    assert all("not tried in a race" in one.says and one.result == "skip" for one in in_race)
    found = check("panel", bench_of(mode="test", lights=panel, seen={"ready_led": True, "buzzer": False}))
    assert [(one.name, one.result) for one in found] == [
        ("panel:ready_led", "pass"),
        ("panel:fault_led", "skip"),
        ("panel:buzzer", "fail"),
    ]
    assert found[2].says == "the buzzer was not heard"


@pytest.mark.parametrize("mode", [None, "race"])
def test_a_panel_that_is_not_wired_or_can_not_be_used(mode: Mode | None) -> None:
    assert one("panel", bench_of(mode=mode)).result == "skip"
    assert one("panel", bench_of(mode=mode, lights=Panel())).result == "skip"
    trouble = Panel(["ready_led"], "the light ready_led on pin 17 can't be used (busy)")
    assert [one.result for one in check("panel", bench_of(mode=mode, lights=trouble))] == ["fail", "skip"]


@pytest.mark.parametrize(
    ("mode", "lights", "result"),
    [
        ("race", Panel(gun=False), "pass"),
        ("race", Panel(gun=True), "fail"),
        ("race", Panel(gun=None), "fail"),
        (None, None, "skip"),
    ],
)
def test_a_gun_that_is_closed_before_the_start(
    mode: Mode | None, lights: Panel | None, result: Result, tmp_path: Path
) -> None:
    wired = config_of(tmp_path, "[panel]\ngun = 5")
    assert one("gun-input", bench_of(wired, mode=mode, lights=lights)).result == result
    assert one("gun-input", bench_of(config_of(tmp_path), mode=mode, lights=lights)).result == "skip"
