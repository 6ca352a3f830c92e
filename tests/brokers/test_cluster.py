"""Three NATS nodes carry twenty mats while one node is killed and comes back: nothing is lost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.broker import Received
from tests.brokers import nats
from tests.brokers.control import RaceControl
from tests.daemon import Daemon, Line, message
from tests.ipico import record
from tests.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(nats.WHY_NOT), reason=nats.WHY_NOT)]

MATS = 20
BATCH = 10  # runners at each mat before the kill, while the node is away, and when it is back


def test_twenty_mats_lose_nothing_while_a_node_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        t=time.monotonic()
        nodes = stack.enter_context(nats.cluster())
        print("cluster", time.monotonic()-t)
        ports = [node.port for node in nodes]
        control = stack.enter_context(RaceControl(ports, "timing/cluster/#", client_id="race-control"))
        mats = []
        for number in range(MATS):
            folder = tmp_path / f"mat-{number}"
            folder.mkdir()
            line = stack.enter_context(Line(folder / "line"))
            turn = number % len(ports)
            hosts = [f"127.0.0.1:{port}" for port in ports[turn:] + ports[:turn]]
            text = f"""
                [mat]
                event = "cluster"
                point = "finish"
                id = "mat-{number}"
                [[reader]]
                protocol = "ipico"
                port = "{folder}/line"
                [gate]
                quiet_s = 0.2
                [mqtt]
                hosts = {hosts}
            """
            daemon = stack.enter_context(Daemon(folder, text))
            mats.append((line, daemon))
        for _, daemon in mats:
            daemon.wait_for_recording()
        print("daemons", time.monotonic()-t)
        made = 0

        def cross() -> None:
            nonlocal made
            for runner in range(made // MATS, made // MATS + BATCH):
                for number, (line, _) in enumerate(mats):
                    line.send(record(f"0580{number:04x}{runner:04x}", datetime.now(UTC)) * 2)
                    made += 1

        for node in nodes:
            before=len(chips(control.on("/split")))
            cross()
            wait_until(lambda: len(chips(control.on("/split"))) > before + MATS, 30, "the first of them")
            print("killing after", len(chips(control.on("/split"))), "of", made, time.monotonic()-t, control.moves)
            t1=time.monotonic()
            node.kill()
            cross()
            wait_until(lambda: len(chips(control.on("/split"))) == made, 90, "every split, with two nodes of three")
            print("with two nodes", time.monotonic()-t1, control.moves)
            node.begin()
            cross()
            node.wait_for_mqtt()
            print("node back", time.monotonic()-t1, control.moves)
            wait_until(lambda: len(chips(control.on("/split"))) == made, 90, "every split, with the third node back")
            print("all", time.monotonic()-t1, control.moves)
        for number,(_, daemon) in enumerate(mats):
            daemon.wait_for_delivery()
            print(number, daemon.status()["parts"]["broker"]["says"], daemon.status()["last_seq"])
        for number in range(MATS):
            numbers=[message(o.payload)["seq"] for o in control.received if f"/mat-{number}/" in o.topic and o.topic.rsplit("/")[-1] in ("split","coverage","notice")]
            f=list(dict.fromkeys(numbers))
            print(number, len(numbers), len(f), f==sorted(f), f[-1])


def chips(received: list[Received]) -> set[str]:
    return {message(one.payload)["chip"] for one in received}
