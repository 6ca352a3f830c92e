"""Listens to the mats, and keeps what they tell without doubles: for `watch`, the demo and whoever counts.

It acknowledges nothing to the mats and fills no gap: that is the collector's part.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from typing import NamedTuple

from reader.clock import Clock
from reader.config import MqttSettings
from reader.errors import BrokerError
from reader.messages import Heard, Split, Status
from reader.model import NS_PER_S
from reader.uplink import wire
from reader.uplink.broker import Broker, Connection

WHATS = (*wire.SEQUENCED, "heard", "status", "link")
RETRY_NS = NS_PER_S // 2


class Received(NamedTuple):
    """One message: whose, what it means, and as it came."""

    topic: str
    address: wire.Address
    message: wire.Message
    payload: bytes


class Subscriber:
    """A connection to the broker that comes back by itself, for one thread.

    ``trouble``: why there is no connection, or what the broker will not let us hear, or "". ``malformed``:
    the latest messages that made no sense, in words.
    """

    def __init__(self, settings: MqttSettings, clock: Clock, event: str | None = None) -> None:
        self.trouble = "not connected yet"
        self.was_connected = False
        self.malformed: deque[str] = deque(maxlen=100)
        self._prefix = settings.prefix
        self._filters = [f"{settings.prefix}/{event or '+'}/+/+/{what}" for what in WHATS]
        self._clock = clock
        self._broker = Broker(settings, f"listener-{secrets.token_hex(6)}", clock)
        self._connection: Connection | None = None
        self._retry_at_ns = 0
        self._closing = threading.Event()

    def poll(self, timeout_s: float) -> list[Received]:
        """What has come, after waiting for it no longer than that; (re)connects as needed, never raises."""
        if self._connection is None and self._clock.mono_ns() >= self._retry_at_ns:
            self._connect()
        if self._connection is None:
            self._closing.wait(timeout_s)
            return []
        try:
            self._connection.turn(timeout_s)
        except BrokerError as error:
            self.trouble = str(error)
            connection, self._connection = self._connection, None
            connection.drop()
            return list(self._take(connection))
        return list(self._take(self._connection))

    def close(self) -> None:
        """Say goodbye to the broker."""
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
        self.trouble = ""
        self.was_connected = True

    def _take(self, connection: Connection) -> list[Received]:
        received = []
        if connection.refused:
            self.trouble = connection.refused[0]
        while connection.inbox:
            topic, payload, *_ = connection.inbox.popleft()
            try:
                address = wire.address_from_topic(topic, self._prefix)
                received.append(Received(topic, address, wire.decode(topic, payload, self._prefix), payload))
            except wire.MessageMalformed as error:
                self.malformed.append(str(error))
        return received


Mat = tuple[str, str, str]  # event, point, mat


class Told(NamedTuple):
    """A passing's split at its highest revision yet; ``heard`` alone while it is provisional."""

    mat: Mat
    split: Split | None
    heard: Heard | None


class Board:
    """What the mats have told, doubles removed.

    ``told``: by passing, in the order in which they were first heard of. ``doubled``: messages that came
    again. ``boxes``: the latest ``status`` and ``link`` of each mat.
    """

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}
        self.doubled = 0
        self.statuses: dict[Mat, Status] = {}
        self.links: dict[Mat, wire.Link] = {}
        self._seen: dict[str, set[int]] = {}

    @property
    def splits(self) -> int:
        """Passings told, each counted once, whatever its revisions."""
        return sum(told.split is not None for told in self.told.values())

    @property
    def gaps(self) -> int:
        """Entries between the first and the last heard of in each epoch that have not come."""
        return sum(max(seen) - min(seen) + 1 - len(seen) for seen in self._seen.values())

    def add(self, received: Received) -> bool:
        """Take it in; False if it is a double."""
        mat = received.address[:3]
        match received.message:
            case wire.Sequenced(envelope, body):
                seen = self._seen.setdefault(envelope.epoch, set())
                if envelope.seq in seen:
                    self.doubled += 1
                    return False
                seen.add(envelope.seq)
                if isinstance(body, Split):
                    self._add_split(mat, body)
            case Heard() as heard:
                self.told.setdefault(heard.passing, Told(mat, None, heard))
            case Status() as status:
                self.statuses[mat] = status
            case wire.Link() as link:
                self.links[mat] = link
            case _:
                pass
        return True

    def _add_split(self, mat: Mat, split: Split) -> None:
        known = self.told.get(split.passing)
        if known is None or known.split is None or known.split.rev < split.rev:
            self.told[split.passing] = Told(mat, split, None)
