"""`timing-mat collect` as a process: killed again and again, against a real daemon, and as it is typed."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line
from tests.fakes.mat import FakeMat, Log, Message, dropping
from tests.ipico import record
from tests.waiting import free_port, wait_until

EVENT = "chicago-2023"
KILLS = 10


class Collect:
    """The command on ``folder/race.db``; what it says stands in ``output``."""

    def __init__(self, folder: Path, port: int, *arguments: object, event: str = EVENT) -> None:
        self.db = folder / "race.db"
        self.output = folder / "collect.txt"
        self._arguments = ["--port", port, "--event", event, "--db", self.db, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Collect:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.output.open("ab") as output:
            command = [COMMAND, "collect", *map(str, self._arguments)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(20)
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def rows(self, query: str) -> list[Any]:
        """From its database, while it runs or not; none while there is no database."""
        if not self.db.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            connection.execute("PRAGMA query_only=ON")
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # its tables are still to be made

    def count(self, table: str) -> int:
        rows = self.rows(f"SELECT count(*) FROM {table}")
        return rows[0][0] if rows else 0

    def through(self, epoch: str) -> int:
        """Through which seq all of that epoch stands in the database."""
        stands = {seq for (seq,) in self.rows(f"SELECT seq FROM entry WHERE epoch = '{epoch}'")}
        return next(seq for seq in itertools.count(1) if seq not in stands) - 1


class Race:
    """Mats that tell, all at once, in a thread: dropping one in twenty, some again, revisions in disorder."""

    def __init__(self, mats: list[FakeMat], splits: int, dice: random.Random) -> None:
        self._mats = mats
        self._messages = {mat: dropping(self._told(mat.log, splits, dice), 20) for mat in mats}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Race:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def _told(self, log: Log, splits: int, dice: random.Random) -> Iterator[Message]:
        for first in range(1, splits + 1, 8):
            together = [log.split(number, at_s=number) for number in range(first, min(first + 8, splits + 1))]
            together += [
                log.split(number, at_s=number + 0.4, rev=2)
                for number in range(first, first + len(together))
                if dice.random() < 0.3
            ]
            together.append(log.entries[dice.randint(1, log.last_seq)])
            dice.shuffle(together)
            yield from together

    def _run(self) -> None:
        for number, messages in enumerate(itertools.zip_longest(*self._messages.values())):
            for mat, message in zip(self._messages, messages, strict=True):
                if message:
                    mat.say(message["type"], message, wait=False)
            if number % 50 == 0:
                for mat in self._mats:
                    mat.status()
                if self._ending.wait(0.3):
                    return
        for mat in self._mats:
            mat.status()


@pytest.mark.long
def test_killed_ten_times_it_has_everything_once_and_never_acknowledged_what_it_had_not(
    tmp_path: Path, mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(5)
    logs = [Log("finish", f"mat-{n}", epoch=f"e{n}", box=f"b{n}") for n in range(3)]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Subscriber(mosquitto.port, "timing/+/+/+/ack/rc1"))
        mats = [stack.enter_context(FakeMat(mosquitto.port, log)) for log in logs]
        collect = stack.enter_context(Collect(tmp_path, mosquitto.port))
        race = stack.enter_context(Race(mats, 4_000, dice))
        acked = 0
        for number in range(KILLS):
            wait_for_more(collect.count("entry"), lambda: collect.count("entry"))
            if number % 2:
                wait_for_more(len(listener.received), lambda: len(listener.received))  # an ack at least
            threading.Event().wait(dice.random())  # any moment
            collect.kill()
            assert not race.is_over
            wait_until(lambda: quiet(listener), what="all acks at the listener")
            for ack in listener.on("ack/rc1"):
                for epoch, seq in json.loads(ack.payload)["acks"].items():
                    assert seq <= collect.through(epoch)
                    acked = max(acked, seq)
            collect.output.unlink()
            collect.start()
        total = sum(log.last_seq for log in logs)
        wait_until(lambda: race.is_over and collect.count("entry") == total, 90, f"all {total} entries")
        wait_until(lambda: all(latest_acks(listener).get(log.epoch) == log.last_seq for log in logs), what="all acks")
        asked = sum(len(mat.asked) for mat in mats)
        wait_until(lambda: "passings of" in collect.output.read_text(), what="its line: it has begun")
        assert collect.stop() == 0
    assert acked > 0
    with capsys.disabled():
        print(f"\ncollect killed {KILLS} times: {total} entries, 0 lost, 0 doubled, {asked} rewinds")
    for log in logs:
        bodies = collect.rows(f"SELECT seq, body FROM entry WHERE epoch = '{log.epoch}' ORDER BY seq")
        assert {seq: json.loads(body) for seq, body in bodies} == log.entries
        highest = {entry["passing"]: entry["rev"] for _, entry in sorted(log.entries.items())}
        stands = dict(collect.rows(f"SELECT passing, rev FROM passing WHERE epoch = '{log.epoch}'"))
        assert stands == highest
    # The same chips over three mats of one point, within the same second: one crossing each.
    assert collect.count("crossing") == 4_000
    assert collect.rows("SELECT min(json_array_length(passings)), max(json_array_length(passings)) FROM crossing") == [
        (3, 3)
    ]


def wait_for_more(count: int, now: Callable[[], int]) -> None:
    wait_until(lambda: now() > count, 30, f"more than {count}")


def quiet(listener: Subscriber) -> bool:
    """Nothing has come for a while."""
    count = len(listener.received)
    threading.Event().wait(0.2)
    return len(listener.received) == count


def latest_acks(listener: Subscriber) -> dict[str, int]:
    acks: dict[str, int] = {}
    for ack in listener.on("ack/rc1"):
        acks |= json.loads(ack.payload)["acks"]
    return acks


def config_of(folder: Path, port: int, more: str = "") -> str:
    return f"""
        [mat]
        event = "{EVENT}"
        point = "finish"
        id = "finish-main"
        [[reader]]
        protocol = "ipico"
        port = "{folder}/line"
        time_from = "host"
        [gate]
        pick = "first"
        [mqtt]
        port = {port}
        {more}
    """


def test_what_a_real_mat_told_before_it_came_it_has_by_rewind(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with (
        Subscriber(mosquitto.port, f"timing/{EVENT}/#") as other,
        Line(tmp_path / "line") as line,
        Daemon(tmp_path, config_of(tmp_path, mosquitto.port)) as daemon,
    ):
        daemon.wait_for_recording()
        for number in range(1, 301):
            line.send(record(f"{number:012X}", datetime.now(UTC) + timedelta(milliseconds=10 * number)))
        wait_until(lambda: daemon.status()["counts"]["splits"] == 300, what="the splits")
        daemon.wait_for_delivery()  # to somebody else
        with Collect(tmp_path, mosquitto.port) as collect:
            wait_until(lambda: collect.count("passing") == 300, 30, "the passings")
            wait_until(lambda: daemon.status()["acks"].get("rc1", 0) >= 300, 30, "the ack, at the mat")
            line.send(record("AAAA00000001", datetime.now(UTC)))
            wait_until(lambda: collect.count("crossing") == 301, what="one that crosses now")
            assert daemon.stop() == 0
            assert collect.stop() == 0
        told = {
            (entry["epoch"], entry["seq"]): entry
            for entry in (json.loads(one.payload) for one in other.received)
            if "seq" in entry
        }
    entries = {
        (epoch, seq): json.loads(body) for epoch, seq, body in collect.rows("SELECT epoch, seq, body FROM entry")
    }
    assert entries == told
    ((epochs, first, last, count),) = collect.rows(
        "SELECT count(DISTINCT epoch), min(seq), max(seq), count(*) FROM entry"
    )
    assert (epochs, first, last) == (1, 1, count)


def test_delivered_when_control_is_what_stands_here(tmp_path: Path, mosquitto: Mosquitto) -> None:
    control = 'delivered_when = "control"\ncollectors = ["rc1"]'
    with Line(tmp_path / "line") as line, Daemon(tmp_path, config_of(tmp_path, mosquitto.port, control)) as daemon:
        daemon.wait_for_recording()
        for number in range(1, 51):
            line.send(record(f"{number:012X}", datetime.now(UTC)))
        wait_until(lambda: daemon.status()["counts"]["splits"] == 50, what="the splits")
        assert daemon.status()["backlog"] >= 50
        with Collect(tmp_path, mosquitto.port) as collect:
            daemon.wait_for_delivery()
            status = daemon.status()
            assert status["last_seq"] == collect.through(status["epoch"])


# ---- as it is typed --------------------------------------------------------------------------------------


def typed(*arguments: object, limit_s: float = 30) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "collect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)


def test_lines_of_json_a_csv_and_who_is_expected(tmp_path: Path, mosquitto: Mosquitto) -> None:
    log = Log()
    (tmp_path / "starters.csv").write_text("chip,bib,status\n00000001,7,started\n0000000A,8,started\n")
    with FakeMat(mosquitto.port, log) as mat, Subscriber(mosquitto.port, "timing/+/+/+/expect") as listener:
        log.split(1, at_s=1)
        mat.status()
        ended = typed(
            *("--port", mosquitto.port, "--event", EVENT, "--db", tmp_path / "race.db", "--json", "--duration", 6),
            *("--csv", tmp_path, "--points", "start,finish", "--starters", tmp_path / "starters.csv"),
        )
        assert ended.returncode == 0, ended.stderr
        (line,) = ended.stdout.splitlines()
        assert json.loads(line) == log.entries[1]
        assert ended.stderr.splitlines()[-1] == "1 passings of 1 mats"
        assert json.loads(listener.on("/expect")[-1].payload)["chips"] == ["0000000A"]
    header, crossing = (tmp_path / "crossings.csv").read_text().splitlines()
    assert header.startswith("event,point,bib,chip,nth,time")
    assert crossing.startswith(f"{EVENT},finish,7,00000001,1,2026-03-07T13:00:01.000000Z")


def test_a_boxs_second_copy_is_read_as_if_it_had_come(tmp_path: Path) -> None:
    log = Log()
    entries = [log.split(1, at_s=1), log.split(2, at_s=2)]
    lines = [json.dumps(entries[0]), '{"reads": ["a0"]}', json.dumps(entries[1]), json.dumps(entries[0])]
    copy = tmp_path / "copy.jsonl"
    copy.write_text("\n".join(lines) + '\n{"v": 1, "type": "spl')
    arguments = ("--port", free_port(), "--event", EVENT, "--db", tmp_path / "race.db", "--duration", 0)
    ended = typed(*arguments, "--read", copy)
    assert ended.returncode == 0, ended.stderr
    assert f"{copy}, line 5: " in ended.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "race.db")) as connection:
        assert connection.execute("SELECT seq FROM entry ORDER BY seq").fetchall() == [(1,), (2,)]
    missing = typed(*arguments, "--read", tmp_path / "none.jsonl")
    assert (missing.returncode, "none.jsonl: No such file" in missing.stderr) == (2, True)


def test_a_second_one_on_the_same_database_says_so_and_ends_with_5(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with Collect(tmp_path, mosquitto.port) as collect:
        wait_until(lambda: collect.rows("SELECT count(*) FROM entry"), what="the database")
        second = typed("--port", mosquitto.port, "--event", EVENT, "--db", collect.db)
        assert second.returncode == 5
        assert "another timing-mat collect writes this database" in second.stderr


def test_a_broker_that_never_answers_is_exit_6(tmp_path: Path) -> None:
    ended = typed("--port", free_port(), "--event", EVENT, "--db", tmp_path / "race.db", "--duration", 0.5)
    assert ended.returncode == 6
    assert "trying again" in ended.stderr


def test_a_course_is_points(tmp_path: Path) -> None:
    ended = typed("--event", EVENT, "--db", tmp_path / "race.db", "--points", "start,,finish")
    assert (ended.returncode, "expected points with commas between" in ended.stderr) == (2, True)
    assert not (tmp_path / "race.db").exists()
