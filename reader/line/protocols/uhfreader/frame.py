"""UHFReader frames: the envelope, its checksum, and the words for commands, statuses and bands.

::

    LEN ADR CMD        DATA[LEN-4] CRC CRC     host to reader; ADR FF is for every reader
    LEN ADR CMD STATUS DATA[LEN-5] CRC CRC     reader to host; numbers inside DATA big-endian
    56 00 00 00 00 00                          a heartbeat of some firmwares: no length, no CRC

LEN counts what stands behind it. The CRC is CRC-16/MCRF4XX over LEN to the last byte of DATA, its low byte first.
Nothing marks the beginning of a frame, so all that is known of it has to be possible: LEN, ADR, CMD and STATUS.
A command that a reader does not know at all is answered with CMD 00.

Everything is said to ADR FF: whatever address the reader has it answers, and where the line echoes what is said (RS485)
the echo is told from an answer, which never bears FF.

Sources: the makers' manuals of UHFReader18 (V2.0) and of UHFReader288MP / SID UR (V1.14), and their SDK.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fastcrc.crc16 import mcrf4xx

from reader.model import Reason

EVERYONE = 0xFF
OVERHEAD = 6  # of a reader's frame: all but DATA
HEARTBEAT = bytes.fromhex("560000000000")
BEGINNING = re.compile(rb"[\x05-\xff]")  # what LEN can be

UNKNOWN = 0x00
INVENTORY = 0x01
SINGLE = 0x0F
INVENTORY_BY_EPC = 0x1A
INVENTORY_QT = 0x1B
INFO = 0x21
SET_BAND = 0x22
SET_SCAN_TIME = 0x25
SET_BAUD = 0x28
SET_POWER = 0x2F
SET_MODE_18 = 0x35
MODE_18 = 0x36
SERIAL = 0x4C
SET_ANTENNA_CHECK = 0x66
SET_MODE = 0x76
MODE = 0x77
RETURN_LOSS = 0x91
TEMPERATURE = 0x92
STOP = 0x93
POWERS = 0x94
PUSH = 0xEE

# Those that are answered with chips heard just now.
HEARING = frozenset({INVENTORY, SINGLE, INVENTORY_BY_EPC, INVENTORY_QT})

NAMES = {
    UNKNOWN: "unknown_command",
    INVENTORY: "inventory",
    0x02: "read_memory",
    0x03: "write_memory",
    0x04: "write_epc",
    SINGLE: "single",
    0x18: "buffered_inventory",
    0x19: "mixed_inventory",
    INVENTORY_BY_EPC: "inventory_by_epc",
    INVENTORY_QT: "inventory_qt",
    INFO: "info",
    SET_BAND: "set_band",
    0x24: "set_address",
    SET_SCAN_TIME: "set_scan_time",
    SET_BAUD: "set_baud",
    SET_POWER: "set_power",
    0x33: "led_and_beep",
    SET_MODE_18: "set_work_mode",
    MODE_18: "work_mode",
    0x3F: "set_antennas",
    0x40: "set_buzzer",
    SERIAL: "serial",
    SET_ANTENNA_CHECK: "set_antenna_check",
    0x6E: "return_loss_threshold",
    0x72: "buffer",
    0x73: "clear_buffer",
    0x74: "buffer_count",
    0x75: "set_realtime",
    SET_MODE: "set_work_mode",
    MODE: "work_mode",
    0x78: "heartbeat_interval",
    RETURN_LOSS: "return_loss",
    TEMPERATURE: "temperature",
    STOP: "stop",
    POWERS: "powers",
    0x9A: "select",
    PUSH: "push",
}
# Known too, from the makers' lists, if without a name of their own here.
_COMMANDS = frozenset({*range(0x1D), *range(0x20, 0x56), 0x66, *range(0x6E, 0x7C), *range(0x7D, 0x86)}) | frozenset(
    {*range(0x90, 0x9C), 0xE9, 0xEA, 0xEB, PUSH}
)

# Only these are answered at length: no other frame that seems to be long is waited for.
_LONG = HEARING | {0x02, 0x18, 0x19, MODE_18, 0x42, 0x43, 0x4E, 0x52, 0x72, MODE, 0x96, 0xEB, PUSH}
_LONGEST_SHORT = 64

OK, DONE, EXPIRED, MORE, FULL = 0x00, 0x01, 0x02, 0x03, 0x04
STATISTICS, QUIET = 0x26, 0x28
BAD_ANTENNA, NO_CHIP, BAD_LENGTH, BAD_COMMAND, BAD_PARAMETER = 0xF8, 0xFB, 0xFD, 0xFE, 0xFF
STATUSES = {
    FULL: "its memory is full: chips are lost",
    0x05: "wrong access password",
    0x13: "could not be saved",
    BAD_ANTENNA: "the antenna is not connected",
    0xF9: "could not be carried out",
    0xFA: "a chip is there, but does not go along",
    NO_CHIP: "no chip",
    0xFC: "the chip refuses",
    BAD_LENGTH: "wrong length of the command",
    BAD_COMMAND: "unknown command, or damaged on the line",
    BAD_PARAMETER: "value not possible",
}
# A status in these bounds is an answer of sorts; from the second on it is a refusal, with at most so much of DATA.
_LAST_RESULT, _FIRST_REFUSAL, _LONGEST_REFUSAL = 0x2F, 0xEE, 8

BAUDS = {9600: 0, 19200: 1, 38400: 2, 57600: 5, 115200: 6}  # by their codes


class Band(NamedTuple):
    """A band: ``code`` as the top bits of the two bytes say it, channel 0 and the step in kHz, the highest channel."""

    code: int
    first_khz: int
    step_khz: int
    last: int


BANDS = {
    "us": Band(0b0010, 902_750, 500, 49),
    "eu": Band(0b0100, 865_100, 200, 14),
    "eu3": Band(0b1001, 865_700, 600, 3),
    "china1": Band(0b1000, 840_125, 250, 19),
    "china2": Band(0b0001, 920_125, 250, 19),
    "korea": Band(0b0011, 917_100, 200, 31),
    "us3": Band(0b1100, 902_000, 500, 52),
    "taiwan": Band(0b1010, 922_250, 500, 11),
    "ukraine": Band(0b0110, 868_000, 100, 6),
    "peru": Band(0b0111, 916_200, 900, 11),
    "user": Band(0b0000, 902_600, 400, 62),  # of UHFReader18; no profile asks for it
}


def checksum(content: bytes) -> bytes:
    """The CRC over ``content``, as it stands on the line; two zero bytes over a whole frame."""
    return int(mcrf4xx(content)).to_bytes(2, "little")


def command(cmd: int, data: bytes = b"", address: int = EVERYONE) -> bytes:
    """What the host sends; ValueError for more than 251 bytes of data."""
    if len(data) > 251:
        raise ValueError(f"{len(data)} bytes are too many for one command")
    content = bytes((len(data) + 4, address, cmd)) + data
    return content + checksum(content)


def is_whole(frame: bytes) -> bool:
    """Whether the checksum of a reader's frame is right."""
    return mcrf4xx(frame) == 0


