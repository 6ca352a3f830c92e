"""What ThingMagic frames say: the streamed reports (opcode 22); answers are in :mod:`.answer`.

::

    streamed   OPTION SF SF [MASK MASK] TYPE ...   OPTION bit 10: a mask follows; TYPE 01 chip, 02 status, 00 end
               88 OPTION SF SF ...                 the multi-select form of the M7e: everything one byte on
    chip       the fields of the mask, lowest bit first; BITS BITS PC PC [XPC XPC [XPC XPC]] EPC... CRC CRC
               BITS counts from PC to CRC; XPC if PC bit 0200, a second if XPC bit 8000
    status     see :mod:`.statistics`
    else       OPTION SF SF COUNT ...              not streamed: how many chips the module has put into its buffer

The chip's own CRC (CRC-16/GENIBUS over PC to EPC) tells that it was heard rightly over the air; the frame's, that
the line was good.
"""

from __future__ import annotations

from functools import lru_cache
from struct import error, unpack_from
from typing import NamedTuple

from fastcrc.crc16 import genibus

from reader.line.protocols.thingmagic.answer import fields_from_answer
from reader.line.protocols.thingmagic.frame import (
    NAMES,
    NO_TAGS,
    OK,
    READ_MULTIPLE,
    is_whole,
    words_from_status,
)
from reader.line.protocols.thingmagic.statistics import bits_from, fields_from_statistics
from reader.model import ChipRead, Event, Reason, Rejected, Reply

# The names of replies that only a running stream sends.
_TYPES = {"keep_alive": "keepalive", "stream_status": "status"}  # for people, as hosts' authors write them
STREAMED = frozenset({"keep_alive", "stream_status", "stream_end", "fault"})

MULTI_SELECT = 0x88
HAS_MASK = 0x10
IS_STREAMING, MANY_CHIPS = 0x0008, 0x0010  # among the search flags
LONG_SUMMARY = 7  # option, flags and a count of four bytes; with a count of one byte three less
CHIP, STATUS = 1, 2

# Bit of the mask, name, bytes. The embedded data and the type of the tag say their own size.
_EMBEDDED, _TAG_TYPE = "data", "tag_type"
_MASK = (
    (0x0001, "readcount", 1),
    (0x0002, "rssi_dbm", 1),
    (0x0004, "antenna", 1),
    (0x0008, "freq_khz", 3),
    (0x0010, "ts_ms", 4),
    (0x0020, "phase", 2),
    (0x0040, "protocol", 1),
    (0x0080, _EMBEDDED, 0),
    (0x0100, "gpio", 1),
    (0x0200, "q", 1),
    (0x0400, "link", 1),
    (0x0800, "target", 1),
    (0x1000, "brand", 2),
    (0x2000, _TAG_TYPE, 0),
)
_KNOWN_MASK = sum(bit for bit, _, _ in _MASK)


class _Senseless(Exception):
    """A frame whose content does not add up."""


class _Chip(NamedTuple):
    numbers: dict[str, int]
    data: bytes
    bits: int
    pc: bytes
    epc: bytes
    crc: bytes
    is_right: bool


def event_from(frame: bytes) -> Event | None:
    """What a module's frame means; None if its checksum is wrong."""
    if not is_whole(frame):
        return None
    try:
        if frame[2] == READ_MULTIPLE and (chip := _chip_in(frame)) is not None:
            if not chip.is_right:
                return Rejected(Reason.CHIP_CRC, frame)
            numbers = chip.numbers
            return ChipRead(
                chip.epc.hex().upper(),
                numbers.get("ant_rx"),
                numbers.get("rssi_dbm"),
                None,
                numbers.get("ts_ms"),
                len(frame),
            )
        name, said = _reply(frame)
    except _Senseless:
        return Rejected(Reason.SANITY, frame)
    return Reply(name, said, len(frame))


def fields_from(frame: bytes) -> dict[str, object]:
    """All that one whole frame of a module says; ValueError if it is none."""
    if len(frame) < 7 or frame[0] != 0xFF or len(frame) != frame[1] + 7 or not is_whole(frame):
        raise ValueError(f"not one whole ThingMagic frame: {frame.hex()}")
    try:
        chip = _chip_in(frame) if frame[2] == READ_MULTIPLE else None
        if chip is None:
            name, said = _reply(frame)
            return {"type": _TYPES.get(name, name), **said}
    except _Senseless:
        raise ValueError(f"a ThingMagic frame whose content does not add up: {frame.hex()}") from None
    return {"type": "tag", "opcode": frame[2], "status": OK, **_head(frame), **_fields_from_chip(chip)}


def _head(frame: bytes) -> dict[str, object]:
    """The envelope of a streamed report."""
    shift = int(frame[5] == MULTI_SELECT)
    said: dict[str, object] = {"multiselect": bool(shift), "search_flags": frame[6 + shift : 8 + shift].hex()}
    if frame[5 + shift] & HAS_MASK:
        said["meta"] = frame[8 + shift : 10 + shift].hex()
    return said


