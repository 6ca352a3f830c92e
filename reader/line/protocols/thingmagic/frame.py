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
SET_BAUD = 0x06
GET_PROGRAM = 0x0C
READ_MULTIPLE = 0x22
GET_BUFFER = 0x29
STREAM = 0x2F
GET_ANTENNAS = 0x61
GET_READ_POWER = 0x62
GET_REGION = 0x67
GET_CONFIG = 0x6A
GET_GEN2 = 0x6B
GET_STATISTICS = 0x6C
GET_TEMPERATURE = 0x72
SET_ANTENNAS = 0x91
SET_READ_POWER = 0x92
SET_PROTOCOL = 0x93
SET_REGION = 0x97
SET_CONFIG = 0x9A
SET_GEN2 = 0x9B

# The speeds that a module can have, the likeliest first: it wakes up at the first.
BAUDS = (115200, 9600, 921600, 19200, 38400, 57600, 230400, 460800)

NAMES = {
    GET_VERSION: "version",
    BOOT: "boot",
    SET_BAUD: "baud",
    GET_PROGRAM: "program",
    0x10: "hardware",
    0x21: "read_single",
    READ_MULTIPLE: "read_multiple",
    0x23: "write_code",
    0x24: "write_memory",
    0x25: "lock",
    0x26: "kill",
    0x28: "read_memory",
    GET_BUFFER: "tag_buffer",
    0x2A: "clear_tag_buffer",
    STREAM: "stream",
    GET_ANTENNAS: "antennas",
    GET_READ_POWER: "read_power",
    0x63: "protocol",
    0x64: "write_power",
    0x65: "channels",
    0x66: "gpio",
    GET_REGION: "region",
    0x68: "power_mode",
    GET_CONFIG: "config",
    GET_GEN2: "gen2",
    GET_STATISTICS: "statistics",
    0x70: "protocols",
    0x71: "regions",
    GET_TEMPERATURE: "temperature",
    SET_ANTENNAS: "set_antennas",
    SET_READ_POWER: "set_read_power",
    SET_PROTOCOL: "set_protocol",
    0x94: "set_write_power",
    0x95: "set_channels",
    0x96: "set_gpio",
    SET_REGION: "set_region",
    0x98: "set_power_mode",
    SET_CONFIG: "set_config",
    SET_GEN2: "set_gen2",
    0x9D: "autonomous",
}

OK = 0x0000
POWER_TOO_HIGH, POWER_TOO_LOW = 0x0103, 0x0106
NO_TAGS = 0x0400
RF_NOT_ON = 0x0405
NO_ANTENNA = 0x0503
TOO_HOT = 0x0504
HIGH_RETURN_LOSS = 0x0505
STATES = {
    0x0100: "wrong length of data",
    0x0101: "unknown command",
    0x0102: "command not implemented",
    POWER_TOO_HIGH: "power too high",
    0x0104: "frequency not possible",
    0x0105: "bad value",
    POWER_TOO_LOW: "power too low",
    0x0109: "feature not implemented",
    0x010A: "baud not possible",
    0x010B: "region not possible",
    0x010C: "not licensed",
    0x0200: "its firmware is broken",
    0x0201: "bad address in its firmware",
    0x0300: "undefined error of its flash",
    0x0301: "wrong password for its flash",
    0x0302: "bad address in its flash",
    0x0303: "can't write its flash",
    0x0304: "can't write the other half of its flash",
    0x0305: "bad sector of its flash",
    0x0306: "its flash was not erased",
    NO_TAGS: "no chip read",
    0x0401: "no protocol set",
    0x0402: "protocol not possible",
    0x0403: "written, but not locked",
    0x0404: "no data read",
    RF_NOT_ON: "the RF part is not on",
    0x0406: "the chip was not written",
    0x0407: "not in this protocol",
    0x0408: "bad data to write",
    0x0409: "bad address in the chip",
    0x040A: "general chip error",
    0x040B: "too much data for the chip",
    0x040C: "bad kill password",
    0x040E: "the chip was not killed",
    0x040F: "the chip was not understood",
    0x0410: "the chip's code is broken",
    0x0411: "bad number of chips",
    0x0413: "not possible for this chip",
    0x0420: "Gen2 error",
    0x0423: "no such memory in the chip",
    0x0424: "the chip is locked",
    0x0425: "Gen2 authentication refused",
    0x0426: "Gen2 untraceable refused",
    0x042B: "the chip has too little power",
    0x042F: "unspecified error of the chip",
    0x0430: "unknown error of the chip",
    0x04A7: "authentication failed",
    0x0500: "frequency out of range",
    0x0501: "the channel is busy",
    0x0502: "the transmitter is already on",
    NO_ANTENNA: "no antenna connected",
    TOO_HOT: "too hot: transmitting less",
    HIGH_RETURN_LOSS: "high return loss: antenna or cable bad",
    0x0507: "bad antenna configuration",
    0x0509: "supply voltage out of range",
    0x0600: "not enough chips",
    0x0601: "its buffer is full: reads are lost",
    0x0602: "the same chip twice",
    0x0603: "too many chips",
    0x0604: "a chip wants authentication",
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
