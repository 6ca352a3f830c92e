"""A made-up box: the files by which the kernel tells of its hardware, below a folder that stands for their root."""

from __future__ import annotations

from pathlib import Path

from reader.box.hardware import VARIABLE

SUPPLIES = "sys/class/power_supply"
SENSORS = "sys/class/hwmon"
ZONES = "sys/class/thermal"
FIRMWARE = "sys/devices/platform/soc/soc:firmware"


class Box:
    """Nothing is measured on it until it is said here; what is said again changes. ``environment``: for a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {VARIABLE: str(folder)}
        for empty in (SUPPLIES, SENSORS, ZONES, "proc", "run"):
            (folder / empty).mkdir(parents=True, exist_ok=True)

    def write(self, path: str, value: object) -> None:
        """The file, as the kernel shows it: never half of it. None: there is none."""
        place = self.folder / path
        if value is None:
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f".{place.name}.new")
        new.write_bytes(value if isinstance(value, bytes) else f"{value}\n".encode())
        new.replace(place)

    def battery(
        self,
        *,
        percent: object = None,
        volts: float | None = None,
        status: str = "Discharging",
        charge_ah: float | None = None,
        amps: float | None = None,
        energy_wh: float | None = None,
        watts: float | None = None,
        empty_volts: float | None = None,
        name: str = "battery",
    ) -> None:
        """A battery with a gauge, and what that tells."""
        folder = f"{SUPPLIES}/{name}"
        self.write(f"{folder}/type", "Battery")
        self.write(f"{folder}/present", 1)
        self.write(f"{folder}/status", status)
        self.write(f"{folder}/capacity", percent)
        for file, value in (
            ("voltage_now", volts),
            ("voltage_min_design", empty_volts),
            ("charge_now", charge_ah),
            ("current_now", amps),
            ("energy_now", energy_wh),
            ("power_now", watts),
        ):
            self.write(f"{folder}/{file}", None if value is None else round(value * 1_000_000))

    def mains(self, *, online: bool = True, volts: float | None = None) -> None:
        """A plug in the wall, of which the box knows."""
        self.write(f"{SUPPLIES}/mains/type", "Mains")
        self.write(f"{SUPPLIES}/mains/online", int(online))
        self.write(f"{SUPPLIES}/mains/voltage_now", None if volts is None else round(volts * 1_000_000))

    def ina(self, *, volts: float | None, amps: float | None = None, name: str = "ina219") -> None:
        """A measuring chip on the supply's line."""
        self.write(f"{SENSORS}/hwmon3/name", name)
        self.write(f"{SENSORS}/hwmon3/in0_input", 12)  # across the shunt
        self.write(f"{SENSORS}/hwmon3/in1_input", None if volts is None else round(volts * 1000))
        self.write(f"{SENSORS}/hwmon3/curr1_input", None if amps is None else round(amps * 1000))

    def under_voltage(self, *, is_low: bool) -> None:
        """What a Pi's kernel says of the last two seconds."""
        self.write(f"{SENSORS}/hwmon1/name", "rpi_volt")
        self.write(f"{SENSORS}/hwmon1/in0_lcrit_alarm", int(is_low))

    def throttled(self, bits: int) -> None:
        """What a Pi's firmware says; older kernels have it as a file."""
        self.write(f"{FIRMWARE}/get_throttled", f"{bits:x}")

    def temperature(self, celsius: float, zone: str = "cpu-thermal") -> None:
        """Of the CPU."""
        self.write(f"{ZONES}/thermal_zone0/type", zone)
        self.write(f"{ZONES}/thermal_zone0/temp", round(celsius * 1000))
