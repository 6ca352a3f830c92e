"""A connection to the broker that comes back by itself, for one thread: what comes, and what is to be said.

The session is a clean one each time. What was said here meanwhile is gone with the old connection: whoever
needs it looks at :attr:`Contact.connects`, and asks or says it again.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque

from reader.clock import Clock
from reader.config import MqttSettings
from reader.errors import BrokerError
from reader.model import NS_PER_S
from reader.uplink.broker import Arrived, Broker, Connection, Outgoing

RETRY_NS = NS_PER_S // 2


class Contact:
    """Subscribed to ``filters`` whenever it is connected.

    ``trouble``: why there is no connection, or what the broker will not let us hear, or "". ``connects``: how many
    connections there have been. ``refused``: the latest of what the broker did not take from us, in words.
    """

    def __init__(self, settings: MqttSettings, clock: Clock, name: str, filters: list[str]) -> None:
        self.trouble = "not connected yet"
        self.connects = 0
        self.refused: deque[str] = deque(maxlen=100)
        self._filters = filters
        self._clock = clock
        self._broker = Broker(settings, f"{name}-{secrets.token_hex(6)}", clock)
        self._connection: Connection | None = None
        self._retry_at_ns = 0
        self._closing = threading.Event()

    @property
    def is_connected(self) -> bool:
        """As far as is known."""
        return self._connection is not None

    def poll(self, timeout_s: float) -> list[Arrived]:
        """What has come, after waiting for it no longer than that; (re)connects as needed, never raises."""
        if self._connection is None and self._clock.mono_ns() >= self._retry_at_ns:
            self._connect()
        connection = self._connection
        if connection is None:
            self._closing.wait(timeout_s)
            return []
        try:
            connection.turn(0 if connection.inbox else timeout_s)
        except BrokerError as error:
            self.trouble = str(error)
            self._connection = None
            connection.drop()
        for answer in connection.answers:
            if not answer.is_taken:
                self.refused.append(f"{connection.where} did not take {answer.token}: {answer.says}")
        connection.answers.clear()
        if connection.refused:
            self.trouble = connection.refused[0]
        elif self._connection is not None:
            self.trouble = ""
        arrived = list(connection.inbox)
        connection.inbox.clear()
        return arrived

    def say(self, message: Outgoing) -> bool:
        """Send it with QoS 1; False if that is not possible just now."""
        if self._connection is None or self._connection.room <= 0:
            return False
        try:
            self._connection.publish(message, message.topic)
        except BrokerError:
            return False  # the next poll says why
        return True

    def close(self) -> None:
        """Say goodbye to the broker, after what has still to be sent."""
        self._closing.set()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        try:
            connection = self._broker.connect(is_wanted=lambda: not self._closing.is_set())
            connection.subscribe(*self._filters)
        except BrokerError as error:
            self.trouble = str(error)
            self._retry_at_ns = self._clock.mono_ns() + RETRY_NS
            return
        self._connection = connection
        self.connects += 1
        self.trouble = ""
