"""What a command asks for: from the object of a line or a message to a value, or a refusal in words. Pure.

Each command is a struct; the keys ``id`` and ``by`` all have. Nothing that could stop timing is a command.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from reader.clock import utc_ns_from_rfc3339
from reader.config.settings import Chip, Level
from reader.errors import UsageError
from reader.model import NS_PER_S, Fired, Instant, Marked

AHEAD_NS = 60 * NS_PER_S  # what the clock of another may be ahead of ours
LAST_NS = 7_258_118_400 * NS_PER_S  # the beginning of 2200
BEHIND_NS = 48 * 3600 * NS_PER_S

Words = Annotated[
    str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{0,200}\Z", description="a line of text, at most 200 characters")
]
Flag = Annotated[bool, Meta(description="true or false")]
Time = Annotated[str, Meta(description="a time with its zone, as in 2026-03-07T13:48:50.5Z")]
Seq = Annotated[int, Meta(ge=1, le=(1 << 62), description="a whole number, 1 or more")]
Epoch = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z-]{1,64}\Z", description="an epoch, as the messages have it")]
Light = Annotated[str, Meta(pattern=r"\A(ready_led|uplink_led|read_led|fault_led|buzzer)\Z")]
Name = Annotated[str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,63}\Z", description="a line of text, 1 to 63 characters")]


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    id: str = ""
    by: Words = ""


class Ping(_Command, frozen=True, tag="ping"):
    """Is somebody there."""


class AskStatus(_Command, frozen=True, tag="status"):
    """How it stands with the box."""


class Mark(_Command, frozen=True, tag="mark"):
    """A time without a chip: now."""

    text: Words = ""


class Gun(_Command, frozen=True, tag="gun"):
    """A start signal: now, or ``at``, the time that a remote gun brings."""

    name: Name
    at: str | None = None


class Clocks(_Command, frozen=True, tag="clock"):
    """How this box's clock and its readers' stand; ``set``: set the readers' (or that of one ``reader``) first."""

    set: Flag = False
    reader: Words = ""


class Rewind(_Command, frozen=True, tag="rewind"):
    """Entries again: of one epoch or of all; from a ``seq`` through another, or of a time; of one chip or of all."""

    epoch: Epoch | None = None
    from_seq: Seq | None = None
    through_seq: Seq | None = None
    since: Time | None = None
    until: Time | None = None
    chip: Chip | None = None


class SetMode(_Command, frozen=True, tag="mode"):
    """From here on `race`, or a `test`."""

    mode: Annotated[Literal["race", "test"], Meta(description='"race" or "test"')]


class Release(_Command, frozen=True, tag="release"):
    """The mat may be rolled up: somebody with a name says so."""

    by: Annotated[str, Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,200}\Z", description="who releases it, 1 to 200 characters")]


class Identify(_Command, frozen=True, tag="identify"):
    """Lights and buzzer, to find the box; or one ``light`` alone, to see whether it works, in mode test or released."""

    light: (
        Annotated[
            Literal["ready_led", "uplink_led", "read_led", "fault_led", "buzzer"],
            Meta(description="ready_led, uplink_led, read_led, fault_led or buzzer"),
        ]
        | None
    ) = None
    for_s: Annotated[int, Meta(ge=1, le=30, description="a whole number of seconds, 1 to 30")] = 10


class RunSelfTest(_Command, frozen=True, tag="selftest"):
    """Look whether all is well, check by check: all of them, or those named in ``checks``.

    ``yes``: it may transmit and beep. ``seen``: by light, whether somebody saw it go on. ``chip_wait_s``: how long a
    test chip is waited for on each antenna. ``publish``: the report, retained. ``live``: over the control socket,
    each finding as it is made.
    """

    checks: Annotated[list[Words], Meta(max_length=100, description="a list of names of checks")] = []
    yes: Flag = False
    seen: Annotated[
        dict[Light, bool], Meta(description='an object with true or false by light, as {"ready_led": true}')
    ] = {}
    chip_wait_s: Annotated[float, Meta(ge=1, le=120, description="a number of seconds, 1 to 120")] = 20
    publish: Flag = False
    live: Flag = False


class Assign(_Command, frozen=True, tag="assign"):
    """From here on this box is that mat."""

    event: Level
    point: Level
    mat: Level


Commands: TypeAlias = (
    Ping | AskStatus | Mark | Gun | Clocks | Rewind | SetMode | Release | Identify | RunSelfTest | Assign
)

STRUCTS: dict[str, type[Commands]] = {
    "ping": Ping,
    "status": AskStatus,
    "mark": Mark,
    "gun": Gun,
    "clock": Clocks,
    "rewind": Rewind,
    "mode": SetMode,
    "release": Release,
    "identify": Identify,
    "selftest": RunSelfTest,
    "assign": Assign,
}


def parse(command: dict[str, Any]) -> Commands:
    """The value that a command stands for; UsageError naming the key, what was found and what was expected."""
    struct = STRUCTS.get(command["do"])
    if struct is None:
        raise UsageError(f"do: found {command['do']!r}, expected one of: {', '.join(STRUCTS)}")
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key in command:
        if key != "do" and key not in fields:
            raise UsageError(f"{key}: not a key of {command['do']}, which has: {', '.join(fields)}")
    for key, field in fields.items():
        if key not in command:
            if field.required:
                raise UsageError(f"{key}: missing; {command['do']} needs it: {_expected(field.type)}")
            continue
        try:
            msgspec.convert(command[key], field.type)
        except msgspec.ValidationError as error:
            raise UsageError(f"{key}: found {command[key]!r}, expected {_expected(field.type)}") from error
    return msgspec.convert(command, struct)


def input_from(command: Mark | Gun, now: Instant, *, is_synced: bool) -> Marked | Fired:
    """What goes into the log; UsageError for a gun's time that can't be, as far as this box's clock can tell."""
    if isinstance(command, Mark):
        return Marked(now, command.text, "command")
    if command.at is None:
        return Fired(now, command.name, "command")
    utc_ns = utc_ns_from(command.at, "at")
    if is_synced and not now.utc_ns - BEHIND_NS <= utc_ns <= now.utc_ns + AHEAD_NS:
        expected = "expected one of the last 48 hours by this box's clock; look at both clocks"
        raise UsageError(f"at: found {command.at}, {expected}")
    return Fired(Instant(utc_ns, now.mono_ns - (now.utc_ns - utc_ns)), command.name, "command", is_given=True)


def utc_ns_from(text: str, key: str) -> int:
    """UsageError where it is no time, or none that nanoseconds since 1970 can tell."""
    try:
        utc_ns = utc_ns_from_rfc3339(text)
    except ValueError as error:
        says = f"{key}: found {text!r}, expected a time with its zone, as in 2026-03-07T13:48:50.5Z"
        raise UsageError(says) from error
    if not 0 <= utc_ns <= LAST_NS:
        raise UsageError(f"{key}: found {text}, expected a time between 1970 and 2200")
    return utc_ns


def _expected(type_: Any) -> str:
    for part in get_args(type_):  # of "this, or nothing": this
        if part is not NoneType and isinstance(type_, UnionType):
            return _expected(part)
    for one in getattr(type_, "__metadata__", ()):
        if isinstance(one, Meta) and one.description:
            return one.description
    return "text"
