"""UTC is put right in the middle of a race: the real daemon, with a clock that steps, and race control."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from reader.clock import utc_ns_from_rfc3339
from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, highest_revisions, message
from tests.fakes.stepping import set_clock
from tests.waiting import wait_until

HOUR_NS = 3600 * 10**9
MS = 1_000_000
BEFORE, AFTER = 300, 40


def ipico(chip: int, hundredths: int) -> bytes:
    """One read; the reader's date is of no matter here."""
    body = f"00{chip:012x}0001260307134850{hundredths:02x}"
    return f"aa{body}{sum(body.encode()) & 0xFF:02x}\r\n".encode()


@pytest.mark.long
@pytest.mark.parametrize("ahead_ns", [HOUR_NS, -HOUR_NS, -time.time_ns()], ids=["hour-ahead", "hour-behind", "1970"])
def test_all_highest_revisions_equal_the_truth(ahead_ns: int, mosquitto: Mosquitto, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, ahead_ns, synced=False)
    text = f"""
        [mat]
        event = "steps"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        baud = 115200
        time_from = "host"
        [gate]
        quiet_s = 0.3
        [mqtt]
        port = {mosquitto.port}
    """
    program = (sys.executable, "-m", "tests.fakes.stepping")
    truth: dict[str, int] = {}
    dice = random.Random(7)

    def cross(chip: int) -> None:
        truth[f"{chip:012X}"] = time.time_ns()
        line.write(ipico(chip, 1) + ipico(chip, 2))
        begun = time.monotonic()
        pause_s = dice.uniform(0.0, 0.03)
        wait_until(lambda: time.monotonic() >= begun + pause_s, what="the next runner")

    with (
        Subscriber(mosquitto.port, "timing/steps/#") as subscriber,
        Line(tmp_path / "line") as line,
        Daemon(tmp_path, text, str(clock), program=program) as daemon,
    ):
        daemon.wait_for_recording()
        for chip in range(BEFORE):
            cross(chip)
        set_clock(clock, 0, synced=True)  # some have been heard and not yet told
        for chip in range(BEFORE, BEFORE + AFTER):
            cross(chip)

        def payloads(what: str) -> list[bytes]:
            return [received.payload for received in subscriber.on(what)]

        def is_put_right() -> bool:
            notices = [message(payload) for payload in payloads("notice")]
            return any(notice["kind"] == "clock" for notice in notices)

        wait_until(is_put_right, 60, "the clock put right")
        daemon.wait_for_delivery()
        seqs = [message(payload)["seq"] for payload in payloads("split")]
        assert len(seqs) == len(set(seqs))
        splits = highest_revisions(payloads("split"))
    found = {split["chip"]: utc_ns_from_rfc3339(split["time"]) for split in splits.values()}
    assert len(splits) == len(truth), "a passing was doubled or lost"
    # How long a line written takes to be read, on a busy machine, is not the clock's: the median is.
    late_ms = sorted((found[chip] - utc_ns) / MS for chip, utc_ns in truth.items())
    assert late_ms[0] > -2
    assert late_ms[len(late_ms) // 2] < 10
    assert all(split["clock"]["synced"] for split in splits.values())