def is_refusal(status: int) -> bool:
    """Whether a reader that answers so has not done what it was asked."""
    return status >= _FIRST_REFUSAL or status in (0x05, 0x13)


def words_from_status(status: int) -> str:
    """``value not possible (FF)``."""
    return f"{STATUSES.get(status, 'error')} ({status:02X})"


def measure(buffer: bytes, start: int) -> int | Reason | None:
    """The size of the frame at ``start``; None while too few bytes have come; a reason if none can begin there."""
    head = buffer[start : start + len(HEARTBEAT)]
    if HEARTBEAT.startswith(head):
        return len(HEARTBEAT) if head == HEARTBEAT else None
    if len(head) > 1 and head[1] == EVERYONE:
        return Reason.GARBAGE
    if len(head) > 2 and (head[2] not in _COMMANDS or (head[2] == UNKNOWN and head[0] > _LONGEST_REFUSAL)):
        return Reason.GARBAGE
    if len(head) < 4:
        return None
    if _LAST_RESULT < head[3] < _FIRST_REFUSAL:
        return Reason.GARBAGE
    longest = _LONGEST_REFUSAL if head[3] >= _FIRST_REFUSAL else 255 if head[2] in _LONG else _LONGEST_SHORT
    if head[0] > longest:
        return Reason.LENGTH
    return head[0] + 1


def band_from_bytes(highest: int, lowest: int) -> tuple[str, int, int] | None:
    """The band's name, its first and last channel; None where this is no band at all.

    Zero in both bytes, channel 0 of the user's band by the oldest manual, is what an empty memory holds: no band.
    """
    if not highest | lowest:
        return None
    code = highest >> 6 << 2 | lowest >> 6
    first, last = lowest & 0x3F, highest & 0x3F
    for name, band in BANDS.items():
        if band.code == code and first <= last <= band.last:
            return name, first, last
    return None


def bytes_from_band(name: str, first: int, last: int) -> bytes:
    """What sets it; ValueError, in words, for one that there is not."""
    band = BANDS.get(name)
    if band is None:
        raise ValueError(f"there is no band {name!r}; there are {', '.join(BANDS)}")
    if not 0 <= first <= last <= band.last:
        raise ValueError(f"band {name} has the channels 0 to {band.last}, not {first} to {last}")
    return bytes((band.code >> 2 << 6 | last, (band.code & 3) << 6 | first))


def words_from_band(name: str, first: int, last: int) -> str:
    """``EU 865.1-867.9 MHz``."""
    band = BANDS.get(name)
    if band is None:
        return f"{name}, channels {first} to {last}"
    ends = (f"{(band.first_khz + band.step_khz * channel) / 1000:g}" for channel in (first, last))
    return f"{name.upper()} {'-'.join(ends)} MHz"
