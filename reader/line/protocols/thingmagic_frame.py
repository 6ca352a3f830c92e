"""ThingMagic frames: the envelope, its checksum, and the words for opcodes, states and regions.

::

    FF LEN OP       DATA[LEN] CRC CRC     host to module
    FF LEN OP ST ST DATA[LEN] CRC CRC     module to host; LEN at most F8, numbers big-endian

The CRC runs over everything from LEN to the last byte of DATA: polynomial 1021, start FFFF, the bits fed in at the
*bottom* of the register (not CCITT-FALSE, whatever the manuals say). Fed so, the last two bytes are only XORed
to the register, and those before pass as in CRC-16/SPI-FUJITSU, whose start 1D0F is FFFF moved on by 16 bits:
``crc(m) = spi_fujitsu(m[:-2]) ^ m[-2:]``.

Sources: MercuryAPI's ``serial_reader_l3.c`` and ``tmr_status.h``; frames of the SparkFun library and others' logs.
"""

from __future__ import annotations

from fastcrc.crc16 import spi_fujitsu

MAX_DATA = 0xF8
OVERHEAD = 7  # of a module's frame: all but DATA

GET_VERSION = 0x03
BOOT = 0x04
GET_PROGRAM = 0x0C
READ_MULTIPLE = 0x22
STREAM = 0x2F
GET_ANTENNAS = 0x61
GET_REGION = 0x67
SET_ANTENNAS = 0x91
SET_PROTOCOL = 0x93
SET_CONFIG = 0x9A
SET_GEN2 = 0x9B

NAMES = {
    GET_VERSION: "version",
    BOOT: "boot",
    0x06: "baud",
    GET_PROGRAM: "program",
    0x21: "read_single",
    READ_MULTIPLE: "read_multiple",
    0x29: "tag_buffer",
    0x2A: "clear_tag_buffer",
    STREAM: "stream",
    GET_ANTENNAS: "antennas",
    0x62: "read_power",
    0x63: "protocol",
    0x64: "write_power",
    0x66: "gpio",
    GET_REGION: "region",
    0x68: "power_mode",
    0x6A: "config",
    0x6B: "gen2",
    0x6C: "statistics",
    0x70: "protocols",
    0x71: "regions",
    0x72: "temperature",
    SET_ANTENNAS: "set_antennas",
    0x92: "set_read_power",
    SET_PROTOCOL: "set_protocol",
    0x94: "set_write_power",
    0x96: "set_gpio",
    0x97: "set_region",
    0x98: "set_power_mode",
    SET_CONFIG: "set_config",
    SET_GEN2: "set_gen2",
    0x9D: "autonomous",
}

OK = 0x0000
NO_TAGS = 0x0400
RF_NOT_ON = 0x0405
STATES = {
    0x0100: "wrong length of data",
    0x0101: "unknown command",
    0x0102: "command not implemented",
    0x0103: "power too high",
    0x0104: "frequency not possible",
    0x0105: "bad value",
    0x0106: "power too low",
    0x0109: "feature not implemented",
    0x010A: "baud not possible",
    0x010B: "region not possible",
    0x010C: "not licensed",
    NO_TAGS: "no chip read",
    0x0401: "no protocol set",
    0x0402: "protocol not possible",
    0x0404: "no data read",
    RF_NOT_ON: "the RF part is not on",
    0x040A: "general chip error",
    0x0410: "the chip's code is broken",
    0x0420: "Gen2 error",
    0x042B: "the chip has too little power",
    0x0500: "frequency out of range",
    0x0501: "the channel is busy",
    0x0502: "the transmitter is already on",
    0x0503: "no antenna connected",
    0x0504: "too hot: transmitting less",
    0x0505: "high return loss: antenna or cable bad",
    0x0507: "bad antenna configuration",
    0x0509: "supply voltage out of range",
    0x0600: "not enough chips",
    0x0601: "its buffer is full: reads are lost",
    0x0602: "the same chip twice",
    0x0603: "too many chips",
    0x7F00: "unknown error inside the module",
    0x7F01: "failed assertion inside the module",
}


def words_from_status(status: int) -> str:
    """``too hot: transmitting less (0504)``."""
    return f"{STATES.get(status, 'error')} ({status:04X})"


def checksum(content: bytes) -> int:
    """The CRC over ``content``: LEN to the last byte of DATA, at least two bytes."""
    return int(spi_fujitsu(content[:-2])) ^ int.from_bytes(content[-2:])


def command(opcode: int, data: bytes = b"") -> bytes:
    """What the host sends."""
    content = bytes((len(data), opcode)) + data
    return b"\xff" + content + checksum(content).to_bytes(2)


def is_whole(frame: bytes) -> bool:
    """Whether the checksum of a module's frame is right."""
    return checksum(frame[1:-2]) == int.from_bytes(frame[-2:])
