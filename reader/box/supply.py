"""What the kernel tells of the box's supply and of its heat, as it is at this moment.

::

    /sys/class/power_supply/*/   type, online, present, scope, status, capacity (%), voltage_now, voltage_min_design
                                 (µV), charge_now (µAh), current_now (µA), energy_now (µWh), power_now (µW)
    /sys/class/hwmon/*/          name ina…: in1_input (mV, the line's), curr1_input (mA); name rpi_volt: in0_lcrit_alarm
    /sys/devices/platform/soc…/…firmware/get_throttled    the firmware's bits in hexadecimal, without 0x
    /sys/class/thermal/*/        type, temp (m°C)

Any of these may be missing, unreadable, without sense or vanish in the middle: that is "not measured" (None). A driver
that waits for a dead bus waits here: this belongs into a thread that may hang. Documentation/ABI/testing/
sysfs-class-power and Documentation/hwmon/{ina2xx,raspberrypi-hwmon}.rst of the kernel.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from reader.box.hardware import hardware
from reader.model import NS_PER_S

MICRO = 1e-6
MILLI = 1e-3
SENSE_LIMIT = 10**12  # no file here tells a greater number and means it
VOLTS_LIMIT = 65.0  # a 48 V battery has 60 at most; a dead bus reads 65.535
CELSIUS_LIMITS = (-60.0, 150.0)
CPU_ZONES = ("cpu", "pkg", "package", "soc", "core")

# The firmware's bits; 16 more to the left: that was so since the start.
LOW_NOW = 1 << 0
SLOWED_NOW = 1 << 1 | 1 << 2 | 1 << 3  # its speed capped, cut down, or kept down for heat
LOW_SINCE_START = 1 << 16

ASK_EVERY_NS = 30 * NS_PER_S
ASK_AGAIN_NS = 600 * NS_PER_S  # after it has failed
LIMIT_S = 2.0


Measured = TypeVar("Measured", int, float)


class Supply(NamedTuple):
    """What was measured; None where it was not.

    ``charge``: what is left in the battery, and ``drawn`` by the hour, both in Ah and A or both in Wh and W.
    ``empty_volts``: at which the battery is empty, as its gauge was told. ``is_low``: under-voltage now; ``was_low``:
    at any time since the box started. ``is_slowed``: the CPU does not run as fast as it can. ``celsius``: the CPU's.
    """

    is_on_mains: bool | None = None
    percent: float | None = None
    volts: float | None = None
    charge: float | None = None
    drawn: float | None = None
    empty_volts: float | None = None
    is_low: bool | None = None
    was_low: bool | None = None
    is_slowed: bool | None = None
    celsius: float | None = None

    @property
    def has_voltage_alarm(self) -> bool:
        """Whether it would be known if the voltage were too low for the box."""
        return self.is_low is not None or self.was_low is not None

    @property
    def is_measured(self) -> bool:
        """Whether anything of the supply itself is known."""
        return any(one is not None for one in (self.is_on_mains, self.percent, self.volts, self.charge))


class Firmware:
    """A Pi's firmware, asked by the program `vcgencmd`: seldom, and not at all where there is none."""

    def __init__(self) -> None:
        self._program = shutil.which("vcgencmd")
        self._due_ns = 0
        self._bits: int | None = None

    def ask(self, now_ns: int) -> int | None:
        """Its bits, half a minute old at most; None: it does not say."""
        if self._program is not None and now_ns >= self._due_ns:
            self._bits = self._run(self._program)
            self._due_ns = now_ns + (ASK_AGAIN_NS if self._bits is None else ASK_EVERY_NS)
        return self._bits

    def _run(self, program: str) -> int | None:
        command = [program, "get_throttled"]
        try:
            done = subprocess.run(  # noqa: S603 # found by the system's own path; no part of it comes from outside
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=True
            )
            return bits_from_text(done.stdout.decode("ascii", "replace"))
        except (OSError, subprocess.SubprocessError):
            return None


def bits_from_text(text: str) -> int | None:
    """The firmware's bits: ``50005`` in a file, ``throttled=0x50005`` from `vcgencmd`; None if it is neither."""
    try:
        bits = int(text.strip().removeprefix("throttled="), 16)
    except ValueError:
        return None
    return bits if 0 <= bits < 1 << 32 else None


