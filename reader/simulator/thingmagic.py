"""A simulated ThingMagic module (an M6e Micro): binary frames, silent until told to stream.

::

    host → module   FF LEN OP data[LEN] CRC CRC
    module → host   FF LEN OP status status data[LEN] CRC CRC

The CRC covers LEN to the last byte of data: the remainder modulo x¹⁶+x¹²+x⁵+1, a nibble at a time fed in
at the bottom of the register, begun with FFFF (MercuryAPI, ``serial_reader_l3.c``). So are the layouts below.

A tag report (OP 22) is: option 10, search flags (2), metadata mask (2), type 01, the fields of the mask
from its lowest bit up, then the bits of what follows (2), PC (2), EPC, the chip's own CRC (2).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

BAUDS = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
CHIP_PREFIX = "E28011700000"  # of chips made from a number: an EPC as UHF bibs have
LONGEST_DATA = 0xF8
MS_NS = 1_000_000

BAD_LENGTH, BAD_OPCODE, POWER_TOO_HIGH, BAD_PARAMETER, POWER_TOO_LOW = 0x0100, 0x0101, 0x0103, 0x0105, 0x0106
NOT_NOW, BAD_BAUD, BAD_REGION, NO_TAGS, NO_PROTOCOL = 0x0109, 0x010A, 0x010B, 0x0400, 0x0401

APPLICATION = bytes.fromhex("12")
VERSION = bytes.fromhex("00141208 20000002 20220804 010B0125 00000010")  # hardware 20: M6e Micro
REGIONS = bytes.fromhex("0102060708090D0EFF")
GEN2 = bytes.fromhex("0005")
MOST_POWER_CDBM, LEAST_POWER_CDBM = 3000, 0
TEMPERATURE_C = 30

READ, STREAM, BOOT = 0x22, 0x2F, 0x04
_CHIP = re.compile(r"([0-9A-Fa-f]{4}){1,31}")


def chip_from_number(number: int) -> str:
    """A 96-bit EPC: ``CHIP_PREFIX`` and twelve hex digits of the number; ValueError outside them."""
    if not 0 <= number < 16**12:
        raise ValueError("expected a number from 0 to 281474976710655")
    return f"{CHIP_PREFIX}{number:012X}"


def chip_from_text(text: str) -> str:
    """A chip's code as it is, in upper case; ValueError unless whole 16-bit words of hex, at most 31."""
    if not _CHIP.fullmatch(text):
        raise ValueError("expected hex digits, a multiple of four of them and at most 124, as an EPC has")
    return text.upper()


def _crc_table() -> list[int]:
    """What a byte falling out at the top of the register takes with it, by the definition: two nibbles."""
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(2):
            crc = (crc << 4 & 0xFFFF) ^ (crc >> 12) * 0x1021 & 0xFFFF
        table.append(crc)
    return table


_CRC = _crc_table()


def _crc_of(body: bytes) -> bytes:
    crc = 0xFFFF
    for byte in body:
        crc = (crc << 8 & 0xFFFF | byte) ^ _CRC[crc >> 8]
    return crc.to_bytes(2)


def _reply(opcode: int, data: bytes = b"", status: int = 0) -> bytes:
    body = bytes((len(data), opcode)) + status.to_bytes(2) + data
    return b"\xff" + body + _crc_of(body)


class _RefusedError(Exception):
    """The module answers with this status and no data."""

    def __init__(self, status: int) -> None:
        self.status = status


