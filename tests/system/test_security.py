"""Race control's broker as it is shipped, and the real daemon: who may say what; whoever is refused, timing goes on."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from reader.box.control import ask
from reader.clock import SystemClock
from reader.config import MqttSettings, loads
from reader.errors import BrokerRefused
from reader.racecontrol.subscriber import Subscriber
from reader.uplink.broker import Broker, Outgoing
from tests.daemon import COMMAND, Daemon, Line, message
from tests.ipico import record
from tests.secured import SHIPPED, Account, SecuredMosquitto, issue_to_broker, issue_to_mat, make_authority, password_of
from tests.waiting import wait_until

MAT, OTHER = "finish-main", "05k-main"
OURS = f"timing/chicago-2023/finish/{MAT}"
FROM_A_MAT = (
    "split",
    "heard",
    "gun",
    "marker",
    "coverage",
    "notice",
    "status",
    "link",
    "selftest",
    "selftest/x",
    "reply",
    "reply/x",
)
FROM_RACE_CONTROL = ("cmd", "ack/rc1", "expect")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Race control's certificates; in `stranger/` those of somebody else, and `expired.…` of a mat that has expired."""
    folder = tmp_path_factory.mktemp("race")
    (folder / "stranger").mkdir()
    for place in (folder, folder / "stranger"):
        make_authority(place)
        issue_to_broker(place, "IP:127.0.0.1")
        issue_to_mat(place, MAT)
    issue_to_mat(folder, "expired", days=-1)
    return folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[SecuredMosquitto]:
    with SecuredMosquitto(folder) as broker:
        yield broker


class Mat:
    """The daemon, with a reader's line; ``cross`` lets a chip go over. ``told``: all that the status said."""

    def __init__(self, daemon: Daemon, line: Line) -> None:
        self.daemon = daemon
        self.told: set[str] = set()
        self._line = line
        self._chips = 0

    def cross(self) -> None:
        """One more chip is heard, and is in the journal."""
        before = self.daemon.status()
        self._chips += 1
        self._line.write(record(f"05800000{self._chips:04x}", datetime.now(UTC)))
        wait_until(lambda: self.daemon.status()["counts"]["splits"] > before["counts"]["splits"], 10, "its split")
        assert self.daemon.status()["last_seq"] > before["last_seq"]
        assert self.daemon.status()["recording"]

    def wait_for(self, word: str, says: str) -> str:
        """What the status says of the broker, once it is that."""

        def told() -> str:
            part = self.daemon.status()["parts"]["broker"]
            self.told.add(json.dumps(part))
            return str(part["says"]) if part["word"] == word and says in part["says"] else ""

        return wait_until(told, 20, f"{says!r} in what the status says of the broker")


@contextlib.contextmanager
def mat(folder: Path, settings: MqttSettings, mat_id: str = MAT) -> Iterator[Mat]:
    """One that records; ``settings`` become the `[mqtt]` of its file."""
    given = {key: value for key, value in msgspec.to_builtins(settings, enc_hook=str).items() if value}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in given.items())
    text = f"""
        [mat]
        event = "chicago-2023"
        point = "finish"
        id = "{mat_id}"
        [[reader]]
        protocol = "ipico"
        port = "{folder}/line"
        time_from = "reader"
        [gate]
        pick = "first"
        [mqtt]
        {lines}
    """
    with Line(folder / "line") as line, Daemon(folder, text) as daemon:
        daemon.wait_for_recording()
        one = Mat(daemon, line)
        one.cross()
        yield one
        one.cross()


