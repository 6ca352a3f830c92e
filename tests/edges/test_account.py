"""Passwords and certificates, at race control's broker as it is shipped: who is taken, and what who is not is told."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from reader.clock import SystemClock
from reader.config import MqttSettings, credentials, loads
from reader.config.credentials import credential, is_credential
from reader.errors import BrokerRefused, BrokerUnreachable
from reader.racecontrol.subscriber import Subscriber
from reader.uplink import broker as broker_module
from reader.uplink.account import exposure, password
from reader.uplink.broker import Broker, Outgoing
from reader.uplink.publisher import Uplink
from reader.uplink.tls import tls_trouble
from tests.broker import Mosquitto
from tests.fakes.broker import FakeBroker
from tests.fakes.log import FINISH, FakeEpoch, FakeLog
from tests.secured import SecuredMosquitto, issue_to_broker, issue_to_mat, make_authority, password_of
from tests.waiting import wait_until

MAT = "finish-main"
EXPIRED = "05k-main"  # its certificate is
NOBODY = 65_534


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Race control's certificates; in `stranger/` those of somebody else under the same names."""
    folder = tmp_path_factory.mktemp("race")
    stranger = folder / "stranger"
    stranger.mkdir()
    for place in (folder, stranger):
        make_authority(place)
        issue_to_broker(place, "IP:127.0.0.1")
        issue_to_mat(place, MAT)
    issue_to_mat(folder, EXPIRED, days=-1)
    return folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[SecuredMosquitto]:
    with SecuredMosquitto(folder) as broker:
        yield broker


def connect(settings: MqttSettings) -> str:
    """The version of MQTT it speaks."""
    connection = Broker(settings, "box", SystemClock()).connect()
    connection.close()
    return connection.version


def refusal(settings: MqttSettings) -> str:
    """What somebody is told who is not taken."""
    with pytest.raises(BrokerRefused) as refused:
        connect(settings)
    return str(refused.value)


def replaced(settings: MqttSettings, **fields: object) -> MqttSettings:
    return msgspec.structs.replace(settings, **fields)


# ---- passwords -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["auto", "3.1.1"])
def test_the_password_is_read_at_each_connect_and_never_said(
    tmp_path: Path, broker: SecuredMosquitto, version: str
) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(f"{password_of(MAT)}\r\n")
    settings = replaced(broker.account(MAT), password_file=secret, version=version)
    connect(settings)
    secret.write_text("wrong-horse")
    told = refusal(settings)
    assert "check username and password_file" in told
    assert "wrong-horse" not in told
    secret.write_text(password_of(MAT))
    connect(settings)
    secret.unlink()
    assert f"password_file {secret}: No such file" in refusal(settings)


