"""Checks of the serial lines: is the device there, may it be opened, who else holds it, does it pass bytes well."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from reader.box.hardware import hardware
from reader.config import ReaderSettings
from reader.line.port import find_ports
from reader.line.state import LinkState
from reader.messages import Check, Result
from reader.model import NS_PER_S
from reader.selftest.bench import Bench
from reader.selftest.holders import holders_of
from reader.selftest.plan import Plan
from reader.selftest.standing import Look, pause, plan_of_readers, skipped
from reader.wording import counted

BY_ID = "dev/serial/by-id"
UNSTABLE = re.compile(r"/dev/tty(USB|ACM)\d+")  # numbered in the order in which they are plugged in
OVERFLOW_ID = 65534  # stands for all that a service with PrivateUsers=yes does not know
PSEUDO_TERMINALS = Path("/dev/pts")  # they belong to whoever made them
MOST_LATENCY_MS = 1

ENOUGH_BYTES = 100
BYTES_WAIT_NS = 3 * NS_PER_S  # keep-alives come every second
# A good cable has none. A frame has some 30 bytes: with a byte in 20 spoilt hardly one comes through, and a wrong speed
# spoils all.
WARN_GARBAGE_PCT = 0.1
FAIL_GARBAGE_PCT = 5.0


# ---- the device ------------------------------------------------------------------------------------------


def _look_at_device(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    port = device_of(reader, bench.links.state(reader.name))
    if port is None:
        others = find_ports()
        if others:
            yield skipped(name, f"the reader is still looked for, on {', '.join(others)}")
        else:
            yield Check(name=name, result="fail", says="no serial device is there", do="plug the reader in")
    elif _is_url(port):
        yield skipped(name, _elsewhere(port))
    elif not _place(port).exists():
        others = find_ports()
        there = f"there is {', '.join(others)}" if others else "nor is any other serial device"
        do = "plug the reader in" + (", or set the right `port` in mat.toml" if others else "")
        yield Check(name=name, result="fail", value=port, says=f"{port} is not there, {there}", do=do)
    elif reader.port != "auto" and UNSTABLE.fullmatch(port):
        stable = stable_name(port)
        yield Check(
            name=name,
            result="warn",
            value=port,
            says=f"{port} is there, but may bear another number when it is plugged in again",
            do=f'set port = "{stable}" in mat.toml'
            if stable
            else "name it in mat.toml as it stands in /dev/serial/by-id or /dev/timing-mat",
        )
    else:
        yield Check(name=name, result="pass", value=port, says=f"{port} is there")


def device_of(reader: ReaderSettings, state: LinkState) -> str | None:
    """The port that a reader is on; None where it is looked for, and on which of several it is not known yet."""
    if reader.port != "auto":
        return reader.port
    if state.found is not None:
        return state.found.port
    ports = find_ports()
    return ports[0] if len(ports) == 1 else None


def stable_name(port: str) -> str | None:
    """The name of the same device that does not change when it is plugged in again."""
    kernel_name = _kernel_name(port)
    for link in sorted(hardware(BY_ID).glob("*")):
        if link.resolve().name == kernel_name:
            return f"/{BY_ID}/{link.name}"
    return None


# ---- who may open it ---------------------------------------------------------------------------------------


def _look_at_permissions(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    port, why_not = _local_device(bench, reader)
    if port is None:
        yield skipped(name, why_not)
        return
    place = _place(port)
    found = place.stat()
    user, owner = _user_name(os.geteuid()), _user_name(found.st_uid)
    group, mode = _group_name(found.st_gid), stat.S_IMODE(found.st_mode)
    value = f"{owner}:{group} {mode:o}"
    is_for_group = mode & 0o060 == 0o060 and found.st_gid != OVERFLOW_ID
    for_group = (
        f"sudo adduser {{}} {group}, then start it anew" if is_for_group else "install the rules: systemd/install"
    )
    if not os.access(place, os.R_OK | os.W_OK, effective_ids=True):
        says = f"the user {user} may not open {port}"
        yield Check(name=name, result="fail", value=value, says=says, do=for_group.format(user))
    elif os.geteuid() == 0 and not is_for_group and place.resolve().parent != PSEUDO_TERMINALS:
        says = f"only {owner} and root may open {port}: a service with a user of its own may not"
        yield Check(name=name, result="warn", value=value, says=says, do="install the rules: systemd/install")
    else:
        yield Check(name=name, result="pass", value=value, says=f"the user {user} may open {port}")


# ---- who else holds it ---------------------------------------------------------------------------------------


def _look_at_holders(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    port, why_not = _local_device(bench, reader)
    if port is None:
        yield skipped(name, why_not)
        return
    found = holders_of(_place(port))
    unseen = "the programs" if found.are_hidden else counted(found.unseen, "program")
    is_partial = found.are_hidden or found.unseen
    so_far = f", as far as can be seen: {unseen} of other users can't be looked into" if is_partial else ""
    value = ", ".join(found.names or found.meddlers)
    result: Result = "pass"
    says, do = f"nobody else has {port} open{so_far}", ""
    if found.names:
        result = "fail"
        says = f"{value} has {port} open too: each of the two gets a part of what the reader says"
        do = "end the other program"
    elif found.meddlers:
        result = "warn"
        says = f"{value} runs, and may speak to {port} when it is plugged in"
        do = f"sudo systemctl disable --now {' '.join(found.meddlers)}, or install the rules: systemd/install"
    yield Check(name=name, result=result, value=value, says=says, do=do)


# ---- how it passes bytes -------------------------------------------------------------------------------------


def _look_at_latency(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    port, why_not = _local_device(bench, reader)
    if port is None:
        yield skipped(name, why_not)
        return
    timer = hardware("sys/class/tty") / _kernel_name(port) / "device" / "latency_timer"
    try:
        latency_ms = int(timer.read_text())
    except (OSError, ValueError):
        yield skipped(name, f"the adapter of {port} has no such timer")
        return
    is_good = latency_ms <= MOST_LATENCY_MS
    yield Check(
        name=name,
        result="pass" if is_good else "warn",
        value=f"{latency_ms} ms",
        limit=f"{MOST_LATENCY_MS} ms",
        says=f"the adapter of {port} hands over what has come every {latency_ms} ms"
        + ("" if is_good else ": reads get their time so much later"),
        do="" if is_good else "install the rules that set it at each plug-in: systemd/install",
    )


def _look_at_garbage(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    until_ns = bench.clock.mono_ns() + BYTES_WAIT_NS
    while (state := bench.links.state(reader.name)).bytes_read < ENOUGH_BYTES and bench.clock.mono_ns() < until_ns:
        if state.word == "fail" and not state.bytes_read:
            break
        pause(bench)
    if not state.bytes_read:
        yield skipped(name, f"nothing has come from the reader {reader.name}: its speed can't be judged")
    else:
        yield garbage_finding(name, state)


def garbage_finding(name: str, state: LinkState) -> Check:
    """From the bytes that have come since the line's thread began."""
    garbage_pct = 100 * state.rejected_bytes / state.bytes_read
    result: Result = "pass"
    do = ""
    if garbage_pct >= FAIL_GARBAGE_PCT:
        result, do = (
            "fail",
            "set `baud` in mat.toml to the reader's speed (timing-mat probe finds it); change the cable",
        )
    elif garbage_pct >= WARN_GARBAGE_PCT:
        result, do = "warn", "shorten or change the cable, and keep it off power lines"
    at = "" if state.baud is None else f" at {state.baud} baud"
    return Check(
        name=name,
        result=result,
        value=f"{round(garbage_pct, 3):g} %",
        limit=f"{WARN_GARBAGE_PCT:g} %",
        says=f"of {state.bytes_read} bytes{at} {state.rejected_bytes} mean nothing",
        do=do,
    )


