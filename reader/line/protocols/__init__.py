"""The reader families, one module each: bytes in, values out; nothing here touches a port, a file, a clock or a log.

A module of the table offers:

- ``Decoder()``: :class:`Decoder`, total over any bytes in any chunks.
- ``Conversation(wanted)``: :class:`Conversation`, what is said to the reader so that it reports reads; ``wanted`` is
  what a profile asks of it, or None.
- ``SETTINGS``: what of the reader can be read and written (:mod:`.settings`); ``ON_START``: the keys of a profile that
  are no settings of the reader but part of how its reads are asked for.
- ``identify()``: a script (:mod:`.asking`) that asks who is there and changes nothing: :class:`Known`.
- ``examine(is_interrupting)``: a script that asks how the reader and its antennas are: :class:`Examined`. It transmits
  where it has to. Without ``is_interrupting`` it asks only what can be asked while the reader reports reads, which is
  nothing so far: see ``Conversation.health``. With it the script has the line for itself (:func:`.asking.alone`):
  the reports stop meanwhile, and the conversation begins anew afterwards. What a reader does not tell, ``says`` tells
  why; Stuck only where it answers nothing at all.
- ``set_clock(now_utc_ns, zone_offset_ns)``: a script that sets the reader's clock; in families with ``has_date``.
- ``is_proof(events)``: whether these, decoded by this family's decoder, show beyond doubt that it is this family.
- ``fields(frame)``: all that one whole frame says, by the names of the maker's manual, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from reader.line.protocols.asking import Script
from reader.line.protocols.settings import Setting, Wanted
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
    """How it stands with the reader: does it hear chips, in one word and a sentence.

    ``is_weak``: it hears, but less than it should, by its own word.
    """

    hears: bool
    word: Literal["ok", "warn", "fail", "unknown"]
    says: str
    is_weak: bool = False


State: TypeAlias = Literal["up", "missing", "bad", "unknown"]


class AntennaStanding(NamedTuple):
    """How it stands with one antenna (from 1; None: the only one, and reads do not name it).

    ``revisit_ms``: how long it waits for its next turn, None if unknown. ``is_expected``: a profile names it, or it has
    been up; where any other is missing, nothing need be wrong.
    """

    antenna: int | None
    state: State
    revisit_ms: float | None
    is_expected: bool = True


class ClockSaid(NamedTuple):
    """What a reader said its clock shows (as ``ChipRead.reader_ns``), when it was asked, and when the answer came."""

    reader_ns: int
    asked_ns: int
    came_ns: int


class ClockSet(NamedTuple):
    """A reader's clock less the host's before and after it was set; None where it showed no time."""

    before_ns: int | None
    after_ns: int
    says: str


class Examined(NamedTuple):
    """What a reader tells of its health; None or nothing where it does not. Antennas from 1, of all ports that it has.

    ``temperature_c``: the reader's own. ``noise_dbm``: by antenna, what it hears when no chip answers.
    ``connected``: by antenna, whether the reader detects it. ``return_loss_db``: by antenna, how far what
    comes back lies below what was sent: 10 dB and more is a good antenna, under 3 dB an open or broken cable.
    ``region``: as the reader names it. ``says``: what else there is to know, a sentence each.
    """

    temperature_c: int | None = None
    noise_dbm: Mapping[int, int] = MappingProxyType({})
    connected: Mapping[int, bool] = MappingProxyType({})
    return_loss_db: Mapping[int, float] = MappingProxyType({})
    region: str | None = None
    says: tuple[str, ...] = ()


class Conversation(Protocol):
    """What the host says to one reader, sans-IO; times are monotonic nanoseconds, passed in."""

    @property
    def standing(self) -> Standing:
        """How it stands with the reader; the same object while nothing changes."""

    @property
    def baud(self) -> int | None:
        """The speed that the line should have now; None: as it was opened. Looked at after every call."""

    @property
    def clock_said(self) -> ClockSaid | None:
        """The last answer; None where the family has no clock to be asked for."""

    @property
    def health(self) -> Examined:
        """What the reader has told of its health in its reports, or when it was asked between them."""

    @property
    def due_ns(self) -> int | None:
        """When ``tick`` has something to do, where that may be sooner than in a tenth of a second."""

    @property
    def antennas(self) -> list[AntennaStanding]:
        """The antennas that the reader listens on; empty where it does not tell them apart."""

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """The port has just been opened, or the line is free again: what to send.

        ``baud``: the speed of the line, where the reader is known to be at it.
        """

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """These came: what to send on them."""

    def tick(self, now_ns: int) -> bytes:
        """Time has passed (called at least ten times a second): what to send."""

    def ask_clock(self, now_ns: int) -> bytes:
        """Its clock is in doubt: what to send, so that ``clock_said`` is soon another; nothing if it can't be asked."""

    def closing(self) -> bytes:
        """The port is about to be closed on purpose: what to send, so that the reader is left in peace."""


