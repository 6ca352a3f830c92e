"""ThingMagic / JADAK M5e, M6e, M6e Micro, M6e Nano, M7e: binary frames, streamed.

The parts: :mod:`.thingmagic_frame` has the envelope and the words, :mod:`.thingmagic_report` the content,
:mod:`.thingmagic_talk` what is said to the module.
"""

from __future__ import annotations

import re

from reader.line.protocols.framing import Framing
from reader.line.protocols.thingmagic_frame import MAX_DATA, OVERHEAD, command
from reader.line.protocols.thingmagic_report import event_from, fields_from
from reader.line.protocols.thingmagic_talk import Conversation
from reader.model import Reason

__all__ = ["Conversation", "Decoder", "command", "fields"]

fields = fields_from

_BEGINNING = re.compile(rb"\xff")


class Decoder(Framing):
    """Frames of a module to events, total over any bytes."""

    def __init__(self) -> None:
        super().__init__(_BEGINNING, _measure, event_from)


def _measure(buffer: bytes, start: int) -> int | Reason | None:
    if start + 1 == len(buffer):
        return None
    length = buffer[start + 1]
    return Reason.LENGTH if length > MAX_DATA else OVERHEAD + length
