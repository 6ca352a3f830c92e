"""What real IPICO readers sent, through the real daemon to a real broker: no more, no fewer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, highest_revisions
from tests.waiting import wait_until

CAPTURES = sorted((Path(__file__).parents[2].parent / "shared" / "captures").glob("*.jsonl"))
DEAD_TIME_S = 8.0  # longer than the disorder of these readers


def reads_of(capture: list[bytes]) -> list[tuple[str, datetime]]:
    """An independent reading: lines that begin with aa, by columns, each once; the checksum is not looked at."""
    found = []
    for line in b"".join(capture).decode("ascii").split("\r\n"):
        if line.startswith("aa") and len(line) >= 36:
            year, month, day, hour, minute, second = (int(line[at : at + 2]) for at in range(20, 32, 2))
            moment = datetime(2000 + year, month, day, hour, minute, second, int(line[32:34], 16) * 10_000, UTC)
            found.append((line[4:16].upper(), moment))
    return sorted(set(found))


def passings_of(reads: list[tuple[str, datetime]]) -> list[tuple[str, datetime, datetime, int]]:
    """Chip, first, last and how many reads, of reads sorted by chip and time."""
    passings: list[tuple[str, datetime, datetime, int]] = []
    for chip, moment in reads:
        if passings and passings[-1][0] == chip and (moment - passings[-1][2]).total_seconds() < DEAD_TIME_S:
            passings[-1] = (chip, passings[-1][1], moment, passings[-1][3] + 1)
        else:
            passings.append((chip, moment, moment, 1))
    return passings


@pytest.mark.skipif(not CAPTURES, reason="the captures are not here: ../shared/captures")
def test_captures_give_the_chips_and_times_that_stand_in_them(tmp_path: Path, mosquitto: Mosquitto) -> None:
    captures = {
        path: [bytes.fromhex(json.loads(line)["hex"]) for line in path.read_text().splitlines() if line]
        for path in CAPTURES
    }
    expected = {
        (f"c{number}", *passing)
        for number, capture in enumerate(captures.values())
        for passing in passings_of(reads_of(capture))
    }
    assert len(expected) > 5
    readers = "".join(
        f"""
        [[reader]]
        name = "c{number}"
        line = "c{number}"
        protocol = "ipico"
        port = "{tmp_path}/line{number}"
        time_from = "reader"
        """
        for number in range(len(captures))
    )
    text = f"""
        [mat]
        event = "captures"
        point = "finish"
        id = "mat"
        [gate]
        pick = "first"
        dead_time_s = {DEAD_TIME_S}
        [mqtt]
        port = {mosquitto.port}
        {readers}
    """
    lines = [Line(tmp_path / f"line{number}") for number in range(len(captures))]
    for line in lines:
        line.plug_in()
    try:
        with Subscriber(mosquitto.port, "timing/captures/#") as subscriber, Daemon(tmp_path, text) as daemon:
            wait_until(lambda: all(part["word"] == "ok" for part in reader_parts(daemon)), what="every line open")
            for line, capture in zip(lines, captures.values(), strict=True):
                for segment in capture:
                    line.write(segment)
            # With pick = "first" every passing is closed by a last revision, a dead time after its last read.
            wait_until(
                lambda: {split_as_passing(split) for split in closed(subscriber)} >= expected,
                DEAD_TIME_S + 20,
                "every passing to be closed as expected",
            )
            got = [split_as_passing(split) for split in closed(subscriber)]
            assert sorted(got) == sorted(expected)
            assert {split["rev"] for split in closed(subscriber)} <= {2, 3, 4}
            assert daemon.status()["counts"]["rejected"] == {}
            assert daemon.stop() == 0
    finally:
        for line in lines:
            line.unplug()


def reader_parts(daemon: Daemon) -> list[dict[str, str]]:
    return [part for name, part in daemon.status()["parts"].items() if name.startswith("reader:")]


def closed(subscriber: Subscriber) -> list[dict[str, object]]:
    highest = highest_revisions([message.payload for message in subscriber.on("/split")])
    return [split for split in highest.values() if split["left"]]


def split_as_passing(split: dict[str, object]) -> tuple[object, ...]:
    first, last = (datetime.fromisoformat(str(split[key])) for key in ("first", "last"))
    assert split["time"] == split["first"]
    return (split["line"], split["chip"], first, last, split["reads"])
