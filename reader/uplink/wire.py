"""Entries and messages as topics and JSON, both ways.

::

    {prefix}/{event}/{point}/{mat}/{what}            split, heard, gun, ..., status, link
    {prefix}/{event}/{point}/{mat}/ack/{collector}

    {"v":1,"type":"split","epoch":"…","seq":7,"event":"…","point":"…","mat":"…","box":"…", …the entry's body }
     `------------------------------- the envelope -------------------------------------'

A body is encoded once, when its entry is made; here the envelope is laid around those bytes.
Receivers ignore fields they don't know: fields may be added, never renamed or re-used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from reader.errors import BrokerError
from reader.journal import Entry
from reader.messages import Body, Heard, SelfTest, Status
from reader.model import Identity

encode = msgspec.json.Encoder().encode

VERSION = 1
PREFIX = "timing"

SEQUENCED = ("split", "gun", "marker", "coverage", "notice")


class MessageMalformed(BrokerError):
    """A message that is not what its topic promises."""


# ---- sending --------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def topic(identity: Identity, what: str, prefix: str = PREFIX) -> str:
    """The topic of ``what`` (``split``, ``status``, ``ack/rc1``, …) of that mat."""
    return f"{prefix}/{identity.event}/{identity.point}/{identity.mat}/{what}"


def payload(identity: Identity, entry: Entry) -> bytes:
    """The entry as a message: its envelope around its body. MessageMalformed if the body is not of its type."""
    opening, before_seq, after_seq = _envelope(identity, entry.epoch, entry.type)
    if not entry.body.startswith(opening):
        raise MessageMalformed(
            f"journal entry {entry.epoch}/{entry.seq}: its body begins {entry.body[:40]!r}, expected {opening!r}; "
            "the journal's file is damaged or was written by another program"
        )
    return b"%b%d%b%b" % (before_seq, entry.seq, after_seq, entry.body[len(opening) :])


@lru_cache(maxsize=64)
def _envelope(identity: Identity, epoch: str, kind: str) -> tuple[bytes, bytes, bytes]:
    """What a body begins with, and what takes its place before and after the ``seq``."""
    before = msgspec.json.encode({"v": VERSION, "type": kind, "epoch": epoch})
    after = msgspec.json.encode(
        {"event": identity.event, "point": identity.point, "mat": identity.mat, "box": identity.box}
    )
    opening = b'{"type":%b,' % msgspec.json.encode(kind)
    return opening, before[:-1] + b',"seq":', b"," + after[1:-1] + b","


class Link(msgspec.Struct, frozen=True):
    """Whether a box is on the wire; ``lost`` is its last will."""

    link: Literal["online", "stopped", "lost"]
    box: str
    connection: str


# ---- receiving ------------------------------------------------------------------------------------------


class Envelope(msgspec.Struct, frozen=True):
    """Whose sequenced message it is, and which."""

    v: int
    epoch: str
    seq: int
    event: str
    point: str
    mat: str
    box: str


class Sequenced(NamedTuple):
    """A sequenced message: its envelope, and its body as the journal holds it."""

    envelope: Envelope
    body: Body


class Ack(msgspec.Struct, frozen=True):
    """A collector has stored everything through these ``seq``s, by epoch."""

    box: str
    acks: dict[str, int]
    time: str


class Expect(msgspec.Struct, frozen=True):
    """Who is still to come, as race control knows it."""

    count: int
    as_of: str
    chips: list[str] | UnsetType = UNSET
    sweep_armed: list[str] | UnsetType = UNSET
    last_runner_at: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """The answer to a command; further fields by what was asked. ``id`` None: the command had none."""

    id: str | None
    ok: bool
    error: str | UnsetType = UNSET


Message = Sequenced | Heard | Status | SelfTest | Link | Ack | Expect | Reply


class Address(NamedTuple):
    """A topic taken apart; ``what`` without the collector of an ``ack/{collector}``."""

    event: str
    point: str
    mat: str
    what: str
    collector: str | None = None


def address_from_topic(text: str, prefix: str = PREFIX) -> Address:
    """MessageMalformed if it isn't a mat's topic under ``prefix``."""
    if text.startswith(f"{prefix}/"):
        levels = text[len(prefix) + 1 :].split("/")
        if len(levels) == 4 or (len(levels) == 5 and levels[3] == "ack"):
            return Address(*levels)
    raise MessageMalformed(f"topic {text!r}: expected {prefix}/event/point/mat/what")


_envelopes = msgspec.json.Decoder(Envelope)
_bodies = msgspec.json.Decoder(Body)
_others: dict[str, msgspec.json.Decoder[Heard | Status | SelfTest | Link | Ack | Expect | Reply]] = {
    "heard": msgspec.json.Decoder(Heard),
    "status": msgspec.json.Decoder(Status),
    "selftest": msgspec.json.Decoder(SelfTest),
    "link": msgspec.json.Decoder(Link),
    "ack": msgspec.json.Decoder(Ack),
    "expect": msgspec.json.Decoder(Expect),
    "reply": msgspec.json.Decoder(Reply),
}


def decode(text: str, data: bytes, prefix: str = PREFIX) -> Message:
    """The message on that topic. MessageMalformed names the topic and, within the message, the place."""
    what = address_from_topic(text, prefix).what
    try:
        if what in SEQUENCED:
            message = Sequenced(_envelopes.decode(data), _bodies.decode(data))
            kind = message.body.__struct_config__.tag
            if kind != what:
                raise MessageMalformed(f"{text}: a {kind} came on the topic of a {what}; ignored")
            return message
        if what in _others:
            return _others[what].decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MessageMalformed(f"{text}: {error}, in {data[:80]!r}") from error
    raise MessageMalformed(f"{text}: nothing known is said there ({what!r})")
