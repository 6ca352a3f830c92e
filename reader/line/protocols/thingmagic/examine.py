"""How a ThingMagic module and its antennas are, asked of it.

::

    72                                        degrees C s8
    61 05 / 61 06                             (port, 1 = detected)...; (port, return loss in dB)...: it transmits
    6C 02 40                                  statistics 0040: (TX, RX, noise in dBm s8)...

While it streams it refuses these (0109), so that what it tells in its stream has to do. Sources: MercuryAPI,
``serial_reader_l3.c``: that an M6e Micro detects no antennas, too; gotthardp/python-mercuryapi, issues 71 and 92.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from reader.line.protocols import Examined
from reader.line.protocols.asking import Question, Script, Stuck, alone
from reader.line.protocols.thingmagic.ask import CHECK, PROGRAM, STOP, question, status_of
from reader.line.protocols.thingmagic.frame import (
    GET_ANTENNAS,
    GET_STATISTICS,
    GET_TEMPERATURE,
    GET_VERSION,
    words_from_status,
)
from reader.line.protocols.thingmagic.settings import DETECT, REGION, region_from_number
from reader.line.protocols.thingmagic.statistics import NOISE
from reader.model import NS_PER_S

RETURN_LOSS = question("its return loss", GET_ANTENNAS, b"\6", bears={"option": 6})
WAIT_NS = NS_PER_S // 2
DETECTS_NONE = ("20", "30")  # the beginning of their hardware's number: M6e Micro, M6e Nano

STREAMS = (
    "it can't be asked while it streams: it tells its temperature and antennas in its reports, if the profile has them"
)


def examine(is_interrupting: bool) -> Script[Examined]:
    """How it is. A stream is stopped for it, and begun again by the conversation."""
    if not is_interrupting:
        return Examined(says=(STREAMS,))
    return (yield from alone(_examine()))


def _examine() -> Script[Examined]:
    yield STOP
    program = yield PROGRAM
    if program is None:
        raise Stuck(f"does not answer at this baud: {CHECK}", is_unanswered=True)
    if program.fields.get("is_bootloader"):
        return Examined(says=("its program does not run, only its bootloader: switch it off and on",))
    says: list[str] = []
    version = yield from _told(question("its version", GET_VERSION), says)
    temperature = yield from _told(question("its temperature", GET_TEMPERATURE), says)
    region = (yield from _told(REGION, says)).get("region")
    detected = yield from _told(DETECT, says)
    loss: Mapping[str, object] = {}
    if region == 0:
        says.append("no region is set: return loss is not measured")
    else:
        loss = yield from _told(RETURN_LOSS, says)
    noise = yield from _told(question("its noise", GET_STATISTICS, bytes((2, NOISE)), bears={"option": 2}), says)
    connected = {port: bool(there) for port, there in _by_antenna(detected, "ports").items()}
    if connected and not any(connected.values()) and str(version.get("hardware")).startswith(DETECTS_NONE):
        connected = {}
        says.append("whether antennas are connected is not known: this module can't detect them")
    noise_dbm = _by_antenna(noise, "noise_dbm")
    if noise and not noise_dbm:
        says.append("its noise: not measured")
    return Examined(
        cast("int | None", temperature.get("temp_c")),
        noise_dbm,
        connected,
        {port: float(db) for port, db in _by_antenna(loss, "return_loss_db").items()},
        region_from_number(region) if region else None,
        tuple(says),
    )


def _told(asked: Question, says: list[str]) -> Script[Mapping[str, object]]:
    """The fields of the answer; none where it refuses or is silent, which is said."""
    answer = yield asked._replace(tries=2, wait_ns=WAIT_NS)
    if answer is None:
        says.append(f"{asked.name}: no answer")
        return {}
    if status := status_of(answer):
        says.append(f"{asked.name}: refused, {words_from_status(status)}")
        return {}
    return answer.fields


def _by_antenna(fields: Mapping[str, object], name: str) -> dict[int, int]:
    value = fields.get(name)
    return cast("dict[int, int]", value) if isinstance(value, dict) else {}
