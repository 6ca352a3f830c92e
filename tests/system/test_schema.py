"""Every message of a whole race day, on every topic, is as the schemas say: real mat, real broker, real collect."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from reader import schema
from reader.box.commands import STRUCTS
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.schemas import check
from tests.system.crossing import cross
from tests.waiting import wait_until

PLACE = "timing/schemas/finish/mat"
SWEEP = "0000000005EE"
CHIPS = [f"0000000000{n:02X}" for n in range(8)]

ASKED: list[dict[str, object]] = [
    {"do": "ping"},
    {"do": "status"},
    {"do": "mark", "text": "lead car", "by": "Ann"},
    {"do": "mode", "mode": "test"},
    {"do": "mode", "mode": "race"},
    {"do": "gun", "name": "elites", "at": "2026-03-07T13:48:50.5Z"},
    {"do": "gun", "name": "wave-2"},
    {"do": "clock"},
    {"do": "release", "by": "Ann"},
    {"do": "identify"},
    {"do": "selftest", "checks": ["version", "disk-free"], "publish": True},
    {"do": "assign", "event": "schemas", "point": "finish", "mat": "mat"},
    {"do": "rewind"},
    {"do": "rewind", "chip": CHIPS[0]},
]


@pytest.mark.long
def test_every_message_of_a_run_is_as_the_schemas_say(
    tmp_path: Path, mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "starters.csv").write_text(
        "chip,bib,status\n" + "".join(f"{chip},{place},started\n" for place, chip in enumerate(CHIPS))
    )
    text = f"""
        [mat]
        event = "schemas"
        point = "finish"
        id = "mat"
        label = "B17"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.1
        linger_s = 0.5
        dead_time_s = 0.5
        [chips]
        bibs = "{tmp_path}/starters.csv"
        sweep = ["{SWEEP}"]
        [mqtt]
        port = {mosquitto.port}
    """
    broker = ("--port", str(mosquitto.port))
    database = f"{tmp_path}/race.db"
    collect = [
        *(COMMAND, "collect", "--event", "schemas", "--db", database, *broker, "--json"),
        *("--points", "start,finish", "--starters", f"{tmp_path}/starters.csv"),
    ]
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/#") as control,
        Daemon(tmp_path, text) as daemon,
        subprocess.Popen(collect, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as collector,
    ):
        try:
            daemon.wait_for_recording()
            control.wait_for("/expect")
            # Chips cross; one stays, is told as lingering, and leaves.
            cross(line, CHIPS)
            control.wait_for("/split", len(CHIPS))
            wait_until(lambda: is_lingering(line, control), what="a lingering chip")
            wait_until(lambda: "left" in reasons(control), what="a chip that left")
            for n, asked in enumerate(ASKED):
                before = len(control.on("/reply"))
                control.say(f"{PLACE}/cmd", json.dumps({"id": str(n)} | asked).encode())
                control.wait_for("/reply", before + 1)
            # The reader is unplugged, and plugged in again.
            line.unplug()
            wait_until(lambda: "down" in hearing(control), what="down")
            line.plug_in()
            wait_until(lambda: hearing(control)[-1] == "up", what="up again")
            arm = [COMMAND, "expect", "finish", "--db", database, "--arm-sweep", SWEEP]
            armed = subprocess.run(arm, check=True, timeout=30, capture_output=True, text=True)
            assert armed.stdout == f"written to {database}, and published by collect\n"
            wait_until(lambda: message(control.on("/expect")[-1].payload)["sweep_armed"] == [SWEEP], what="the sweep")
            daemon.wait_for_delivery()
            wait_until(lambda: is_acked(control, daemon.status()["last_seq"]), what="the ack of everything")
            assert daemon.stop() == 0
            control.wait_for("/link", 2)
            daemon.start()
            daemon.kill()
            wait_until(lambda: message(control.on("/link")[-1].payload)["link"] == "lost", 30, "the last will")
        finally:
            collector.send_signal(signal.SIGINT)
            _, trouble = collector.communicate(timeout=20)
    assert collector.returncode == 0, trouble
    sent = [(one.topic, one.payload) for one in control.received]
    counted = check((topic, payload) for topic, payload in sent)
    with capsys.disabled():
        print(f"\nmessages as the schemas say: {counted}")
    assert counted.keys() == set(schema.NAMES)
    assert {asked["do"] for asked in ASKED} == set(STRUCTS)
    # A command that is none is refused by the schema, as by the mat: nothing of this run was.
    replies = [message(one.payload) for one in control.on("/reply")]
    assert any("entries" in reply for reply in replies)
    assert {reply["ok"] for reply in replies} == {True, False}


def is_lingering(line: Line, control: Subscriber) -> bool:
    cross(line, CHIPS[:1])
    return "still_here" in reasons(control)


def reasons(control: Subscriber) -> set[str]:
    return {message(one.payload).get("revised_for", "") for one in control.on("/split")}


def hearing(control: Subscriber) -> list[str]:
    return [message(one.payload)["hearing"] for one in control.on("/coverage")]


def is_acked(control: Subscriber, last_seq: int) -> bool:
    acks = [message(one.payload)["acks"] for one in control.received if "/ack/" in one.topic]
    return bool(acks) and last_seq in acks[-1].values()