class Clockless:
    """What a conversation with a reader has whose clock can't be asked for."""

    clock_said: ClockSaid | None = None

    def ask_clock(self, now_ns: int) -> bytes:
        """There is nothing to ask."""
        return b""


class Known(NamedTuple):
    """Who a reader says it is; None or nothing where it does not say. ``antennas``: the ports it has, from 1.

    ``says``: what else there is to know, a short sentence each.
    """

    model: str | None
    firmware: str | None
    antennas: tuple[int, ...] = ()
    region: str | None = None
    says: tuple[str, ...] = ()


class Family(NamedTuple):
    """One row of the table."""

    name: str
    module: str
    says: str  # what it is, for `timing-mat protocols`
    baud: int  # what it leaves the factory with
    bauds: tuple[int, ...]  # all that it can be set to, the likeliest first
    question: bytes  # asks who is there, and changes nothing in any reader; nothing for one that only talks
    has_keep_alives: bool  # silence means something
    has_date: bool  # its records bear a date, so that `time_from = "reader"` can be used


FAMILIES = (
    Family(
        "ipico",
        "reader.line.protocols.ipico",
        "IPICO Lite, Elite, Super Elite, Trident: lines of ASCII",
        9600,
        (9600, 38400, 115200, 19200, 57600, 4800),
        b"ab00000222\r\n",
        has_keep_alives=False,
        has_date=True,
    ),
    Family(
        "thingmagic",
        "reader.line.protocols.thingmagic",
        "ThingMagic / JADAK M5e, M6e, M6e Micro, M6e Nano, M7e: binary frames, streamed",
        115200,
        (115200, 9600, 921600, 19200, 38400, 57600, 230400, 460800),
        bytes.fromhex("FF000C1D03"),
        has_keep_alives=True,
        has_date=False,
    ),
    Family(
        "a0",
        "reader.line.protocols.a0",
        "Invelion YR9xx, IND903, D2184B, Rodinbell, R2000, E-series: binary frames, polled",
        115200,
        (115200, 38400, 19200, 9600),
        bytes.fromhex("A003FF72EC"),
        has_keep_alives=True,
        has_date=False,
    ),
    Family(
        "m100",
        "reader.line.protocols.m100",
        "MagicRF M100, YRM100, YRM1001, R200: binary frames, streamed in rounds",
        115200,
        (115200, 9600, 19200, 38400, 57600),
        bytes.fromhex("BB0003000100047E AA000300010004DD"),
        has_keep_alives=True,
        has_date=False,
    ),
    Family(
        "uhfreader",
        "reader.line.protocols.uhfreader",
        "UHFReader18/86/188/288, Chafon CF-RU, SID UR, Faread E710: binary frames, polled or pushed",
        57600,
        (57600, 9600, 115200, 19200, 38400),
        bytes.fromhex("04FF211995"),
        has_keep_alives=True,
        has_date=False,
    ),
    Family(
        "rdm6300",
        "reader.line.protocols.rdm6300",
        "RDM6300, RDM630, ID-12, ID-20, EM-18: LF, for the bench",
        9600,
        (9600,),
        b"",
        has_keep_alives=False,
        has_date=False,
    ),
)

BY_NAME = {family.name: family for family in FAMILIES}


class _Module(Protocol):
    SETTINGS: Sequence[Setting]
    ON_START: frozenset[str]

    def Decoder(self) -> Decoder: ...  # noqa: N802 - the class of a family's module, called
    def Conversation(self, wanted: Wanted | None = None) -> Conversation: ...  # noqa: N802 - likewise
    def identify(self) -> Script[Known]: ...
    def examine(self, is_interrupting: bool) -> Script[Examined]: ...
    def set_clock(self, now_utc_ns: Callable[[], int], zone_offset_ns: int) -> Script[ClockSet]: ...
    def is_proof(self, events: Sequence[Event]) -> bool: ...
    def fields(self, frame: bytes) -> dict[str, object]: ...


def load(name: str) -> _Module:
    """The module of the family of that name, imported now; KeyError for a name not in the table."""
    return cast(_Module, import_module(BY_NAME[name].module))
