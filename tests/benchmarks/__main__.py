"""`python -m tests.benchmarks`: what a read costs and how soon it is heard of, each against a yardstick of that run.

These machines are shared and noisy: a figure means something only beside its yardstick, so both are measured in
turn, and what counts is the ratio of the medians. A table is printed; ``--json FILE`` writes it too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line
from tests.waiting import wait_until

CROSSINGS = 20_000
READS = 12
YARDSTICK_LINES = 60_000  # mosquitto_pub -l loses lines above 65,533 in one run
LATENCY_READS = 3_000
READS_A_SECOND = 300

Row = dict[str, Any]


def main() -> None:
    """Measure all rows and print them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--json", type=Path, help="a file to write the table to")
    chosen = parser.parse_args()
    rows = [*cpu_of_a_read(chosen.runs), *latency_of_heard(chosen.runs)]
    print(f"{'what':58} {'ours':>10} {'yardstick':>10} {'ratio':>7}")
    for row in rows:
        yardstick = row.get("yardstick")
        ratio = f"{row['ours'] / yardstick:7.2f}" if yardstick else ""
        print(f"{row['what']:58} {row['ours']:10.2f} {yardstick or '':>10.5} {ratio:>7}  {row.get('against', '')}")
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1))


def config(folder: Path, broker: Mosquitto, more: str = "") -> str:
    return f"""
        [mat]
        event = "bench"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{folder}/line"
        {more}
        [mqtt]
        port = {broker.port}
    """


def cpu_of_a_read(runs: int) -> list[Row]:
    """CPU of the daemon for each raw IPICO read, end to end, against the broker's own client forwarding lines."""
    ours, theirs, resident_mb = [], [], []
    for _ in range(runs):
        cpu_us, mb = daemon_cpu_us()
        ours.append(cpu_us)
        resident_mb.append(mb)
        theirs.append(forwarder_cpu_us())
    against = "mosquitto_pub -l -q 1, µs of CPU a line"
    return [
        {
            "what": f"CPU a raw read, {READS} a crossing: µs",
            "ours": statistics.median(ours),
            "yardstick": statistics.median(theirs),
            "against": against,
        },
        {"what": f"resident memory after {CROSSINGS} crossings: MB", "ours": statistics.median(resident_mb)},
    ]


def daemon_cpu_us() -> tuple[float, float]:
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


def latency_of_heard(runs: int) -> list[Row]:
    """From the last byte of a chip's first read at the port to `heard` at the subscriber, at 300 reads a second."""
    ours: list[float] = []
    syncs: list[float] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            ours += heard_after_ms(Path(name))
            syncs += syncs_ms(Path(name))
    against = "one sync of that disk, ms"
    return [
        {
            "what": f"heard after the first read, {READS_A_SECOND} reads/s, {label}: ms",
            "ours": percentile(ours, share),
            "yardstick": percentile(syncs, share),
            "against": against,
        }
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


def heard_after_ms(folder: Path) -> list[float]:
    sent_s: dict[str, float] = {}
    with (
        Mosquitto() as broker,
        Subscriber(broker.port, "timing/#") as subscriber,
        Line(folder / "line") as line,
        Daemon(folder, config(folder, broker)) as daemon,
    ):
        daemon.wait_for_recording()
        paced(lambda number: send_read(line, number, sent_s), LATENCY_READS)
        wait_until(lambda: len(subscriber.on("/heard")) >= len(sent_s), 30, "all heard")
        heard = [(json.loads(one.payload)["chip"], one.at_s) for one in subscriber.on("/heard")]
    return [(at_s - sent_s[chip]) * 1000 for chip, at_s in heard]


def send_read(line: Line, number: int, sent_s: dict[str, float]) -> None:
    chip = f"{number // READS:012X}"
    second, hundredths = divmod(number, 100)  # no two reads at one time: repeats would not count
    body = f"aa00{chip.lower()}000126030712{second // 60:02d}{second % 60:02d}{hundredths:02x}"
    record = f"{body}{sum(body[2:].encode()) & 0xFF:02x}\r\n".encode()
    line.send(record)
    sent_s.setdefault(chip, time.monotonic())


def paced(send: Callable[[int], None], count: int) -> None:
    began_s = time.monotonic()
    for number in range(count):
        wait_s = began_s + number / READS_A_SECOND - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        send(number)


def syncs_ms(folder: Path) -> list[float]:
    found = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            before_s = time.monotonic()
            os.fdatasync(file.fileno())
            found.append((time.monotonic() - before_s) * 1000)
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    main()
