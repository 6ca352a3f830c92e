"""What race control has said to this mat, kept as last said: what it has stored, and who is still to come; pure."""

from __future__ import annotations

import re

from reader.config.settings import LEVEL
from reader.uplink import wire
from reader.uplink.broker import Arrived

ACK_BYTES = 4096
EXPECT_BYTES = 64 * 1024  # its chips may be many
COLLECTORS = 32

_level = re.compile(rf"\A{LEVEL}\Z")


class Said:
    """``acks``: by collector, then by epoch. ``expect``: None while nobody has said.

    ``trouble``: what came and was not right, in words, or "": as last said on each topic.
    """

    def __init__(self, box: str, prefix: str) -> None:
        self.acks: dict[str, dict[str, int]] = {}
        self.expect: wire.Expect | None = None
        self._box = box
        self._prefix = prefix
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """The first there is."""
        return next(iter(self._troubles.values()), "")

    def note(self, arrived: Arrived) -> None:
        """A message on ``ack/…`` or ``expect``; what isn't right is ignored, and told."""
        self._troubles.pop(arrived.topic, None)
        try:
            self._note(arrived)
        except wire.MessageMalformed as error:
            if len(self._troubles) < COLLECTORS:
                self._troubles[arrived.topic] = f"ignored, for it is not right: {error}"

    def note_beyond(self, collector: str, says: str) -> None:
        """What was acknowledged is not there yet, in words; "" for all is well."""
        if says:
            self._troubles[f"beyond {collector}"] = says
        else:
            self._troubles.pop(f"beyond {collector}", None)

    def _note(self, arrived: Arrived) -> None:
        address = wire.address_from_topic(arrived.topic, self._prefix)
        limit = EXPECT_BYTES if address.what == "expect" else ACK_BYTES
        if len(arrived.payload) > limit:
            says = f"{arrived.topic}: found {len(arrived.payload)} bytes, expected at most {limit}"
            raise wire.MessageMalformed(says)
        collector = address.collector or ""
        if not arrived.payload:  # so a retained message is cleared
            if address.what == "expect":
                self.expect = None
            self.acks.pop(collector, None)
            self.note_beyond(collector, "")
            return
        match wire.decode(arrived.topic, arrived.payload, self._prefix):
            case wire.Expect() as expect:
                self.expect = expect
            case wire.Ack() as ack:
                self._note_ack(arrived.topic, collector, ack)

    def _note_ack(self, topic: str, collector: str, ack: wire.Ack) -> None:
        if not _level.match(collector):
            raise wire.MessageMalformed(f"{topic}: a collector's name is one level, of {LEVEL}")
        if ack.box != self._box:
            return  # what this mat's box of before had told
        if collector not in self.acks and len(self.acks) >= COLLECTORS:
            raise wire.MessageMalformed(f"{topic}: {COLLECTORS} collectors acknowledge already")
        self.acks[collector] = dict(ack.acks)