def _chip_in(frame: bytes) -> _Chip | None:
    """The chip that a frame of opcode 22 reports; None if it reports none, _Senseless if it does not add up."""
    # With the two bytes of the CRC, a frame of 14 has all that is looked at.
    if len(frame) < 14 or frame[3] or frame[4]:
        return None
    shift = frame[5] == MULTI_SELECT
    if not frame[5 + shift] & HAS_MASK or frame[10 + shift] != CHIP:
        return None
    at, end = 8 + shift, len(frame) - 2
    if frame[7 + shift] & IS_STREAMING:
        return _chip(frame, at, end)
    # The count of a search that does not stream may look like a mask. It bears no CRC of a chip.
    try:
        chip = _chip(frame, at, end)
    except _Senseless:
        return None
    return chip if chip.is_right else None


def _chip(frame: bytes, at: int, end: int) -> _Chip:
    """The chip whose mask begins at ``at`` (its fields, three bytes on) and which ends at ``end``."""
    numbers: dict[str, int] = {}
    data = b""
    fields = _fields_in(frame[at] << 8 | frame[at + 1])
    at += 3
    for name, size in fields:
        if name == _EMBEDDED:
            bits = numbers["data_bits"] = int.from_bytes(frame[at : at + 2])
            # Bit 8000: the embedded command failed, and two bytes say why.
            size = 4 if bits & 0x8000 else 2 + (bits + 7) // 8
            data = frame[at + 2 : at + size]
        elif name == _TAG_TYPE:
            try:
                numbers[name], after = bits_from(frame, at)
            except IndexError:
                raise _Senseless from None
            size = after - at
        else:
            numbers[name] = int.from_bytes(frame[at : at + size])
        at += size
    bits = int.from_bytes(frame[at : at + 2])
    body = frame[at + 2 : end - 2]
    if at + 2 + bits // 8 != end or len(body) < 4:
        raise _Senseless
    skipped = 2
    if body[0] & 0x02:
        skipped = 6 if body[2] & 0x80 else 4
    if len(body) <= skipped:
        raise _Senseless
    if numbers.get("rssi_dbm", 0) > 127:
        numbers["rssi_dbm"] -= 256
    if "antenna" in numbers:
        # Four bits each, so that port 16 reads 0.
        antenna = numbers.pop("antenna")
        numbers["ant_tx"] = antenna >> 4 or 16
        numbers["ant_rx"] = antenna & 0x0F or 16
    crc = frame[end - 2 : end]
    return _Chip(numbers, data, bits, body[:skipped], body[skipped:], crc, genibus(body) == int.from_bytes(crc))


@lru_cache(maxsize=64)
def _fields_in(mask: int) -> tuple[tuple[str, int], ...]:
    if mask & ~_KNOWN_MASK:
        raise _Senseless
    return tuple((name, size) for bit, name, size in _MASK if mask & bit)


def _fields_from_chip(chip: _Chip) -> dict[str, object]:
    said: dict[str, object] = {**chip.numbers, "epc_bits": chip.bits, "pc": chip.pc[:2].hex(), "epc": chip.epc.hex()}
    if len(chip.pc) > 2:
        said["xpc"] = chip.pc[2:].hex()
    if chip.data:
        said["data"] = chip.data.hex()
    return {**said, "tag_crc": chip.crc.hex(), "tag_crc_ok": chip.is_right}


def _reply(frame: bytes) -> tuple[str, dict[str, object]]:
    """The name and the fields of whatever is no streamed chip; _Senseless if the content is too short for its form."""
    opcode = frame[2]
    status = frame[3] << 8 | frame[4]
    said: dict[str, object] = {"opcode": opcode, "status": status}
    if status:
        said["says"] = words_from_status(status)
    data = frame[5:-2]
    try:
        if opcode == READ_MULTIPLE:
            return _streamed(frame, data, status, said)
        if status == OK and data:
            said |= fields_from_answer(opcode, data)
    except (error, IndexError):
        raise _Senseless from None
    return NAMES.get(opcode, f"opcode_{opcode:02x}"), said


def _streamed(frame: bytes, data: bytes, status: int, said: dict[str, object]) -> tuple[str, dict[str, object]]:
    if status == NO_TAGS:
        # Only the M7e's form with the time in its mask says how far into the cycle it is.
        if len(data) == 11 and data[0] == MULTI_SELECT and data[4:6] == b"\x00\x10":
            said["elapsed_ms"] = int.from_bytes(data[7:11])
        return "keep_alive", said
    if status:
        return "fault", said
    if not data:
        return NAMES[READ_MULTIPLE], said
    said |= _head(frame)
    rest = data[1:] if data[0] == MULTI_SELECT else data
    if not int.from_bytes(rest[1:3]) & IS_STREAMING:
        return NAMES[READ_MULTIPLE], said | _summary(rest)
    kind, rest = (rest[5], rest[6:]) if rest[0] & HAS_MASK else (rest[3], rest[4:])
    said["response_type"] = kind
    if kind != STATUS:
        return "stream_end", said
    return "stream_status", said | fields_from_statistics(rest)


def _summary(data: bytes) -> dict[str, object]:
    """How many chips a search that does not stream has put into the buffer, and what was done to them."""
    is_long = len(data) == LONG_SUMMARY or (len(data) > LONG_SUMMARY and data[2] & MANY_CHIPS)
    end = LONG_SUMMARY if is_long else LONG_SUMMARY - 3
    said: dict[str, object] = {"tags": data[end - 1] | int.from_bytes(data[3 : end - 1]) << 8}
    if len(data) > end and data[end]:
        opcode, done, failed, _words = unpack_from(">BHHH", data, end + 1)
        said |= {"emb_opcode": opcode, "emb_ok": done, "emb_fail": failed, "data": data[end + 8 :].hex()}
    return said
