"""The finish of the 2023 Chicago Marathon: 48,000 crossings, 12 reads each, through everything, fast."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, highest_revisions, message
from tests.waiting import wait_until

CROSSINGS = Path(__file__).parents[2].parent / "shared" / "data" / "chicago-2023-crossings.csv.gz"


@pytest.mark.skipif(not CROSSINGS.exists(), reason="the crossings are not here: ../shared/data")
@pytest.mark.long
def test_every_finisher_of_chicago_is_told_once_and_right(
    tmp_path: Path, mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"""
        [mat]
        event = "chicago-2023"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        time_from = "reader"
        [gate]
        pick = "first"
        [mqtt]
        port = {mosquitto.port}
    """
    simulate = [
        *(COMMAND, "simulate", "--protocol", "ipico", "--link", f"{tmp_path}/line"),
        *("--crossings", str(CROSSINGS), "--point", "finish", "--date", "2023-10-08"),
        *("--speed", "0", "--wait", "--linger", "2", "--truth", f"{tmp_path}/truth.jsonl"),
    ]
    with Subscriber(mosquitto.port, "timing/chicago-2023/finish/mat/#") as subscriber, Daemon(tmp_path, text) as daemon:
        began = time.monotonic()
        subprocess.run(simulate, check=True, stdout=subprocess.DEVNULL, timeout=200)
        truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
        wait_until(lambda: daemon.status()["counts"]["splits"] == len(truth), 60, "a split for each crossing")
        daemon.wait_for_delivery()
        took_s = time.monotonic() - began
        process = psutil.Process(daemon.pid)
        cpu_s = sum(process.cpu_times()[:2])
        resident_mb = process.memory_info().rss / 1e6
        status = daemon.status()
        last_seq = status["last_seq"]
        wait_until(lambda: len(sequenced(subscriber)) >= last_seq, 30, "all entries at the subscriber")
        assert daemon.stop() == 0

    highest = highest_revisions([one.payload for one in subscriber.on("/split")])
    with capsys.disabled():
        print(
            f"\nChicago: {len(truth)} crossings, {status['counts']['reads']} reads in {took_s:.1f} s;"
            f" the daemon: {cpu_s / status['counts']['reads'] * 1e6:.1f} µs of CPU a read, {resident_mb:.0f} MB"
        )
    assert len(truth) == 48_000 - missing()
    assert sorted(split["chip"] for split in highest.values()) == sorted(crossing["chip"] for crossing in truth)
    first_by_chip = {crossing["chip"]: datetime.fromisoformat(crossing["first"]) for crossing in truth}
    for split in highest.values():
        error_s = (datetime.fromisoformat(split["time"]) - first_by_chip[split["chip"]]).total_seconds()
        assert abs(error_s) <= 0.010, split
        assert split["reads"] == 12 or not split["left"]  # the last ones are not closed yet
    seqs = sequenced(subscriber)  # the last but one may have been closed since
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) >= last_seq


def sequenced(subscriber: Subscriber) -> list[int]:
    kinds = ("/split", "/coverage", "/notice")
    return sorted({message(one.payload)["seq"] for kind in kinds for one in subscriber.on(kind)})


def missing() -> int:
    """Rows of the file without a finish time."""
    with gzip.open(CROSSINGS, "rt") as file:
        return sum(1 for line in file if line.rstrip().endswith(","))
