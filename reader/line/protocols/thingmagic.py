"""ThingMagic / JADAK M5e, M6e, M6e Micro, M6e Nano, M7e: binary frames, streamed.

The parts: :mod:`.thingmagic_frame` has the envelope and the words, :mod:`.thingmagic_report` the content,
:mod:`.thingmagic_talk` what is said to the module.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reader.line.protocols import Known
from reader.line.protocols.asking import Script, pause
from reader.line.protocols.framing import Framing
from reader.line.protocols.settings import Setting
from reader.line.protocols.thingmagic_frame import MAX_DATA, OVERHEAD, command
from reader.line.protocols.thingmagic_report import event_from, fields_from
from reader.line.protocols.thingmagic_talk import Conversation
from reader.model import Event, Reason, Rejected

__all__ = ["ON_START", "SETTINGS", "Conversation", "Decoder", "command", "fields", "identify", "is_proof"]

SETTINGS: tuple[Setting, ...] = ()
ON_START: frozenset[str] = frozenset()

fields = fields_from

_BEGINNING = re.compile(rb"\xff")


class Decoder(Framing):
    """Frames of a module to events, total over any bytes."""

    def __init__(self) -> None:
        super().__init__(_BEGINNING, _measure, event_from)


def identify() -> Script[Known]:
    """Who is there."""
    yield from pause(0)
    return Known(None, None)


def is_proof(events: Sequence[Event]) -> bool:
    """Any whole frame: its CRC has 16 bits."""
    return any(not isinstance(event, Rejected) for event in events)


def _measure(buffer: bytes, start: int) -> int | Reason | None:
    if start + 1 == len(buffer):
        return None
    length = buffer[start + 1]
    return Reason.LENGTH if length > MAX_DATA else OVERHEAD + length
