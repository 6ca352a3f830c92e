"""What the kernel tells of the supply, read from a made-up box; and whatever else may stand in its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.box.hardware import VARIABLE
from reader.box.supply import ASK_AGAIN_NS, ASK_EVERY_NS, Firmware, Supply, bits_from_text, look_at_supply
from tests.fakes.box import SUPPLIES, Box


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(tmp_path / "box")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without vcgencmd, on a Pi too
    return box


def look() -> Supply:
    return look_at_supply(Firmware(), 0)


def vcgencmd(tmp_path: Path, script: str) -> None:
    """A program of that name; it counts how often it was called."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "vcgencmd"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{script}\n')
    program.chmod(0o755)


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_nothing_is_measured_on_a_box_that_tells_nothing(box: Box) -> None:
    assert look() == Supply()
    assert not look().is_measured
    shutil.rmtree(box.folder)
    assert look() == Supply()


def test_a_battery_tells_what_it_has(box: Box) -> None:
    box.battery(percent=62, volts=12.1, charge_ah=3.5, amps=-1.4, empty_volts=11)
    supply = look()
    assert supply.is_on_mains is False
    assert (supply.percent, supply.volts, supply.empty_volts) == (62, 12.1, 11)
    assert (supply.charge, supply.drawn) == (3.5, 1.4)


def test_energy_serves_where_there_is_no_charge(box: Box) -> None:
    box.battery(energy_wh=40, watts=8)
    assert (look().charge, look().drawn) == (40, 8)


@pytest.mark.parametrize(
    ("status", "plug", "is_on_mains"),
    [
        ("Discharging", None, False),
        ("Discharging", True, False),  # a plug too weak for the box
        ("Charging", None, True),
        ("Full", False, True),
        ("Not charging", None, True),
        ("Unknown", None, None),
        ("Unknown", False, False),
        ("Unknown", True, True),
        ("", True, True),
    ],
)
def test_where_the_power_comes_from(box: Box, status: str, plug: bool | None, is_on_mains: bool | None) -> None:
    box.battery(percent=50, status=status)
    if plug is not None:
        box.mains(online=plug)
    assert look().is_on_mains is is_on_mains


def test_what_flows_counts_only_while_it_is_known_to_flow_out(box: Box) -> None:
    box.battery(charge_ah=3, amps=2, status="Charging")
    assert (look().charge, look().drawn) == (3, None)


def test_mains_alone(box: Box) -> None:
    box.mains(volts=5.1)
    assert look() == Supply(is_on_mains=True, volts=5.1)
    box.mains(online=False)
    assert look() == Supply(is_on_mains=False)


def test_a_mouse_s_battery_and_an_empty_bay_are_not_the_box_s(box: Box) -> None:
    box.battery(percent=3, name="a-mouse")
    box.write(f"{SUPPLIES}/a-mouse/scope", "Device")
    box.battery(percent=9, name="b-bay")
    box.write(f"{SUPPLIES}/b-bay/present", 0)
    assert look() == Supply()
    box.battery(percent=80)
    assert look().percent == 80


def test_a_measuring_chip_tells_the_volts_and_the_battery_goes_before_it(box: Box) -> None:
    box.ina(volts=12.34, amps=0.9)
    assert look() == Supply(volts=12.34)
    box.battery(percent=50, volts=3.9)
    assert look().volts == 3.9


@pytest.mark.parametrize(
    ("bits", "is_low", "was_low", "is_slowed"),
    [
        (0, False, False, False),
        (0x50005, True, True, True),
        (0x50000, False, True, False),
        (0x1, True, False, False),
        (0x8, False, False, True),
        (0xE0000, False, False, False),
    ],
)
def test_the_firmware_s_bits(box: Box, bits: int, is_low: bool, was_low: bool, is_slowed: bool) -> None:
    box.throttled(bits)
    assert look() == Supply(is_low=is_low, was_low=was_low, is_slowed=is_slowed)


@pytest.mark.parametrize("is_low", [True, False])
def test_the_kernel_s_alarm_is_enough_and_then_the_old_file_is_left_alone(box: Box, is_low: bool) -> None:
    box.under_voltage(is_low=is_low)
    box.throttled(0x50005)
    assert look() == Supply(is_low=is_low)
    assert look().has_voltage_alarm


def test_the_alarm_tells_of_now_and_the_firmware_of_before(box: Box, tmp_path: Path) -> None:
    vcgencmd(tmp_path, "echo throttled=0x50000")
    box.under_voltage(is_low=False)
    assert look() == Supply(is_low=False, was_low=True, is_slowed=False)
    assert (tmp_path / "calls").read_text() == "get_throttled\n"