# ---- names and places ------------------------------------------------------------------------------------------


def _local_device(bench: Bench, reader: ReaderSettings) -> tuple[str | None, str]:
    """The port, if it is a device of this box that is there; else None, and why."""
    port = device_of(reader, bench.links.state(reader.name))
    if port is None:
        return None, "it is not known yet on which port the reader is"
    if _is_url(port):
        return None, _elsewhere(port)
    return (port, "") if _place(port).exists() else (None, f"{port} is not there")


def _is_url(port: str) -> bool:
    return "://" in port


def _elsewhere(port: str) -> str:
    return f"{port} is reached over the network, and is no serial device of this box"


def _place(port: str) -> Path:
    return hardware(port[1:]) if port.startswith("/dev/") else Path(port)


def _kernel_name(port: str) -> str:
    return _place(port).resolve().name


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _plan_of_ports(name: str, says: str, look: Look) -> Plan:
    """What can be looked at though the line is not opened."""
    return plan_of_readers(name, says, look, must_be_found=False, needs="")


LINE_PLANS = (
    _plan_of_ports("serial-device", "whether the readers' ports are there", _look_at_device),
    _plan_of_ports("serial-permissions", "whether they may be opened", _look_at_permissions),
    _plan_of_ports("serial-holder", "whether anybody else has them open", _look_at_holders),
    _plan_of_ports("latency-timer", "how soon they hand over", _look_at_latency),
    plan_of_readers("baud", "whether garbage comes from them", _look_at_garbage),
)