# ---- who is in order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["account", "certified"])
def test_a_mat_in_order_is_heard_and_commanded(tmp_path: Path, broker: SecuredMosquitto, how: str) -> None:
    with (
        Account(broker, "racecontrol", "timing/#") as control,
        Account(broker, "announcer", "timing/#") as announcer,
        mat(tmp_path, getattr(broker, how)(MAT)) as one,
    ):
        one.wait_for("ok", "connected to")
        for listener in (control, announcer):
            listener.wait_for(f"{OURS}/split")
            listener.wait_for(f"{OURS}/heard")
            listener.wait_for(f"{OURS}/status")
        control.say(f"{OURS}/cmd", b'{"id": "1", "do": "ping", "by": "test"}')
        (reply, *_) = control.wait_for(f"{OURS}/reply")
        assert message(reply.payload).items() >= {"id": "1", "ok": True}.items()
        one.daemon.kill()
        wait_until(lambda: message(control.on(f"{OURS}/link")[-1].payload)["link"] == "lost", 30, "the last will")
        assert not announcer.on("/cmd")
        assert not announcer.on("/reply")
        one.daemon.start()
        one.daemon.wait_for_recording()


def test_what_the_readme_puts_into_a_mat_s_file_is_good() -> None:
    (lines,) = re.findall(r"^```toml\n(.*?)^```$", (SHIPPED / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    head = f'[mat]\nevent = "e"\npoint = "p"\nid = "{MAT}"\n[[reader]]\nprotocol = "auto"\nport = "auto"\n'
    settings = loads(head + lines, "/etc/timing-mat/mat.toml")
    assert settings.mqtt.username == settings.mat.id
    assert f"DNS:{settings.mqtt.host}" in (SHIPPED / "README.md").read_text()
    assert f"listener {settings.mqtt.port}\n" in (SHIPPED / "mosquitto.conf").read_text()


# ---- who is not ------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("says", "how", "changes"),
    [
        ("its certificate is not of the authority in ca_file", "account", {"ca_file": "stranger/ca.pem"}),
        ("its certificate is for another name", "account", {"host": "localhost"}),
        ("it refuses cert_file: expired", "certified", {"cert_file": "expired.pem", "key_file": "expired.key"}),
        (
            "it refuses cert_file: of an authority it does not know",
            "certified",
            {"cert_file": f"stranger/{MAT}.pem", "key_file": f"stranger/{MAT}.key"},
        ),
        ("Not authorized; check username and password_file", "account", {"password_file": f"{OTHER}.password"}),
        ("Not authorized; check username and password_file", "account", {"username": None, "password_file": None}),
        ("No such file", "account", {"password_file": "nothing"}),
    ],
)
def test_timing_goes_on_whoever_is_refused(
    tmp_path: Path, broker: SecuredMosquitto, folder: Path, says: str, how: str, changes: dict[str, str | None]
) -> None:
    settings = msgspec.structs.replace(
        getattr(broker, how)(MAT),
        **{key: folder / value if value and key.endswith("_file") else value for key, value in changes.items()},
    )
    with Account(broker, "racecontrol", "timing/#") as control, mat(tmp_path, settings) as one:
        one.wait_for("fail", says)
        one.cross()
        assert one.daemon.status()["delivered_seq"] == 0
        assert not [received for received in control.received if not received.is_retained]


@pytest.mark.long
def test_timing_goes_on_when_the_broker_s_certificate_has_expired(tmp_path: Path) -> None:
    race = tmp_path / "race"
    race.mkdir()
    make_authority(race)
    issue_to_broker(race, "IP:127.0.0.1", days=-1)
    with SecuredMosquitto(race) as expired, mat(tmp_path, expired.account(MAT)) as one:
        one.wait_for("fail", "its certificate has expired by this box's clock")


@pytest.mark.long
def test_a_secret_that_others_can_read_stops_the_connection_and_not_the_timing(
    tmp_path: Path, broker: SecuredMosquitto
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(password_of(MAT))
    secret.chmod(0o644)
    settings = msgspec.structs.replace(broker.account(MAT), password_file=secret)
    with Account(broker, "racecontrol", f"{OURS}/#") as control, mat(tmp_path, settings) as one:
        told = one.wait_for("fail", "others can read it")
        one.cross()
        subprocess.run(told.rpartition("; ")[2].split(), check=True)  # as it says
        one.wait_for("ok", "connected to")
        assert len(control.wait_for("/split", 2)) == 2


@pytest.mark.long
def test_a_mat_that_speaks_for_another_is_told_and_not_heard(tmp_path: Path, broker: SecuredMosquitto) -> None:
    with Account(broker, "racecontrol", "timing/chicago-2023/finish/impostor/#") as control:
        with mat(tmp_path, broker.account(MAT), "impostor") as one:
            told = one.wait_for("fail", "the broker refuses")
            assert "Not authorized; look at username, and at the broker's access list" in told
            one.cross()
            assert one.daemon.status()["delivered_seq"] == 0
            one.daemon.kill()  # its last will is no way round either
            wait_until(lambda: re.search(r"Client \S+-impostor (closed|disconnected)", broker.log), what="its end")
            assert taken(broker.account(MAT), f"timing/e/p/{MAT}/notice") == {f"timing/e/p/{MAT}/notice": True}
            one.daemon.start()
            one.daemon.wait_for_recording()
        assert control.received == []


# ---- who may say and hear what ---------------------------------------------------------------------------


def taken(settings: MqttSettings, *topics: str) -> dict[str, bool]:
    """Of each topic, whether that account may publish there."""
    connection = Broker(settings, "whoever", SystemClock()).connect()
    for topic in topics:
        connection.publish(Outgoing(topic, b"{}"), topic)

    def answered() -> bool:
        connection.turn(0.02)
        return len(connection.answers) == len(topics)

    wait_until(answered, what="an answer to each")
    connection.close()
    return {str(answer.token): answer.is_taken for answer in connection.answers}


def test_a_mat_may_say_what_mats_say_as_itself_and_nothing_else(broker: SecuredMosquitto) -> None:
    as_itself = [f"timing/e/p/{MAT}/{what}" for what in FROM_A_MAT]
    commands = [f"timing/e/p/{name}/{what}" for name in (MAT, OTHER) for what in FROM_RACE_CONTROL]
    as_another = [f"timing/e/p/{OTHER}/{what}" for what in FROM_A_MAT]
    beside = ["reply", f"scoring/{MAT}", f"timing/e/p/{MAT}", f"timing/e/p/{MAT}/split/x", f"timing/e/p/q/{MAT}/split"]
    with Account(broker, "racecontrol", "timing/e/#") as control:
        answers = taken(broker.account(MAT), *as_itself, *commands, *as_another, *beside)
        control.wait_for("/reply/x")
        assert {received.topic for received in control.received} == set(as_itself)
    assert {topic for topic, is_taken in answers.items() if is_taken} == set(as_itself)


def test_only_race_control_commands(broker: SecuredMosquitto) -> None:
    commands = [f"timing/e/p/{MAT}/{what}" for what in FROM_RACE_CONTROL]
    as_mats = [f"timing/e/p/{name}/{what}" for name in (MAT, "racecontrol", "announcer") for what in FROM_A_MAT]
    answers = taken(broker.account("racecontrol"), *commands, *as_mats)
    assert {topic for topic, is_taken in answers.items() if is_taken} == set(commands)
    answers = taken(broker.account("announcer"), *commands, *as_mats)
    assert not any(answers.values())


def test_an_anonymous_commander_is_not_let_in(tmp_path: Path, broker: SecuredMosquitto) -> None:
    nobody = msgspec.structs.replace(broker.account(MAT), username=None, password_file=None)
    with pytest.raises(BrokerRefused, match="Not authorized; check username and password_file"):
        Broker(nobody, "commander", SystemClock()).connect()
    follower = Subscriber(nobody, SystemClock())
    follower.poll(0.0)
    assert "Not authorized" in follower.trouble
    follower.close()


def test_a_mat_hears_what_is_said_to_it_and_no_more(broker: SecuredMosquitto) -> None:
    said = [f"timing/e/p/{name}/{what}" for name in (MAT, OTHER) for what in FROM_RACE_CONTROL]
    with Account(broker, MAT, "timing/e/#") as listener, Account(broker, "racecontrol", "timing/e/#") as control:
        for topic in said:
            control.say(topic, b"{}")
        control.wait_for(f"{OTHER}/expect")
        listener.wait_for("/expect")
        assert [received.topic for received in listener.received] == said[: len(FROM_RACE_CONTROL)]


# ---- secrets ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_secret_stands_nowhere(
    tmp_path: Path, broker: SecuredMosquitto, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMING_MAT_LOG", "DEBUG")
    secret, wrong = tmp_path / "secret", "wrong-horse-of-battery"
    secret.touch(0o600)
    secret.write_text(wrong)
    key = folder / f"{MAT}.key"
    settings = msgspec.structs.replace(
        broker.certified(MAT), port=broker.port, username=MAT, password_file=secret
    )  # both: password and certificate
    written = b""
    with Account(broker, "racecontrol", "timing/#") as control, mat(tmp_path, settings) as one:
        one.wait_for("fail", "check username and password_file")
        secret.write_text(password_of(MAT))
        one.wait_for("ok", "connected to")
        secret.write_text(f"{password_of(MAT)}\n{wrong}")
        broker.restart()
        one.wait_for("fail", "expected one line")
        secret.write_text(password_of(MAT))
        key.chmod(0o640)
        one.wait_for("fail", "key_file")
        key.chmod(0o600)
        one.wait_for("ok", "connected to")
        one.daemon.wait_for_delivery()
        for command in ("ping", "status", "clock", "no such thing", "selftest", "rewind"):
            written += json.dumps(ask(one.daemon.control, {"do": command})).encode()
            control.say(f"{OURS}/cmd", json.dumps({"id": "1", "do": command, "by": "test"}).encode())
        for arguments in (
            ["config", "check", "--config", str(one.daemon.config)],
            ["status", "--json", "--config", str(one.daemon.config)],
            ["export", "entries", "--format", "jsonl", "--config", str(one.daemon.config)],
        ):
            written += subprocess.run([COMMAND, *arguments], capture_output=True, check=False).stdout
        control.wait_for("/reply")
        written += b"".join(received.payload for received in control.received)
        written += "".join(one.told).encode()
        assert one.daemon.stop() == 0
        written += b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != secret)
        one.daemon.start()
        one.daemon.wait_for_recording()
    assert b"check username and password_file" in written
    lines = [line for line in key.read_text().splitlines() if not line.startswith("-----")]
    for text in (password_of(MAT), wrong, *lines):
        for form in (text.encode(), base64.b64encode(text.encode()), text.encode().hex().encode()):
            assert form not in written, f"{text} was told"


# ---- nothing that was acknowledged is lost ---------------------------------------------------------------


def test_what_was_acknowledged_survives_the_broker_and_waits_for_who_is_away(folder: Path) -> None:
    count = 3_000  # by default 1,000 wait, and none survive; here only the last second's may be lost
    with SecuredMosquitto(folder) as broker:
        with Account(broker, "racecontrol", "timing/#", client_id="scoring"):
            pass
        connection = Broker(broker.account(MAT), "box", SystemClock()).connect()
        sent = 0
        while sent < count or connection.outstanding:
            while sent < count and connection.room:
                connection.publish(Outgoing(f"{OURS}/split", str(sent).encode()), sent)
                sent += 1
            connection.turn(1.0)
        assert all(answer.is_taken for answer in connection.answers)
        connection.close()
        acknowledged_s = time.time()
        wait_until(lambda: broker.saved_s > acknowledged_s, 10, "the broker's file of what waits, once a second")
        broker.restart()
        with Account(broker, "racecontrol", "timing/#", client_id="scoring") as scoring:
            scoring.wait_for("/split", count)
            assert [int(received.payload) for received in scoring.received] == list(range(count))