@pytest.mark.parametrize("found", [b"", b"\n", b"a\nb", b"x" * 65_536])
def test_what_can_not_be_a_password_is_said_and_not_shown(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_bytes(found)
    with pytest.raises(BrokerRefused, match=r"expected one line, the password and nothing else$"):
        password(MqttSettings(password_file=tmp_path / "secret"))


def test_a_password_is_text(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokerRefused, match="expected text in UTF-8"):
        password(MqttSettings(password_file=tmp_path / "secret"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o755])
def test_a_secret_that_others_can_read_is_not_used_until_it_is_closed(
    tmp_path: Path, broker: SecuredMosquitto, mode: int
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(password_of(MAT))
    secret.chmod(mode)
    settings = replaced(broker.account(MAT), password_file=secret)
    told = refusal(settings)
    assert f"others can read it (mode {mode:04o}), so it is not used; chmod 600 {secret}" in told
    assert password_of(MAT) not in told
    subprocess.run(told.rpartition("; ")[2].split(), check=True)
    connect(settings)


def test_a_secret_belongs_to_us_or_to_root(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    found = list(secret.stat())
    assert exposure(secret, os.stat_result(found)) == ""
    found[4] = 0
    assert exposure(secret, os.stat_result(found)) == ""
    found[4] = NOBODY
    assert exposure(secret, os.stat_result(found)).endswith(f"{secret}")
    assert "it belongs to nobody, so it is not used; chown " in exposure(secret, os.stat_result(found))
    found[4] = 4_242_424
    assert "it belongs to user 4242424" in exposure(secret, os.stat_result(found))


def test_on_a_boot_partition_chmod_is_no_remedy(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").chmod(0o755)
    told = exposure(Path("/boot/firmware/secret"), (tmp_path / "secret").stat())
    assert "the boot partition keeps no permissions: move it to /boot/firmware/timing-mat-secrets" in told


# ---- certificates ----------------------------------------------------------------------------------------


def test_a_certificate_stands_for_a_password(broker: SecuredMosquitto) -> None:
    assert connect(broker.certified(MAT)) == "5"


def test_a_key_may_stand_in_the_certificate_s_file(tmp_path: Path, broker: SecuredMosquitto, folder: Path) -> None:
    both = tmp_path / "both.pem"
    both.touch(0o600)
    both.write_text((folder / f"{MAT}.pem").read_text() + (folder / f"{MAT}.key").read_text())
    settings = replaced(broker.certified(MAT), cert_file=both, key_file=None)
    connect(settings)
    both.chmod(0o644)
    assert f"[mqtt] cert_file {both}: others can read it" in refusal(settings)


def test_a_broker_of_another_authority_is_not_spoken_to(broker: SecuredMosquitto, folder: Path) -> None:
    told = refusal(replaced(broker.account(MAT), ca_file=folder / "stranger" / "ca.pem"))
    assert "no TLS with it: its certificate is not of the authority in ca_file" in told


def test_a_broker_under_another_name_is_not_spoken_to(broker: SecuredMosquitto) -> None:
    told = refusal(replaced(broker.account(MAT), host="localhost"))
    assert "its certificate is for another name; use the name that stands in it as host" in told


def test_a_broker_whose_certificate_has_expired_is_not_spoken_to(tmp_path: Path) -> None:
    make_authority(tmp_path)
    issue_to_broker(tmp_path, "IP:127.0.0.1", days=-1)
    with SecuredMosquitto(tmp_path) as expired:
        assert "its certificate has expired by this box's clock; look at the clock" in refusal(expired.account(MAT))


def test_a_certificate_of_tomorrow_is_a_matter_of_the_clock() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = 9
    told = tls_trouble(error, "rc1:8883", MqttSettings())
    assert "not yet valid by this box's clock; look at the clock first" in str(told)


def test_a_mat_whose_certificate_has_expired_is_told(broker: SecuredMosquitto) -> None:
    # In TLS 1.3 this comes when the mat believes itself connected, and before any answer: often enough to see a race.
    for _ in range(10):
        assert "it refuses cert_file: expired by its clock" in refusal(broker.certified(EXPIRED))


def test_a_mat_with_somebody_else_s_certificate_is_told(broker: SecuredMosquitto, folder: Path) -> None:
    stranger = folder / "stranger"
    settings = replaced(broker.certified(MAT), cert_file=stranger / f"{MAT}.pem", key_file=stranger / f"{MAT}.key")
    assert "it refuses cert_file: of an authority it does not know" in refusal(settings)


def test_a_mat_without_a_certificate_is_told_that_one_is_asked_for(broker: SecuredMosquitto) -> None:
    told = refusal(replaced(broker.certified(MAT), cert_file=None, key_file=None))
    assert "it asks for a certificate: set cert_file and key_file" in told


def test_a_mat_that_speaks_tls_to_a_plain_port_or_none_to_tls_is_told(
    broker: SecuredMosquitto, mosquitto: Mosquitto
) -> None:
    with pytest.raises((BrokerRefused, BrokerUnreachable), match=f"broker 127.0.0.1:{mosquitto.port}: "):
        connect(replaced(broker.account(MAT), port=mosquitto.port))
    with pytest.raises(BrokerUnreachable, match="closed it without an answer"):
        connect(replaced(broker.account(MAT), ca_file=None))


def test_files_that_are_not_what_they_should_be_are_named(
    tmp_path: Path, broker: SecuredMosquitto, folder: Path
) -> None:
    settings = broker.certified(MAT)
    garbage, locked = tmp_path / "garbage", tmp_path / "locked.key"
    garbage.touch(0o600)
    garbage.write_text("no PEM")
    assert refusal(replaced(settings, ca_file=garbage)) == f"[mqtt] ca_file {garbage}: expected a certificate in PEM"
    assert refusal(replaced(settings, ca_file=tmp_path)) == f"[mqtt] ca_file {tmp_path}: Is a directory"
    missing = tmp_path / "missing"
    assert refusal(replaced(settings, cert_file=missing)) == f"[mqtt] cert_file {missing}: No such file or directory"
    assert refusal(replaced(settings, key_file=missing)) == f"[mqtt] key_file {missing}: No such file or directory"
    assert "expected a certificate and its key without a password" in refusal(replaced(settings, key_file=garbage))
    other = folder / "stranger" / f"{MAT}.key"
    assert "expected the key that belongs to the certificate" in refusal(replaced(settings, key_file=other))
    arguments = ["openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in", settings.key_file, "-out", locked]
    subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True)
    locked.chmod(0o600)
    assert "expected a certificate and its key without a password" in refusal(replaced(settings, key_file=locked))
    locked.chmod(0o644)
    assert f"[mqtt] key_file {locked}: others can read it" in refusal(replaced(settings, key_file=locked))


# ---- what systemd hands over -----------------------------------------------------------------------------

FILE = """
[mat]
event = "e"
point = "p"
id = "m"
[[reader]]
protocol = "auto"
port = "auto"
[mqtt]
username = "m"
password_file = "mqtt-password"
ca_file = "ca.pem"
cert_file = "{cert_file}"
[web]
pin_file = "pin"
"""


def test_a_bare_name_is_looked_for_where_systemd_puts_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = tmp_path / "credentials"
    handed.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    (handed / "mqtt-password").write_text("x")  # LoadCredential=mqtt-password:…
    (handed / "timing-mat_pin").write_text("1")  # LoadCredential=timing-mat:/a/whole/folder
    (handed / "cert.pem").write_text("x")
    config = loads(FILE.format(cert_file="./cert.pem"), str(tmp_path / "mat.toml"))
    assert config.mqtt.password_file == handed / "mqtt-password"
    assert config.mqtt.ca_file == tmp_path / "ca.pem", "not handed over"
    assert config.mqtt.cert_file == tmp_path / "cert.pem", "not a bare name"
    assert config.web.pin_file == handed / "timing-mat_pin"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    config = loads(FILE.format(cert_file="cert.pem"), str(tmp_path / "mat.toml"))
    assert config.mqtt.password_file == tmp_path / "mqtt-password"
    assert config.mqtt.cert_file == tmp_path / "cert.pem"


def test_by_hand_it_is_found_where_the_service_is_given_it_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(credentials, "ON_THE_BOX", tmp_path)
    (tmp_path / "mqtt-password").touch(0o600)
    assert credential("mqtt-password") == tmp_path / "mqtt-password"
    assert is_credential(tmp_path / "mqtt-password")  # as for the service, whose user it may belong to
    assert credential("other") is None
    assert credential(f"{tmp_path}/mqtt-password") is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "handed"))
    assert credential("mqtt-password") is None


def test_who_reads_a_credential_is_systemd_s_care(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It lets the service's user in by an access list, which shows as the group's part of the mode.
    secret = tmp_path / "mqtt-password"
    secret.write_text("pferd")
    secret.chmod(0o440)
    settings = MqttSettings(password_file=secret)
    with pytest.raises(BrokerRefused, match="others can read it"):
        password(settings)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert is_credential(secret)
    assert password(settings) == "pferd"
    assert credential("mqtt-password") == secret
    assert credential("other") is None


# ---- what is refused later -------------------------------------------------------------------------------


def test_a_mat_that_speaks_for_another_is_told_for_each_message_and_stays_connected(broker: SecuredMosquitto) -> None:
    connection = Broker(broker.account(MAT), "box", SystemClock()).connect()
    topics = ["timing/e/p/05k-main/split", f"timing/e/p/{MAT}/split", f"timing/e/p/{MAT}/cmd", "elsewhere"]
    for topic in topics:
        connection.publish(Outgoing(topic, b"{}"), topic)

    def answered() -> bool:
        connection.turn(0.02)
        return len(connection.answers) == len(topics)

    wait_until(answered, what="an answer to each")
    connection.turn(0.1)  # raises if it was the end
    answers = {answer.token: answer for answer in connection.answers}
    assert [answers[topic].is_taken for topic in topics] == [False, True, False, False]
    assert answers[topics[0]].says.startswith("Not authorized; look at username, and at")
    connection.close()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_topic_that_is_not_granted_is_told(version: Literal["5", "3.1.1"]) -> None:
    with FakeBroker() as fake:
        fake.suback = lambda topic: 0x87 if topic == "b" else 0x01
        settings = MqttSettings(port=fake.port, version=version)
        connection = Broker(settings, "box", SystemClock()).connect()
        connection.subscribe("a", "b", "c")

        def refused() -> list[str]:
            connection.turn(0.02)
            return connection.refused

        (told,) = wait_until(refused, what="the refusal")
        assert told.startswith(f"the broker 127.0.0.1:{fake.port} refuses to let us hear b: ")
        connection.drop()


def test_a_topic_that_is_not_granted_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "SUBSCRIBE_AGAIN_S", 0.1)
    asked: list[str] = []

    def grant_b_at_the_third_time(topic: str) -> int:
        asked.append(topic)
        return 0x80 if topic == "b" and asked.count("b") < 3 else 0x01

    with FakeBroker() as fake:
        fake.suback = grant_b_at_the_third_time
        connection = Broker(MqttSettings(port=fake.port), "box", SystemClock()).connect()
        connection.subscribe("a", "b", "c")

        def is_granted() -> bool:
            connection.turn(0.02)
            return asked.count("b") == 3 and not connection.refused

        wait_until(is_granted, what="the third answer")
        assert asked == ["a", "b", "c", "b", "b"]
        connection.drop()


@contextlib.contextmanager
def uplink(settings: MqttSettings) -> Iterator[Uplink]:
    """A mat's, with five entries to tell."""
    epoch = FakeEpoch("e1", FINISH)
    epoch.append(5)
    log = FakeLog(epoch)
    uplink = Uplink(
        settings=settings,
        identity=FINISH,
        open_view=log.view,
        delivered=log.note_delivered,
        answer=lambda _command: {},
        clock=SystemClock(),
    )
    uplink.start()
    try:
        yield uplink
    finally:
        uplink.stop()


def test_a_mat_that_is_not_told_what_is_said_to_it_says_so_and_tells_on() -> None:
    with FakeBroker() as fake:
        fake.suback = lambda topic: 0x87 if topic.endswith("/cmd") else 0x01
        with uplink(MqttSettings(port=fake.port)) as ours:
            wait_until(lambda: ours.state.word == "fail" and "refuses to let us hear" in ours.state.says, what="words")
            assert "/finish-main/cmd: Not authorized; look at username" in ours.state.says
            wait_until(lambda: ours.state.backlog == {"e1": 0}, what="delivery of all entries")


def test_a_listener_that_is_refused_says_so() -> None:
    with FakeBroker() as fake:
        fake.suback = lambda topic: 0x87 if topic.endswith("/heard") else 0x01
        listener = Subscriber(MqttSettings(port=fake.port), SystemClock(), "e")

        def refused() -> bool:
            listener.poll(0.02)
            return "refuses to let us hear timing/e/+/+/heard: Not authorized" in listener.trouble

        wait_until(refused, what="the refusal in words")
        listener.close()


def test_an_answer_that_comes_together_with_the_end_is_heard() -> None:
    with FakeBroker() as fake:
        fake.puback = lambda _published: None
        with uplink(MqttSettings(port=fake.port)) as ours:
            (link, *_) = wait_until(lambda: fake.topics("/link"), what="its word")
            puback, disconnect = b"\x40\x03" + link.mid.to_bytes(2) + b"\x87", b"\xe0\x02\x87\x00"
            fake.send(puback + disconnect)
            wait_until(lambda: "before that: the broker refuses link" in ours.state.says, what="the refusal in words")


def test_why_it_was_refused_is_told_though_the_broker_hangs_up_at_once(tmp_path: Path) -> None:
    # As mosquitto does until 2.0.22, with max_queued_messages 0.
    access = tmp_path / "acl"
    access.write_text("topic read #\n")
    with Mosquitto(extra=f"\nacl_file {access}\n") as hasty, uplink(MqttSettings(port=hasty.port)) as ours:
        wait_until(lambda: "before that: the broker refuses" in ours.state.says, what="the refusal in words")
        assert "Not authorized; look at username, and at" in ours.state.says
        assert ours.state.delivered == {"e1": 0}
        access.write_text("topic readwrite #\n")
        hasty.restart()
        wait_until(lambda: ours.state.connected and "refuses" not in ours.state.says, what="the connection")


# ---- the way there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".b"])
def test_a_name_that_leads_nowhere_is_said(host: str) -> None:
    with pytest.raises(BrokerUnreachable, match=f"broker {host}:1883: "):
        connect(MqttSettings(host=host))


def test_the_network_does_not_wait_for_company(mosquitto: Mosquitto) -> None:
    connection = Broker(MqttSettings(port=mosquitto.port), "box", SystemClock()).connect()
    with socket.socket(fileno=os.dup(connection._client.gathering.fileno())) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection.window == 20, "what mosquitto grants"
    connection.close()
