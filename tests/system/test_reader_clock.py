"""The reader's own clock, through the real daemon: what comes late keeps its true time, and `timing-mat clock`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, highest_revisions
from tests.fakes.stepping import set_clock
from tests.waiting import wait_until

S = 1_000_000_000
MS = 1_000_000
STEPPING = (sys.executable, "-m", "tests.fakes.stepping")
CHICAGO_S = -6 * 3600
MAT = """
[mat]
event = "race"
point = "finish"
id = "finish-main"
[[reader]]
protocol = "ipico"
port = "{port}"
baud = 115200
[mqtt]
port = {broker}
"""


class Reader:
    """An IPICO on a line: its clock ahead of UTC by ``ahead_s`` and fast by ``ppm``; answers when asked for it."""

    def __init__(self, line: Line, ahead_s: float, ppm: float) -> None:
        self._line = line
        self._ahead_ns = round(ahead_s * S)
        self._ppm = ppm
        self._began_ns = time.time_ns()
        self._lock = threading.Lock()

    def record(self, chip: str, utc_ns: int) -> bytes:
        """A read of that moment, as its clock shows it."""
        body = f"00{chip}0101{self._shown(utc_ns, '%y%m%d%H%M%S')}"
        return f"aa{body}{sum(body.encode()) & 0xFF:02x}\r\n".encode()

    def say(self, data: bytes) -> None:
        with self._lock:
            self._line.send(data)

    def answer(self) -> None:
        """What was asked, if anything."""
        if b"ab00000222" in self._line.read(0.01):
            body = f"000902{self._shown(time.time_ns(), '%y%m%d0%w%H%M%S')}27"
            self.say(f"ab{body}{sum(body.encode()) & 0xFF:02x}\r\n".encode())

    def _shown(self, utc_ns: int, form: str) -> str:
        shown_ns = utc_ns + self._ahead_ns + round((utc_ns - self._began_ns) * self._ppm / 1e6)
        second, rest = divmod(shown_ns, S)
        return f"{datetime.fromtimestamp(second, UTC).strftime(form)}{rest // (10 * MS):02x}"


@contextmanager
def answering(reader: Reader) -> Iterator[None]:
    """It answers in a thread of its own."""
    over = threading.Event()

    def answer() -> None:
        while not over.is_set():
            reader.answer()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def mat(tmp_path: Path, link: Path, broker: Mosquitto) -> Iterator[Daemon]:
    """A daemon whose clock is good, whatever this machine's is."""
    clock = tmp_path / "clock"
    set_clock(clock, 0, synced=True)
    text = MAT.format(port=link, broker=broker.port)
    # The program takes the clock's file behind its configuration.
    with Daemon(tmp_path, text, str(clock), program=STEPPING) as daemon:
        daemon.wait_for_recording()
        yield daemon


@contextmanager
def stage(tmp_path: Path, broker: Mosquitto) -> Iterator[tuple[Line, Subscriber, Daemon]]:
    """A line, a mat on it, and somebody who listens to its splits."""
    link = tmp_path / "reader"
    with (
        Line(link) as line,
        Subscriber(broker.port, "timing/+/+/+/split") as subscriber,
        mat(tmp_path, link, broker) as daemon,
    ):
        yield line, subscriber, daemon


