"""Listening to the mats: the board, and the command as it is typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import msgspec

from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.journal import Entry
from reader.messages import Split
from reader.model import ClockQuality
from reader.racecontrol.subscriber import Board, Subscriber
from reader.uplink import wire
from tests import broker
from tests.broker import Mosquitto
from tests.fakes.log import FINISH
from tests.waiting import free_port, wait_until

TOPIC = wire.topic(FINISH, "split")


def split(seq: int, passing: str, rev: int = 1, **changes: object) -> bytes:
    told = Split(
        mode="race",
        role="main",
        time="2026-03-07T13:48:50.500000Z",
        boot="b0",
        clock=ClockQuality(synced=True, source="ntp", error_ms=2.5),
        passing=passing,
        rev=rev,
        chip="0A12",
        pick="best",
        use="finish",
        first="2026-03-07T13:48:50.400000Z",
        best="2026-03-07T13:48:50.500000Z",
        last="2026-03-07T13:48:50.600000Z",
        time_error_ms=140.2,
        nth=1,
        reads=3,
        rssi_dbm=-50,
        line="main",
        reader="main",
        antenna=1,
        time_from="host",
        lingering=False,
        left=False,
        loiter=False,
        after_restart=False,
    )
    told = msgspec.structs.replace(told, **changes)
    return wire.payload(FINISH, Entry("e1", seq, "split", msgspec.json.encode(told)))


def test_the_board_counts_each_passing_once_at_its_highest_revision(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(MqttSettings(port=mosquitto.port), SystemClock(), "chicago-2023")
    board = Board()

    def look() -> int:
        for received in subscriber.poll(0.05):
            board.add(received)
        return board.doubled

    with broker.Subscriber(mosquitto.port, "none") as mat:
        wait_until(lambda: look() or subscriber.was_connected, what="the connection")
        mat.say(TOPIC, split(1, "e1-1"))
        mat.say(TOPIC, split(3, "e1-2"))
        mat.say(TOPIC, split(4, "e1-1", rev=3))
        mat.say(TOPIC, split(5, "e1-1", rev=2))
        mat.say(TOPIC, b"nonsense")
        mat.say(TOPIC.replace("chicago-2023", "boston"), split(9, "e1-9"))
        mat.say(TOPIC, split(3, "e1-2"))
        wait_until(look, what="the double")
        assert (board.splits, board.gaps, board.doubled) == (2, 1, 1)
        first = board.told["e1-1"].split
        assert first is not None
        assert first.rev == 3
        assert TOPIC in subscriber.malformed[0]
        # A broker that goes away and comes back is found again.
        mosquitto.kill()
        wait_until(lambda: look() and subscriber.trouble, what="the trouble, told")
        mosquitto.start()
        wait_until(lambda: look() and not subscriber.trouble, what="the connection again")
    subscriber.close()


def command(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from reader.cli import main; main()", "watch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_lines_of_json_until_interrupted(mosquitto: Mosquitto) -> None:
    process = command("--port", mosquitto.port, "--json")
    with broker.Subscriber(mosquitto.port, "none") as mat:
        # Retained, so that it comes however long the command takes to begin.
        mat.say(TOPIC, split(1, "e1-1"), retain=True)
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert (line["topic"], line["message"]["passing"]) == (TOPIC, "e1-1")
    process.send_signal(signal.SIGINT)
    _, trouble = process.communicate(timeout=10)
    assert (process.returncode, trouble) == (0, "")


def test_the_table_shows_what_a_passing_has_become(mosquitto: Mosquitto) -> None:
    with broker.Subscriber(mosquitto.port, "none") as mat:
        mat.say(TOPIC, split(2, "e1-1", rev=2, revised_for="stronger", bib="[/777]"), retain=True)
        link = wire.Link(link="lost", box="b17", connection="c")
        mat.say(wire.topic(FINISH, "link"), msgspec.json.encode(link), retain=True)
        shown, _ = command("--port", mosquitto.port, "--duration", 2).communicate(timeout=20)
    for text in (
        "13:48:50.500",
        "0A12",
        "[/777]",
        "±0.14 s, rev 2: stronger",
        "chicago-2023/finish/finish-main",
        "lost",
        "1 split",
    ):
        assert text in shown


def test_a_broker_that_never_answers_is_exit_6() -> None:
    process = command("--port", free_port(), "--duration", 0.5)
    shown, trouble = process.communicate(timeout=20)
    assert process.returncode == 6
    assert "Connection refused" in trouble
    assert "trying again" in shown


def test_an_event_is_one_event() -> None:
    process = command("--event", "#")
    _, trouble = process.communicate(timeout=20)
    assert process.returncode == 2
    assert trouble.startswith('timing-mat: --event: found "#", expected lower-case letters')
