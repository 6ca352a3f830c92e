"""MagicRF M100 and QM100: YRM100, YRM1001, R200 and M5Stack's Unit UHF; binary frames, polled in rounds.

::

    BB TYPE CMD PL PL PARAM[PL] CHK 7E      or AA ... DD: PL big-endian, CHK the sum from TYPE to the last of PARAM
    BB 02 22 00 11 C9 34 00 <12 bytes> 3A 76 EF 7E     a chip: -55 dBm, PC 3400, its EPC, its own CRC 3A76
    BB 01 FF 00 01 15 16 7E                            a round without a chip

The parts: :mod:`.frame` has the envelope and the words, :mod:`.report` the content, :mod:`.settings`
what can be set, :mod:`.talk` and :mod:`.polling` what is said to the module.

Names of replies: ``keep_alive`` is a round without a chip, ``error`` a refusal or the failure of an access to a chip
(never a read, even where it names the chip), the others are in ``frame.NAMES``. Each reply bears its ``form``,
BB or AA. Sources: see :mod:`.frame`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reader.line.protocols.framing import Framing
from reader.line.protocols.m100.examine import examine
from reader.line.protocols.m100.frame import command, measure
from reader.line.protocols.m100.report import KEEP_ALIVE, event_from, fields_from
from reader.line.protocols.m100.settings import ON_START, SETTINGS, identify
from reader.line.protocols.m100.talk import Conversation
from reader.model import ChipRead, Event, Reply

__all__ = ["ON_START", "SETTINGS", "Conversation", "Decoder", "command", "examine", "fields", "identify", "is_proof"]

fields = fields_from

_BEGINNING = re.compile(rb"[\xbb\xaa]")
_ENOUGH = 2


class Decoder(Framing):
    """Frames of a module to events, total over any bytes."""

    def __init__(self) -> None:
        super().__init__(_BEGINNING, measure, event_from)


def is_proof(events: Sequence[Event]) -> bool:
    """Its own text as the answer to who it is; or two chips or rounds, for one sum of one byte is weak."""
    if any(isinstance(event, Reply) and event.name == "version" for event in events):
        return True
    rounds = [event for event in events if isinstance(event, ChipRead) or _is_empty_round(event)]
    return len(rounds) >= _ENOUGH


def _is_empty_round(event: Event) -> bool:
    return isinstance(event, Reply) and event.name == KEEP_ALIVE
