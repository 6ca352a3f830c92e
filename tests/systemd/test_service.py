"""The daemon as a service: it is up at once, comes back whatever befalls it, and is nobody else's box."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import message
from tests.system.crossing import cross
from tests.systemd.box import MAT, Box, reader
from tests.systemd.machine import Machine, threads_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.systemd]

RESUMES_S = 10.0
CHIPS = [f"0580000000{number:02x}" for number in range(16)]
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
IMPATIENT = "[Service]\nWatchdogSec=2\n"


def records(box: Box) -> bool:
    """Whether it records, in mode race."""
    status = box.machine.status()
    return bool(status["recording"] and status["mode"] == "race")


def wait_for_another(box: Box, pid: int) -> float:
    """Until another daemon records than that one; seconds from its start."""
    wait_until(lambda: box.machine.pid_of() not in (0, pid), 40, "another daemon")
    return box.seconds_to(lambda: records(box), "recording again")


def test_it_says_when_it_is_ready_and_records_at_once(box: Box) -> None:
    assert box.machine.boot() == "running"
    took_s = box.seconds_to(lambda: records(box), "recording")
    assert took_s < RESUMES_S
    assert box.machine.show("timing-mat", "ActiveState") == "active"
    cross(box.line, CHIPS[:3])
    wait_until(lambda: box.machine.status()["counts"]["splits"] == 3, 10, "three splits")
    print(f"recording {took_s:.2f} s after the unit's start")


def test_without_a_network_it_times(machine: Callable[..., Machine], tmp_path: Path) -> None:
    with reader(tmp_path) as (line, binds):
        box = Box(machine(binds, has_network=False), line, MAT.format(port=1883))
        assert box.machine.boot() == "running"
        assert box.seconds_to(lambda: records(box), "recording") < RESUMES_S


def test_after_a_reboot_it_records_again_in_race_and_goes_on_in_its_log(box: Box, mosquitto: Mosquitto) -> None:
    with Subscriber(mosquitto.port, "timing/units/#") as subscriber:
        box.machine.boot()
        box.machine.wait_for_recording()
        cross(box.line, CHIPS[:2])
        subscriber.wait_for("/split", 2)
        assert box.machine.ask({"do": "release", "by": "anna"})["ok"]
        assert box.machine.reboot() == "running"
        took_s = box.seconds_to(lambda: records(box), "recording after the reboot")
        cross(box.line, CHIPS[2:4])
        splits = [message(one.payload) for one in subscriber.wait_for("/split", 4)]
    assert took_s < RESUMES_S
    assert len({split["epoch"] for split in splits}) == 1
    assert [split["mode"] for split in splits][-2:] == ["race", "race"]
    seqs = [split["seq"] for split in splits]
    assert seqs == sorted(set(seqs))
    print(f"recording {took_s:.2f} s after the unit's start, after a reboot")


def test_after_kill_9_it_records_again(box: Box) -> None:
    box.machine.boot()
    epoch = box.machine.wait_for_recording()["epoch"]
    pid = box.machine.pid_of()
    os.kill(pid, signal.SIGKILL)
    took_s = wait_for_another(box, pid)
    assert took_s < RESUMES_S
    assert box.machine.show("timing-mat", "NRestarts") == "1"
    assert box.machine.status()["epoch"] == epoch
    print(f"recording {took_s:.2f} s after the unit's start, after kill -9")


def test_killed_a_dozen_times_in_a_row_it_still_comes_back(box: Box) -> None:
    box.configure("timing-mat.service", "[Service]\nRestartSec=0\n")
    box.machine.boot()
    for _ in range(12):  # systemd gives up after five in ten seconds, unless told otherwise
        pid = wait_until(box.machine.pid_of, 20, "a daemon")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: box.machine.pid_of() not in (0, pid), 20, "another daemon")  # type: ignore[misc] # mypy can't tell a default's type
    box.machine.wait_for_recording()


def test_a_daemon_that_hangs_is_killed_and_the_next_one_records(box: Box) -> None:
    box.configure("timing-mat.service", IMPATIENT)
    box.machine.boot()
    box.machine.wait_for_recording()
    pid = box.machine.pid_of()
    os.kill(pid, signal.SIGSTOP)
    wait_for_another(box, pid)
    assert "Watchdog timeout" in box.machine.log("timing-mat.service")


def test_threads_that_hang_are_seen_by_the_one_that_does_not(box: Box) -> None:
    """All but the main thread are held: it goes on, says that it does not record, and lets the watchdog come."""
    box.configure("timing-mat.service", IMPATIENT)
    box.machine.boot()
    box.machine.wait_for_recording()
    pid = box.machine.pid_of()
    libc = ctypes.CDLL(None, use_errno=True)
    held = [thread for thread in threads_of(pid) if thread != pid]
    for thread in held:
        assert libc.ptrace(PTRACE_SEIZE, thread, None, None) == 0
        assert libc.ptrace(PTRACE_INTERRUPT, thread, None, None) == 0
    # Killed, they are there until whoever holds them has looked.
    wait_until(lambda: any(_is_killed(thread) for thread in held), 40, "the watchdog")
    wait_until(lambda: all(_is_killed(thread) for thread in held), 5, "the end of all of them")
    wait_for_another(box, pid)
    assert "Watchdog timeout" in box.machine.log("timing-mat.service")


def test_a_mistake_in_the_file_leaves_the_last_good_one_in_force(box: Box) -> None:
    box.machine.boot()
    box.machine.wait_for_recording()
    box.machine.write("/etc/timing-mat/mat.toml", "[mat\nevent = ")
    assert box.machine.reboot() == "running"
    status = box.machine.wait_for_recording()
    assert status["parts"]["config"]["word"] == "fail"
    assert "the last good file is in force" in status["parts"]["config"]["says"]


def test_with_a_file_that_never_was_good_it_is_up_and_says_so(box: Box) -> None:
    box.machine.write("/etc/timing-mat/mat.toml", "[mat\nevent = ")
    assert box.machine.boot() == "running"
    wait_until(lambda: "no file was ever good" in box.says("config"), 20, "the word about the file")


def test_a_copied_card_in_another_box_is_another_box(
    machine: Callable[..., Machine], installed: list[Path], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    def one_of(made: Machine, serial: str) -> tuple[str, str]:
        made.write("/serial", f"{serial}\0")
        made.boot()
        status = made.wait_for_recording()
        return status["box"], status["epoch"]

    environment = "[Service]\nEnvironment=TIMING_MAT_SERIAL_FILE=/serial\n"
    with reader(tmp_path) as (line, binds):
        first = Box(machine(binds), line, MAT.format(port=mosquitto.port))
        first.configure("timing-mat.service", environment)
        one = one_of(first.machine, "10000000a1b2c3d4")
        cross(line, CHIPS[:1])
        first.machine.poweroff()
        shutil.copytree(tmp_path / "mat/upper", tmp_path / "card", symlinks=True, ignore=_specials)
        with Machine(tmp_path / "clone", [tmp_path / "card", *installed], binds=binds) as clone:
            clone.run_alone("chown", "-R", "timing-mat:timing-mat", "/var/lib/timing-mat")
            another = one_of(clone, "10000000ffffffff")
            assert "aside" in clone.run("ls", "/var/lib/timing-mat").stdout
            clone.poweroff()
        again = one_of(first.machine, "10000000a1b2c3d4")
    assert one[0] == "10000000a1b2c3d4"
    assert again == one
    assert another[0] == "10000000ffffffff"
    assert another[1] != one[1]


def _is_killed(thread: int) -> bool:
    try:
        _, status = os.waitpid(thread, os.WNOHANG | WALL)
    except ChildProcessError:
        return True
    return os.WIFSIGNALED(status)


def _specials(folder: str, names: list[str]) -> list[str]:
    """What an overlay keeps where something was removed: devices, which copytree can't copy."""
    return [name for name in names if (Path(folder) / name).is_char_device()]
