"""Listens to the mats, and keeps what they tell without doubles: for `watch`, the demo and whoever counts.

It acknowledges nothing to the mats and fills no gap: that is the collector's part.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from reader.clock import Clock
from reader.config import MqttSettings
from reader.messages import Heard, Split, Status
from reader.racecontrol.contact import Contact
from reader.uplink import wire

WHATS = (*wire.SEQUENCED, "heard", "status", "link")


class Received(NamedTuple):
    """One message: whose, what it means, and as it came."""

    topic: str
    address: wire.Address
    message: wire.Message
    payload: bytes


class Subscriber:
    """All that the mats tell, as messages, over a connection that comes back by itself; for one thread.

    ``malformed``: the latest messages that made no sense, in words.
    """

    def __init__(self, settings: MqttSettings, clock: Clock, event: str | None = None) -> None:
        self.malformed: deque[str] = deque(maxlen=100)
        self._prefix = settings.prefix
        filters = [f"{settings.prefix}/{event or '+'}/+/+/{what}" for what in WHATS]
        self._contact = Contact(settings, clock, "listener", filters)

    @property
    def trouble(self) -> str:
        """Why there is no connection, or what the broker will not let us hear, or ""."""
        return self._contact.trouble

    @property
    def was_connected(self) -> bool:
        """Whether there has ever been a connection."""
        return self._contact.connects > 0

    def poll(self, timeout_s: float) -> list[Received]:
        """What has come, after waiting for it no longer than that; (re)connects as needed, never raises."""
        received = []
        for topic, payload, *_ in self._contact.poll(timeout_s):
            try:
                address = wire.address_from_topic(topic, self._prefix)
                received.append(Received(topic, address, wire.decode(topic, payload, self._prefix), payload))
            except wire.MessageMalformed as error:
                self.malformed.append(str(error))
        return received

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._contact.close()


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
