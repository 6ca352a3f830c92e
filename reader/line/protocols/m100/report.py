"""What M100 frames say.

::

    chip      02 22 (or 27)   RSSI PC PC EPC... CRC CRC   RSSI in dBm, signed; CRC over PC and EPC: CRC-16/GENIBUS
    answer    01 CMD          most are one byte, 00 for done
    error     01 FF           CODE [UL PC PC EPC...]      15: a round in which no chip was heard; UL counts PC and EPC
    memory    01 39           UL PC PC EPC... DATA...     likewise for what was written, locked, killed
    query     01 0D           16 bits: DR M2 TRext Sel2 Session2 Target Q4 and three of no use

The first five bits of the PC are the words of the EPC: a frame in which they don't agree with its length is none.
Where PC bit 0200 is set, one word of XPC stands before the EPC, and a second if the first has bit 8000.
"""

from __future__ import annotations

from typing import NamedTuple

from fastcrc.crc16 import genibus

from reader.line.protocols.m100.frame import (
    BEHIND_CHIP,
    COMMAND,
    DONE,
    EMPTY_ROUND,
    ERROR,
    FORMS,
    HEAD,
    INFO,
    JAMMERS,
    NAMES,
    NOISE,
    NOTICE,
    OVERHEAD,
    POLL_MANY,
    POWER,
    QUERY,
    REGION,
    SET_BAUD,
    SET_POWER,
    SET_QUERY,
    SET_REGION,
    is_whole,
    measure,
    words_from_error,
)
from reader.model import ChipRead, Event, Reason, Rejected, Reply

# Region: the profile's name, and what people call it.
REGIONS = {
    1: ("cn900", "China 920-925 MHz"),
    2: ("us", "US 902-928 MHz"),
    3: ("eu", "Europe 865-868 MHz"),
    4: ("cn800", "China 840-845 MHz"),
    6: ("kr", "Korea 917-923 MHz"),
}
KEEP_ALIVE = "keep_alive"  # the name of an empty round
_INFO = ("hardware", "software", "maker")


class _Senseless(Exception):
    """A frame whose content does not add up."""


class _Chip(NamedTuple):
    pc: bytes
    xpc: bytes
    epc: bytes


def event_from(frame: bytes) -> Event | None:
    """What a frame of the reader means; None if its end or its sum is wrong."""
    if not is_whole(frame):
        return None
    data = frame[HEAD:-2]
    try:
        if frame[1] == NOTICE:
            chip = _chip_from(data[1:-2])
            if genibus(data[1:-2]) != int.from_bytes(data[-2:]):
                return Rejected(Reason.CHIP_CRC, frame)
            # The module has one antenna and does not tell it.
            rssi_dbm = int.from_bytes(data[:1], signed=True)
            return ChipRead(chip.epc.hex().upper(), None, rssi_dbm, None, None, len(frame))
        said = _answer(frame[2], data)
    except _Senseless:
        return Rejected(Reason.SANITY, frame)
    return Reply(_name(frame), {**said, "form": FORMS[frame[0]].name}, len(frame))


def fields_from(frame: bytes) -> dict[str, object]:
    """All that one whole frame says, a command of the host's too; ValueError if it is none."""
    is_command = len(frame) >= OVERHEAD and frame[1] == COMMAND
    size = OVERHEAD + int.from_bytes(frame[3:5]) if is_command else measure(frame, 0)
    if size != len(frame) or not is_whole(frame):
        raise ValueError(f"not one whole M100 frame: {frame.hex()}")
    data = frame[HEAD:-2]
    try:
        if is_command:
            return {"type": "command", **_asked(frame[2], data)}
        if frame[1] == NOTICE:
            return {"type": "tag", "cmd": frame[2], **_chip_fields(data)}
        return {"type": "error" if frame[2] == ERROR else _name(frame), **_answer(frame[2], data)}
    except _Senseless:
        raise ValueError(f"an M100 frame whose content does not add up: {frame.hex()}") from None


def query_from(word: int) -> tuple[int, str, int]:
    """Session (0-3), target and Q (0-15) in the word of a query."""
    return word >> 8 & 3, "B" if word & 0x80 else "A", word >> 3 & 15


