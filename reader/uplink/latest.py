"""The last word of each message that is retained, beside the log: left by any thread, taken by the uplink's."""

from __future__ import annotations

from reader.model import Identity
from reader.uplink import wire
from reader.uplink.broker import Outgoing


class Latest:
    """Each is published when it is new, and all of them on every connection."""

    def __init__(self, identity: Identity, prefix: str) -> None:
        self._identity = identity
        self._prefix = prefix
        self._said: dict[str, bytes] = {}
        self._fresh: set[str] = set()

    def say(self, what: str, payload: bytes) -> None:
        """From any thread: this is the latest ``what``."""
        self._said[what] = payload
        self._fresh.add(what)

    def again(self) -> None:
        """To a new connection all of it is new."""
        self._fresh.update(self._said)

    def take(self) -> tuple[Outgoing, str] | None:
        """One that is to be published, and which; None: nothing is new."""
        if not self._fresh:
            return None
        what = self._fresh.pop()  # before it is read: what is said meanwhile is told again
        return Outgoing(wire.topic(self._identity, what, self._prefix), self._said[what], retain=True), what
