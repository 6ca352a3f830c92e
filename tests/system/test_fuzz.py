"""100,000 payloads that are no commands, acks or expectations, some very nearly: refused in words, and nothing else."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, message
from tests.system.crossing import cross
from tests.waiting import wait_until

ON_SOCKET, ON_CMD, ON_ACK, ON_EXPECT = 60_000, 20_000, 10_000, 10_000
BATCH = 500
TOPIC = "timing/fuzz/finish/mat"

RIGHT: list[dict[str, Any]] = [
    {"do": "mark", "text": "rain"},
    {"do": "gun", "name": "elites", "at": "2026-03-07T13:48:50Z"},
    {"do": "clock", "set": True},
    {"do": "rewind", "epoch": "abc", "from_seq": 1, "through_seq": 2, "since": "2026-03-07T13:48:50Z", "chip": "AA"},
    {"do": "mode", "mode": "test"},
    {"do": "release", "by": "ann"},
    {"do": "assign", "event": "e", "point": "p", "mat": "m"},
    {"do": "ping"},
    {"do": "status"},
]
MONSTERS: list[Any] = [None, True, -1, 0.5, 1e300, 2**70, "", "x" * 300, "a\nb", "\0", [], {}, [1], {"a": 1}, "é" * 250]
# No value of any key of any command: what is of the wrong type, too long, or has a control character.
NEVER_TEXT: list[Any] = [None, True, -1, 0.5, [], {}, "x" * 300, "a\nb", "\0"]


def broken(dice: random.Random) -> bytes:
    """A command that is right but for one thing."""
    command = {"id": "f", **dice.choice(RIGHT)}
    keys = [key for key in command if key in ("text", "name", "mode", "event", "point", "mat")]
    match dice.randrange(9):
        case 0:
            command["do"] = dice.choice([*MONSTERS, "Ping", "ping ", "selftest2", "stop", "shutdown", "exit"])
        case 1:
            command["id"] = dice.choice([None, 1, [], {}, "", "x" * 300])
        case 2:
            command[f"no-{dice.randrange(100)}"] = dice.choice(MONSTERS)
        case 3:
            command["by"] = dice.choice([value for value in NEVER_TEXT if value != ""])
        case 4 if keys:
            command[dice.choice(keys)] = dice.choice([value for value in NEVER_TEXT if value != ""])
        case 5:
            text = json.dumps(command)
            return text[: dice.randrange(1, len(text) - 1)].encode()
        case 6:
            return json.dumps(command).encode() + dice.choice([b"}", b"\xff", b"x", b" {}", b"\x00"])
        case 7:
            return json.dumps(dice.choice([[command], "ping", 7, None, [[[]]]])).encode()
        case _:
            return json.dumps(command | {"text2": "y" * 5000}).encode()
    return json.dumps(command).encode()


def noise(dice: random.Random) -> bytes:
    """Any bytes but the end of a line."""
    return bytes(value for value in dice.randbytes(dice.randrange(0, 200)) if value != 10)


def wrong_ack(dice: random.Random, box: str, epoch: str) -> bytes:
    """Never one that acknowledges something that is there."""
    seq: Any = dice.choice([-1, 10**6, 2**63, 2**70, 1.5, "1", None, [], {}])
    right: dict[str, Any] = {"box": box, "acks": {epoch: seq}, "time": "2026-03-07T13:48:50Z"}
    match dice.randrange(4):
        case 0:
            right["box"] = dice.choice(["another", *MONSTERS])
        case 1:
            right["acks"] = dice.choice([*MONSTERS, {"nowhere": 1}])
        case 2:
            return json.dumps(right).encode()[: dice.randrange(1, 40)]
    return json.dumps(right).encode()


def wrong_expect(dice: random.Random) -> bytes:
    """Not one of whom to expect."""
    right: dict[str, Any] = {"count": 3, "as_of": "2026-03-07T13:48:50Z"}
    key = dice.choice(["count", "as_of"])
    match dice.randrange(3):
        case 0:
            right[key] = dice.choice([None, [], {}, -0.5])
        case 1:
            del right[key]
        case _:
            return json.dumps(right).encode()[: dice.randrange(1, 30)]
    return json.dumps(right).encode()


@pytest.mark.long
def test_what_is_no_command_has_an_error_reply_and_no_effect(tmp_path: Path, mosquitto: Mosquitto) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    text = f"""
        [mat]
        event = "fuzz"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.1
        [mqtt]
        port = {mosquitto.port}
        delivered_when = "control"
        collectors = ["rc1"]
    """
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/fuzz/#") as control,
        Daemon(tmp_path, text) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: daemon.status()["parts"]["broker"]["word"] == "ok", what="the connection")
        before = daemon.status()
        refused_on_socket(daemon, dice)

        def flood(topic: str, count: int, payload: Callable[[], bytes], *, is_answered: bool) -> None:
            for done in range(0, count, BATCH):
                replies = len(control.on("/reply"))
                for _ in range(BATCH - 1):
                    control.publish(topic, payload())
                control.say(topic, payload())
                if is_answered:
                    wait_until(lambda: len(control.on("/reply")) >= replies + BATCH, 60, f"reply {done + BATCH}")  # noqa: B023 - waited for at once

        flood(f"{TOPIC}/cmd", ON_CMD, lambda: broken(dice) if dice.random() < 0.8 else noise(dice), is_answered=True)
        flood(
            f"{TOPIC}/ack/rc1",
            ON_ACK,
            lambda: wrong_ack(dice, before["box"], before["epoch"]) or b"x",
            is_answered=False,
        )
        flood(f"{TOPIC}/expect", ON_EXPECT, lambda: wrong_expect(dice), is_answered=False)
        assert not any(message(one.payload)["ok"] for one in control.on("/reply"))
        assert len(control.on("/reply")) == ON_CMD

        cross(line, ["00000000000A"])
        control.wait_for("/split", 1, 60)
        after = daemon.status()
        assert after["mode"] == "race"
        assert after["recording"]
        assert after["epoch"] == before["epoch"]
        assert after["delivered_seq"] == 0
        assert {message(one.payload)["kind"] for one in control.on("/notice")} == {"restart"}
        ack = {"box": after["box"], "acks": {after["epoch"]: 1}, "time": "2026-03-07T13:48:50Z"}
        control.say(f"{TOPIC}/ack/rc1", json.dumps(ack).encode())
        wait_until(lambda: daemon.status()["delivered_seq"] == 1, what="a right ack to be taken")
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.output.read_text()


def refused_on_socket(daemon: Daemon, dice: random.Random) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        client.connect(str(daemon.control))
        with client.makefile("rb") as replies:
            for _ in range(0, ON_SOCKET, BATCH):
                lines = [(broken(dice) if dice.random() < 0.8 else noise(dice)) for _ in range(BATCH)]
                for line in lines:
                    client.sendall(line + b"\n")
                    reply = json.loads(replies.readline())
                    assert reply["ok"] is False, line
                    assert reply["error"], line