def _name(frame: bytes) -> str:
    if frame[2] == ERROR and frame[HEAD] == EMPTY_ROUND:
        return KEEP_ALIVE
    return NAMES.get(frame[2], f"command_{frame[2]:02x}")


def _chip_from(body: bytes) -> _Chip:
    """PC, XPC and EPC; _Senseless where the PC tells of another length, or no EPC is left."""
    skipped = 2
    if body[0] & 0x02:
        skipped = 6 if body[2] & 0x80 else 4
    if len(body) != 2 + (body[0] >> 3) * 2 or len(body) <= skipped:
        raise _Senseless
    return _Chip(body[:2], body[2:skipped], body[skipped:])


def _words_from_chip(chip: _Chip) -> dict[str, object]:
    said: dict[str, object] = {"pc": chip.pc.hex(), "epc": chip.epc.hex()}
    return {**said, "xpc": chip.xpc.hex()} if chip.xpc else said


def _chip_fields(data: bytes) -> dict[str, object]:
    return {
        "rssi_dbm": int.from_bytes(data[:1], signed=True),
        **_words_from_chip(_chip_from(data[1:-2])),
        "tag_crc": data[-2:].hex(),
        "tag_crc_ok": genibus(data[1:-2]) == int.from_bytes(data[-2:]),
    }


def _answer(code: int, data: bytes) -> dict[str, object]:
    """The fields of an answer; its length is one that is known for it."""
    said: dict[str, object] = {"cmd": code}
    if code == ERROR:
        return said | _error(data)
    if code in BEHIND_CHIP:
        chip, rest = _with_chip(data)
        if len(rest) not in BEHIND_CHIP[code]:
            raise _Senseless
        return said | _words_from_chip(chip) | ({"ok": rest == b"\0"} if len(rest) == 1 else {"data": rest.hex()})
    if code in DONE:
        return said | {"ok": data == b"\0"}
    if code == INFO:
        return said | _info(data)
    if code in (JAMMERS, NOISE):
        return said | _channels(data)
    return said | _value(code, data)


def _error(data: bytes) -> dict[str, object]:
    said: dict[str, object] = {"code": data[0], "says": words_from_error(data[0])}
    if len(data) == 1:
        return said
    chip, rest = _with_chip(data[1:])
    if rest:
        raise _Senseless
    return said | _words_from_chip(chip)


def _with_chip(data: bytes) -> tuple[_Chip, bytes]:
    """The chip that is told with its length before it, and what comes behind."""
    end = 1 + data[0]
    if data[0] < 4 or end > len(data):
        raise _Senseless
    return _chip_from(data[1:end]), data[end:]


def _info(data: bytes) -> dict[str, object]:
    text = data[1:]
    if data[0] >= len(_INFO) or not all(0x20 <= byte < 0x7F for byte in text.rstrip(b"\0")):
        raise _Senseless
    said = text.rstrip(b"\0").decode("ascii").strip()
    return {"which": data[0], "of": _INFO[data[0]], "text": said}


def _channels(data: bytes) -> dict[str, object]:
    """One level for each channel, in dBm."""
    first, last = data[0], data[1]
    if last - first + 1 != len(data) - 2:
        raise _Senseless
    return {"first": first, "dbm": [byte - 256 if byte > 127 else byte for byte in data[2:]]}


def _value(code: int, data: bytes) -> dict[str, object]:
    number = int.from_bytes(data)
    if code in (QUERY, SET_QUERY):
        session, target, q = query_from(number)
        return {"query": data.hex(), "session": session, "target": target, "q": q}
    if code in (REGION, SET_REGION):
        name, says = REGIONS.get(number, (None, "unknown"))
        return {"region": number, "name": name, "says": says}
    if code in (POWER, SET_POWER):
        return {"power_cdbm": number}
    if code == 0xAA:
        return {"channel": number}
    return {"data": data.hex()}


def _asked(code: int, data: bytes) -> dict[str, object]:
    """The fields of a command of the host's."""
    said: dict[str, object] = {"cmd": code}
    if not data:
        return said
    if code == INFO:
        return said | {"which": data[0]}
    if code == POLL_MANY:
        return said | {"count": int.from_bytes(data[1:])}
    if code == SET_BAUD:
        return said | {"baud": int.from_bytes(data) * 100}
    return said | _value(code, data)
