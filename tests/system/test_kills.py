"""`kill -9` of the daemon: process death only; the page cache survives it, so this proves nothing of a power cut."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, message
from tests.waiting import wait_until

KILLS = 20


@pytest.mark.long
def test_kill_9_at_random_moments_loses_nothing_committed_and_tells_no_crossing_as_two(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    text = f"""
        [mat]
        event = "kills"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        dead_time_s = 6
        [mqtt]
        port = {mosquitto.port}
    """
    # At true speed, without --wait: the runners wait for nobody, as on the road.
    simulate = [
        *(COMMAND, "simulate", "--link", f"{tmp_path}/line", "--runners", "150", "--minutes", "0.5"),
        *("--baud", "38400", "--truth", f"{tmp_path}/truth.jsonl", "--seed", str(seed)),
    ]
    daemon = Daemon(tmp_path, text)
    with Subscriber(mosquitto.port, "timing/kills/#") as subscriber:
        race = subprocess.Popen(simulate, stdout=subprocess.DEVNULL)
        try:
            for _ in range(KILLS):
                daemon.start()
                begun = time.monotonic() + dice.uniform(0.1, 1.0)
                wait_until(lambda begun=begun: time.monotonic() >= begun, what="a random moment")  # type: ignore[misc]
                daemon.kill()
            daemon.start()
            race.wait(180)
            wait_until(lambda: daemon.status()["on_mat"]["count"] == 0, 20, "the mat to be empty")
            daemon.wait_for_delivery()
            last_seq = daemon.status()["last_seq"]
            assert daemon.stop() == 0
        finally:
            race.terminate()
            race.wait(10)
            daemon.kill()
        received = [one for kind in ("/split", "/coverage", "/notice") for one in subscriber.on(kind)]
        heard = [message(one.payload) for one in subscriber.on("/heard")]

    exported = subprocess.run(
        [COMMAND, "export", "entries", "--journal", str(daemon.journal), "--format", "jsonl"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    kept = {(entry["epoch"], entry["seq"]): entry for entry in map(json.loads, exported.stdout.splitlines())}
    crossed = {json.loads(line)["chip"] for line in (tmp_path / "truth.jsonl").read_text().splitlines()}
    passings = {entry["passing"]: entry["chip"] for entry in kept.values() if entry["type"] == "split"}

    # Nothing that was told is lost or changed, and the numbers have no gap.
    for one in received:
        told = message(one.payload)
        assert kept[told["epoch"], told["seq"]] == told
    assert sorted(seq for _, seq in kept) == list(range(1, last_seq + 1))
    # Each runner crosses once: no chip has two passings, and none that was heard of has none.
    assert [chip for chip, count in Counter(passings.values()).items() if count > 1] == []
    assert {one["passing"] for one in heard} <= set(passings)
    assert set(passings.values()) <= crossed
    assert len(passings) > 75
