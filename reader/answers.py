"""What is answered to a command, whichever way it came: to this box's own people for now."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from reader.box.commands import AskStatus, Clocks, Gun, Mark, Ping, input_from, parse
from reader.box.control import Command
from reader.clock import Clock, rfc3339_from_utc_ns
from reader.links import Links
from reader.messages import Status
from reader.model import Fired, Identity, Marked

log = logging.getLogger("timing-mat")


class Answers:
    """``put`` takes what goes into the log; ``look`` says how the box stands. May be asked by several at once."""

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        links: Links,
        put: Callable[[Marked | Fired], None],
        look: Callable[[], Status],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._links = links
        self._put = put
        self._look = look

    def answer(self, command: Command) -> dict[str, object]:
        """The reply's fields; TimingMatError refuses, in words."""
        asked = parse(command)
        now = self._clock.now()
        match asked:
            case Ping():
                return {"box": self._identity.box, "time": rfc3339_from_utc_ns(now.utc_ns)}
            case AskStatus():
                return {"status": self._look()}
            case Mark() | Gun():
                put = input_from(asked, now, is_synced=self._clock.quality().synced)
                self._put(put)
                return {"time": rfc3339_from_utc_ns(put.at.utc_ns)}
            case Clocks():
                did = []
                if asked.set:
                    did = self._links.set_clocks(asked.reader or None)
                    log.warning("clock: set by %s: %s", asked.by or "somebody", "; ".join(did))
                return {"did": did, "clocks": msgspec.to_builtins(self._links.clocks())}
