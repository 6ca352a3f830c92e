"""A journal in memory, as far as the uplink sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from reader.errors import DiskRefused
from reader.journal import Entry, EpochRow
from reader.model import Identity

FINISH = Identity(event="chicago-2023", point="finish", mat="finish-main", box="b17")


@dataclass
class FakeEpoch:
    """One epoch; ``delivered_seq`` is as written down."""

    name: str
    identity: Identity
    delivered_seq: int = 0
    entries: list[Entry] = field(default_factory=list)

    def append(self, count: int = 1, kind: str = "split") -> None:
        for _ in range(count):
            seq = len(self.entries) + 1
            body = json.dumps({"type": kind, "mode": "race", "n": seq}, separators=(",", ":")).encode()
            self.entries.append(Entry(self.name, seq, kind, body))


class FakeLog:
    """Epochs, oldest first; ``is_broken``: every look at it fails, as with a card pulled out."""

    def __init__(self, *epochs: FakeEpoch) -> None:
        self.epochs = list(epochs)
        self.is_broken = False
        self.delivered: list[tuple[str, int]] = []

    def view(self) -> FakeView:
        return FakeView(self)

    def note_delivered(self, epoch: str, seq: int) -> None:
        self.delivered.append((epoch, seq))


class FakeView:
    """A reader's look at it."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log

    def epochs(self) -> list[EpochRow]:
        self._check()
        last = self._log.epochs[-1]
        return [
            EpochRow(one.name, one.identity, one is last, len(one.entries), one.delivered_seq)
            for one in self._log.epochs
        ]

    def entries(self, epoch: str, after_seq: int, limit: int) -> list[Entry]:
        self._check()
        return next(one for one in self._log.epochs if one.name == epoch).entries[after_seq : after_seq + limit]

    def close(self) -> None:
        self._log = FakeLog()

    def _check(self) -> None:
        if self._log.is_broken:
            raise DiskRefused("the card is gone")
