"""Race control's collector, killed again and again (process death only), and on a disk that is full."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.collecting import Collect, Race, acked
from tests.fakes.mat import FakeMat, Log
from tests.faults.disks import fill, mounted_tmpfs
from tests.tally import Tally
from tests.waiting import wait_until

KILLS = 10
SPLITS = 4_000


@pytest.mark.long
def test_killed_ten_times_it_has_everything_once_and_never_acknowledged_what_it_had_not(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    dice = random.Random(5)
    logs = [Log("finish", f"mat-{n}", epoch=f"e{n}", box=f"b{n}") for n in range(3)]
    highest_ack = 0
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Subscriber(mosquitto.port, "timing/+/+/+/ack/rc1"))
        mats = [stack.enter_context(FakeMat(mosquitto.port, log)) for log in logs]
        collect = stack.enter_context(Collect(tmp_path, mosquitto.port))
        race = stack.enter_context(Race(mats, SPLITS, dice))
        for number in range(KILLS):
            wait_for_more(lambda: collect.count("entry"))
            if number % 2:
                wait_for_more(lambda: len(listener.received))  # an ack at least
            threading.Event().wait(dice.random())  # any moment
            collect.kill()
            assert not race.is_over
            wait_until(lambda: is_quiet(listener), what="all acks at the listener")
            for ack in listener.on("ack/rc1"):
                for epoch, seq in json.loads(ack.payload)["acks"].items():
                    assert seq <= collect.through(epoch)
                    highest_ack = max(highest_ack, seq)
            collect.start()
        wait_until(lambda: race.is_over, 90, "the end of the race")
        total = sum(log.last_seq for log in logs)
        wait_until(lambda: collect.count("entry") == total, 60, f"all {total} entries")
        wait_until(lambda: acked(listener) == {log.epoch: log.last_seq for log in logs}, what="the acks")
        assert collect.stop() == 0
    assert highest_ack > 0
    lost = doubled = 0
    for log in logs:
        bodies = collect.rows(f"SELECT seq, body FROM entry WHERE epoch = '{log.epoch}' ORDER BY seq")
        assert {seq: json.loads(body) for seq, body in bodies} == log.entries
        highest = {entry["passing"]: entry["rev"] for _, entry in sorted(log.entries.items())}
        stands = collect.rows(f"SELECT passing, rev FROM passing WHERE epoch = '{log.epoch}'")
        assert dict(stands) == highest
        doubled += len(stands) - len(dict(stands))
        lost += len(highest.keys() - dict(stands).keys())
    # The same chips over three mats of one point, within the same second: one crossing each.
    assert collect.rows("SELECT count(*), min(json_array_length(passings)) FROM crossing") == [(SPLITS, 3)]
    tally("kill -9 of collect, one message in 20 dropped", times=KILLS, passings=3 * SPLITS, lost=lost, doubled=doubled)


@pytest.mark.long
def test_on_a_full_disk_it_says_so_and_acknowledges_nothing_until_there_is_room(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    log = Log()
    with (
        mounted_tmpfs(tmp_path / "disk", 8) as disk,
        Subscriber(mosquitto.port, "timing/+/+/+/ack/rc1") as listener,
        FakeMat(mosquitto.port, log) as mat,
        Collect(tmp_path, mosquitto.port, db=disk / "race.db") as collect,
    ):
        mat.tell(*(log.split(number, at_s=number) for number in range(1, 101)))
        mat.status()
        wait_until(lambda: acked(listener) == {"e1": 100}, what="the ack")
        fill(disk / "filling")
        mat.tell(*(log.split(number, at_s=number) for number in range(101, 1001)))
        wait_until(lambda: "the disk is full; free some; nothing is acknowledged" in collect.said, what="its words")
        through = acked(listener)["e1"]
        assert through == collect.through("e1") < 1000
        wait_until(lambda: collect.said.count("passings of") >= 3, 30, "some time")
        assert acked(listener)["e1"] == through
        (disk / "filling").unlink()
        wait_until(lambda: acked(listener) == {"e1": 1000}, what="the ack of all")
        count = collect.count("entry")
        assert collect.stop() == 0
    tally("collect's disk full", times=1, passings=1000, lost=1000 - count, doubled=max(count - 1000, 0))


def wait_for_more(now: Callable[[], int]) -> None:
    count = now()
    wait_until(lambda: now() > count, 30, f"more than {count}")


def is_quiet(listener: Subscriber) -> bool:
    """Nothing has come for a while."""
    count = len(listener.received)
    threading.Event().wait(0.2)
    return len(listener.received) == count
