"""A0 frames: the envelope, its sum, and the words for commands, codes, regions and channels.

Sources: "UHF RFID Reader Serial Interface Protocol" V2.2 (IND903) and V3.7; what rust-invelion, pyImpinj and race
timers made with such readers say of real ones.
"""

from __future__ import annotations

PUBLIC = 0xFF  # every reader listens to it, and answers from its own address
FACTORY_ADDRESS = 0x01
BAUDS = {115200: 4, 38400: 3, 19200: 2, 9600: 1}  # and their codes; the likeliest first

READ_GPIO = 0x60
SET_DETECTOR = 0x62
GET_DETECTOR = 0x63
SET_TEMPORARY_POWER = 0x66
GET_IDENTIFIER = 0x68
SET_LINK = 0x69
GET_LINK = 0x6A
RESET = 0x70
SET_BAUD = 0x71
GET_VERSION = 0x72
SET_ANTENNA = 0x74
GET_ANTENNA = 0x75
GET_POWER = 0x77
SET_REGION = 0x78
GET_REGION = 0x79
GET_TEMPERATURE = 0x7B
GET_RETURN_LOSS = 0x7E
BUFFERED_INVENTORY = 0x80
READ_MEMORY = 0x81
GET_MATCH = 0x86
REALTIME_INVENTORY = 0x89
SWITCHED_INVENTORY = 0x8A
SESSION_INVENTORY = 0x8B
GET_BUFFER = 0x90
GET_AND_CLEAR_BUFFER = 0x91
COUNT_BUFFER = 0x92

INVENTORIES = frozenset({REALTIME_INVENTORY, SWITCHED_INVENTORY, SESSION_INVENTORY})
MEMORY = frozenset({READ_MEMORY, 0x82, 0x83, 0x84, 0x94})
BUFFERS = frozenset({GET_BUFFER, GET_AND_CLEAR_BUFFER})

NAMES = {
    READ_GPIO: "gpio",
    0x61: "set_gpio",
    SET_DETECTOR: "set_antenna_detector",
    GET_DETECTOR: "antenna_detector",
    SET_TEMPORARY_POWER: "set_temporary_power",
    0x67: "set_identifier",
    GET_IDENTIFIER: "identifier",
    SET_LINK: "set_link",
    GET_LINK: "link",
    0x6C: "set_antenna_group",
    0x6D: "antenna_group",
    RESET: "reset",
    SET_BAUD: "set_baud",
    GET_VERSION: "version",
    0x73: "set_address",
    SET_ANTENNA: "set_work_antenna",
    GET_ANTENNA: "work_antenna",
    0x76: "set_power",
    GET_POWER: "power",
    SET_REGION: "set_region",
    GET_REGION: "region",
    0x7A: "set_beeper",
    GET_TEMPERATURE: "temperature",
    GET_RETURN_LOSS: "return_loss",
    BUFFERED_INVENTORY: "buffered_inventory",
    READ_MEMORY: "read_memory",
    0x82: "write_memory",
    0x83: "lock",
    0x84: "kill",
    0x85: "set_match",
    GET_MATCH: "match",
    REALTIME_INVENTORY: "realtime_inventory",
    SWITCHED_INVENTORY: "switched_inventory",
    SESSION_INVENTORY: "session_inventory",
    0x8C: "set_fast_tid",
    0x8D: "save_fast_tid",
    0x8E: "fast_tid",
    GET_BUFFER: "buffer",
    GET_AND_CLEAR_BUFFER: "buffer_and_clear",
    COUNT_BUFFER: "buffer_count",
    0x93: "clear_buffer",
    0x94: "write_block",
    0x98: "mask",
}

# Data bytes that an answer can have, where it is more than a code.
_ANY = range(1, 253)
_SIZES: dict[int, frozenset[int] | range] = {
    READ_GPIO: range(1, 5),
    GET_IDENTIFIER: frozenset({1, 12}),
    GET_VERSION: range(1, 5),
    GET_POWER: frozenset({1, 4, 8, 16}),
    GET_REGION: frozenset({1, 3, 6}),
    GET_TEMPERATURE: range(1, 3),
    BUFFERED_INVENTORY: frozenset({1, 9}),
    COUNT_BUFFER: range(1, 3),
    GET_MATCH: range(1, 67),
    0x98: _ANY,
    **dict.fromkeys(MEMORY | BUFFERS, _ANY),
}
_CODE_ONLY = range(1, 2)
SIZES = {number: _SIZES.get(number, _CODE_ONLY) for number in NAMES if number not in INVENTORIES}

OK = 0x10
ANTENNA_MISSING = 0x22
NO_CHIP = 0x36
NO_RETURN_LOSS = 0xEE
CODES = {
    OK: "done",
    0x11: "failed",
    0x20: "could not reset itself",
    0x21: "could not switch its carrier on",
    ANTENNA_MISSING: "antenna missing",
    0x23: "could not write its flash",
    0x24: "could not read its flash",
    0x25: "could not set its power",
    0x31: "inventory failed",
    0x32: "could not read the chip",
    0x33: "could not write the chip",
    0x34: "could not lock the chip",
    0x35: "could not kill the chip",
    NO_CHIP: "no chip",
    0x37: "chip found, but no access to it",
    0x38: "its buffer is empty",
    0x40: "no access, or a wrong password",
    0x41: "parameter not possible",
    0x42: "too many words",
    0x43: "no such memory bank",
    0x44: "no such area to lock",
    0x45: "no such lock",
    0x46: "reader address not possible",
    0x47: "no such antenna",
    0x48: "power not possible",
    0x49: "region not possible",
    0x4A: "baud not possible",
    0x4B: "beeper mode not possible",
    0x4C: "match too long",
    0x4D: "match wrong",
    0x4E: "match mode not possible",
    0x4F: "frequency not possible",
    0x50: "chip not singled out (RN16)",
    0x51: "DRM mode not possible",
    0x52: "its PLL does not lock",
    0x53: "its RF chip does not answer",
    0x54: "does not reach its power",
    0x55: "copyright not confirmed",
    0x56: "not allowed by its spectrum rules",
    0x57: "its power is too low",
    NO_RETURN_LOSS: "return loss could not be measured",
}

USER_REGION = 0x04
REGIONS = {"fcc": 0x01, "etsi": 0x02, "chn": 0x03}
REGION_NAMES = {code: name for name, code in REGIONS.items()} | {USER_REGION: "user"}
LAST_CHANNEL = 59
LAST_CHANNEL_868 = 6
LAST_ANTENNA = 15


def words_from_code(code: int) -> str:
    """``antenna missing (22)``."""
    return f"{CODES.get(code, 'error')} ({code:02X})"


def mhz_from_channel(channel: int) -> float:
    """The middle of a channel from 0: 865.0 to 868.0 MHz up to 6, from 902.0 MHz on from 7, half a MHz apart."""
    return 865.0 + channel / 2 if channel <= LAST_CHANNEL_868 else 902.0 + (channel - LAST_CHANNEL_868 - 1) / 2


def dbm_from_rssi(index: int) -> int:
    """The maker's table: 98 is -31 dBm, 31 is -99 dBm, with a step of 2 dB between 90 and 89."""
    return index - 129 if index >= 90 else index - 130


def command(number: int, data: bytes = b"", address: int = PUBLIC) -> bytes:
    """What the host sends."""
    whole = bytes((0xA0, len(data) + 3, address, number)) + data
    return whole + bytes((-sum(whole) & 0xFF,))


def is_whole(frame: bytes) -> bool:
    """Whether the sum of a frame is right."""
    return sum(frame) & 0xFF == 0
