"""How many splits a second `timing-mat collect` takes from a real broker, all cores shared with it and with the mats.

The mats are one process that publishes as fast as the broker acknowledges, from messages made beforehand. The
yardstick is a bare subscriber in the place of collect, paho alone, which only counts.

Whether it keeps up with 40 mats over a whole race: ``python -m tests.benchmarks.collect --mats 40 --splits 48000
--rate 5000``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.benchmarks.pace import Child
from tests.benchmarks.rows import Row
from tests.broker import Mosquitto
from tests.daemon import COMMAND
from tests.fakes.mat import Log
from tests.waiting import wait_until

MATS, SPLITS = 8, 2_500
LIMIT_S = 3_600.0
EVENT = "chicago-2023"


def rows(runs: int) -> list[Row]:
    """Splits a second, and CPU a split, against the bare subscriber's, in turn."""
    ours, bare = [], []
    for _ in range(runs):
        ours.append(collected(MATS, SPLITS, 0))
        bare.append(counted(MATS, SPLITS, 0))
    against = "paho alone, counting"

    def row(what: str, number: int) -> Row:
        pair = [statistics.median(run[number] for run in its) for its in (ours, bare)]
        return {"what": what, "ours": pair[0], "yardstick": pair[1], "against": against}

    return [
        row(f"collect: splits a second, {MATS} mats at once", 0),
        row("collect: CPU a split, µs", 1),
        {"what": "collect: memory, MB", "ours": statistics.median(run[2] for run in ours)},
    ]


def collected(mats: int, splits: int, rate: int) -> tuple[float, float, float]:
    """Splits a second, CPU a split in µs and resident MB of `collect`."""
    with tempfile.TemporaryDirectory(prefix="collect-") as folder, Mosquitto() as broker:
        db = Path(folder) / "race.db"
        output = (Path(folder) / "said.txt").open("w+")
        command = [COMMAND, "collect", "--port", str(broker.port), "--event", EVENT, "--db", str(db)]
        process = subprocess.Popen(command, stdout=output, stderr=output)

        def written() -> int:
            with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
                # The rows are never deleted: the last one's number is their count, and costs nothing to ask.
                return int(connection.execute("SELECT coalesce(max(rowid), 0) FROM entry").fetchone()[0])

        try:
            wait_until(lambda: "passings of" in Path(output.name).read_text(), 30, "collect")
            measured = _measure(broker, psutil.Process(process.pid), written, (mats, splits, rate))
            process.terminate()
            process.wait(60)
            return measured
        finally:
            process.kill()
            process.wait(10)
            output.close()


def counted(mats: int, splits: int, rate: int) -> tuple[float, float, float]:
    """The same of a subscriber that only counts."""
    with Mosquitto() as broker, Child(_count, broker.port) as child:
        child.go()

        def came() -> int:
            child.go()
            count: int = child.take()
            return count

        return _measure(broker, psutil.Process(child.pid), came, (mats, splits, rate))


def _measure(
    broker: Mosquitto, process: psutil.Process, so_many: Callable[[], int], load: tuple[int, int, int]
) -> tuple[float, float, float]:
    mats, splits, rate = load
    with Child(_tell, broker.port, mats, splits, rate) as teller:
        before_s = sum(process.cpu_times()[:2])
        began_s = time.monotonic()
        teller.go()
        while so_many() < mats * splits:
            assert time.monotonic() - began_s < LIMIT_S
            threading.Event().wait(0.05)
        took_s = time.monotonic() - began_s
        cpu_s = sum(process.cpu_times()[:2]) - before_s
        told_s = teller.take()
    if rate:
        print(f"told in {told_s:.1f} s, written {took_s - told_s:.1f} s later")
    return mats * splits / took_s, cpu_s / (mats * splits) * 1e6, process.memory_info().rss / 1e6


def _tell(pipe: Connection, port: int, mats: int, splits: int, rate: int) -> None:
    """Publishes every mat's log, one split of each in turn; says how long it took, in s."""
    logs = [Log("km", f"mat-{n}", epoch=f"epoch{n}", box=f"b{n}") for n in range(mats)]
    # A whole race would fill the memory: one message a mat, in which the numbers are replaced.
    forms = [json.dumps(log.split(1, at_s=1, bib="@bib@")).replace('"seq": 1,', '"seq": @seq@,') for log in logs]
    topics = [f"timing/{EVENT}/km/{log.mat}/split" for log in logs]
    forms = [
        form.replace(f'"{log.epoch}-1"', f'"{log.epoch}-@seq@"').replace("00000001", "@chip@")
        for form, log in zip(forms, logs, strict=True)
    ]
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(20)  # mosquitto's, too
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", port)
    out = threading.Semaphore(2_000)
    client.on_publish = lambda *_: out.release()
    client.loop_start()
    pipe.send("ready")
    pipe.recv()
    began_s = time.monotonic()
    for number in range(1, splits + 1):
        for topic, form in zip(topics, forms, strict=True):
            out.acquire()
            message = (
                form.replace("@seq@", str(number)).replace("@chip@", f"{number:08X}").replace("@bib@", str(number))
            )
            client.publish(topic, message.encode(), 1)
        ahead_s = began_s + number * mats / rate - time.monotonic() if rate else 0
        if ahead_s > 0.01:
            threading.Event().wait(ahead_s)
    for _ in range(2_000):
        out.acquire()
    pipe.send(time.monotonic() - began_s)
    pipe.recv()


def _count(pipe: Connection, port: int) -> None:
    count = 0

    def take(*_: object) -> None:
        nonlocal count
        count += 1

    subscribed = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.on_connect = lambda client, *_: client.subscribe(f"timing/{EVENT}/+/+/split", qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    pipe.send("ready")
    pipe.recv()
    subscribed.wait(10)
    while True:
        pipe.recv()
        pipe.send(count)


def main() -> None:
    """One run, as large as is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.collect", description=__doc__)
    parser.add_argument("--mats", type=int, default=40)
    parser.add_argument("--splits", type=int, default=48_000, help="of each mat [48000]")
    parser.add_argument("--rate", type=int, default=0, help="splits a second in all [as fast as it goes]")
    chosen = parser.parse_args()
    pace, cpu_us, memory_mb = collected(chosen.mats, chosen.splits, chosen.rate)
    print(f"{pace:.0f} splits a second, {cpu_us:.0f} µs of CPU each, {memory_mb:.0f} MB")


if __name__ == "__main__":
    main()
