"""ThingMagic / JADAK M5e, M6e, M6e Micro, M6e Nano, M7e: binary frames, streamed.

The parts: :mod:`.frame` has the envelope and the words, :mod:`.report`,
:mod:`.answer` and :mod:`.statistics` the content, :mod:`.talk` and
:mod:`.setup` what is said to the module, :mod:`.settings`, :mod:`.power` and
:mod:`.speed` what of it can be set, :mod:`.examine` what it tells of its health.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from reader.line.protocols import Known
from reader.line.protocols.asking import Question, Script, Stuck
from reader.line.protocols.framing import Framing
from reader.line.protocols.thingmagic.ask import CHECK, PROGRAM, STOP, question, status_of
from reader.line.protocols.thingmagic.examine import examine
from reader.line.protocols.thingmagic.frame import GET_VERSION, MAX_DATA, OVERHEAD, command
from reader.line.protocols.thingmagic.report import STREAMED, event_from, fields_from
from reader.line.protocols.thingmagic.settings import DETECT, ON_START, REGION, SETTINGS, region_from_number
from reader.line.protocols.thingmagic.talk import Conversation
from reader.model import ChipRead, Event, Reason, Reply

__all__ = ["ON_START", "SETTINGS", "Conversation", "Decoder", "command", "examine", "fields", "identify", "is_proof"]

# By the first byte of the hardware's number.
MODELS = {
    0x00: "ThingMagic M5e",
    0x01: "ThingMagic M5e-Compact",
    0x02: "ThingMagic M5e-I",
    0x03: "ThingMagic M4e",
    0x18: "ThingMagic M6e",
    0x19: "ThingMagic M6e-I",
    0x20: "ThingMagic M6e Micro",
    0x30: "ThingMagic M6e Nano",
    0x38: "ThingMagic M7e",
    0x80: "ThingMagic M3e",
}
PROVES = STREAMED | {"program", "boot"}

fields = fields_from

_BEGINNING = re.compile(rb"\xff")


class Decoder(Framing):
    """Frames of a module to events, total over any bytes."""

    def __init__(self) -> None:
        super().__init__(_BEGINNING, _measure, event_from)


def identify() -> Script[Known]:
    """Who is there. A stream left running is stopped: it answers nothing else. Stuck if nobody is there."""
    yield STOP
    program = yield PROGRAM
    if program is None:
        raise Stuck(f"does not answer at this baud: {CHECK}", is_unanswered=True)
    says = ["its program does not run, only its bootloader"] if program.fields.get("is_bootloader") else []
    version = yield from _asked(question("its version", GET_VERSION))
    hardware, firmware = str(version.get("hardware", "")), str(version.get("fw_version", "")).upper()
    model = MODELS.get(int(hardware[:2], 16), f"unknown hardware {hardware}") if hardware else None
    region = (yield from _asked(REGION)).get("region")
    if region == 0:
        says.append("no region is set")
    ports = cast("dict[int, int]", (yield from _asked(DETECT)).get("ports", {}))
    there = [str(port) for port, is_there in sorted(ports.items()) if is_there]
    if ports:
        says.append(f"antenna connected: {', '.join(there)}" if there else "no antenna detected")
    return Known(
        model,
        ".".join(firmware[at : at + 2] for at in range(0, len(firmware), 2)) or None,
        tuple(sorted(ports)),
        region_from_number(region) if region else None,
        tuple(says),
    )


def is_proof(events: Sequence[Event]) -> bool:
    """What it streams, or an answer to the family's question: 16 bits of CRC are behind every frame."""
    return any(isinstance(event, ChipRead) or (isinstance(event, Reply) and event.name in PROVES) for event in events)


def _asked(asked: Question) -> Script[dict[str, object]]:
    """What it says to that, nothing where it refuses or is silent."""
    answer = yield asked._replace(tries=2)
    return {} if answer is None or status_of(answer) else answer.fields


def _measure(buffer: bytes, start: int) -> int | Reason | None:
    if start + 1 == len(buffer):
        return None
    length = buffer[start + 1]
    return Reason.LENGTH if length > MAX_DATA else OVERHEAD + length
