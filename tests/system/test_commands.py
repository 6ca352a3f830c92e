"""Commands from race control to a real daemon over a real broker: answered always, refused in words, noted."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from reader.box.control import ask
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.system.crossing import cross
from tests.waiting import wait_until

TOPIC = "timing/commands/finish/mat"


class Mat(NamedTuple):
    """A daemon on a line, and race control, which listens to it."""

    daemon: Daemon
    line: Line
    control: Subscriber
    broker: Mosquitto

    def ask(self, command: dict[str, Any] | bytes, its_id: str | None = "x", pages: int = 1) -> list[dict[str, Any]]:
        """Its replies, the first ``pages`` of them."""
        before = len(self.control.on("/reply"))
        payload = command if isinstance(command, bytes) else json.dumps({"id": "x"} | command).encode()
        self.control.say(f"{TOPIC}/cmd", payload)
        replies = [message(one.payload) for one in self.control.wait_for("/reply", before + pages)[before:]]
        assert {reply["id"] for reply in replies} == {its_id}
        return replies

    def splits(self) -> list[dict[str, Any]]:
        return [message(one.payload) for one in self.control.on("/split")]

    def notices(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in (message(one.payload) for one in self.control.on("/notice")) if one["kind"] == kind]


def text_of(tmp_path: Path, broker: Mosquitto, more: str = "") -> str:
    return f"""
        [mat]
        event = "commands"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.1
        [chips]
        sweep = ["0000000005EE"]
        [mqtt]
        port = {broker.port}
        {more}
    """


@pytest.fixture
def mat(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Mat]:
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/commands/#") as control,
        Daemon(tmp_path, text_of(tmp_path, mosquitto)) as daemon,
    ):
        daemon.wait_for_recording()
        wait_until(lambda: daemon.status()["parts"]["broker"]["word"] == "ok", what="the connection")
        yield Mat(daemon, line, control, mosquitto)


def test_a_command_has_one_reply_and_a_bad_one_says_why(mat: Mat) -> None:
    assert mat.ask({"do": "ping"})[0]["ok"]
    assert mat.ask({"do": "status"})[0]["status"]["mode"] == "race"
    assert "expected one of" in mat.ask({"do": "dance"})[0]["error"]
    assert "not JSON" in mat.ask(b"\xff\x00", None)[0]["error"]
    assert "too long" in mat.ask(b'{"id": "x", "do": "mark", "text": "' + b"y" * 5000, None)[0]["error"]


def test_a_retained_command_is_refused(mat: Mat) -> None:
    mat.daemon.stop()
    mat.control.say(f"{TOPIC}/cmd", b'{"id": "old", "do": "release", "by": "somebody"}', retain=True)
    mat.daemon.start()
    reply = message(mat.control.wait_for("/reply")[0].payload)
    assert (reply["id"], reply["ok"]) == ("old", False)
    assert "retained" in reply["error"]
    assert mat.daemon.status()["mode"] == "race"


def test_too_many_commands_are_refused_and_still_answered(mat: Mat) -> None:
    for number in range(150):
        mat.control.say(f"{TOPIC}/cmd", json.dumps({"id": str(number), "do": "ping"}).encode())
    replies = [message(one.payload) for one in mat.control.wait_for("/reply", 150)]
    assert {reply["id"] for reply in replies} == {str(number) for number in range(150)}
    refused = [reply for reply in replies if not reply["ok"]]
    assert refused
    assert all("ask again" in reply["error"] for reply in refused)


def test_a_reply_goes_where_mqtt_5_wants_it_but_never_onto_the_topics_of_others(mat: Mat) -> None:
    came: list[MQTTMessage] = []
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _client, _userdata, arrived: came.append(arrived)
    client.connect("127.0.0.1", mat.broker.port)
    client.subscribe("answers/#", 1)
    client.loop_start()
    try:
        for topic in ("answers/to-me", f"{TOPIC}/reply/to-me", f"{TOPIC}/split"):
            wanted = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho has no types there
            wanted.ResponseTopic = topic
            wanted.CorrelationData = b"seven"
            client.publish(f"{TOPIC}/cmd", b'{"id": "5", "do": "ping"}', 1, properties=wanted).wait_for_publish(10)
        [reply] = wait_until(lambda: came, what="the reply")
        assert json.loads(reply.payload)["ok"]
        assert reply.properties is not None
        assert vars(reply.properties)["CorrelationData"] == b"seven"
        assert json.loads(mat.control.wait_for("/reply")[0].payload)["id"] == "5"
        assert json.loads(mat.control.wait_for("/reply/to-me")[0].payload)["id"] == "5"
        assert not mat.control.on("/split")
    finally:
        client.disconnect()
        client.loop_stop()


def test_what_changes_something_is_noted_with_who(mat: Mat) -> None:
    mat.ask({"do": "mark", "text": "rain", "by": "ann"})
    mat.ask({"do": "gun", "name": "elites"})
    wait_until(lambda: len(mat.notices("command")) == 2, what="both notices")
    assert [(one["says"], one["by"]) for one in mat.notices("command")] == [
        ("mark 'rain'", "ann"),
        ("gun 'elites'", "somebody without a name"),
    ]


def test_a_test_is_marked_ends_at_a_gun_and_its_last_minute_was_the_race(mat: Mat) -> None:
    assert mat.ask({"do": "mode", "mode": "test", "by": "ann"})[0]["ok"]
    assert mat.daemon.status()["mode"] == "test"
    cross(mat.line, ["00000000000A", "00000000000B"])
    mat.control.wait_for("/split", 2)
    assert {split["mode"] for split in mat.splits()} == {"test"}
    mat.ask({"do": "gun", "name": "start"})
    mat.control.wait_for("/split", 4)
    again = mat.splits()[2:]
    assert [(one["mode"], one["rev"], one["revised_for"]) for one in again] == [("race", 2, "mode")] * 2
    assert {one["passing"] for one in again} == {one["passing"] for one in mat.splits()[:2]}
    assert "after a gun" in mat.ask({"do": "mode", "mode": "test"})[0]["error"]
    assert [one["says"].partition(":")[0] for one in mat.notices("mode")] == ["mode test", "mode race"]
    assert mat.notices("mode")[0]["by"] == "ann"


def test_twenty_chips_end_a_test_and_no_revision_is_told_twice(mat: Mat) -> None:
    mat.ask({"do": "mode", "mode": "test"})
    cross(mat.line, [f"{number:012X}" for number in range(0x100, 0x100 + 25)])
    wait_until(lambda: modes_at_last(mat) == ["race"] * 25, what="all of them in race")
    told = [(one["passing"], one["rev"]) for one in mat.splits()]
    assert len(told) == len(set(told))


def modes_at_last(mat: Mat) -> list[str]:
    return list({one["passing"]: one["mode"] for one in sorted(mat.splits(), key=lambda one: one["rev"])}.values())


def test_a_release_has_a_name_outlives_the_sweep_and_ends_with_a_runner_or_a_restart(mat: Mat) -> None:
    assert "by: missing" in mat.ask({"do": "release"})[0]["error"]
    assert mat.ask({"do": "release", "by": "bea"})[0]["ok"]
    cross(mat.line, ["0000000005EE"])
    mat.control.wait_for("/split", 1)
    assert mat.splits()[0]["mode"] == "released"
    cross(mat.line, ["00000000000C"])
    mat.control.wait_for("/split", 2)
    assert mat.splits()[1]["mode"] == "race"
    assert mat.notices("released")[0]["by"] == "bea"
    mat.ask({"do": "release", "by": "bea"})
    mat.daemon.stop()
    mat.daemon.start()
    assert mat.daemon.status()["mode"] == "race"


def test_no_test_after_a_crossing_and_a_restart(mat: Mat) -> None:
    cross(mat.line, ["00000000000D"])
    mat.control.wait_for("/split", 1)
    mat.daemon.kill()
    mat.daemon.start()
    wait_until(lambda: mat.daemon.status()["parts"]["broker"]["word"] == "ok", what="the connection")
    assert "within 30 minutes of a crossing" in mat.ask({"do": "mode", "mode": "test"})[0]["error"]


def test_assigned_it_is_another_mat_until_the_file_says_otherwise(mat: Mat) -> None:
    was = mat.daemon.status()["epoch"]
    asked = {"do": "assign", "event": "commands", "point": "half", "mat": "other"}
    assert "half/other" in mat.ask({"by": "ann"} | asked)[0]["says"]
    wait_until(lambda: any("/half/other/" in one.topic for one in mat.control.on("/status")), what="its new name")
    mat.daemon.wait_for_recording()
    assert mat.daemon.status()["epoch"] != was
    cross(mat.line, ["00000000000E"])
    assert mat.control.wait_for("/split")[0].topic == "timing/commands/half/other/split"
    mat.daemon.stop()
    mat.daemon.start()
    mat.daemon.wait_for_recording()
    cross(mat.line, ["00000000000F"])
    assert mat.control.wait_for("/split", 2)[1].topic == "timing/commands/half/other/split"
    mat.daemon.stop()
    mat.daemon.config.write_text(mat.daemon.config.read_text().replace('id = "mat"', 'id = "third"'))
    mat.daemon.start()
    wait_until(lambda: any("/finish/third/" in one.topic for one in mat.control.on("/status")), what="the file's name")


def test_assigned_it_does_not_say_to_systemd_that_it_ends(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        said: list[bytes] = []

        def listen_for(word: bytes) -> None:
            while not said or said[-1] != word:
                said.append(systemd.recv(4096))

        with Line(tmp_path / "line"), Daemon(tmp_path, text_of(tmp_path, mosquitto)) as daemon:
            listen_for(b"READY=1")
            said.clear()
            assert ask(daemon.control, {"do": "assign", "event": "commands", "point": "half", "mat": "other"})["ok"]
            listen_for(b"READY=1")
            assert b"STOPPING=1" not in said  # it would be killed after TimeoutStopSec=
            assert daemon.stop() == 0
            listen_for(b"STOPPING=1")


def test_an_assignment_that_can_not_be_kept_is_taken_back(mat: Mat) -> None:
    (mat.daemon.folder / "state").write_text("a file where the folder should be")
    asked = {"do": "assign", "event": "commands", "point": "half", "mat": "other", "by": "ann"}
    assert "nothing was changed" in mat.ask(asked)[0]["error"]
    wait_until(lambda: len(mat.notices("config")) == 2, what="both notices")
    becomes, stays = mat.notices("config")
    assert "becomes commands/half/other" in becomes["says"]
    assert ("stays what it is" in stays["says"], stays["by"]) == (True, "ann")
    assert mat.ask({"do": "ping"})[0]["ok"]


def test_a_mat_that_has_timed_is_not_assigned_before_it_is_released(mat: Mat) -> None:
    cross(mat.line, ["00000000000D"])
    mat.control.wait_for("/split", 1)
    asked = {"do": "assign", "event": "commands", "point": "half", "mat": "other"}
    assert "release the mat first" in mat.ask(asked)[0]["error"]


def test_a_rewind_gives_the_same_again_in_pages(mat: Mat) -> None:
    chips = [f"{number:012X}" for number in range(1, 301)]
    cross(mat.line, chips)
    mat.control.wait_for("/split", 300)
    told = {message(one.payload)["seq"]: message(one.payload) for one in mat.control.on("/split")}
    epoch = mat.splits()[0]["epoch"]
    [first] = mat.ask({"do": "rewind", "epoch": epoch})
    pages = first["pages"]
    assert pages > 1
    replies = [message(one.payload) for one in mat.control.wait_for("/reply", pages)]
    assert [reply["page"] for reply in replies] == list(range(1, pages + 1))
    entries = [entry for reply in replies for entry in reply["entries"]]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry["seq"]: entry for entry in entries if entry["type"] == "split"} == told
    before = len(mat.control.on("/reply"))
    [page] = mat.ask({"do": "rewind", "epoch": epoch, "from_seq": 7, "through_seq": 9})
    assert [entry["seq"] for entry in page["entries"]] == [7, 8, 9]
    [page] = mat.ask({"do": "rewind", "chip": chips[4].lower()})
    assert {entry["chip"] for entry in page["entries"]} == {chips[4]}
    latest = max(told.values(), key=lambda one: str(one["time"]))
    of_one = {"do": "rewind", "chip": latest["chip"]}  # of all, those of one instant may be more than a page
    [page] = mat.ask(of_one | {"since": latest["time"], "until": "2199-01-01T00:00:00Z"})
    assert latest["seq"] in {entry["seq"] for entry in page["entries"]}
    [page] = mat.ask(of_one | {"since": "2199-01-01T00:00:00Z"})
    assert page["entries"] == []
    assert "no journal of this box has it" in mat.ask({"do": "rewind", "epoch": "nowhere"})[0]["error"]
    assert "between 1970 and 2200" in mat.ask({"do": "rewind", "since": "2999-01-01T00:00:00Z"})[0]["error"]
    assert "epoch: missing" in mat.ask({"do": "rewind", "from_seq": 3})[0]["error"]
    assert len(mat.control.on("/reply")) == before + 7


def test_control_decides_what_is_delivered(tmp_path: Path, mosquitto: Mosquitto) -> None:
    text = text_of(tmp_path, mosquitto, 'delivered_when = "control"\ncollectors = ["rc1", "rc2"]')
    with (
        Line(tmp_path / "line") as line,
        Subscriber(mosquitto.port, "timing/commands/#") as control,
        Daemon(tmp_path, text) as daemon,
    ):
        daemon.wait_for_recording()
        cross(line, ["00000000000A", "00000000000B"])
        splits = [message(one.payload) for one in control.wait_for("/split", 2)]
        epoch, last_seq = splits[0]["epoch"], splits[1]["seq"]
        wait_until(lambda: daemon.status()["last_seq"] >= last_seq, what="the mat's own word on it")

        def acknowledge(collector: str, seq: int) -> None:
            ack = {"box": daemon.status()["box"], "acks": {epoch: seq}, "time": "2026-03-07T13:48:50Z"}
            control.say(f"{TOPIC}/ack/{collector}", json.dumps(ack).encode(), retain=True)

        assert daemon.status()["delivered_seq"] == 0
        acknowledge("rc1", last_seq)
        wait_until(lambda: "rc2" in daemon.status()["parts"]["broker"]["says"], what="who has not stored it")
        assert daemon.status()["delivered_seq"] == 0
        acknowledge("rc2", 2)
        wait_until(lambda: daemon.status()["delivered_seq"] == 2, what="what both have")
        acknowledge("rc2", last_seq + 100)
        wait_until(lambda: "ignored" in daemon.status()["parts"]["broker"]["says"], what="the word on it")
        assert daemon.status()["delivered_seq"] == 2
        before = len(control.on("/split"))
        daemon.stop()
        daemon.start()
        control.wait_for("/split", before + 2)  # what not all have stored is told again
        acknowledge("rc2", last_seq)
        wait_until(lambda: daemon.status()["delivered_seq"] >= last_seq, what="all of it")
        wait_until(lambda: daemon.status()["acks"] == {"rc1": last_seq, "rc2": last_seq}, what="both acks")


def test_the_same_from_this_boxs_own_people(mat: Mat) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments, "--socket", str(mat.daemon.control)], capture_output=True, text=True, timeout=60
        )

    assert "mode test" in run("mode", "test").stdout
    assert run("release").returncode == 0
    assert "no lights" in run("identify").stderr
    cross(mat.line, ["00000000000A"])
    mat.control.wait_for("/split", 1)
    rewound = run("rewind", "--chip", "00000000000A")
    assert {json.loads(line)["chip"] for line in rewound.stdout.splitlines()} == {"00000000000A"}
    assert run("release").returncode == 0
    assert "half/other" in run("assign", "commands", "half", "other").stdout
