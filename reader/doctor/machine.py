"""The machine: what it is, how full, how hot, what hangs on its serial lines, and how good its clock is."""

from __future__ import annotations

import getpass
import grp
import os
import platform
import stat
import sys
from collections.abc import Iterable
from importlib.metadata import distributions, version
from pathlib import Path

from reader.box.hardware import hardware
from reader.box.identity import box_id
from reader.clock import SystemClock
from reader.doctor.programs import outputs_of

SERIAL = ("/dev/timing-mat", "/dev/serial/by-id", "/dev/serial/by-path", "/dev")
SERIAL_NAMES = ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttyS*", "serial*")


def describe(journal: Path | None) -> str:
    """Program, system, board, memory, disks. ``journal``: whose disk is looked at besides."""
    name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    uname = platform.uname()
    return "\n".join(
        [
            f"timing-mat {version('timing-mat')}, Python {platform.python_version()} ({sys.executable})",
            f"box {box_id()}",
            f"board: {_text('proc/device-tree/model') or 'no Raspberry Pi, or none that says so'}",
            f"system: {name}, kernel {uname.release} {uname.version}, {uname.machine}",
            f"up for {_first_word('proc/uptime')} s, load {_text('proc/loadavg')}",
            f"memory: {_memory()}",
            *(f"disk of {place}: {_disk(place)}" for place in _places(journal)),
            f"asked by {_who()}",
        ]
    )


def packages() -> str:
    """Each package of the program's environment, with its version."""
    found = {(one.metadata["Name"] or "?", one.version) for one in distributions()}
    return "\n".join(f"{name} {number}" for name, number in sorted(found, key=lambda one: one[0].lower()))


def serial_lines() -> str:
    """The devices, by all names they have, and who may use them."""
    lines = []
    for folder in SERIAL:
        names = SERIAL_NAMES if folder == "/dev" else ("*",)
        try:
            found = sorted({path for name in names for path in Path(folder).glob(name)})
            lines += [_device(path) for path in found] if found or folder == "/dev" else [f"{folder}: none"]
        except OSError as error:
            lines.append(f"{folder}: {error.strerror}")
    return "\n".join(lines or ["none"])


def clock() -> str:
    """How good it is, as the program finds it, and as the system does."""
    quality = SystemClock().quality()
    error = "unknown" if quality.error_ms is None else f"{quality.error_ms:g} ms"
    says = f"by the kernel alone: {'' if quality.synced else 'not '}synchronised, {quality.source}, error {error}"
    return f"{says}\n\n{outputs_of('chronyc -n tracking', 'chronyc -n sources', 'timedatectl')}"


def _text(path: str) -> str:
    try:
        return hardware(path).read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _first_word(path: str) -> str:
    return (_text(path).split() or ["?"])[0]


def _memory() -> str:
    wanted = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
    found = (" ".join(line.split()) for line in _text("proc/meminfo").splitlines() if line.split(":")[0] in wanted)
    return ", ".join(found) or "?"


def _places(journal: Path | None) -> Iterable[Path]:
    places = [Path("/"), Path("/boot/firmware"), *([] if journal is None else [journal.parent])]
    return dict.fromkeys(place for place in places if place.is_dir())


def _disk(place: Path) -> str:
    try:
        disk = os.statvfs(place)
    except OSError as error:
        return str(error.strerror)
    free_mb, size_mb = (count * disk.f_frsize // 1_000_000 for count in (disk.f_bavail, disk.f_blocks))
    return f"{free_mb} of {size_mb} MB free{', read-only' if disk.f_flag & os.ST_RDONLY else ''}"


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        name = f"user {os.getuid()}"
    return f"{name}, in the groups {', '.join(_group(number) for number in sorted({os.getgid(), *os.getgroups()}))}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _device(path: Path) -> str:
    leads = f" -> {path.readlink()}" if path.is_symlink() else ""
    try:
        found = path.stat()
    except OSError as error:
        return f"{path}{leads}: {error.strerror}"
    return f"{path}{leads}: {stat.filemode(found.st_mode)} user {found.st_uid} group {_group(found.st_gid)}"
