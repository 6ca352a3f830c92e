"""A simulated ThingMagic module (an M6e Micro): silent until told to stream.

A tag report (OP 22) is: option 10, search flags (2), metadata mask (2), type 01, the fields of the mask
from its lowest bit up, then the bits of what follows (2), PC (2), EPC, the chip's own CRC (2). A report on the module
itself is: option 00, search flags (2), type 02, the flags, then for each flag: flag, length, value (MercuryAPI,
``serial_reader_l3.c``). What it keeps and answers is in :mod:`.thingmagic_module`.
"""

from __future__ import annotations

import binascii
import re
from struct import pack

from reader.simulator.radio import Radio
from reader.simulator.thingmagic_module import (
    BAD_PARAMETER,
    BAD_REGION,
    BOOT,
    FACTORY_BAUD,
    GEN2,
    NO_PROTOCOL,
    NO_TAGS,
    NOT_NOW,
    STATISTICS,
    STREAM,
    RefusedError,
    ThingMagicModule,
    frame_of,
)

CHIP_PREFIX = "E28011700000"  # of chips made from a number: an EPC as UHF bibs have
MS_NS = 1_000_000
GAP_NS = 1_000 * MS_NS  # of reads lost where the buffer was full
HEARD_HOT = 3  # of so many reads one, when it is too hot
HEARD_DEAF = 20  # likewise, with an antenna that is deaf

READ = 0x22
RETURN_LOSS = b"\6"  # the option of 61 for which it has to transmit
NO_ANTENNA, TOO_HOT, BUFFER_FULL = 0x0503, 0x0504, 0x0601
WITH_STATISTICS = 0x0100  # among the search flags
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


def make_reader(baud: int | None = None, antennas: int = 1, region: int | None = None) -> ThingMagicReader:
    """A module as it comes: 115200 baud, North America."""
    return ThingMagicReader(baud or FACTORY_BAUD, antennas, 1 if region is None else region)


