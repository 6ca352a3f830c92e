"""The conversation with a reader to which nothing is said: it reports by itself from the moment it has power."""

from __future__ import annotations

from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing
from reader.line.protocols.settings import Wanted
from reader.model import Event


class Listening(Clockless):
    """A :class:`Conversation` of one side. That the reader is there shows only when a chip is."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = Standing(hears=False, word="unknown", says="the port is not open yet")
        self.baud: int | None = None
        self.due_ns: int | None = None
        self.antennas: list[AntennaStanding] = []
        self.health = Examined()

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """It hears, as far as can be known."""
        self.standing = Standing(
            hears=True, word="ok", says="listening; this family can't be asked whether it is there"
        )
        return b""

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Nothing to answer."""
        return b""

    def tick(self, now_ns: int) -> bytes:
        """Nothing to ask."""
        return b""

    def closing(self) -> bytes:
        """Nothing to end."""
        return b""
