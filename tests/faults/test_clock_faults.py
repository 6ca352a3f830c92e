"""UTC is an hour off and put right in the middle of a race; no passing is lost, or told as two.

What becomes of every time is held by `tests/system/test_clock_steps.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, message
from tests.fakes.stepping import set_clock
from tests.faults.road import (
    chip_from_number,
    chips_at,
    mat_of,
    read_of,
    sequenced_at,
    splits_at,
    told_from_messages,
    used_twice,
)
from tests.tally import Tally
from tests.waiting import wait_until

HOUR_NS = 3600 * 10**9
STEPS_NS = (-HOUR_NS, 2 * HOUR_NS, 0)


@pytest.mark.long
def test_steps_of_utc(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, HOUR_NS, synced=False)
    made: list[str] = []
    program = (sys.executable, "-m", "tests.fakes.stepping")
    with (
        Subscriber(mosquitto.port, "timing/steps/#") as subscriber,
        Line(tmp_path / "line") as line,
        Daemon(tmp_path, mat_of("steps", tmp_path / "line", mosquitto.port), str(clock), program=program) as daemon,
    ):
        daemon.wait_for_recording()
        for step_ns in STEPS_NS:
            for _ in range(30):
                made.append(chip_from_number(len(made) + 1))
                line.write(read_of(made[-1]))
            set_clock(clock, step_ns, synced=step_ns == 0)  # some have been heard, and are not told yet
        wait_until(lambda: chips_at(subscriber) >= set(made), 30, "a split of every chip")
        wait_until(
            lambda: any(message(one.payload)["kind"] == "clock" for one in subscriber.on("/notice")),
            60,
            "the clock put right",
        )
        daemon.wait_for_delivery()
        received, told = sequenced_at(subscriber), told_from_messages(splits_at(subscriber))
        assert daemon.stop() == 0
    assert used_twice(received) == []
    tally(
        "UTC steps by hours",
        times=len(STEPS_NS),
        passings=len(made),
        lost=len(told.lost(made)),
        doubled=len(told.doubled()),
    )