class ThingMagicReader:
    """A module with ``antennas`` connected. ``region``: at power-up, 0 for none: then it refuses to stream."""

    def __init__(self, baud: int = 115_200, antennas: int = 1, region: int = 1) -> None:
        self.baud = baud
        self._antennas = antennas
        self._region_at_power_up = region
        self._answers: dict[int, Callable[[bytes], bytes]] = {
            0x0C: lambda _: APPLICATION,
            BOOT: lambda _: VERSION,
            0x03: lambda _: VERSION,
            0x06: self._set_baud,
            0x67: lambda _: self._region,
            0x97: self._set_region,
            0x71: lambda _: REGIONS,
            0x63: lambda _: self._protocol,
            0x93: self._set_protocol,
            0x61: self._antenna_ports,
            0x91: self._set_antennas,
            0x62: lambda data: self._power(0x92, data),
            0x92: lambda data: self._set_power(0x92, data),
            0x64: lambda data: self._power(0x94, data),
            0x94: lambda data: self._set_power(0x94, data),
            0x6A: lambda data: self._setting(0x9A, data),
            0x9A: lambda data: self._set(0x9A, data),
            0x6B: lambda data: self._setting(0x9B, data),
            0x9B: lambda data: self._set(0x9B, data),
            0x72: self._temperature,
            STREAM: self._stream,
        }
        self._heard = b""
        self._now_ns = 0
        self._power_up()

    def _power_up(self) -> None:
        self._region = bytes((self._region_at_power_up,))
        self._protocol = bytes(2)
        self._searched = set(range(1, self._antennas + 1))
        self._powers_cdbm = {0x92: 2000, 0x94: 2000}
        self._settings: dict[bytes, bytes] = {b"\x9a\x01\x0c": b"\x01"}  # the read filter is on
        self._is_streaming = False
        self._flags, self._mask = b"", 0
        self._started_ns = self._cycle_ends_ns = self._cycle_ns = 0
        self._cycle_had_tag = False

    # ---- chips ---------------------------------------------------------------------------------------

    @property
    def is_hearing(self) -> bool:
        """It streams."""
        return self._is_streaming

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        """The frame, and the time that it bears: that of the start command and whole milliseconds since.

        None where it does not hear: not streaming (yet), or that antenna is not in its search list.
        """
        if not self._is_streaming or at_ns < self._started_ns or antenna not in self._searched:
            return None
        ms = (at_ns - self._started_ns) // MS_NS
        fields = (
            (0x0001, b"\x01"),  # read count
            (0x0002, rssi_dbm.to_bytes(1, signed=True)),
            (0x0004, bytes((antenna % 16 << 4 | antenna % 16,))),  # transmits and receives; port 16 is 0
            (0x0008, (923_200).to_bytes(3)),  # kHz
            (0x0010, (ms & 0xFFFF_FFFF).to_bytes(4)),
            (0x0020, bytes(2)),  # phase
            (0x0040, b"\x05"),  # Gen2
            (0x0080, bytes(2)),  # no embedded data
            (0x0100, b"\x0f"),  # GPIO
        )
        epc = bytes.fromhex(chip)
        pc_epc = (len(epc) // 2 << 11).to_bytes(2) + epc
        chip_crc = binascii.crc_hqx(pc_epc, 0xFFFF) ^ 0xFFFF  # the Gen2 chip's own: CRC-16/GENIBUS
        record = pc_epc + chip_crc.to_bytes(2)
        metadata = b"".join(field for bit, field in fields if self._mask & bit)
        self._cycle_had_tag = True
        frame = _reply(
            READ,
            b"\x10%b%b\x01%b%b%b"
            % (self._flags, self._mask.to_bytes(2), metadata, (len(record) * 8).to_bytes(2), record),
        )
        return frame, self._started_ns + ms * MS_NS

    def tick(self, now_ns: int) -> bytes:
        """The keep-alives of cycles that ended by ``now_ns`` (UTC) without a tag."""
        said = b""
        while self._is_streaming and now_ns >= self._cycle_ends_ns:
            if not self._cycle_had_tag:
                said += _reply(READ, status=NO_TAGS)
            self._cycle_had_tag = False
            self._cycle_ends_ns += self._cycle_ns
        return said

    def reboot(self) -> bytes:
        """Settings are as at power-up, it does not stream, and says unasked that it has booted."""
        self._power_up()
        return _reply(BOOT, VERSION)

    # ---- commands ------------------------------------------------------------------------------------

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete; a damaged one is not answered."""
        self._now_ns = now_ns
        heard = self._heard + data
        said = b""
        while len(heard) >= 2:
            end = heard[1] + 5
            if heard[0] != 0xFF or heard[1] > LONGEST_DATA:
                heard = heard[1:]
            elif len(heard) < end:
                break
            elif _crc_of(heard[1 : end - 2]) == heard[end - 2 : end]:
                said += self._answer(heard[2], heard[3 : end - 2])
                heard = heard[end:]
            else:
                heard = heard[1:]
        self._heard = heard
        return said

    def _answer(self, opcode: int, data: bytes) -> bytes:
        if opcode not in self._answers:
            return _reply(opcode, status=BAD_OPCODE)
        try:
            return _reply(opcode, self._answers[opcode](data))
        except _RefusedError as refused:
            return _reply(opcode, status=refused.status)

    def _set_baud(self, data: bytes) -> bytes:
        if int.from_bytes(data) not in BAUDS:
            raise _RefusedError(BAD_BAUD)
        self.baud = int.from_bytes(data)
        return b""

    def _set_region(self, data: bytes) -> bytes:
        if len(data) != 1 or data not in REGIONS:
            raise _RefusedError(BAD_REGION)
        self._region = data
        return b""

    def _set_protocol(self, data: bytes) -> bytes:
        if data != GEN2:
            raise _RefusedError(BAD_PARAMETER)
        self._protocol = data
        return b""

    def _antenna_ports(self, data: bytes) -> bytes:
        if data != b"\x05":
            raise _RefusedError(BAD_PARAMETER)
        return data + b"".join(bytes((port, 1)) for port in range(1, self._antennas + 1))

    def _set_antennas(self, data: bytes) -> bytes:
        if len(data) < 3 or len(data) % 2 == 0 or data[0] != 2:
            raise _RefusedError(BAD_LENGTH)
        searched = set(data[1::2])
        if not searched <= set(range(1, self._antennas + 1)) or data[1::2] != data[2::2]:
            raise _RefusedError(BAD_PARAMETER)
        self._searched = searched
        return b""

    def _power(self, which: int, data: bytes) -> bytes:
        """Of option 0: the power; of option 1: and the most and the least that it could be."""
        if data not in (b"\0", b"\1"):
            raise _RefusedError(BAD_PARAMETER)
        power, limits = self._powers_cdbm[which].to_bytes(2), MOST_POWER_CDBM.to_bytes(2) + LEAST_POWER_CDBM.to_bytes(2)
        return data + power + (limits if data == b"\1" else b"")

    def _set_power(self, which: int, data: bytes) -> bytes:
        if len(data) != 2:
            raise _RefusedError(BAD_LENGTH)
        cdbm = int.from_bytes(data, signed=True)
        if cdbm > MOST_POWER_CDBM:
            raise _RefusedError(POWER_TOO_HIGH)
        if cdbm < LEAST_POWER_CDBM:
            raise _RefusedError(POWER_TOO_LOW)
        self._powers_cdbm[which] = cdbm
        return b""

    def _set(self, opcode: int, data: bytes) -> bytes:
        if len(data) < 3:
            raise _RefusedError(BAD_LENGTH)
        self._settings[bytes((opcode,)) + data[:2]] = data[2:]
        return b""

    def _setting(self, opcode: int, data: bytes) -> bytes:
        if len(data) != 2:
            raise _RefusedError(BAD_LENGTH)
        return data + self._settings.get(bytes((opcode,)) + data, b"\0")

    def _temperature(self, _: bytes) -> bytes:
        if self._is_streaming:
            raise _RefusedError(NOT_NOW)
        return bytes((TEMPERATURE_C,))

    def _stream(self, data: bytes) -> bytes:
        """``0000 02`` stops; ``0000 01 22 0000 05 LEN 22 10 FLAGS(2) CYCLE_MS(2) MASK(2)…`` starts."""
        if data == b"\0\0\2":
            self._is_streaming = False
            return b"\2"
        if len(data) < 16 or data[2:4] != b"\x01\x22" or data[8:10] != b"\x22\x10":
            raise _RefusedError(BAD_PARAMETER)
        if self._region == b"\0":
            raise _RefusedError(BAD_REGION)
        if self._protocol != GEN2:
            raise _RefusedError(NO_PROTOCOL)
        self._flags, self._mask = data[10:12], int.from_bytes(data[14:16]) & 0x01FF
        self._cycle_ns = max(int.from_bytes(data[12:14]), 1) * MS_NS
        self._started_ns, self._cycle_ends_ns = self._now_ns, self._now_ns + self._cycle_ns
        self._cycle_had_tag, self._is_streaming = False, True
        return b"\x01\x22\0\0"