def look_at_supply(firmware: Firmware, now_ns: int) -> Supply:
    """Everything, as it is now. ``now_ns``: monotonic."""
    supply = _look_at_supplies()
    sensors = {folder: _text(folder / "name") for folder in _folders("sys/class/hwmon")}
    if supply.volts is None:
        supply = supply._replace(volts=_first(_volts(folder / "in1_input", MILLI) for folder in _inas(sensors)))
    alarms = (_number(folder / "in0_lcrit_alarm") for folder, name in sensors.items() if name == "rpi_volt")
    alarm = _first(alarms)
    # The file is asked only where there is no alarm: newer kernels, which have both, complain of it in their log.
    bits = None if alarm is not None else _bits_from_file()
    if bits is None:
        bits = firmware.ask(now_ns)
    is_low = None if alarm is None else alarm != 0
    if bits is None:
        return supply._replace(is_low=is_low, celsius=_celsius())
    return supply._replace(
        is_low=bool(is_low or bits & LOW_NOW),
        was_low=bool(bits & LOW_SINCE_START),
        is_slowed=bool(bits & SLOWED_NOW),
        celsius=_celsius(),
    )


# ---- batteries and plugs ---------------------------------------------------------------------------------


def _look_at_supplies() -> Supply:
    """By the first battery, and every plug of which the box knows."""
    batteries: list[Path] = []
    plugs: list[Path] = []
    for folder in _folders("sys/class/power_supply"):
        if _text(folder / "scope") == "Device":
            continue  # a mouse's, not the box's
        if _text(folder / "type") not in ("Battery", "UPS"):
            plugs.append(folder)
        elif _number(folder / "present") != 0:
            batteries.append(folder)
    plugged = [online != 0 for folder in plugs if (online := _number(folder / "online")) is not None]
    if not batteries:
        volts = _first(_volts(folder / "voltage_now", MICRO) for folder in plugs)
        return Supply(is_on_mains=any(plugged) if plugged else None, volts=volts)
    battery = batteries[0]
    charge, drawn = _charge(battery)
    percent = _number(battery / "capacity")
    is_on_mains = _is_on_mains(_text(battery / "status"), plugged)
    return Supply(
        is_on_mains=is_on_mains,
        percent=percent if percent is not None and 0 <= percent <= 100 else None,
        volts=_volts(battery / "voltage_now", MICRO),
        charge=charge,
        drawn=drawn if is_on_mains is False else None,  # else it may be what goes in
        empty_volts=_volts(battery / "voltage_min_design", MICRO),
    )


def _is_on_mains(status: str, plugged: list[bool]) -> bool | None:
    """A battery that empties is what counts, though a plug may be in: a weak one only slows that."""
    if status == "Discharging":
        return False
    if status in ("Charging", "Full", "Not charging"):
        return True
    return any(plugged) if plugged else None


def _charge(battery: Path) -> tuple[float | None, float | None]:
    """What is left, and what is drawn by the hour. Drivers disagree on the sign of a current that goes out."""
    for left, drawn in (("charge_now", "current_now"), ("energy_now", "power_now")):
        charge = _number(battery / left)
        if charge is not None and charge >= 0:
            rate = _number(battery / drawn)
            return round(charge * MICRO, 6), round(abs(rate) * MICRO, 6) if rate else None
    return None, None


# ---- sensors ---------------------------------------------------------------------------------------------


def _inas(sensors: dict[Path, str]) -> list[Path]:
    return [folder for folder, name in sensors.items() if name.startswith("ina")]


def _bits_from_file() -> int | None:
    try:
        found = sorted(hardware("sys/devices/platform").glob("soc*/*firmware/get_throttled"))
    except OSError:
        return None
    return _first(bits_from_text(_text(file)) for file in found)


def _celsius() -> float | None:
    """Of the hottest part of the CPU."""
    found = [
        celsius
        for folder in _folders("sys/class/thermal")
        if any(word in _text(folder / "type") for word in CPU_ZONES)
        and (number := _number(folder / "temp")) is not None
        and CELSIUS_LIMITS[0] <= (celsius := round(number * MILLI, 3)) <= CELSIUS_LIMITS[1]
    ]
    return max(found, default=None)


# ---- files -----------------------------------------------------------------------------------------------


def _folders(path: str) -> list[Path]:
    try:
        return sorted(hardware(path).iterdir())
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("ascii", "replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        number = int(_text(file))
    except ValueError:
        return None
    return number if abs(number) < SENSE_LIMIT else None


def _volts(file: Path, unit: float) -> float | None:
    number = _number(file)
    return round(number * unit, 6) if number is not None and 0 < number * unit < VOLTS_LIMIT else None


def _first(values: Iterable[Measured | None]) -> Measured | None:
    return next((value for value in values if value is not None), None)
