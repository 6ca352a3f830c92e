"""How good UTC is, from what the kernel and chrony say; and whether it was set."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reader.clock import SystemClock, rfc3339_from_utc_ns, utc_ns_from_rfc3339
from reader.clock.chrony import ask_chrony, tracking_from_line
from reader.clock.kernel import StepAlarm, is_set_by_rtc, read_kernel
from reader.clock.quality import KernelSample, LastPoll, StepSeer, Tracking, quality_from
from reader.model import NS_PER_S, ClockQuality, Instant
from tests.waiting import wait_until

MS = 1_000_000
US = 1_000


def sample(at_s: float, maxerror_us: float, offset_us: float = 0, *, is_synced: bool = True) -> KernelSample:
    return KernelSample(
        mono_ns=round(at_s * NS_PER_S),
        is_synced=is_synced,
        maxerror_ns=round(maxerror_us * US),
        offset_ns=round(offset_us * US),
    )


# ---- the kernel --------------------------------------------------------------------------------------------


def test_between_the_polls_of_timesyncd_the_error_is_the_last_offset_and_what_the_crystal_went() -> None:
    """``maxerror`` grows to a whole second between two polls: it is no measure."""
    poll = LastPoll()
    for second in range(2048):
        poll.note(sample(second, 500 * (second % 1024), offset_us=-3000 if second % 1024 < 5 else -1))
        error_ns = poll.error_ns()
        assert error_ns is not None
        assert abs(error_ns - 3 * MS - (second % 1024) * 20 * US) <= US
    assert poll.error_ns() == 3 * MS + 1023 * 20 * US


def test_at_first_sight_the_age_of_the_last_poll_is_known_by_what_maxerror_has_grown() -> None:
    poll = LastPoll()
    poll.note(sample(10_000, 500 * 600, offset_us=1500))
    assert poll.error_ns() == 1500 * US + 600 * 20 * US


def test_what_was_measured_before_the_clock_was_lost_is_void() -> None:
    poll = LastPoll()
    poll.note(sample(0, 0))
    poll.note(sample(1, 0, is_synced=False))
    assert poll.error_ns() is None


@pytest.mark.parametrize(
    ("kernel", "error_ms", "tracking", "has_rtc", "expected"),
    [
        (True, 3, None, True, ClockQuality(synced=True, source="ntp", error_ms=3.0)),
        (True, 100, None, True, ClockQuality(synced=False, source="ntp", error_ms=100.0)),
        (False, None, None, True, ClockQuality(synced=False, source="rtc", error_ms=None)),
        (False, None, None, False, ClockQuality(synced=False, source="unset", error_ms=None)),
        (None, None, None, False, ClockQuality(synced=False, source="unknown", error_ms=None)),
        (True, 3, Tracking(True, "gps", 20_000, "1"), False, ClockQuality(synced=True, source="gps", error_ms=0.02)),
        (False, None, Tracking(False, "ntp", 0, "1"), False, ClockQuality(synced=False, source="unset", error_ms=None)),
        (
            True,
            3,
            Tracking(True, "ntp", 150 * MS, "1"),
            False,
            ClockQuality(synced=False, source="ntp", error_ms=150.0),
        ),
    ],
)
def test_the_best_word_there_is(
    kernel: bool | None, error_ms: int | None, tracking: Tracking | None, has_rtc: bool, expected: ClockQuality
) -> None:
    said = None if kernel is None else sample(0, 0, is_synced=kernel)
    error_ns = None if error_ms is None else error_ms * MS
    assert quality_from(said, error_ns, tracking, is_set_by_rtc=has_rtc) == expected


def test_the_kernel_answers() -> None:
    said = read_kernel()
    assert said is None or abs(said.mono_ns - SystemClock().mono_ns()) < NS_PER_S


def test_a_clock_with_a_battery_that_set_the_systems_is_known(tmp_path: Path) -> None:
    assert not is_set_by_rtc(tmp_path)
    (tmp_path / "rtc0").mkdir()
    (tmp_path / "rtc0" / "hctosys").write_text("0\n")
    assert not is_set_by_rtc(tmp_path)
    (tmp_path / "rtc0" / "hctosys").write_text("1\n")
    assert is_set_by_rtc(tmp_path)


# ---- chrony ------------------------------------------------------------------------------------------------

GPS = "50505300,PPS,1,1794012345.123456789,-0.000000500,0.0,0.0,-12.345,0.001,0.020,0.000010000,0.000005000,16.0,Normal"
NTP = "C0248F97,192.36.143.151,2,1794012345.1,0.002,0.0,0.0,1.0,0.0,0.1,0.030000000,0.001000000,64.2,Normal"
NOT_SYNCED = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised"
LOCAL = "7F7F0101,,10,1794012345.1,0.0,0.0,0.0,1.0,0.0,0.1,0.0,0.0,64.2,Normal"


def test_what_chrony_says() -> None:
    gps, ntp = tracking_from_line(GPS + "\n"), tracking_from_line(NTP)
    assert (gps.is_synced, gps.source, gps.distance_ns) == (True, "gps", 10_500)
    assert (ntp.is_synced, ntp.source, ntp.distance_ns) == (True, "ntp", 18 * MS)
    assert not tracking_from_line(NOT_SYNCED).is_synced
    assert not tracking_from_line(LOCAL).is_synced


@pytest.mark.parametrize(
    "line", ["", "506 Cannot talk to daemon", NTP.replace("64.2", "nan"), NTP + "\n" + NTP, NTP[:-3]]
)
def test_what_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        tracking_from_line(line)


@pytest.mark.parametrize(("script", "is_heard"), [(f"echo '{NTP}'", True), ("echo garbage", False), ("exit 1", False)])
def test_chrony_is_asked_by_its_own_program(
    script: str, is_heard: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "chronyc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (ask_chrony() is not None) == is_heard


def test_without_chrony_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_chrony() is None


# ---- steps -------------------------------------------------------------------------------------------------


def test_a_step_is_seen_a_thread_held_up_between_two_clocks_is_not() -> None:
    seer = StepSeer()
    assert seer.look(Instant(1_000 * MS, 0)) is None
    assert seer.look(Instant(2_000 * MS, 1_000 * MS)) is None
    assert seer.look(Instant(3_000 * MS, 1_900 * MS)) is None  # the two were read 100 ms apart
    assert seer.look(Instant(4_000 * MS, 3_000 * MS)) is None
    assert seer.look(Instant(9_000 * MS, 4_000 * MS)) is None
    step = seer.look(Instant(10_000 * MS, 5_000 * MS))
    assert step is not None
    assert step.by_ns == 4_000 * MS
    assert seer.look(Instant(11_000 * MS, 6_000 * MS)) is None


def test_the_alarm_of_the_kernel_can_be_set_and_does_not_ring_of_itself() -> None:
    alarm = StepAlarm()
    assert not alarm.wait(0.01)
    alarm.close()


class Ring:
    """An alarm that rings when the test says so."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def wait(self, limit_s: float) -> bool:
        rang = self.event.wait(min(limit_s, 0.01))
        self.event.clear()
        return rang

    def close(self) -> None:
        pass


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def watched(
    stopping: threading.Event, read: Callable[[], KernelSample | None], ask: Callable[[], Tracking | None], ring: Ring
) -> tuple[SystemClock, list[str]]:
    clock, steps = SystemClock(read=read, ask=ask, open_alarm=lambda: ring), []
    threading.Thread(target=clock.watch, args=(stopping, lambda: steps.append("step")), daemon=True).start()
    return clock, steps


