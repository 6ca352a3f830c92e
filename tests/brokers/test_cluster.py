"""Three NATS nodes carry twenty mats while each node in turn is killed and comes back: nothing is lost.

Two listen: a subscriber with a persistent session, which shows that the cluster itself has lost nothing; and
`timing-mat collect`, on whose word the mats wait (``delivered_when = "control"``).
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reader.box.identity import SERIAL_VARIABLE
from reader.uplink.wire import SEQUENCED
from tests.brokers import nats
from tests.brokers.control import RaceControl
from tests.daemon import COMMAND, Daemon, Line, message
from tests.ipico import record
from tests.tally import Tally
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(nats.WHY_NOT), reason=nats.WHY_NOT)]

MATS = 20
BATCH = 8  # runners at each mat: twice before a node is killed, while it is away, and while it comes back


class Mat:
    """One mat: the daemon, and the line on which its runners come."""

    def __init__(self, folder: Path, number: int, ports: list[int]) -> None:
        self.name = f"mat-{number}"
        self._number = number
        folder = folder / self.name
        folder.mkdir()
        first = number % len(ports)  # so that each node has its share
        hosts = [f"127.0.0.1:{port}" for port in ports[first:] + ports[:first]]
        text = f"""
            [mat]
            event = "cluster"
            point = "finish"
            id = "{self.name}"
            [[reader]]
            protocol = "ipico"
            port = "{folder}/line"
            [gate]
            quiet_s = 0.2
            [mqtt]
            hosts = {hosts}
            delivered_when = "control"
            collectors = ["rc1"]
        """
        self.line = Line(folder / "line")
        serial = folder / "serial"
        serial.write_text(f"box-{number}")  # or all would be one box, that of this machine
        self.daemon = Daemon(folder, text, program=["env", f"{SERIAL_VARIABLE}={serial}", COMMAND, "run"])

    def cross(self, runner: int) -> str:
        """The chip of who has just crossed."""
        chip = f"0580{self._number:04X}{runner:04X}"
        self.line.send(record(chip, datetime.now(UTC)))
        return chip


@contextmanager
def collecting(folder: Path, ports: list[int]) -> Iterator[Path]:
    """The database of a running `collect`."""
    database = folder / "race.db"
    hosts = [word for port in ports for word in ("--hosts", f"127.0.0.1:{port}")]
    with (folder / "collect.txt").open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "collect", "--event", "cluster", "--db", str(database), *hosts], stdout=output, stderr=output
        )
    try:
        yield database
    finally:
        process.terminate()
        process.wait(10)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_twenty_mats_lose_nothing_while_each_node_in_turn_is_killed(
    tmp_path: Path, tally: Tally, capsys: pytest.CaptureFixture[str]
) -> None:
    made: set[str] = set()
    told: list[str] = []
    with ExitStack() as stack:
        nodes = stack.enter_context(nats.cluster())
        ports = [node.port for node in nodes]
        control = stack.enter_context(RaceControl(ports, "timing/cluster/#", client_id="race-control"))
        database = stack.enter_context(collecting(tmp_path, ports))
        mats = [Mat(tmp_path, number, ports) for number in range(MATS)]
        for mat in mats:
            stack.enter_context(mat.line)
            stack.enter_context(mat.daemon)
        for mat in mats:
            mat.daemon.wait_for_recording()

        def cross() -> None:
            begun = len(made) // MATS
            made.update(mat.cross(runner) for runner in range(begun, begun + BATCH) for mat in mats)

        def arrived() -> set[str]:
            return {message(one.payload)["chip"] for one in control.on("/split")}

        for node in nodes:
            cross()
            wait_until(lambda: len(arrived()) > len(made) - MATS * BATCH, 30, "the first of them")
            cross()
            on_their_way = len(made - arrived())
            node.kill()
            began_s = time.monotonic()
            cross()
            wait_until(lambda: arrived() == made, 90, f"every split, without {node.name}")
            took_s = time.monotonic() - began_s
            node.begin()
            cross()
            wait_until(lambda: arrived() == made, 90, f"every split, with {node.name} back")
            node.wait_for_mqtt()
            told.append(f"{node.name} killed with {on_their_way} splits on their way: all there {took_s:.1f} s later")
        for mat in mats:
            mat.daemon.wait_for_delivery()
        entries = sum(mat.daemon.status()["last_seq"] for mat in mats)
        wait_until(lambda: sum(len(set(sequenced(control, mat.name))) for mat in mats) >= entries, 30, "every entry")
        numbers = {mat.name: sequenced(control, mat.name) for mat in mats}
        moves = control.moves

    late = 0
    for name, seqs in numbers.items():
        firsts = list(dict.fromkeys(seqs))
        assert sorted(firsts) == list(range(1, len(firsts) + 1)), f"{name}: gapless at the subscriber"
        late += sum(seq < max(firsts[:at], default=0) for at, seq in enumerate(firsts))
    stored = rows(database, "SELECT mat, chip FROM passing")
    assert sorted(chip for _, chip in stored) == sorted(made), "each passing once on race control's disk"
    assert all(int(chip[4:8], 16) == int(mat.removeprefix("mat-")) for mat, chip in stored)
    per_epoch = rows(database, "SELECT mat, count(*), max(seq) FROM entry GROUP BY epoch")
    assert len(per_epoch) == MATS
    assert all(count == last == len(set(numbers[mat])) for mat, count, last in per_epoch)
    doubled = sum(len(seqs) - len(set(seqs)) for seqs in numbers.values())
    chips = [chip for _, chip in stored]
    tally(
        "a node of three killed, 20 mats; at the collector",
        times=len(nodes),
        passings=len(made),
        lost=len(made - set(chips)),
        doubled=len(chips) - len(set(chips)),
    )
    with capsys.disabled():
        print(f"\n{len(made)} passings at {MATS} mats, none lost;", *told, sep="\n  ")
        print(f"  the subscriber moved {moves} times; {doubled} entries came to it again, {late} after younger ones")


def sequenced(control: RaceControl, mat: str) -> list[int]:
    """What came of that mat, by ``seq``, doubles and all."""
    topics = {f"timing/cluster/finish/{mat}/{what}" for what in SEQUENCED}
    return [message(one.payload)["seq"] for one in list(control.received) if one.topic in topics]
