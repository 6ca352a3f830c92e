"""CPU of the daemon for each raw IPICO read, end to end, against the broker's own client forwarding lines; and memory.

Ours does the whole work: port, gate, journal, broker. `mosquitto_pub -l` publishes each line as it comes.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

import psutil

from tests.benchmarks.mat import READS, config
from tests.benchmarks.rows import Row
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon
from tests.waiting import wait_until

CROSSINGS = 20_000
YARDSTICK_LINES = 60_000  # mosquitto_pub -l loses lines above 65,533 in one run


def rows(runs: int) -> list[Row]:
    """CPU a read, and what the daemon holds in memory after it."""
    ours, theirs, resident_mb = [], [], []
    for _ in range(runs):
        cpu_us, mb = daemon_cpu_us()
        ours.append(cpu_us)
        resident_mb.append(mb)
        theirs.append(forwarder_cpu_us())
    return [
        {
            "what": f"CPU a raw read, {READS} a crossing: µs",
            "ours": statistics.median(ours),
            "yardstick": statistics.median(theirs),
            "against": "mosquitto_pub -l -q 1, µs of CPU a line",
        },
        {"what": f"resident memory after {CROSSINGS} crossings: MB", "ours": statistics.median(resident_mb)},
    ]


def daemon_cpu_us() -> tuple[float, float]:
    """Of each read; and the resident memory, MB."""
    with (
        tempfile.TemporaryDirectory() as name,
        Mosquitto() as broker,
        Subscriber(broker.port, "timing/+/+/+/split") as subscriber,
    ):
        folder = Path(name)
        with Daemon(folder, config(folder, broker, 'time_from = "reader"')) as daemon:
            process = psutil.Process(daemon.pid)
            before = sum(process.cpu_times()[:2])
            simulate = [
                *(COMMAND, "simulate", "--link", f"{folder}/line", "--runners", str(CROSSINGS), "--reads", str(READS)),
                *("--minutes", "180", "--speed", "0", "--wait", "--linger", "1"),
            ]
            subprocess.run(simulate, check=True, stdout=subprocess.DEVNULL)
            # Told by the subscriber: to ask the daemon a hundred times a second would be part of what is measured.
            wait_until(lambda: len(subscriber.received) >= CROSSINGS, 60, "all splits")
            cpu_s = sum(process.cpu_times()[:2]) - before
            return cpu_s / daemon.status()["counts"]["reads"] * 1e6, process.memory_info().rss / 1e6


def forwarder_cpu_us() -> float:
    """Of each line."""
    line = b"aa00058000123b3200012603071348503277\n"
    with Mosquitto() as broker, Subscriber(broker.port, "lines"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            ["mosquitto_pub", "-p", str(broker.port), "-t", "lines", "-q", "1", "-l"],
            input=line * YARDSTICK_LINES,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_s / YARDSTICK_LINES * 1e6
