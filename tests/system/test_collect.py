"""`timing-mat collect` as a process: against a real daemon, and as it is typed."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.collecting import EVENT, Collect
from tests.daemon import COMMAND, Daemon, Line
from tests.fakes.mat import FakeMat, Log
from tests.ipico import record
from tests.waiting import free_port, wait_until


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


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
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
        assert ended.stderr.splitlines()[-1] == "1 passing of 1 mat"
        assert json.loads(listener.on("/expect")[-1].payload)["chips"] == ["0000000A"]
    header, crossing = (tmp_path / "crossings.csv").read_text().splitlines()
    assert header.startswith("event,point,bib,chip,nth,time")
    assert crossing.startswith(f"{EVENT},finish,7,00000001,1,2026-03-07T13:00:01.000000Z")


def test_a_boxs_second_copy_is_read_as_if_it_had_come(tmp_path: Path) -> None:
    log, other = Log(), Log(event="boston", epoch="e9")
    entries = [log.split(1, at_s=1), log.split(2, at_s=2), log.split(1, at_s=1.5, rev=2)]
    folder = tmp_path / "stick" / "timing-mat" / "b17-chicago-2023-finish-finish-main"
    folder.mkdir(parents=True)
    copy = folder / "e1.jsonl"
    copy.write_text("\n".join(map(json.dumps, [*entries, entries[0]])) + '\n{"v": 1, "type": "spl')
    (folder / "e1.reads.jsonl").write_text('{"chip": "00000001", "utc_ns": 1}\n')
    (folder / "e9.jsonl").write_text(f"{json.dumps(other.split(1))}\n{json.dumps(other.split(2))}\n")
    arguments = ("--port", free_port(), "--event", EVENT, "--db", tmp_path / "race.db", "--duration", 0)
    ended = typed(*arguments, "--read", tmp_path / "stick")
    assert ended.returncode == 0, ended.stderr
    assert f"{copy}, line 5: " in ended.stderr  # the box died in the middle of it
    assert ended.stderr.count("entries of the event boston came, and are left out") == 1
    assert "reads.jsonl" not in ended.stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "race.db")) as connection:
        assert connection.execute("SELECT seq FROM entry ORDER BY seq").fetchall() == [(1,), (2,), (3,)]
        assert connection.execute("SELECT passing, rev FROM passing").fetchall() == [("e1-1", 2), ("e1-2", 1)]
    for missing, says in (("none.jsonl", "No such file"), ("", "found no file of entries")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        ended = typed(*arguments, "--read", tmp_path / "empty" / missing)
        assert (ended.returncode, says in ended.stderr) == (2, True)


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
