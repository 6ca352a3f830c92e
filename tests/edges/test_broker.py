"""One connection against a broker that sends what it likes, and the order in which brokers are tried."""

from __future__ import annotations

import random

import pytest

from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import BrokerError, BrokerUnreachable
from reader.model import NS_PER_S
from reader.uplink import broker
from reader.uplink.broker import Broker, Connection, Outgoing, Version
from tests.fakes.broker import FakeBroker
from tests.fakes.names import dead_name_servers

LINK = Outgoing("timing/chicago-2023/finish/finish-main/link", b"online")


def broker_at(*fakes: FakeBroker, version: Version = "5") -> Broker:
    hosts = tuple(f"127.0.0.1:{fake.port}" for fake in fakes)
    return Broker(MqttSettings(hosts=hosts, version=version), "b17", SystemClock())


def end_of(connection: Connection, limit_s: float = 5.0) -> BrokerError:
    """Why it ended."""
    until_ns = SystemClock().mono_ns() + int(limit_s * NS_PER_S)
    while SystemClock().mono_ns() < until_ns:
        try:
            connection.turn(0.05)
        except BrokerError as error:
            connection.drop()
            return error
    raise AssertionError(f"still open after {limit_s} s")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ("30 05 00 02 ff fe 00", "it sent what is not MQTT"),  # a topic that is no UTF-8
        ("40 ff ff ff ff ff", "it sent what is not MQTT"),  # a length without an end
        ("40 01 00", "it sent what is not MQTT"),
        ("e0 02 8d 00", "the line to it was silent for too long"),
        ("e0 02 8b 00", "the connection was lost"),
        ("e0 02 98 00", "ended the connection: Administrative action"),
    ],
)
def test_what_a_broker_says_at_the_end_is_told_in_words(sent: str, says: str) -> None:
    with FakeBroker() as fake:
        connection = broker_at(fake).connect()
        fake.send(bytes.fromhex(sent))
        assert says in str(end_of(connection))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_random_bytes_end_a_connection_in_words_or_not_at_all(version: Version) -> None:
    dice = random.Random(5)
    with FakeBroker() as fake:
        for _ in range(150):
            connection = broker_at(fake, version=version).connect()
            connection.publish(LINK, "link")
            near = bytes([dice.choice((2, 3, 4, 9, 11, 13, 14)) << 4 | dice.choice((0, 2)), dice.randrange(12)])
            fake.send(dice.choice((b"", near)) + dice.randbytes(dice.randrange(1, 30)))
            try:
                for _ in range(3):
                    connection.turn(0.002)
            except BrokerError as error:
                assert str(error)  # noqa: PT017 - that it is no other error is what is held
            finally:
                connection.drop()


def test_a_host_that_fell_silent_is_tried_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "STUCK_LIMIT_S", 0.2)
    with FakeBroker(puback=lambda _published: None) as silent, FakeBroker() as other:
        hosts = broker_at(silent, other)
        connection = hosts.connect()
        connection.publish(LINK, "link")
        assert "no acknowledgement" in str(end_of(connection))
        hosts.connect().drop()
        assert (silent.accepted, other.accepted) == (1, 1)


def test_a_host_that_hung_up_is_tried_first_again() -> None:
    with FakeBroker() as first, FakeBroker() as other:
        hosts = broker_at(first, other)
        connection = hosts.connect()
        first.drop()
        assert isinstance(end_of(connection), BrokerUnreachable)
        hosts.connect().drop()
        assert (first.accepted, other.accepted) == (2, 0)


def test_a_name_that_nobody_knows_costs_three_seconds_and_the_next_host_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FakeBroker() as other, dead_name_servers(monkeypatch) as asked:
        hosts = Broker(MqttSettings(hosts=("rc1:1883", f"127.0.0.1:{other.port}"), version="5"), "b17", SystemClock())
        began_ns = SystemClock().mono_ns()
        hosts.connect().drop()
        assert 2.9 < (SystemClock().mono_ns() - began_ns) / NS_PER_S < 5
        assert asked == ["rc1"]  # an address needs no name server
