"""The thread that looks at the supply: what it tells, what it says when the supply fails, and a system that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reader.box.power_watch import HANGS_NS, PowerWatch
from reader.box.status import StatusTeller
from reader.box.supply import Firmware, Supply
from reader.messages import Part, Power
from reader.model import NS_PER_S, ChipRead, Reads
from tests.fakes.box import Box
from tests.fakes.clock import FakeClock
from tests.fakes.status import WELL
from tests.run import Run, told
from tests.waiting import wait_until


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(tmp_path / "box")
    for name, value in box.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))  # without vcgencmd, on a Pi too
    return box


def watch(clock: FakeClock, look: Callable[[Firmware, int], Supply] | None = None) -> PowerWatch:
    return PowerWatch(clock, lambda _: None) if look is None else PowerWatch(clock, lambda _: None, look=look)


def test_a_battery_that_falls_is_told_with_how_long_it_lasts(box: Box) -> None:
    clock = FakeClock()
    power = watch(clock)
    for minute in range(30):
        box.battery(percent=80 - minute)
        power.look()
        clock.go(60)
    part, figures = power.stand(4.5)
    assert part.word == "warn"
    assert "by its percentage, the last runner is expected in 4.5 hours: bring another battery" in part.says
    assert figures.percent == 51
    assert figures.hours_left == pytest.approx(51 / 60, abs=0.05)


def test_under_voltage_is_remembered_when_the_kernel_has_forgotten_it(box: Box) -> None:
    power = watch(FakeClock())
    said = []
    for is_low in (False, True, False):
        box.under_voltage(is_low=is_low)
        power.look()
        said.append(power.stand(None)[0])
    assert [part.word for part in said] == ["ok", "warn", "warn"]
    assert said[2].says != said[1].says


def test_a_load_that_comes_for_a_moment_does_not_make_the_battery_empty(box: Box) -> None:
    clock = FakeClock()
    power = PowerWatch(clock, lambda _: None, empty_volts=11.0)
    words = []
    for volts in (11.4, 11.4, 11.4, 10.8, 11.4, 10.9, 10.9, 10.9, 10.8):
        box.ina(volts=volts)
        power.look()
        words.append(power.stand(None)[0].word)
        clock.go(10)
    assert words == ["ok"] * 7 + ["fail"] * 2


def test_a_system_that_hangs_holds_up_nobody_and_its_last_word_is_not_told_for_ever() -> None:
    clock = FakeClock()
    hangs = threading.Event()
    goes_on = threading.Event()

    def look(_firmware: Firmware, _now_ns: int) -> Supply:
        hangs.set()
        goes_on.wait(30)
        return Supply(is_on_mains=True)

    power = watch(clock, look)
    power.start()
    try:
        assert hangs.wait(10)
        assert power.stand(None)[0] == Part("unknown", "not measured")
        clock.go(HANGS_NS / NS_PER_S + 1)
        part, figures = power.stand(4.5)
        assert part == Part("unknown", "not measured: the system has not answered for 61 s")
        assert figures == Power(hours_needed=4.5)
        power.stop(0.01)  # it does not wait for it
        goes_on.set()
        wait_until(lambda: power.stand(None)[0].word == "ok", what="its word, late")
    finally:
        goes_on.set()
        power.stop()


def test_a_fault_of_the_program_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    def look(_firmware: Firmware, _now_ns: int) -> Supply:
        raise RuntimeError("made up")

    power = watch(FakeClock(), look)
    power.start()
    wait_until(lambda: "by a fault of this program" in caplog.text, what="the log")
    assert power.stand(None)[0].word == "unknown"
    power.stop()


def test_a_supply_that_fails_is_in_the_log_at_once_with_what_was_heard_and_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    run = Run(tmp_path / "journal.db", clock)
    run.begin_hearing()
    power = PowerWatch(clock, run.take)
    failing_at = clock.now()
    power.power_failing(True, failing_at)
    assert power.is_failing
    part, figures = power.stand(None)
    assert (part.word, figures.failing) == ("fail", True)
    power.power_failing(True, clock.now())  # it may be told more than once
    clock.go(12)
    power.power_failing(False, clock.now())
    power.power_failing(False, clock.now())
    assert not power.stand(None)[1].failing
    path = run.die()
    [failing, back] = [notice for notice in told(path).notices if notice.kind == "power"]
    assert failing.says == "the supply is failing: timing goes on until the power ends; goodbye"
    assert back.says == "the supply is back after 12 s"


def test_a_failing_supply_is_said_in_the_status_without_waiting_for_the_second_to_end() -> None:
    said: list[bytes] = []
    teller = StatusTeller(said.append)
    failing = msgspec.structs.replace(WELL, power=Power(failing=True), parts={"power": Part("fail", "")})
    teller.tell(WELL, 0)
    teller.tell(failing, 1)
    teller.tell(failing, 2)
    teller.tell(WELL, 3)
    assert [msgspec.json.decode(one)["power"]["failing"] for one in said] == [False, True, False]


def test_what_was_heard_does_not_wait_for_company_when_the_supply_fails(tmp_path: Path) -> None:
    clock = FakeClock()
    run = Run(tmp_path / "journal.db", clock)
    run.begin_hearing()
    run.hear(("05A0", -50))
    run.recorder.give(Reads("north", clock.now(), 0, [ChipRead("05A0", 1, -49, None, None, 0)]))
    assert not run.recorder._is_time_to_commit(clock.mono_ns())
    PowerWatch(clock, run.recorder.give).power_failing(True, clock.now())
    assert run.recorder._is_time_to_commit(clock.mono_ns())
    run.end()
