"""The checks of what keeps the program running: its unit, the watchdogs, its version and its configuration."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import version

from reader.box.configured import look_at_config
from reader.box.hardware import hardware
from reader.journal.schema import VERSION
from reader.messages import Check
from reader.selftest.bench import Bench
from reader.selftest.plan import Plan

UNIT = "timing-mat.service"
LIMIT_S = 5.0
WATCHDOG = "sys/class/watchdog/watchdog0"
STARTED_ANEW = "a daemon that hangs is started anew"
NONE = ("0", "infinity", "")  # how systemd tells of a watchdog that is off


def _unit(bench: Bench) -> Iterator[Check]:
    told = _properties(UNIT, "LoadState", "UnitFileState", "ActiveState", "NRestarts")
    if isinstance(told, str):
        yield Check(name="unit", result="skip", says=told)
    elif told["LoadState"] != "loaded":
        says = f"{UNIT} is not installed: after a power cut nothing starts by itself"
        yield Check(name="unit", result="warn", value=told["LoadState"], says=says, do="sudo systemd/install")
    elif not told["UnitFileState"].startswith("enabled"):
        says = f"{UNIT} is not enabled: after a power cut nothing starts by itself"
        do = f"sudo systemctl enable {UNIT}"
        yield Check(name="unit", result="fail", value=told["UnitFileState"], says=says, do=do)
    elif told["ActiveState"] != "active":
        by_hand = " (a daemon was started by hand)" if bench.status is not None else ""
        says = f"{UNIT} is enabled and does not run{by_hand}"
        do = f"sudo systemctl start {UNIT}"
        yield Check(name="unit", result="warn", value=told["ActiveState"], says=says, do=do)
    elif told["NRestarts"] not in ("0", ""):
        says = f"{UNIT} runs, and had to be started anew since the box did"
        do = f"journalctl -u {UNIT} says why"
        yield Check(name="unit", result="warn", value=f"{told['NRestarts']} restarts", limit="0", says=says, do=do)
    else:
        yield Check(name="unit", result="pass", value="enabled, active", says=f"{UNIT} starts by itself, and runs")


def _watchdog(bench: Bench) -> Iterator[Check]:
    ours_us = os.environ.get("WATCHDOG_USEC", "") if bench.status is not None else ""
    told = _properties(UNIT, "LoadState", "WatchdogUSec")
    if ours_us.isdecimal() and int(ours_us):  # what systemd has told this daemon when it started it
        value = f"{int(ours_us) / 1e6:g} s"
        yield Check(name="watchdog", result="pass", value=value, says=STARTED_ANEW)
    elif isinstance(told, str):
        yield Check(name="watchdog", result="skip", says=told)
    elif told["LoadState"] != "loaded":
        yield Check(name="watchdog", result="skip", says=f"{UNIT} is not installed")
    elif told["WatchdogUSec"] in NONE:
        says = f"{UNIT} has no watchdog: a daemon that hangs stays so"
        yield Check(name="watchdog", result="fail", value="off", says=says, do="install it anew: sudo systemd/install")
    else:
        yield Check(name="watchdog", result="pass", value=told["WatchdogUSec"], says=STARTED_ANEW)


def _hardware_watchdog(_bench: Bench) -> Iterator[Check]:
    name = "hardware-watchdog"
    place = hardware(WATCHDOG)
    if not place.exists():
        says = "the box has no hardware watchdog that the kernel knows of: a box that freezes stays so"
        yield Check(name=name, result="warn", says=says, do="on a Pi: dtparam=watchdog=on in config.txt")
        return
    its_name, state, timeout = (_line(f"{WATCHDOG}/{file}") for file in ("identity", "state", "timeout"))
    told = _properties("", "RuntimeWatchdogUSec")
    value = ", ".join(text for text in (its_name, f"{timeout} s" if timeout else "") if text)
    is_fed = state == "active" if state else not isinstance(told, str) and told["RuntimeWatchdogUSec"] not in NONE
    if is_fed:
        yield Check(name=name, result="pass", value=value, says="a box that freezes starts anew by itself")
    else:
        says = "the hardware watchdog is not used: a box that freezes stays so"
        do = "RuntimeWatchdogSec=15 in /etc/systemd/system.conf, then start the box anew"
        yield Check(name=name, result="warn", value=value, says=says, do=do)


def _version(_bench: Bench) -> Iterator[Check]:
    value = f"{version('timing-mat')}, Python {platform.python_version()}, journal schema {VERSION}"
    yield Check(name="version", result="pass", value=value, says="this is timing-mat")


def _config(bench: Bench) -> Iterator[Check]:
    part = bench.status().parts["config"] if bench.status is not None else look_at_config(bench.config, "")[0]
    if part.word == "ok":
        yield Check(name="config", result="pass", says=part.says)
    else:
        do = "mend the file: timing-mat config check says every mistake in it"
        yield Check(name="config", result="fail" if part.word == "fail" else "warn", says=part.says, do=do)


def _properties(unit: str, *names: str) -> dict[str, str] | str:
    """What systemd says of a unit, or of itself for "", by each name; or why it can't be asked, in words."""
    if not hardware("run/systemd/system").exists():
        return "this system is not run by systemd"
    command = ["systemctl", "show", f"--property={','.join(names)}", *([unit] if unit else [])]
    try:
        said = subprocess.run(  # noqa: S603 - no part of it comes from outside
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=True, text=True
        ).stdout
    except subprocess.CalledProcessError as error:
        return f"systemd does not answer: {error.stderr.strip() or 'systemctl failed and did not say why'}"
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return f"systemd does not answer: {error}"
    told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return {name: told.get(name, "") for name in names}


def _line(path: str) -> str:
    try:
        return hardware(path).read_text().strip()
    except (OSError, ValueError):
        return ""


PROGRAM_PLANS: tuple[Plan, ...] = (
    Plan("config", "whether the configuration is in force", _config),
    Plan("version", "which program this is", _version),
)

SERVICES_PLANS: tuple[Plan, ...] = (
    Plan("unit", "whether the daemon starts by itself", _unit),
    Plan("watchdog", "whether a daemon that hangs is started anew", _watchdog),
    Plan("hardware-watchdog", "whether a box that freezes starts anew", _hardware_watchdog),
)
