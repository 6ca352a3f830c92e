"""M100 frames: the envelope, its checksum, the lengths that each frame can have, and the words.

::

    BB TYPE CMD PL PL PARAM[PL] CHK 7E     PL big-endian, the bytes of PARAM; the whole is PL+7
    AA TYPE CMD PL PL PARAM[PL] CHK DD     the same, as some R200 boards speak

TYPE is 00 for a command of the host, 01 for an answer, 02 for a chip. CHK is the low byte of the sum from TYPE to the
last of PARAM. Nothing is escaped: the bytes that begin and end a frame may stand anywhere inside one. One byte of sum
is little, so a frame is believed only if it is known with just that length (``measure``).

Sources: the M100 firmware protocol V2.1 as kept in anteploon/yrm100lib; the maker's protocol for M5Stack's Unit
RFID-UHF (Unit-RFID-UHF-Protocol-EN); R200.cpp of playfultechnology/arduino-rfid-R200 for AA and DD.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import Enum

from reader.model import Reason

OVERHEAD = 7
HEAD = 5  # up to PL

COMMAND, ANSWER, NOTICE = 0x00, 0x01, 0x02

INFO = 0x03
SET_REGION, REGION = 0x07, 0x08
QUERY, SET_QUERY = 0x0D, 0x0E
SET_BAUD = 0x11
POLL, POLL_MANY, STOP = 0x22, 0x27, 0x28
HOPPING = 0xAD
SET_POWER, POWER = 0xB6, 0xB7
JAMMERS, NOISE = 0xF2, 0xF3
ERROR = 0xFF

NAMES = {
    INFO: "version",
    0x04: "idle",
    SET_REGION: "set_region",
    REGION: "region",
    0x09: "save_settings",
    0x0A: "load_settings",
    0x0B: "select",
    0x0C: "set_select",
    QUERY: "query",
    SET_QUERY: "set_query",
    SET_BAUD: "baud",
    0x12: "set_select_mode",
    0x17: "sleep",
    0x19: "restart",
    0x1A: "gpio",
    0x1D: "sleep_time",
    POLL: "poll",
    POLL_MANY: "poll_many",
    STOP: "stop",
    0x39: "memory",
    0x49: "memory_written",
    0x65: "killed",
    0x82: "locked",
    0xA9: "insert_channels",
    0xAA: "channel",
    0xAB: "set_channel",
    HOPPING: "hopping",
    0xB0: "carrier",
    SET_POWER: "set_power",
    POWER: "power",
    0xD3: "block_locks",
    0xD4: "blocks_locked",
    0xE0: "nxp_config",
    0xE1: "nxp_protected",
    0xE2: "nxp_unprotected",
    0xE3: "nxp_eas",
    0xE4: "nxp_alarm",
    0xE5: "qt",
    0xE6: "qt_written",
    0xF0: "set_demodulator",
    0xF1: "demodulator",
    JAMMERS: "jammers",
    NOISE: "noise",
    0xF5: "set_mode",
    ERROR: "error",
}

# An answer that only says whether it was done: one byte, 00 for yes.
DONE = frozenset(bytes.fromhex("04 07 09 0A 0C 0E 11 12 17 19 27 28 A9 AB AD B0 B6 F0 F5"))
# An answer that names the chip it was done to, UL PC PC EPC, and so many bytes behind it: least, most, in steps of.
# UL counts PC and EPC.
MIN_UL, MAX_UL = 4, 64  # the PC, and an EPC of 1 to 31 words
MAX_LENGTH = 255  # of PARAM: a read of 93 words of memory off a chip with 31 words of EPC
BEHIND_CHIP: Mapping[int, range] = {
    0x39: range(2, MAX_LENGTH, 2),
    **dict.fromkeys((0x49, 0x65, 0x82, 0xD4, 0xE1, 0xE2, 0xE3, 0xE6), range(1, 2)),
    0xD3: range(3, 60, 2),
    0xE0: range(2, 3),
    0xE5: range(2, 3),
}


def _range_of(behind: range) -> range:
    """The lengths of PARAM with that behind a chip of any length."""
    return range(1 + MIN_UL + behind.start, min(1 + MAX_UL + behind[-1], MAX_LENGTH) + 1, 2)


_ANSWERS: dict[int, Container[int]] = {
    INFO: range(3, 66),
    REGION: range(1, 2),
    0x0B: range(7, 40),
    QUERY: range(2, 3),
    0x1A: range(3, 4),
    0x1D: range(1, 2),
    0xAA: range(1, 2),
    POWER: range(2, 3),
    0xE4: range(8, 9),
    0xF1: range(4, 5),
    JAMMERS: range(3, 67),
    NOISE: range(3, 67),
    ERROR: frozenset((1, *range(2 + MIN_UL, 2 + MAX_UL + 1, 2))),
    **dict.fromkeys(DONE, range(1, 2)),
    **{code: _range_of(behind) for code, behind in BEHIND_CHIP.items()},
}
# RSSI, PC PC, EPC, CRC CRC.
_CHIP = range(3 + MIN_UL, 3 + MAX_UL + 1, 2)
_LENGTHS: dict[int, dict[int, Container[int]]] = {ANSWER: _ANSWERS, NOTICE: {POLL: _CHIP, POLL_MANY: _CHIP}}

EMPTY_ROUND, BAD_COMMAND, BAD_PARAMETER, NO_CHANNEL = 0x15, 0x17, 0x0E, 0x20
_ERRORS = {
    0x09: "no chip to read from",
    BAD_PARAMETER: "value not possible",
    0x10: "no chip to write to",
    0x12: "no chip to kill",
    0x13: "no chip to lock",
    0x14: "no chip to lock blocks of",
    EMPTY_ROUND: "no chip in this round",
    0x16: "wrong password for the chip",
    BAD_COMMAND: "unknown command",
    0x1A: "no chip to configure",
    0x1B: "no chip to change the alarm of",
    0x1C: "the chip is not in the secured state",
    0x1D: "no chip with its alarm set",
    NO_CHANNEL: "no free channel found",
    0x2A: "no chip to protect",
    0x2B: "no chip to unprotect",
    0x2E: "no chip to set QT of",
}
# The high half of the code: what was done when the chip itself refused; the low half is the chip's own word.
_AT_CHIP = {0xA0: "read", 0xB0: "write", 0xC0: "lock", 0xD0: "kill", 0xE0: "lock blocks"}
_CHIP_SAYS = {0x0: "other error", 0x3: "no such memory", 0x4: "memory locked", 0xB: "too little power", 0xF: "error"}
# These refuse a command as such; the others tell of chips.
REFUSALS = frozenset((BAD_PARAMETER, BAD_COMMAND, NO_CHANNEL))


class Form(Enum):
    """With which bytes frames begin and end."""

    BB = b"\xbb\x7e"
    AA = b"\xaa\xdd"


FORMS = {form.value[0]: form for form in Form}


def words_from_error(code: int) -> str:
    """``unknown command (17)``."""
    says = _ERRORS.get(code)
    if says is None and code & 0xF0 in _AT_CHIP:
        says = f"the chip refuses to {_AT_CHIP[code & 0xF0]}: {_CHIP_SAYS.get(code & 0x0F, 'error')}"
    return f"{says or 'error'} ({code:02X})"


def command(code: int, data: bytes = b"", form: Form = Form.BB) -> bytes:
    """What the host sends."""
    body = bytes((COMMAND, code)) + len(data).to_bytes(2) + data
    return form.value[:1] + body + bytes((sum(body) & 0xFF,)) + form.value[1:]


def in_form(sent: bytes, form: Form) -> bytes:
    """The same command, one or none, in that form."""
    return form.value[:1] + sent[1:-1] + form.value[1:] if sent else sent


def is_whole(frame: bytes) -> bool:
    """Whether a frame of the right size ends as it began, and its sum is right."""
    form = FORMS.get(frame[0])
    return form is not None and frame[-1] == form.value[1] and sum(frame[1:-2]) & 0xFF == frame[-2]


def measure(buffer: bytes, start: int) -> int | Reason | None:
    """The size of the reader's frame that begins there, as :class:`.framing.Framing` wants it."""
    head = buffer[start : start + HEAD]
    if len(head) < 2:
        return None
    lengths = _LENGTHS.get(head[1])
    if lengths is None or (len(head) > 2 and head[2] not in lengths):
        return Reason.GARBAGE
    if len(head) < HEAD:
        return None
    length = head[3] << 8 | head[4]
    return OVERHEAD + length if length in lengths[head[2]] else Reason.LENGTH
