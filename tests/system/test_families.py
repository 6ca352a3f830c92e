"""Every family: a simulated reader on a pseudo-terminal, the real daemon, a real broker, and what a subscriber has."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from reader.line.protocols import FAMILIES
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, highest_revisions
from tests.waiting import wait_until

CROSSINGS = 2000
SECONDS = 40
# 200 reads a second: what the slowest of these lines carries at the speed it is given here.
READS = 4
DEAD_TIME_S = 4
BAUD = {"ipico": 115200, "rdm6300": 115200}
# The scheduler of a busy machine moves single reads on their way through two processes; a wrong time is seconds off.
MEDIAN_OFF_S = 0.05
FARTHEST_OFF_S = 1.0
# A sum of bytes stays as it was when the same bit is flipped up in one byte and down in another: of the some 400 frames
# that are hit twice, about one in 16.
PASSED_BY_CHANCE = 40

each_family = pytest.mark.parametrize("family", [family.name for family in FAMILIES])


class Race(NamedTuple):
    """What was said of each crossing, what the subscriber has of each passing, and the status at the end."""

    truth: list[dict[str, Any]]
    splits: list[dict[str, Any]]
    status: dict[str, Any]


def raced(tmp_path: Path, mosquitto: Mosquitto, family: str, *arguments: str) -> Race:
    """The race through all of it, until all is told that will be."""
    told = tmp_path / "truth.jsonl"
    simulate = [
        *(COMMAND, "simulate", "--protocol", family, "--link", f"{tmp_path}/line", "--truth", str(told)),
        *("--runners", str(CROSSINGS), "--minutes", str(SECONDS / 60), "--reads", str(READS), *arguments),
        *("--linger", str(2 * DEAD_TIME_S)),  # the last passings end while the reader hears
    ]
    if family in BAUD:
        simulate += ["--baud", str(BAUD[family])]
    text = f"""
        [mat]
        event = "families"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "{family}"
        port = "{tmp_path}/line"
        time_from = "host"
        [gate]
        pick = "first"
        quiet_s = 0.5
        dead_time_s = {DEAD_TIME_S}
        [mqtt]
        port = {mosquitto.port}
    """
    with (
        Subscriber(mosquitto.port, "timing/families/#") as subscriber,
        Daemon(tmp_path, text) as daemon,
    ):
        with subprocess.Popen(simulate, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
            try:
                assert reader.wait(180) == 0
            finally:
                reader.kill()
        truth = [json.loads(line) for line in told.read_text().splitlines()]
        heard = {one["chip"] for one in truth if one["reads"]}

        def passings() -> list[dict[str, Any]]:
            return list(highest_revisions([one.payload for one in subscriber.on("/split")]).values())

        # The last revision of a passing bears all its reads: told at its absence.
        wait_until(
            lambda: heard <= {split["chip"] for split in passings() if split["left"]}, 60, "the last word on all"
        )
        status = daemon.status()
        daemon.wait_for_delivery()
        assert daemon.stop() == 0
        return Race(truth, passings(), status)


@pytest.mark.long
@each_family
def test_two_thousand_crossings_are_told_once_each_with_the_right_chip_and_time(
    tmp_path: Path, mosquitto: Mosquitto, family: str
) -> None:
    race = raced(tmp_path, mosquitto, family)
    said = {one["chip"]: one for one in race.truth if one["reads"]}
    splits = {split["chip"]: split for split in race.splits}
    assert len(splits) == len(race.splits) == len(said) > 0.98 * CROSSINGS
    assert splits.keys() == said.keys()
    assert [chip for chip in said if splits[chip]["reads"] != said[chip]["reads"]] == []
    assert race.status["counts"]["rejected"] == {}
    for moment in ("first", "last"):
        off_s = [seconds(splits[chip][moment]) - seconds(said[chip][moment]) for chip in said]
        middle = median(off_s)  # the race's clock began when the reader did
        scatter = [abs(one - middle) for one in off_s]
        assert median(scatter) < MEDIAN_OFF_S
        assert max(scatter) < FARTHEST_OFF_S


@pytest.mark.long
@each_family
def test_with_a_byte_in_a_hundred_flipped_only_the_frames_hit_are_lost(
    tmp_path: Path, mosquitto: Mosquitto, family: str
) -> None:
    race = raced(tmp_path, mosquitto, family, "--fault", "bad-bytes@0", "--speed", "0")
    whole = {one["chip"]: one["reads"] for one in race.truth if one["reads"]}
    splits: dict[str, int] = {}
    for split in race.splits:  # what was hit twice may bear another's chip by chance, and be one more passing of it
        splits[split["chip"]] = max(split["reads"], splits.get(split["chip"], 0))
    lost = {chip: reads for chip, reads in whole.items() if splits.get(chip, 0) < reads}
    assert lost == {}, [split for split in race.splits if split["chip"] in lost]
    assert len(splits.keys() - whole.keys()) <= PASSED_BY_CHANCE
    rejected = race.status["counts"]["rejected"]
    assert isinstance(rejected, dict)
    assert sum(rejected.values()) > CROSSINGS * READS * 0.05
    assert set(rejected) & {"integrity", "length", "chip-crc"}


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
