"""A0, the maker's UHF readers of many names: Invelion YR9xx, IND903, D2184B, Rodinbell, R2000 and E-series boards.

::

    A0 LEN ADDR CMD DATA... CHK     both ways; LEN counts what follows it, CHK makes the sum of all bytes 0
    ADDR 01 as it leaves the factory, FF for every reader; numbers big-endian

    read       CMD 89, 8A or 8B     FREQANT PC PC EPC... RSSI [PHASE PHASE]
    FREQANT    channel in the upper six bits, antenna from 0 in the lower two
    RSSI       index into the maker's table in the lower seven bits; the upper one: antenna + 4, of eight ports
    end        the same CMD, by its length (see :mod:`.report`)

No byte is escaped and the check is one byte: so a frame is only believed when its command is known, its length one
that this command has and, for a read, the one that its PC tells. There is no time in it, and nothing comes unasked:
the host asks for every round (a reader hears for some 30 to 50 ms).

Replies are named for their command (:data:`.frame.NAMES`), and "round_end" or "error".

Sources: the maker's serial interface protocol V2.2 (IND903) and V3.7; frames of Invelion, YR903 and Rodinbell
readers as their users logged them. The parts: :mod:`.frame` has the envelope and the words, :mod:`.report` the
content, :mod:`.settings` what can be set, :mod:`.examine` what it tells of its health, :mod:`.talk` what is said to the
reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reader.line.protocols.a0.examine import examine
from reader.line.protocols.a0.frame import command
from reader.line.protocols.a0.report import event_from, fields_from, measure
from reader.line.protocols.a0.settings import ON_START, SETTINGS, identify
from reader.line.protocols.a0.talk import Conversation
from reader.line.protocols.framing import Framing
from reader.model import ChipRead, Event, Reply

__all__ = ["ON_START", "SETTINGS", "Conversation", "Decoder", "command", "examine", "fields", "identify", "is_proof"]

fields = fields_from

_BEGINNING = re.compile(rb"\xa0")
_PROOF = frozenset({"version"})


class Decoder(Framing):
    """Frames of a reader to events, total over any bytes."""

    def __init__(self) -> None:
        super().__init__(_BEGINNING, measure, event_from)


def is_proof(events: Sequence[Event]) -> bool:
    """An answer to the question for the version, or two frames of a round: one alone has but eight bits of check."""
    if any(isinstance(event, Reply) and event.name in _PROOF for event in events):
        return True
    return sum(isinstance(event, ChipRead) or _is_round_end(event) for event in events) >= 2


def _is_round_end(event: Event) -> bool:
    return isinstance(event, Reply) and event.name == "round_end"
