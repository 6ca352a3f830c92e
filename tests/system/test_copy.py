"""The second copy, by a real daemon on a stick of its own: a file system that is mounted, pulled, full, slow."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line
from tests.system.crossing import cross
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a file system can be mounted by root only")


class Stick:
    """A small file system; pulling it out leaves nothing behind, as a stick that is another one next time."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def plug_in(self, size: str = "16m") -> None:
        self.place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.place)], check=True)

    def pull(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)
        self.place.rmdir()

    def export(self, what: str) -> list[dict[str, Any]]:
        """What of it can be read back; nothing while there is none."""
        if not list(self.place.rglob("*.jsonl")):
            return []
        done = subprocess.run(
            [COMMAND, "export", what, "--journal", str(self.place), "--format", "jsonl"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Stick]:
    stick = Stick(tmp_path / "stick")
    stick.plug_in()
    try:
        yield stick
    finally:
        with suppress(subprocess.CalledProcessError, OSError):
            stick.pull()


def daemon_of(tmp_path: Path, broker: Mosquitto, stick: Stick) -> Daemon:
    daemon = Daemon(tmp_path, "")
    daemon.config.write_text(
        f"""
        [mat]
        event = "copy"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.1
        [journal]
        path = "{tmp_path}/journal.db"
        copy = "{stick.place}"
        [box]
        control = "{tmp_path}/control.sock"
        [mqtt]
        port = {broker.port}
        """
    )
    return daemon


def chips(numbers: range) -> list[str]:
    return [f"{number:012X}" for number in numbers]


def journal_of(daemon: Daemon, what: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [COMMAND, "export", what, "--journal", str(daemon.journal), "--format", "jsonl"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_stick_has_all_that_the_journal_has_and_serves_for_it(
    tmp_path: Path, mosquitto: Mosquitto, stick: Stick
) -> None:
    with Line(tmp_path / "line") as line, daemon_of(tmp_path, mosquitto, stick) as daemon:
        daemon.wait_for_recording()
        cross(line, chips(range(100)))
        wait_until(lambda: daemon.status()["counts"]["splits"] == 100, what="the splits")
        assert daemon.stop() == 0
    for what in ("entries", "passings", "reads"):
        assert stick.export(what) == journal_of(daemon, what)
    [reads] = stick.place.rglob("*.reads.jsonl")
    again = subprocess.run([COMMAND, "regate", str(reads)], check=True, capture_output=True, timeout=60)
    assert sorted(json.loads(split)["chip"] for split in again.stdout.splitlines()) == chips(range(100))


def test_a_killed_daemon_lacks_two_seconds_at_most_and_the_next_goes_on(
    tmp_path: Path, mosquitto: Mosquitto, stick: Stick
) -> None:
    with Line(tmp_path / "line") as line, daemon_of(tmp_path, mosquitto, stick) as daemon:
        daemon.wait_for_recording()
        cross(line, chips(range(30)))
        wait_until(lambda: len(stick.export("passings")) == 30, 20, "the copy of what was")
        cross(line, chips(range(30, 60)))
        wait_until(lambda: daemon.status()["counts"]["splits"] == 60, what="the splits")
        daemon.kill()
        killed = datetime.now(UTC)
        kept = {one["seq"]: datetime.fromisoformat(one["time"]) for one in journal_of(daemon, "entries")}
        copied = {one["seq"] for one in stick.export("entries")}
        assert all(killed - kept[seq] < timedelta(seconds=5) for seq in kept.keys() - copied)  # 2 s, on a busy machine
        [entries] = [file for file in stick.place.rglob("*.jsonl") if not file.name.endswith(".reads.jsonl")]
        with entries.open("ab") as file:
            file.write(b'{"v":1,"type":"split","epo')  # as the power left it
        daemon.start()
        daemon.wait_for_recording()
        cross(line, chips(range(60, 70)))
        wait_until(lambda: len(stick.export("passings")) == 70, 20, "the copy of all")
        daemon.stop()
    assert stick.export("entries") == journal_of(daemon, "entries")
    assert stick.export("reads") == journal_of(daemon, "reads")


def test_a_stick_that_is_pulled_or_full_costs_nothing_and_another_gets_everything(
    tmp_path: Path, mosquitto: Mosquitto, stick: Stick
) -> None:
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/copy/#") as subscriber,
        daemon_of(tmp_path, mosquitto, stick) as daemon,
    ):
        daemon.wait_for_recording()

        def storage() -> dict[str, str]:
            part: dict[str, str] = daemon.status()["parts"]["storage"]
            return part

        wait_until(lambda: "a second copy is on" in storage()["says"], what="the copy")
        stick.pull()
        wait_until(lambda: "no such folder" in storage()["says"], what="that it is said")
        assert storage()["word"] == "warn"
        cross(line, chips(range(20)))
        subscriber.wait_for("/split", 20)
        stick.plug_in("40k")
        cross(line, chips(range(20, 120)))
        subscriber.wait_for("/split", 120)
        wait_until(lambda: "use an empty stick" in storage()["says"], what="that it is full")
        stick.pull()
        stick.plug_in()
        wait_until(lambda: "a second copy is on" in storage()["says"], what="the copy")
        wait_until(lambda: len(stick.export("passings")) == 120, 20, "all of it")
        assert daemon.status()["recording"]
        assert daemon.stop() == 0
    assert stick.export("entries") == journal_of(daemon, "entries")


@pytest.mark.long
def test_a_stick_that_hangs_delays_no_split(tmp_path: Path, mosquitto: Mosquitto, stick: Stick) -> None:
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/copy/#") as subscriber,
        daemon_of(tmp_path, mosquitto, stick) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: list(stick.place.rglob("*.jsonl")), what="the copy's files")
        # The syncs of the copy's own files take a minute each; nobody else's do.
        files = [word for file in stick.place.rglob("*.jsonl") for word in ("-P", str(file))]
        slow = subprocess.Popen(
            [
                *("strace", "-f", "-q", "-p", str(daemon.pid), *files, "-e", "trace=fdatasync"),
                *("-e", "inject=fdatasync:delay_enter=60000000", "-o", str(tmp_path / "strace")),
            ]
        )
        try:
            wait_until(lambda: is_traced(daemon.pid), what="strace")
            cross(line, chips(range(20)))
            subscriber.wait_for("/split", 20, 5)
            wait_until(lambda: "fdatasync" in (tmp_path / "strace").read_text(), 10, "a sync that hangs")
            cross(line, chips(range(20, 40)))
            subscriber.wait_for("/split", 40, 5)
            assert daemon.status()["recording"]
        finally:
            slow.terminate()
            slow.wait(10)


def is_traced(pid: int) -> bool:
    """Whether all its threads are."""
    return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