class ThingMagicReader(ThingMagicModule):
    """A module with ``antennas`` connected. ``region``: at power-up, 0 for none: then it refuses to stream."""

    suffers = Radio.faults | {"reboot", "deaf", "buffer-full", "no-region"}

    def __init__(self, baud: int = FACTORY_BAUD, antennas: int = 1, region: int = 1) -> None:
        self._now_ns = self._unheard = 0
        self._deaf: set[int] = set()
        super().__init__(baud, antennas, region)
        self._answers |= {
            0x21: self._search,
            READ: self._search,
            STREAM: self._stream,
            STATISTICS: self._statistics,
            0x72: self._temperature,
        }

    def _power_up(self) -> None:
        super()._power_up()
        self._is_streaming = False
        self._flags, self._mask, self._reports = b"", 0, 0
        self._started_ns = self._cycle_ends_ns = self._cycle_ns = self._deaf_until_ns = 0
        self._cycle_had_tag = False
        self._reads = self._cycles = 0

    # ---- chips ---------------------------------------------------------------------------------------

    @property
    def is_hearing(self) -> bool:
        """It streams."""
        return self._is_streaming

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        """The frame, and the time that it bears: that of the start command and whole milliseconds since.

        None where it does not hear: not streaming (yet), that antenna is not in its search list or not connected, it is
        too hot, its buffer was full.
        """
        if not self._is_streaming or at_ns < max(self._started_ns, self._deaf_until_ns):
            return None
        if antenna not in self._searched or not self._connected[antenna]:
            return None
        self._reads += 1
        if self._radio.is_hot and self._reads % HEARD_HOT:
            return None
        if antenna in self._deaf:
            self._unheard += 1
            if self._unheard % HEARD_DEAF:
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
        frame = frame_of(
            READ,
            b"\x10%b%b\x01%b%b%b"
            % (self._flags, self._mask.to_bytes(2), metadata, (len(record) * 8).to_bytes(2), record),
        )
        return frame, self._started_ns + ms * MS_NS

    def tick(self, now_ns: int) -> bytes:
        """What it says at the end of the cycles that ended by ``now_ns`` (UTC)."""
        self._now_ns = now_ns
        said = b""
        while self._is_streaming and now_ns >= self._cycle_ends_ns:
            if not self._cycle_had_tag:
                said += frame_of(READ, status=NO_TAGS)
            if self._radio.is_hot:
                said += frame_of(READ, status=TOO_HOT)
            if not all(self._connected[port] for port in self._searched):
                said += frame_of(READ, status=NO_ANTENNA)
            if self._reports:
                said += frame_of(READ, b"\0" + self._flags + b"\x02" + self._report_on_itself(self._reports))
            self._cycle_had_tag = False
            self._cycle_ends_ns += self._cycle_ns
            self._cycles += 1
        return said

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """What it says on that."""
        match fault:
            case "reboot":
                self._power_up()
                self.baud = FACTORY_BAUD
                return frame_of(BOOT, self._version)
            case "deaf":
                self._deaf ^= {antenna}
            case "no-region":
                self._region, self._region_at_power_up = b"\0", 0
            case "buffer-full":
                self._deaf_until_ns = self._now_ns + GAP_NS
                return frame_of(READ, status=BUFFER_FULL) if self._is_streaming else b""
            case of_its_radio if of_its_radio in Radio.faults:
                self._radio.suffer(of_its_radio, antenna)
            case _:
                raise ValueError(f"this reader can't have the fault {fault}")
        return b""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete; a damaged one is not answered."""
        self._now_ns = now_ns
        return self.commands(data)

    # ---- commands ------------------------------------------------------------------------------------

    def _search(self, _: bytes) -> bytes:
        raise RefusedError(NO_TAGS)

    def _get_antennas(self, data: bytes) -> bytes:
        if data == RETURN_LOSS and self._is_streaming:
            raise RefusedError(NOT_NOW)
        if data == RETURN_LOSS and self._region == b"\0":
            raise RefusedError(BAD_REGION)
        return super()._get_antennas(data)

    def _temperature(self, _: bytes) -> bytes:
        if self._is_streaming:
            raise RefusedError(NOT_NOW)
        return bytes((self._radio.temperature_c,))

    def _statistics(self, data: bytes) -> bytes:
        """Asked with option 02 and the flags, seven bits a byte."""
        if self._is_streaming:
            raise RefusedError(NOT_NOW)
        if len(data) < 2 or data[0] != 2:
            raise RefusedError(BAD_PARAMETER)
        flags = 0
        for byte in data[1:]:
            flags = flags << 7 | byte & 0x7F
        return b"\2" + self._report_on_itself(flags)

    def _report_on_itself(self, flags: int) -> bytes:
        port = self._searched[self._cycles % len(self._searched)]
        values = {
            0x0001: b"".join(pack(">BI", port, self._cycles * self._cycle_ns // MS_NS) for port in self._searched),
            0x0040: b"".join(pack("BBb", port, port, self._radio.noise_dbm) for port in self._searched),
            0x0080: (923_200).to_bytes(3),
            0x0100: bytes((self._radio.temperature_c,)),
            0x0200: bytes((port, port)),
            0x0400: b"\x05",
            0x0800: bytes(number for pair in self._connected.items() for number in pair),
        }
        known = {flag: value for flag, value in values.items() if flags & flag}
        return _in_sevens(sum(known)) + b"".join(
            _in_sevens(flag) + bytes((len(value),)) + value for flag, value in known.items()
        )

    def _stream(self, data: bytes) -> bytes:
        """``0000 02`` stops; ``0000 01 22 0000 05 LEN 22 10 FLAGS(2) CYCLE_MS(2) MASK(2) [REPORTS(2)]`` starts."""
        if data == b"\0\0\2":
            self._is_streaming = False
            return b"\2"
        if len(data) < 16 or data[2:4] != b"\x01\x22" or data[8:10] != b"\x22\x10" or data[7] != len(data) - 9:
            raise RefusedError(BAD_PARAMETER)
        if self._region == b"\0":
            raise RefusedError(BAD_REGION)
        if self._protocol != GEN2:
            raise RefusedError(NO_PROTOCOL)
        self._flags, self._mask = data[10:12], int.from_bytes(data[14:16]) & 0x01FF
        self._reports = int.from_bytes(data[16:18]) if int.from_bytes(self._flags) & WITH_STATISTICS else 0
        self._cycle_ns = max(int.from_bytes(data[12:14]), 1) * MS_NS
        self._started_ns, self._cycle_ends_ns = self._now_ns, self._now_ns + self._cycle_ns
        self._cycle_had_tag, self._is_streaming = False, True
        return b"\x01\x22\0\0"


def _in_sevens(flags: int) -> bytes:
    """Seven bits a byte, the highest first; bit 80: more follow."""
    said = bytes((flags & 0x7F,))
    while flags := flags >> 7:
        said = bytes((0x80 | flags & 0x7F,)) + said
    return said
