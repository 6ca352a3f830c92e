"""The word about this box on its ``link`` topic: kept true, and never fought over; pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from reader.model import NS_PER_S, Identity
from reader.uplink import wire
from reader.uplink.broker import Arrived, Outgoing

EVERY_NS = NS_PER_S  # at most one word so often, whatever others say

_encode = msgspec.json.Encoder().encode


class Presence:
    """What is said on one connection, and what is heard there of others.

    A stale word of this box (the last will of an earlier connection, arriving late) is put right. Another
    box's ``online`` is not answered: both would go on for ever. ``other_box``: who else speaks for this mat.
    """

    def __init__(self, identity: Identity, connection_name: str, prefix: str) -> None:
        self.topic = wire.topic(identity, "link", prefix)
        self.due_ns: int | None = 0
        self.other_box: str | None = None
        self._box = identity.box
        self._name = connection_name
        self._prefix = prefix
        self._said_ns = -EVERY_NS

    def word(self, link: Literal["online", "stopped", "lost"]) -> Outgoing:
        """The message that says so, retained."""
        return Outgoing(self.topic, _encode(wire.Link(link=link, box=self._box, connection=self._name)), retain=True)

    def said(self, now_ns: int) -> None:
        """``online`` has just been said."""
        self._said_ns = now_ns
        self.due_ns = None

    def note(self, arrived: Arrived) -> None:
        """A word that came on the topic, perhaps this box's own."""
        try:
            link = wire.decode(arrived.topic, arrived.payload, self._prefix)
        except wire.MessageMalformed:
            self._put_right()  # whatever stands there, it is not the truth about this box
            return
        if not isinstance(link, wire.Link):
            return
        if link.box == self._box:
            if link.connection != self._name:
                self._put_right()
        elif link.link == "online":
            self.other_box = link.box
        else:
            # The other has gone; what is retained now is its word, not ours.
            self.other_box = None
            self._put_right()

    def _put_right(self) -> None:
        self.due_ns = self._said_ns + EVERY_NS
