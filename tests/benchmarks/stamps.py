"""How far the daemon's stamps scatter about when a record was written, against a bare reader on the same paced line.

Idle, and while every core is busy with other processes. The daemon runs as its unit has it (`--real-time`), if
this user may; the bare reader is a Python process at ordinary priority that does nothing but select, read and stamp:
what it misses, the machine's scheduling took. The goal: 99 % within 2 ms while all cores are busy.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from tests.benchmarks.mat import config
from tests.benchmarks.pace import Busy, Child, bare_reader, pacer
from tests.benchmarks.rows import Row, percentile
from tests.broker import Mosquitto
from tests.daemon import COMMAND, Daemon
from tests.waiting import wait_until

RATES = (300, 100)  # reads a second
SECONDS = 6
GOAL_MS = 2.0
FIRST_TIME = datetime.fromisoformat("2026-03-07T12:00:00Z")  # of the records; see mat.record_of


def rows(runs: int) -> list[Row]:
    """For each rate and load: percentiles of all runs together, and how many were within the goal."""
    cores = len(os.sched_getaffinity(0))
    found: list[Row] = []
    for load, spinning in (("idle", 0), (f"all {cores} cores busy", cores)):
        for rate in RATES:
            ours: list[float] = []
            bare: list[float] = []
            cores_of_others: list[tuple[float, float]] = []
            for _ in range(runs):
                with tempfile.TemporaryDirectory() as name, Busy(spinning) as machine:
                    ours += daemon_late_ms(Path(name), rate, machine)
                    bare += bare_late_ms(Path(name), rate, machine)
                    cores_of_others.append((machine.others[0], machine.others[1]))
            when = f"{rate} reads/s, {load}"
            found += _rows_of(when, ours, bare)
            found.append(
                {
                    "what": f"cores that all else took meanwhile, {when}",
                    "ours": statistics.median([beside_ours for beside_ours, _ in cores_of_others]),
                    "yardstick": statistics.median([beside_bare for _, beside_bare in cores_of_others]),
                    "against": "beside the bare loop; over 0.1: not ours alone",
                }
            )
    return found


def _rows_of(when: str, ours: list[float], bare: list[float]) -> list[Row]:
    against = "a bare loop of select, read, stamp"
    found: list[Row] = [
        {
            "what": f"stamp after the write, {when}, {label}: ms",
            "ours": percentile(ours, share),
            "yardstick": percentile(bare, share),
            "against": against,
        }
        for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]
    found.append(
        {
            "what": f"stamps within {GOAL_MS:g} ms, {when}: %",
            "ours": _within_percent(ours),
            "yardstick": _within_percent(bare),
            "against": against,
        }
    )
    return found


def _within_percent(late_ms: list[float]) -> float:
    return 100 * sum([ms <= GOAL_MS for ms in late_ms]) / len(late_ms)


def daemon_late_ms(folder: Path, rate: int, machine: Busy) -> list[float]:
    """Of each record: its stamp in the journal less when it was written."""
    count = rate * SECONDS
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Mosquitto())
        line = stack.enter_context(pacer(folder / "line", rate, count))
        daemon = stack.enter_context(Daemon(folder, config(folder, broker, 'time_from = "host"'), "--real-time"))
        daemon.wait_for_recording()
        written_ns = _paced(line, machine)
        wait_until(lambda: daemon.status()["counts"]["reads"] >= count, 30, "all reads")
        daemon.stop()
    stamps_ns = stamps_in_journal_ns(daemon.journal)
    assert sorted(stamps_ns) == list(range(count)), f"{count} records were written, {len(stamps_ns)} are kept"
    return [(stamps_ns[number] - at_ns) / 1e6 for number, at_ns in enumerate(written_ns)]


def stamps_in_journal_ns(journal: Path) -> dict[int, int]:
    """The stamp of each record, by its number, which its own time tells."""
    export = [COMMAND, "export", "reads", "--format", "jsonl", "--journal", str(journal)]
    text = subprocess.run(export, check=True, stdout=subprocess.PIPE, text=True).stdout
    reads = [json.loads(line) for line in text.splitlines()]
    assert {read["time_from"] for read in reads} == {"host"}
    return {number_of(read["reader_time"]): read["mono_ns"] for read in reads}


def number_of(reader_time: str) -> int:
    """Which record bears that time: they are a hundredth of a second apart."""
    return (datetime.fromisoformat(reader_time) - FIRST_TIME) // timedelta(milliseconds=10)


def bare_late_ms(folder: Path, rate: int, machine: Busy) -> list[float]:
    """The same of the bare reader."""
    count = rate * SECONDS
    link = folder / "bare"
    with pacer(link, rate, count) as line, bare_reader(link, count) as reader:
        written_ns, came_ns = _paced(line, machine), reader.take()
    return [(came - written) / 1e6 for written, came in zip(written_ns, came_ns, strict=True)]


def _paced(line: Child, machine: Busy) -> list[int]:
    """When each record was written."""
    with machine.watched():
        line.go()
        written_ns: list[int] = line.take(10 * SECONDS)
    return written_ns
