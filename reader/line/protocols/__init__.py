"""The reader families, one module each: bytes in, values out; nothing here touches a port, a file, a clock or a log.

A module of the table offers:

- ``Decoder()``: :class:`Decoder`, total over any bytes in any chunks.
- ``Conversation()``: :class:`Conversation`, what is said to the reader so that it reports reads.
- ``fields(frame)``: all that one whole frame says, by the names of the maker's manual, for people.
"""

from __future__ import annotations

from importlib import import_module
from typing import Literal, NamedTuple, Protocol, cast

import msgspec

from reader.model import Event


class Decoder(Protocol):
    """Bytes to events. Every byte fed is in one event's ``size`` or still ``pending``; nothing raises."""

    @property
    def pending(self) -> int:
        """Bytes fed that no event has accounted for yet."""

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete, in order."""

    def idle(self) -> list[Event]:
        """The line has fallen silent: a whole frame behind a false beginning is let out."""


class Standing(msgspec.Struct, frozen=True):
    """How it stands with the reader: does it hear chips, in one word and a sentence."""

    hears: bool
    word: Literal["ok", "warn", "fail", "unknown"]
    says: str


class Conversation(Protocol):
    """What the host says to one reader, sans-IO; times are monotonic nanoseconds, passed in."""

    standing: Standing

    def opened(self, now_ns: int) -> bytes:
        """The port has just been opened: what to send."""

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """These came: what to send on them."""

    def tick(self, now_ns: int) -> bytes:
        """Time has passed (called at least ten times a second): what to send."""


class Family(NamedTuple):
    """One row of the table."""

    name: str
    module: str
    says: str  # what it is, for `timing-mat protocols`
    baud: int  # what it leaves the factory with
    has_keep_alives: bool  # silence means something
    has_date: bool  # its records bear a date, so that `time_from = "reader"` can be used


FAMILIES = (
    Family("ipico", "reader.line.protocols.ipico", "IPICO Lite, Elite, Super Elite: ASCII lines", 9600, False, True),
    Family(
        "thingmagic",
        "reader.line.protocols.thingmagic",
        "ThingMagic / JADAK M6e, M6e Micro, M6e Nano, M7e: binary frames, streamed",
        115200,
        True,
        False,
    ),
)

BY_NAME = {family.name: family for family in FAMILIES}


class _Module(Protocol):
    def Decoder(self) -> Decoder: ...  # noqa: N802 - the class of a family's module, called
    def Conversation(self) -> Conversation: ...  # noqa: N802 - likewise
    def fields(self, frame: bytes) -> dict[str, object]: ...


def load(name: str) -> _Module:
    """The module of the family of that name, imported now; KeyError for a name not in the table."""
    return cast(_Module, import_module(BY_NAME[name].module))
