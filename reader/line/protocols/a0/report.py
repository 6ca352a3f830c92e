"""What A0 frames say: reads of chips, ends of rounds, errors, answers.

A frame of an inventory (89, 8A, 8B) is told by its length, not by its command::

    DATA bytes   means
    1            error: CODE
    2            error of one antenna: ANT CODE
    5            end, as V2.2 has it: ANT TOTAL(4)
    7            end: ANT RATE(2) TOTAL(4); of 8A: TOTAL(3) MS(4)
    8            end of 8A, as V2.2 has it: TOTAL(4) MS(4); or a chip of 32 bits, if the PC bears that out
    other, even  chip: FREQANT PC PC EPC... RSSI [PHASE PHASE]; the PC's upper five bits count the EPC's words
"""

from __future__ import annotations

from reader.line.protocols.a0.answer import Senseless, fields_from_answer
from reader.line.protocols.a0.frame import (
    CODES,
    INVENTORIES,
    LAST_ANTENNA,
    NAMES,
    OK,
    SIZES,
    SWITCHED_INVENTORY,
    dbm_from_rssi,
    is_whole,
    mhz_from_channel,
    words_from_code,
)
from reader.model import ChipRead, Event, Reason, Rejected, Reply

ENVELOPE = 5  # all but the data: A0 LEN ADDR CMD ... CHK
MIN_LENGTH = 4  # LEN of an answer with one byte of data; a shorter frame is our own question, come back
_NO_CHIP = frozenset({1, 2, 5, 7})  # data bytes of an inventory's frames that are no chip
_END_V22 = 8

# The samples' words for them in `fields`.
_TYPES = {"round_end": "end", "error": "error"}


def measure(buffer: bytes, start: int) -> int | Reason | None:
    """The size of the frame that begins there; None while too little of it has come; a reason if none can."""
    seen = len(buffer) - start
    if seen < 2:
        return None
    length = buffer[start + 1]
    if length < MIN_LENGTH:
        return Reason.LENGTH
    if seen < 4:
        return None
    number, size = buffer[start + 3], length - 3
    if number in INVENTORIES:
        if size in _NO_CHIP:
            return length + 2
        if seen < 6:
            return None
        if _is_chip(size, buffer[start + 5] >> 3) or (size == _END_V22 and number == SWITCHED_INVENTORY):
            return length + 2
        return Reason.LENGTH
    if number not in SIZES:
        return Reason.GARBAGE
    return length + 2 if size in SIZES[number] else Reason.LENGTH


def event_from(frame: bytes) -> Event | None:
    """What a frame that was measured means; None if its sum is wrong."""
    if not is_whole(frame):
        return None
    if _bears_chip(frame):
        rssi = frame[_epc_end(frame)]
        return ChipRead(
            frame[_epc_start(frame) : _epc_end(frame)].hex().upper(),
            _antenna_index(frame) + 1,
            dbm_from_rssi(rssi & 0x7F),
            None,
            None,
            len(frame),
        )
    try:
        name, said = _reply(frame)
    except Senseless:
        return Rejected(Reason.SANITY, frame)
    return Reply(name, said, len(frame))


def fields_from(frame: bytes) -> dict[str, object]:
    """All that one whole frame of a reader says, antennas counted from 0; ValueError if it is none."""
    if frame[:1] != b"\xa0" or measure(frame, 0) != len(frame) or not is_whole(frame):
        raise ValueError(f"not one whole A0 frame: {frame.hex()}")
    if _bears_chip(frame):
        return {"type": "tag", "cmd": frame[3], "addr": frame[2], **_fields_from_chip(frame)}
    try:
        name, said = _reply(frame)
    except Senseless:
        raise ValueError(f"an A0 frame whose content does not add up: {frame.hex()}") from None
    return {"type": "end_v22" if said.get("is_v22") else _TYPES.get(name, name), **said}


def _is_chip(size: int, words: int) -> bool:
    """Whether that much data can be a chip whose PC counts that many words: FREQANT, PC, EPC, RSSI, maybe phase."""
    return words > 0 and size - 4 - 2 * words in (0, 2)


def _bears_chip(frame: bytes) -> bool:
    size = len(frame) - ENVELOPE
    if frame[3] not in INVENTORIES or size in _NO_CHIP or not _is_chip(size, frame[5] >> 3):
        return False
    return _epc_start(frame) < _epc_end(frame)


def _epc_end(frame: bytes) -> int:
    return 7 + 2 * (frame[5] >> 3)


def _epc_start(frame: bytes) -> int:
    """Behind the PC, and behind the words of XPC that it announces."""
    if not frame[5] & 0x02:
        return 7
    return 11 if frame[7] & 0x80 else 9


def _antenna_index(frame: bytes) -> int:
    """From 0. Two bits beside the channel, and on readers of eight ports the upper bit of the RSSI."""
    return frame[4] & 0x03 | (frame[_epc_end(frame)] & 0x80) >> 5


def _fields_from_chip(frame: bytes) -> dict[str, object]:
    end, channel = _epc_end(frame), frame[4] >> 2
    rssi = frame[end] & 0x7F
    said: dict[str, object] = {
        "freq_index": channel,
        "freq_mhz": mhz_from_channel(channel),
        "antenna": _antenna_index(frame),
        "pc": frame[5:7].hex(),
        "epc": frame[_epc_start(frame) : end].hex(),
        "rssi_raw": rssi,
        "rssi_dbm": dbm_from_rssi(rssi),
    }
    if phase := frame[end + 1 : -1]:
        said["phase"] = int.from_bytes(phase)
    return said


def _reply(frame: bytes) -> tuple[str, dict[str, object]]:
    """The name and the fields of a frame that bears no chip of a running round."""
    number, data = frame[3], frame[4:-1]
    said: dict[str, object] = {"cmd": number, "addr": frame[2]}
    if number in INVENTORIES and len(data) > 1:
        return _round(number, data, said)
    content = fields_from_answer(number, data)
    if content is not None:
        return NAMES[number], said | content
    code = data[0]
    said |= {"code": code, "says": words_from_code(code)}
    return (NAMES[number] if code == OK else "error"), said


def _round(number: int, data: bytes, said: dict[str, object]) -> tuple[str, dict[str, object]]:
    if number == SWITCHED_INVENTORY and len(data) >= 7:
        # 7 bytes, or as V2.2 has it 8.
        split = len(data) - 4
        total, took_ms = int.from_bytes(data[:split]), int.from_bytes(data[split:])
        said |= {"total": total, "duration_ms": took_ms}
        return "round_end", said | ({"is_v22": True} if split == 4 else {})
    if data[0] > LAST_ANTENNA:
        raise Senseless
    said["antenna"] = data[0]
    match len(data):
        case 2:
            if data[1] not in CODES or data[1] == OK:
                raise Senseless
            return "error", said | {"code": data[1], "says": words_from_code(data[1])}
        case 5:
            return "round_end", said | {"total": int.from_bytes(data[1:]), "is_v22": True}
        case _:
            return "round_end", said | {"read_rate": int.from_bytes(data[1:3]), "total": int.from_bytes(data[3:])}
