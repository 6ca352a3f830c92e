"""Password and certificates, against a real broker that asks for them."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest

from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import BrokerError, BrokerRefused, BrokerUnreachable
from reader.uplink.broker import Broker
from tests.broker import Mosquitto
from tests.waiting import free_port

SECRET = "korrekt-pferd"


def connect(settings: MqttSettings) -> str:
    """The version of MQTT it speaks."""
    connection = Broker(settings, "box", SystemClock()).connect()
    connection.close()
    return connection.version


@pytest.fixture
def guarded(tmp_path: Path) -> MqttSettings:
    """An account that is in order; start the broker with ``passwords`` of the same folder."""
    # mosquitto's format: $7$ is PBKDF2 with SHA-512, iterations, salt, hash.
    salt = b"twelve bytes"
    digest = hashlib.pbkdf2_hmac("sha512", SECRET.encode(), salt, 101, 64)
    salted = f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    (tmp_path / "passwords").write_text(f"mat:{salted}\n")
    (tmp_path / "secret").write_text(f"{SECRET}\r\n")
    return MqttSettings(username="mat", password_file=tmp_path / "secret")


@pytest.mark.parametrize("version", ["auto", "3.1.1"])
def test_the_password_is_read_at_each_connect_and_never_said(
    tmp_path: Path, guarded: MqttSettings, version: str
) -> None:
    lines = f"\nallow_anonymous false\npassword_file {tmp_path}/passwords\n"
    with Mosquitto(extra=lines) as mosquitto:
        settings = msgspec.structs.replace(guarded, port=mosquitto.port, version=version)
        connect(settings)
        secret = tmp_path / "secret"
        secret.write_text("wrong-horse")
        with pytest.raises(BrokerRefused, match="check username and password_file") as refused:
            connect(settings)
        assert "wrong-horse" not in str(refused.value)
        secret.unlink()
        with pytest.raises(BrokerRefused, match=r"password_file .*secret: No such file"):
            connect(settings)
        secret.write_bytes(b"\xff\xfe")
        with pytest.raises(BrokerRefused, match="expected text in UTF-8"):
            connect(settings)


def test_tls_and_a_certificate_of_somebody_else(tmp_path: Path) -> None:
    for name in ("broker", "stranger"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"),
            ],
            check=True,
            capture_output=True,
        )
    port = free_port()
    lines = f"""
        listener {port} 127.0.0.1
        allow_anonymous true
        certfile {tmp_path}/broker.pem
        keyfile {tmp_path}/broker.key
    """
    with Mosquitto(extra=lines):
        assert connect(MqttSettings(port=port, ca_file=tmp_path / "broker.pem")) == "5"
        with pytest.raises(BrokerRefused, match="no TLS"):
            connect(MqttSettings(port=port, ca_file=tmp_path / "stranger.pem"))
        with pytest.raises(BrokerRefused, match=r"certificates \(.*missing.pem\): No such file"):
            connect(MqttSettings(port=port, ca_file=tmp_path / "missing.pem"))
        with pytest.raises(BrokerError):
            connect(MqttSettings(port=port))
    subprocess.run(
        [
            *("openssl", "rsa", "-aes256", "-passout", "pass:secret"),
            *("-in", tmp_path / "broker.key", "-out", tmp_path / "locked.key"),
        ],
        check=True,
        capture_output=True,
    )
    with pytest.raises(BrokerRefused, match=r"certificates \(.*locked.key\)"):
        connect(MqttSettings(port=port, cert_file=tmp_path / "broker.pem", key_file=tmp_path / "locked.key"))


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