def test_the_watch_keeps_the_quality_and_a_step_makes_it_look_anew(stopping: threading.Event) -> None:
    ring, state = Ring(), {"synced": False}
    clock, steps = watched(stopping, lambda: sample(0, 0, is_synced=state["synced"]), lambda: None, ring)
    assert not clock.quality().synced
    state["synced"] = True
    ring.event.set()
    wait_until(lambda: steps == ["step"], 5, "the step")
    assert clock.quality().synced


def test_after_a_step_chronys_word_of_before_counts_no_more(stopping: threading.Event) -> None:
    ring, measured = Ring(), {"at": "1"}

    def ask() -> Tracking:
        return Tracking(is_synced=True, source="gps", distance_ns=1_000, measured=measured["at"])

    clock, steps = watched(stopping, lambda: sample(0, 0, is_synced=False), ask, ring)
    wait_until(lambda: clock.quality().synced, 5, "chrony's word")
    ring.event.set()
    wait_until(lambda: bool(steps), 5, "the step")
    assert not clock.quality().synced
    measured["at"] = "2"
    ring.event.set()
    wait_until(lambda: len(steps) == 2, 5, "the second step")
    wait_until(lambda: clock.quality().synced, 5, "chrony's new word")


# ---- text --------------------------------------------------------------------------------------------------


def test_times_as_text_and_back() -> None:
    assert rfc3339_from_utc_ns(utc_ns_from_rfc3339("2026-03-07T13:48:50.500001Z")) == "2026-03-07T13:48:50.500001Z"
    assert utc_ns_from_rfc3339("1970-01-01T01:00:00+01:00") == 0
    for wrong in ("2026-03-07T13:48:50", "yesterday", ""):
        with pytest.raises(ValueError, match=r".+"):
            utc_ns_from_rfc3339(wrong)
