"""A short visit to the broker as the mat's own account, beside the daemon's connection, which it leaves alone.

It bears another client id, leaves no last will, and speaks only on topics that nobody else listens to:

::

    {prefix}/{event}/{point}/{mat}/selftest/{random}     to itself and back
    {prefix}/{event}/{point}/selftest-nobody/cmd         a ping to a mat that there is not: it should be refused
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from reader.clock import Clock
from reader.config import MqttSettings
from reader.errors import BrokerError, BrokerRefused, BrokerUnreachable
from reader.messages import Status
from reader.model import NS_PER_S, Identity
from reader.uplink import wire
from reader.uplink.broker import Answer, Arrived, Broker, Connection, Outgoing, Version

CONNECT_LIMIT_S = 10.0
ANSWER_LIMIT_S = 5.0
RETAINED_LIMIT_S = 2.0  # a broker hands over what is retained together with the subscription
NOBODY = "selftest-nobody"
TURN_S = 0.1


class Trip(NamedTuple):
    """To ourselves and back. ``took_ms``: None where nothing came. ``answer``: the broker's; None where none came.

    ``refused``: in the broker's words, why it will not let us hear ourselves, or "".
    """

    took_ms: float | None
    answer: Answer | None
    refused: str = ""


class Visit:
    """Connected; for one thread. Whatever ends the connection raises BrokerError from where it is noticed."""

    def __init__(self, settings: MqttSettings, identity: Identity, clock: Clock) -> None:
        """BrokerUnreachable or BrokerRefused, in words, where there is no connection to be had."""
        self._identity = identity
        self._prefix = settings.prefix
        self._clock = clock
        client_id = f"{identity.box}-{identity.event}-{identity.point}-{identity.mat}-selftest"
        end_ns = clock.mono_ns() + int(CONNECT_LIMIT_S * NS_PER_S)
        broker = Broker(settings, client_id, clock)
        self._connection: Connection = broker.connect(is_wanted=lambda: clock.mono_ns() < end_ns)

    @property
    def where(self) -> str:
        """The broker that took us: ``host:port``."""
        return self._connection.where

    @property
    def version(self) -> Version:
        """Of MQTT, as it is spoken here."""
        return self._connection.version

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    def round_trip(self) -> Trip:
        """One message to ourselves, through the broker and back."""
        connection = self._connection
        topic = wire.topic(self._identity, f"selftest/{secrets.token_hex(4)}", self._prefix)
        connection.subscribe(topic)
        self._wait(lambda: not connection.is_subscribing, ANSWER_LIMIT_S)
        if refused := connection.refused:
            return Trip(None, None, refused[0])
        began_ns = self._clock.mono_ns()
        connection.publish(Outgoing(topic, b"{}"), topic)
        try:
            self._wait(lambda: bool(self._arrived(topic)) or self._is_refused, ANSWER_LIMIT_S)
        except BrokerError:
            if not connection.answers:  # mosquitto 2.0.11 hangs up on who may not speak, in MQTT 3.1.1 after "done"
                raise
        took_ms = (self._clock.mono_ns() - began_ns) * 1000 / NS_PER_S if self._arrived(topic) else None
        return Trip(took_ms, connection.answers.popleft() if connection.answers else None)

    def command_nobody(self) -> Answer | None:
        """The broker's answer to a command that no mat hears; None where none came."""
        nobody = msgspec.structs.replace(self._identity, mat=NOBODY)
        ping = msgspec.json.encode({"id": secrets.token_hex(4), "do": "ping", "by": "self-test"})
        return self._say(Outgoing(wire.topic(nobody, "cmd", self._prefix), ping))

    def say_status(self, status: Status) -> Answer | None:
        """The mat's status once more, not retained: the answer tells whether anybody listens to this mat."""
        return self._say(Outgoing(wire.topic(self._identity, "status", self._prefix), wire.encode(status)))

    def say_selftest(self, payload: bytes) -> Answer | None:
        """A report, retained."""
        return self._say(Outgoing(wire.topic(self._identity, "selftest", self._prefix), payload, retain=True))

    def acks(self, collectors: tuple[str, ...]) -> dict[str, bytes]:
        """What each of them has said last on its ``ack``, as far as it is retained."""
        topics = {wire.topic(self._identity, f"ack/{name}", self._prefix): name for name in collectors}
        self._connection.subscribe(*topics)
        self._wait(lambda: all(self._arrived(topic) for topic in topics), RETAINED_LIMIT_S)
        return {name: found[-1].payload for topic, name in topics.items() if (found := self._arrived(topic))}

    def _say(self, message: Outgoing) -> Answer | None:
        connection = self._connection
        connection.publish(message, message.topic)
        self._wait(lambda: bool(connection.answers), ANSWER_LIMIT_S)
        return connection.answers.popleft() if connection.answers else None

    @property
    def _is_refused(self) -> bool:
        return any(not answer.is_taken for answer in self._connection.answers)

    def _arrived(self, topic: str) -> list[Arrived]:
        return [arrived for arrived in self._connection.inbox if arrived.topic == topic]

    def _wait(self, is_so: Callable[[], bool], limit_s: float) -> bool:
        """Whether it came to be so in time; BrokerError if the connection ended before it was."""
        end_ns = self._clock.mono_ns() + int(limit_s * NS_PER_S)
        while not is_so():
            left_s = (end_ns - self._clock.mono_ns()) / NS_PER_S
            if left_s <= 0:
                return False
            try:
                self._connection.turn(min(left_s, TURN_S))
            except BrokerError:
                if not is_so():  # said, and then hung up
                    raise
        return True


def publish_selftest(settings: MqttSettings, identity: Identity, clock: Clock, payload: bytes) -> None:
    """A self-test's report to race control, retained, from a box on which no daemon runs.

    BrokerUnreachable or BrokerRefused, in words, unless the broker has acknowledged it.
    """
    visit = Visit(settings, identity, clock)
    try:
        answer = visit.say_selftest(payload)
    finally:
        visit.close()
    if answer is None:
        raise BrokerUnreachable(f"broker {visit.where}: it has not acknowledged the report")
    if not answer.is_taken:
        raise BrokerRefused(f"broker {visit.where} refuses the report: {answer.says}")
