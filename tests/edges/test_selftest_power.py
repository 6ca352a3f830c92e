"""The self-test's checks of the supply, each made to pass, warn, fail and skip by a made-up box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from reader.config import unconfigured
from reader.messages import Check, Power, Status
from reader.model import Identity
from reader.selftest.bench import Bench
from reader.selftest.power import POWER_PLANS
from reader.selftest.table import PLANS
from tests.fakes.box import Box
from tests.fakes.clock import FakeClock

Made = Callable[[Box], None]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(tmp_path / "box")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))  # without vcgencmd, on a Pi too
    return box


class Standing:
    """As much of a status as these checks look at."""

    def __init__(self, power: Power) -> None:
        self.power = power


def check(name: str, known: Power | None = None, empty_volts: float | None = None) -> Check:
    config = unconfigured()
    [plan] = [plan for plan in POWER_PLANS if plan.name == name]
    bench = Bench(
        config=replace(config, box=replace(config.box, empty_volts=empty_volts)),
        clock=FakeClock(),
        identity=Identity("e", "p", "m", "box-1"),
        mode=None if known is None else "race",
        links=cast("Any", None),
        status=None if known is None else lambda: cast(Status, Standing(known)),
        lights=None,
        is_allowed=False,
        seen={},
        chip_wait_s=0,
    )
    [found] = plan.run(bench)
    assert found.name == name
    assert found.says
    assert bool(found.do) == (found.result in ("warn", "fail"))
    return found


def test_they_are_in_the_table_and_only_look() -> None:
    assert set(POWER_PLANS) <= set(PLANS)
    assert not any(plan.touches or plan.interrupts for plan in POWER_PLANS)


@pytest.mark.parametrize(
    ("make", "known", "result", "value", "limit"),
    [
        (lambda _: None, None, "skip", "", ""),
        (lambda box: box.under_voltage(is_low=False), None, "skip", "", ""),
        (lambda box: box.mains(volts=5.1), None, "pass", "5.1 V", ""),
        (lambda box: box.ina(volts=12.1), None, "pass", "12.1 V", ""),
        (lambda box: box.battery(percent=50), None, "pass", "50 %", "50 %"),
        (lambda box: box.battery(percent=49, volts=11.9), None, "warn", "49 %, 11.9 V", "50 %"),
        (lambda box: box.battery(percent=15), None, "fail", "15 %", "50 %"),
        (lambda box: box.battery(percent=3, status="Charging"), None, "pass", "3 %", ""),
        (lambda box: box.battery(percent=90, charge_ah=4, amps=1), None, "pass", "90 %", "50 %"),
        (lambda box: box.battery(percent=40, charge_ah=4, amps=1), None, "warn", "40 %", "50 %"),
        (lambda box: box.battery(charge_ah=4, amps=1), None, "pass", "4.0 hours", "1.0 hours"),
        (lambda box: box.battery(percent=40), Power(hours_left=6, hours_needed=4.5), "pass", "6.0 hours", "5.0 hours"),
        (lambda box: box.battery(percent=90, charge_ah=0.8, amps=1), None, "warn", "48 minutes", "1.0 hours"),
        (lambda box: box.battery(percent=90), Power(hours_left=6, hours_needed=4.5), "pass", "6.0 hours", "5.0 hours"),
        (lambda box: box.battery(percent=90), Power(hours_left=3, hours_needed=4.5), "warn", "3.0 hours", "5.0 hours"),
        (
            lambda box: box.battery(percent=90),
            Power(hours_left=0.4, hours_needed=4.5),
            "fail",
            "24 minutes",
            "5.0 hours",
        ),
        (lambda box: box.mains(), Power(failing=True), "fail", "", ""),
    ],
)
def test_where_the_power_comes_from(
    box: Box, make: Made, known: Power | None, result: str, value: str, limit: str
) -> None:
    make(box)
    found = check("power", known)
    assert (found.result, found.value, found.limit) == (result, value, limit)


def test_a_battery_is_empty_where_the_configuration_says_so(box: Box) -> None:
    box.ina(volts=10.9)
    assert check("power", empty_volts=11.0).result == "fail"
    assert check("power", empty_volts=10.5).result == "pass"


@pytest.mark.parametrize(
    ("make", "result", "value"),
    [
        (lambda _: None, "skip", ""),
        (lambda box: box.throttled(0), "pass", "none"),
        (lambda box: box.under_voltage(is_low=False), "pass", "none"),
        (lambda box: box.throttled(0x50000), "warn", "earlier"),
        (lambda box: box.throttled(0x50005), "fail", "now"),
        (lambda box: box.under_voltage(is_low=True), "fail", "now"),
    ],
)
def test_under_voltage_now_and_earlier(box: Box, make: Made, result: str, value: str) -> None:
    make(box)
    found = check("under-voltage")
    assert (found.result, found.value) == (result, value)


@pytest.mark.parametrize(
    ("celsius", "result", "value"),
    [(None, "skip", ""), (61.2, "pass", "61.2 °C"), (80.1, "warn", "80.1 °C"), (85.1, "fail", "85.1 °C")],
)
def test_the_heat(box: Box, celsius: float | None, result: str, value: str) -> None:
    if celsius is not None:
        box.temperature(celsius)
    found = check("temperature")
    assert (found.result, found.value) == (result, value)
    assert found.limit == ("" if celsius is None else "80 °C")