def test_the_firmware_is_asked_seldom(box: Box, tmp_path: Path) -> None:
    assert ASK_EVERY_NS >= 10_000_000_000
    vcgencmd(tmp_path, "echo throttled=0x1")
    firmware = Firmware()
    for now_ns in (0, 1, ASK_EVERY_NS - 1):
        assert firmware.ask(now_ns) == 1
    assert calls(tmp_path) == 1
    firmware.ask(ASK_EVERY_NS)
    assert calls(tmp_path) == 2


@pytest.mark.parametrize("script", ["exit 1", "echo VCHI initialization failed", "printf '\\377'", ""])
def test_a_firmware_that_does_not_answer_is_asked_much_more_seldom(box: Box, tmp_path: Path, script: str) -> None:
    vcgencmd(tmp_path, script)
    firmware = Firmware()
    assert [firmware.ask(now_ns) for now_ns in (0, ASK_EVERY_NS, ASK_AGAIN_NS - 1)] == [None] * 3
    assert calls(tmp_path) == 1
    firmware.ask(ASK_AGAIN_NS)
    assert calls(tmp_path) == 2


def test_a_firmware_that_hangs_is_given_up(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reader.box.supply.LIMIT_S", 0.2)
    vcgencmd(tmp_path, "exec /bin/sleep 60")
    assert Firmware().ask(0) is None


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("50005\n", 0x50005),
        ("throttled=0x50005\n", 0x50005),
        ("0\n", 0),
        ("", None),
        ("-1", None),
        ("1ffffffff", None),
        ("throttled=", None),
    ],
)
def test_the_firmware_s_two_ways_of_writing(text: str, bits: int | None) -> None:
    assert bits_from_text(text) == bits


def test_the_hottest_zone_of_the_cpu(box: Box) -> None:
    box.temperature(61.2)
    for number, kind, celsius in ((1, "acpitz", 99), (2, "soc_thermal", 72.5), (3, "cpu1-thermal", 300)):
        box.write(f"sys/class/thermal/thermal_zone{number}/type", kind)
        box.write(f"sys/class/thermal/thermal_zone{number}/temp", round(celsius * 1000))
    assert look().celsius == 72.5


@pytest.mark.parametrize("capacity", [-1, 101, "nan", "", "62 %", b"\xff\xfe", "9" * 5000, "1" * 40])
def test_a_percentage_without_sense_is_not_measured(box: Box, capacity: object) -> None:
    box.battery(percent=capacity, volts=12)
    assert (look().percent, look().volts) == (None, 12)


FILES = [
    "sys/class/power_supply/battery/type",
    "sys/class/power_supply/battery/status",
    "sys/class/power_supply/battery/present",
    "sys/class/power_supply/battery/capacity",
    "sys/class/power_supply/battery/voltage_now",
    "sys/class/power_supply/battery/voltage_min_design",
    "sys/class/power_supply/battery/charge_now",
    "sys/class/power_supply/battery/current_now",
    "sys/class/power_supply/mains/type",
    "sys/class/power_supply/mains/online",
    "sys/class/hwmon/hwmon1/name",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm",
    "sys/class/hwmon/hwmon3/name",
    "sys/class/hwmon/hwmon3/in1_input",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/class/thermal/thermal_zone0/type",
    "sys/class/thermal/thermal_zone0/temp",
]
CONTENTS = st.one_of(st.binary(max_size=20), st.integers().map(lambda one: str(one).encode()), st.none())


@given(st.dictionaries(st.sampled_from(FILES), CONTENTS), st.sets(st.sampled_from(FILES)))
def test_whatever_stands_there_is_a_supply(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes | None], folders: set[str]
) -> None:
    """A folder in a file's place can't be read by root either."""
    box = Box(tmp_path_factory.mktemp("box"))
    box.battery(percent=62, volts=12.1, charge_ah=3, amps=1, empty_volts=11)
    box.mains()
    box.ina(volts=12)
    box.under_voltage(is_low=False)
    box.throttled(0)
    box.temperature(50)
    for path, content in contents.items():
        box.write(path, content)
    for path in folders:
        (box.folder / path).unlink(missing_ok=True)
        (box.folder / path).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(box.folder))
        patch.setenv("PATH", "/nowhere")
        supply = look()
    assert supply.percent is None or 0 <= supply.percent <= 100
    assert supply.volts is None or supply.volts > 0
    assert supply.charge is None or supply.charge >= 0
    assert supply.drawn is None or supply.drawn > 0


def test_what_a_dead_bus_reads_is_no_voltage(box: Box) -> None:
    box.ina(volts=65.535)
    assert look().volts is None
    box.ina(volts=58.8)  # a full 48 V battery
    assert look().volts == 58.8
