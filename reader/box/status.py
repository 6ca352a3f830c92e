"""The status of the whole box, from what its parts say of themselves: pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from reader.box.teardown import judge
from reader.clock import rfc3339_from_utc_ns
from reader.messages import Antenna, Counts, OnMat, Part, Power, Status
from reader.model import NS_PER_S, Identity, Mode

EVERY_S = 10
LONGEST = 5
LINE_USE_NS = 5 * NS_PER_S

_encode = msgspec.json.Encoder().encode


class ReaderFacts(NamedTuple):
    """What is known of one reader. ``line_use_pct``: of what its line can carry; None where it has no speed."""

    name: str
    part: Part
    hears: bool
    rejected: dict[str, int]
    antennas: list[Antenna]
    line_use_pct: float | None


class Facts(NamedTuple):
    """All that the status is made of."""

    utc_ns: int
    uptime_s: int
    identity: Identity
    label: str | None
    mode: Mode
    version: str
    is_recording: bool
    daemon: Part
    clock: Part
    journal: Part
    broker: Part
    power: Part
    supply: Power
    storage: Part
    config: Part
    readers: list[ReaderFacts]
    on_mat: list[tuple[str, int]]
    reads: int
    splits: int
    chips: int
    last_read_utc_ns: int | None
    epoch: str
    last_seq: int
    delivered_seq: int
    acks: dict[str, int]
    undelivered: int


def status_from_facts(facts: Facts) -> Status:
    """The message `status`."""
    rejected: dict[str, int] = {}
    for reader in facts.readers:
        for reason, count in reader.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    parts = {"daemon": facts.daemon}
    parts |= {f"reader:{reader.name}": reader.part for reader in facts.readers}
    parts |= {name: getattr(facts, name) for name in ("clock", "journal", "broker", "power", "storage", "config")}
    return Status(
        time=rfc3339_from_utc_ns(facts.utc_ns),
        every_s=EVERY_S,
        box=facts.identity.box,
        label=facts.label,
        mode=facts.mode,
        recording=facts.is_recording,
        parts=parts,
        antennas=[antenna for reader in facts.readers for antenna in reader.antennas],
        on_mat=OnMat(
            count=len(facts.on_mat),
            longest=[(chip, round(age_ns / NS_PER_S, 1)) for chip, age_ns in facts.on_mat[:LONGEST]],
        ),
        counts=Counts(reads=facts.reads, splits=facts.splits, chips=facts.chips, rejected=rejected),
        last_read=None if facts.last_read_utc_ns is None else rfc3339_from_utc_ns(facts.last_read_utc_ns),
        epoch=facts.epoch,
        last_seq=facts.last_seq,
        delivered_seq=facts.delivered_seq,
        acks=facts.acks,
        backlog=facts.undelivered,
        line_use_pct={r.name: r.line_use_pct for r in facts.readers if r.line_use_pct is not None},
        version=facts.version,
        uptime_s=facts.uptime_s,
        power=facts.supply,
        teardown=judge(
            undelivered=facts.undelivered,
            readers_not_hearing=[reader.name for reader in facts.readers if not reader.hears],
        ),
    )


class StatusTeller:
    """Says the status at a change of a word or verdict, at most once a second, and at least every ten.

    That the supply is failing is said at once: there may be no second.
    """

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say
        self._words: tuple[object, ...] = ()
        self._was_failing = False
        self._said_ns: int | None = None

    def tell(self, status: Status, now_ns: int) -> None:
        """Say it, if it is time to."""
        words = (
            status.recording,
            status.mode,
            status.teardown.verdict,
            *(part.word for part in status.parts.values()),
            *(antenna.state for antenna in status.antennas),
        )
        age_ns = EVERY_S * NS_PER_S if self._said_ns is None else now_ns - self._said_ns
        # A little early rather than late: the caller comes round a few times a second.
        is_due = age_ns >= EVERY_S * NS_PER_S - NS_PER_S // 2 or (words != self._words and age_ns >= NS_PER_S)
        if is_due or status.power.failing != self._was_failing:
            self._words, self._said_ns, self._was_failing = words, now_ns, status.power.failing
            self._say(_encode(status))


class LineUse:
    """How much of what a serial line can carry is used: 10 bits a byte (8N1), over five seconds."""

    def __init__(self) -> None:
        self._since: tuple[int, int] | None = None
        self._pct: float | None = None

    def pct(self, bytes_read: int, baud: int | None, now_ns: int) -> float | None:
        """Per cent, from the bytes read so far; None until it is known."""
        if self._since is None or baud is None:
            self._since = (bytes_read, now_ns)
            return self._pct
        was_read, was_ns = self._since
        if now_ns - was_ns >= LINE_USE_NS:
            self._pct = round(100 * (bytes_read - was_read) * 10 / (baud * (now_ns - was_ns) / NS_PER_S), 1)
            self._since = (bytes_read, now_ns)
        return self._pct