def clocks(daemon: Daemon, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [COMMAND, "clock", "--json", "--config", str(daemon.config), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def wait_until_used(daemon: Daemon) -> dict[str, Any]:
    def used() -> dict[str, Any] | None:
        [reader] = clocks(daemon)["readers"]
        return reader if reader["is_used"] else None

    found = wait_until(used, 30, "the reader's clock to be followed")
    assert found is not None
    return found


def utc_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6) * 1000


def test_a_crossing_that_comes_three_seconds_late_has_its_true_time(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with stage(tmp_path, mosquitto) as (line, subscriber, daemon):
        reader = Reader(line, CHICAGO_S + 3.2, ppm=80)
        with answering(reader):
            # Known before any chip has passed, for it is asked.
            stands = wait_until_used(daemon)
            assert stands["zone"] == "UTC-06:00"
            assert stands["ahead_ms"] == pytest.approx(3_200, abs=30)
            late = time.time_ns()
            wait_until(lambda: time.time_ns() - late > 3 * S, 10, "three seconds")
            for read in range(12):
                reader.say(reader.record("05800000000a", late + read * 50 * MS))
                reader.say(reader.record("05800000000b", late + read * 50 * MS))
            subscriber.wait_for("/split", 2)
        splits = list(highest_revisions([one.payload for one in subscriber.on("/split")]).values())
        assert {split["time_from"] for split in splits} == {"disciplined"}
        assert len({(split["first"], split["best"], split["last"]) for split in splits}) == 1, "equal stays equal"
        assert abs(utc_ns(splits[0]["first"]) - late) <= 15 * MS
        assert abs(utc_ns(splits[0]["last"]) - late - 550 * MS) <= 15 * MS


def test_a_reader_that_does_not_answer_is_followed_by_its_reads(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with stage(tmp_path, mosquitto) as (line, subscriber, daemon):
        reader = Reader(line, 7.0, ppm=0)
        first_ns = time.time_ns()
        for read in range(40):
            wait_until(lambda read=read: time.time_ns() - first_ns > read * 30 * MS, 10, "the next read")  # type: ignore[misc] # mypy can't infer it
            reader.say(reader.record("05800000000c", time.time_ns()))
        wait_until_used(daemon)
        late_ns = time.time_ns() - 900 * MS
        for read in range(10):
            reader.say(reader.record("05800000000d", late_ns + read * 50 * MS))
        wait_until(lambda: len(highest_revisions([one.payload for one in subscriber.on("/split")])) == 2, 20, "both")
        splits = {
            split["chip"]: split
            for split in highest_revisions([one.payload for one in subscriber.on("/split")]).values()
        }
        assert splits["05800000000C"]["time_from"] == "host", "its first reads came before its clock was known"
        assert splits["05800000000D"]["time_from"] == "disciplined"
        assert abs(utc_ns(splits["05800000000D"]["first"]) - late_ns) <= 15 * MS


def test_what_was_held_when_the_line_went_is_not_lost(tmp_path: Path, mosquitto: Mosquitto) -> None:
    link = tmp_path / "reader"
    with Line(link) as line, mat(tmp_path, link, mosquitto) as daemon:
        reader = Reader(line, 0.0, ppm=0)
        with answering(reader):
            wait_until_used(daemon)
        before = daemon.status()["counts"]["reads"]
        for read in range(5):
            reader.say(reader.record("05800000000e", time.time_ns() - 30 * S + read * 50 * MS))
        wait_until(lambda: [one["reads_60s"] for one in daemon.status()["antennas"]] == [5], 10, "the line to be read")
        line.unplug()
        wait_until(lambda: daemon.status()["counts"]["reads"] == before + 5, 10, "the reads")


@pytest.mark.long
def test_the_clock_of_a_simulated_reader_is_shown_set_and_read_back(tmp_path: Path, mosquitto: Mosquitto) -> None:
    link = tmp_path / "reader"
    play = [COMMAND, "simulate", "--link", str(link), "--runners", "3", "--minutes", "2", "--date", "2001-04-01"]
    simulator = subprocess.Popen([*play, "--fault", "unset-clock@1"], stdout=subprocess.DEVNULL)
    try:
        wait_until(link.exists, 10, "the simulated line")
        with mat(tmp_path, link, mosquitto) as daemon:
            stands = wait_until_used(daemon)
            assert stands["zone"] is None, "it is years off: no zone"
            did = clocks(daemon, "--set")["did"]
            assert len(did) == 1
            assert did[0].startswith("main: ")

            def is_right() -> bool:
                [now] = clocks(daemon)["readers"]
                return bool(now["zone"] == "UTC" and abs(now["ahead_ms"]) < 1_000 and now["is_used"])

            wait_until(is_right, 30, "the reader's clock to be right")
            refused = subprocess.run(
                [COMMAND, "clock", "--set", "--reader", "left", "--config", str(daemon.config)],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert refused.returncode == 1
            assert "reader: found 'left', expected one of: main" in refused.stderr
    finally:
        simulator.kill()
        simulator.wait(10)
