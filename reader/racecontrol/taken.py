"""Messages as the collector takes them in: one decoding each, and no more of them than it has a use for.

Lenient on purpose. What a newer mat says in a field that we don't use, or in a type that we don't know, must cost
nobody a runner and leave no gap: any message with an envelope is kept as it came. Only a split must also say whose it
is and when.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from reader.clock import utc_ns_from_rfc3339
from reader.uplink.wire import MessageMalformed

T = TypeVar("T")
Seq = Annotated[int, Meta(ge=1, le=2**53)]  # what every JSON reader can count to, and SQLite can hold
Count = Annotated[int, Meta(ge=0, le=2**53)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A sequenced message. Of a split all fields are there that WIRE.md names; of others those that are asked for here.

    ``of``: what a gun, a marker or a coverage calls the thing of which this is a revision.
    """

    type: str
    epoch: str
    seq: Seq
    event: str
    point: str
    mat: str
    box: str
    mode: str
    role: str
    time: str
    boot: str = ""
    clock: dict[str, Any] = {}
    of: str = ""
    rev: Seq = 1
    revised_for: str | None = None
    passing: str = ""
    chip: str = ""
    bib: str | None = None
    listed: bool | None = None
    pick: str = ""
    use: str = ""
    first: str = ""
    best: str = ""
    last: str = ""
    time_error_ms: float | None = None
    spread_ms: float | None = None
    reader_error_ms: float | None = None
    nth: int | None = None
    reads: int | None = None
    rssi_dbm: float | None = None
    line: str = ""
    reader: str = ""
    antenna: int | None = None
    time_from: str = ""
    lingering: bool = False
    left: bool = False
    loiter: bool = False
    after_restart: bool = False
    durable: bool = True

    @property
    def utc_us(self) -> int:
        """``time`` as microseconds since 1970 in UTC."""
        return utc_ns_from_rfc3339(self.time) // 1000


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The least of it: whose message it is, and which."""

    type: str
    epoch: str
    seq: Seq
    event: str
    point: str
    mat: str
    box: str
    time: str


class Status(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of a `status`, what tells a gap at the end of the log, and how the mat is."""

    box: str
    time: str = ""
    label: str | None = None
    mode: str = ""
    recording: bool = True
    epoch: str = ""
    last_seq: Count = 0
    backlog: int = 0


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Of a `link`: whether the box is there."""

    link: str
    box: str
    connection: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A `reply` to a rewind: one of ``pages`` with entries, or a refusal."""

    id: str | None
    ok: bool
    error: str = ""
    page: int = 1
    pages: int = 1
    entries: list[msgspec.Raw] = []


_entries = msgspec.json.Decoder(Entry)
_envelopes = msgspec.json.Decoder(Envelope)
statuses = msgspec.json.Decoder(Status)
links = msgspec.json.Decoder(Link)
pages = msgspec.json.Decoder(Page)


def read(decoder: msgspec.json.Decoder[T], where: str, payload: bytes) -> T:
    """What it means; MessageMalformed, beginning with ``where``."""
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageMalformed(f"{where}: {error}, in {payload[:80]!r}") from error


def entry_from(where: str, payload: bytes | msgspec.Raw) -> tuple[Entry, str]:
    """The entry, and the message as text. MessageMalformed, beginning with ``where``, for what has no envelope.

    What has one and makes no sense else has ``passing`` "" and ``of`` "": it is kept, and counts for nothing.
    """
    try:
        text = str(payload, "utf-8")
        try:
            entry = _entries.decode(payload)
        except msgspec.ValidationError:
            entry = Entry(**msgspec.structs.asdict(_envelopes.decode(payload)), mode="", role="")
        _ = entry.utc_us
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise MessageMalformed(f"{where}: {error}, in {bytes(payload)[:80]!r}") from error
    if entry.passing and not (entry.type == "split" and entry.chip):
        entry = msgspec.structs.replace(entry, passing="")
    return entry, text
