"""From the last byte of a chip's first read at the port to `heard` at a subscriber, against syncs of the same disk.

`heard` is told only when its read is on the disk, so one sync is the least that it can take.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from tests.benchmarks.mat import chip_of, config, record_of
from tests.benchmarks.rows import Row, percentile
from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line
from tests.waiting import wait_until

READS_OF_A_RUN = 3_000
READS_A_SECOND = 300
SYNCS = 200


def rows(runs: int) -> list[Row]:
    """The median and the 99th percentile of all runs together."""
    ours: list[float] = []
    syncs: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            ours += heard_after_ms(Path(name))
            syncs += syncs_ms(Path(name))
    return [
        {
            "what": f"heard after the first read, {READS_A_SECOND} reads/s, {label}: ms",
            "ours": percentile(ours, share),
            "yardstick": percentile(syncs, share),
            "against": "one sync of that disk, ms",
        }
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


def heard_after_ms(folder: Path) -> list[float]:
    """Of each chip."""
    with (
        Mosquitto() as broker,
        Subscriber(broker.port, "timing/#") as subscriber,
        Line(folder / "line") as line,
        Daemon(folder, config(folder, broker)) as daemon,
    ):
        daemon.wait_for_recording()
        sent_s = send_paced(line)
        wait_until(lambda: len(subscriber.on("/heard")) >= len(sent_s), 30, "all heard")
        heard = [(json.loads(one.payload)["chip"], one.at_s) for one in subscriber.on("/heard")]
    return [(at_s - sent_s[chip]) * 1000 for chip, at_s in heard]


def send_paced(line: Line) -> dict[str, float]:
    """When the first read of each chip had been sent."""
    sent_s: dict[str, float] = {}
    began_s = time.monotonic()
    for number in range(READS_OF_A_RUN):
        wait_s = began_s + number / READS_A_SECOND - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        line.send(record_of(number))
        sent_s.setdefault(chip_of(number), time.monotonic())
    return sent_s


def syncs_ms(folder: Path) -> list[float]:
    """Of one page each, to a file beside the journal."""
    found = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            before_s = time.monotonic()
            os.fdatasync(file.fileno())
            found.append((time.monotonic() - before_s) * 1000)
    return found
