"""What the daemon needs it can do in its sandbox, and not much besides; asked of the sandbox itself."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.system.crossing import cross
from tests.systemd.box import DIALOUT, MAT, Box
from tests.systemd.machine import Machine, threads_of
from tests.systemd.root import SYSTEMD
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.systemd]

PROBE = """\
import ctypes, errno, json, os, pathlib, time

def outcome(do, *arguments):
    try:
        do(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def opened(path):
    os.close(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))

def adjtimex():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.create_string_buffer(512)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")

def written(path):
    pathlib.Path(path).write_text("x")
    pathlib.Path(path).unlink()

def clock_set():
    time.clock_settime(time.CLOCK_REALTIME, time.time())

print(json.dumps({
    **{path: outcome(opened, path) for path in DEVICES},
    "adjtimex": outcome(adjtimex),
    "clock_set": outcome(clock_set),
    **{path: outcome(written, path + "/probe") for path in FOLDERS},
    "boot_id": outcome(lambda: open("/proc/sys/kernel/random/boot_id").read()),
    "power_supply": outcome(lambda: os.listdir("/sys/class/power_supply")),
    "boot": outcome(lambda: open("/boot/firmware/config.txt").read()),
    "credentials": outcome(lambda: os.listdir("/etc/timing-mat/credentials")),
    "shadow": outcome(lambda: open("/etc/shadow").read()),
}))
"""
DEVICES = {"ttyUSB9": (188, 9), "ttyACM9": (166, 9), "ttyAMA9": (204, 73), "ttyS99": (4, 163), "ppp": (108, 0)}
OPEN = ["/dev/shm", "/run/timing-mat", "/var/lib/timing-mat", "/media/timing-mat/sda1", "/mnt"]
SHUT = ["/etc", "/opt", "/boot/firmware", "/usr", "/home"]


def sandboxed(command: str, output: str) -> str:
    """A unit that runs a command in the sandbox of the daemon's unit."""
    text = (SYSTEMD / "timing-mat.service").read_text()
    text = re.sub(r"(?m)^(Type|Restart|WatchdogSec|Wants|After|WantedBy)=.*\n", "", text)
    return re.sub(r"(?m)^ExecStart=.*$", f"Type=oneshot\nExecStart={command}\nStandardOutput=file:{output}", text)


def test_the_sandbox_lets_through_what_timing_needs_and_nothing_else(
    machine: Callable[..., Machine], tmp_path: Path
) -> None:
    binds = {}
    for name, (major, minor) in DEVICES.items():
        node = tmp_path / name
        os.mknod(node, stat.S_IFCHR | 0o660, os.makedev(major, minor))
        os.chown(node, 0, DIALOUT)
        node.chmod(0o660)
        binds[str(node)] = f"/dev/{name}"
    box = machine(binds)
    paths = [f"/dev/{name}" for name in DEVICES]
    box.write("/probe.py", f"DEVICES = {paths}\nFOLDERS = {OPEN + SHUT}\n{PROBE}")
    box.write("/boot/firmware/config.txt", "x")
    (box.root / "mnt").chmod(0o777)
    box.write("/etc/systemd/system/probe.service", sandboxed("/usr/bin/python3 /probe.py", "/var/log/probe.json"))
    box.run_alone("systemctl", "disable", "timing-mat")
    box.run_alone("install", "-d", "-o", "timing-mat", "/media/timing-mat/sda1")
    box.boot()
    box.run("systemctl", "start", "probe")
    outcomes = json.loads(box.path("/var/log/probe.json").read_text())
    assert {path: outcomes[path] for path in paths} == {
        # Nothing is behind these numbers here: that it looked is what was allowed.
        "/dev/ttyUSB9": "ENXIO",
        "/dev/ttyACM9": "ENXIO",
        "/dev/ttyAMA9": "ENXIO",
        "/dev/ttyS99": "ENXIO",
        "/dev/ppp": "EPERM",
    }
    assert [path for path in OPEN + SHUT if outcomes[path] == "done"] == OPEN
    others = {name: outcomes[name] for name in outcomes if not name.startswith("/")}
    assert others == {
        "adjtimex": "done",
        "clock_set": "EPERM",
        "boot_id": "done",
        "power_supply": "done",
        "boot": "done",
        "credentials": "EACCES",
        "shadow": "EACCES",
    }


def test_reads_are_stamped_before_what_else_the_box_does(box: Box) -> None:
    if subprocess.run(["prlimit", "--rtprio=1", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        # This machine's root may not raise the limit, a real one's may: what is left to be seen is that nothing else
        # of the sandbox refuses.
        allowed = "AmbientCapabilities=CAP_SYS_NICE\nCapabilityBoundingSet=CAP_SYS_NICE\nPrivateUsers=no\n"
        box.configure("timing-mat.service", f"[Service]\n{allowed}")
    box.machine.boot()
    box.machine.wait_for_recording()
    pid = box.machine.pid_of()
    assert {os.sched_getscheduler(thread) for thread in threads_of(pid)} == {os.SCHED_RR}


def test_a_stick_that_is_mounted_later_takes_the_second_copy(box: Box, mosquitto: Mosquitto) -> None:
    place = "/media/timing-mat/sda1"
    text = MAT.format(port=mosquitto.port)
    box.machine.write("/etc/timing-mat/mat.toml", f'{text}[journal]\ncopy = "{place}"\n')
    box.machine.boot()
    box.machine.wait_for_recording()
    box.machine.run("mkdir", place)
    box.machine.run("mount", "-t", "tmpfs", "-o", "size=16m,mode=0750", "tmpfs", place)
    box.machine.run("chown", "timing-mat:timing-mat", place)
    cross(box.line, ["058000000001"])
    wait_until(
        lambda: "058000000001" in box.machine.run("sh", "-c", f"cat {place}/timing-mat/*/*.jsonl", check=False).stdout,
        20,
        "the copy",
    )


@pytest.mark.parametrize("memory", ["/run/timing-mat", "/dev/shm"])
def test_without_a_disk_the_log_goes_on_in_memory(box: Box, memory: str) -> None:
    """On the disk nothing can be written; and in /run there is no room where /dev/shm is to be the memory."""
    box.machine.boot()
    box.machine.wait_for_recording()
    box.machine.run("systemctl", "stop", "timing-mat")
    box.machine.run("mount", "--bind", "/var/lib/timing-mat", "/var/lib/timing-mat")
    box.machine.run("mount", "-o", "remount,bind,ro", "/var/lib/timing-mat")
    if memory == "/dev/shm":
        box.machine.run("mkdir", "/run/timing-mat")
        box.machine.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/run/timing-mat")
    box.machine.run("systemctl", "start", "timing-mat")
    wait_until(lambda: "in memory" in box.says("journal"), 20, "the word about it")
    box.machine.wait_for_recording()
    cross(box.line, ["058000000001"])
    wait_until(lambda: box.machine.status()["counts"]["splits"] == 1, 10, "a split")
    assert box.machine.run("find", memory, "-name", "*journal-in-memory.db").stdout
