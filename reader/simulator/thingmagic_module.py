"""What a simulated ThingMagic module (an M6e Micro) keeps and answers; its stream is in :mod:`.thingmagic`.

::

    host → module   FF LEN OP data[LEN] CRC CRC
    module → host   FF LEN OP status status data[LEN] CRC CRC

The CRC covers LEN to the last byte of data: the remainder modulo x¹⁶+x¹²+x⁵+1, a nibble at a time fed in
at the bottom of the register, begun with FFFF (MercuryAPI, ``serial_reader_l3.c``). So are the layouts here.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import iter_unpack, pack

from reader.simulator.radio import Radio

FACTORY_BAUD = 115_200
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
LONGEST_DATA = 0xF8

BAD_LENGTH, BAD_OPCODE, POWER_TOO_HIGH, BAD_PARAMETER, POWER_TOO_LOW = 0x0100, 0x0101, 0x0103, 0x0105, 0x0106
NOT_NOW, BAD_BAUD, BAD_REGION, NO_TAGS, NO_PROTOCOL = 0x0109, 0x010A, 0x010B, 0x0400, 0x0401

APPLICATION = bytes.fromhex("12")
VERSION = bytes.fromhex("00141208 20000002 20220804 010B0125 00000010")  # hardware 20: M6e Micro
OTHER_VERSION = bytes.fromhex("00141208 20000002 20181005 01090006 00000010")
REGIONS = bytes.fromhex("0102060708090D0EFF")
GEN2 = bytes.fromhex("0005")
MOST_POWER_CDBM, LEAST_POWER_CDBM, NO_POWER = 3000, 0, -32768
# What the parameters of Gen2 can be, in hex; what they are at power-up comes first.
GEN2_VALUES = {
    0x00: ("00", "01", "02", "03"),
    0x01: ("0100", "0101", "0000", "0001"),
    0x02: ("02", "00", "01", "03"),
    0x10: ("00", "02", "04"),
    0x11: ("00", "01", "02"),
    0x12: ("00", *(f"01{q:02x}" for q in range(16))),
}

VERSION_OF, BOOT, BUFFER, STREAM, STATISTICS = 0x03, 0x04, 0x29, 0x2F, 0x6C


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


def frame_of(opcode: int, data: bytes = b"", status: int = 0) -> bytes:
    """What a module sends."""
    body = bytes((len(data), opcode)) + status.to_bytes(2) + data
    return b"\xff" + body + _crc_of(body)


class RefusedError(Exception):
    """The module answers with this status and no data."""

    def __init__(self, status: int) -> None:
        self.status = status


class ThingMagicModule:
    """A module with ``antennas`` ports, an antenna on each. All that is set is lost with the power.

    ``region``: at power-up, 0 for none.
    """

    flash_writes = 0  # this family has nothing to write there

    def __init__(self, baud: int, antennas: int, region: int) -> None:
        self.baud = baud
        self._region_at_power_up = region
        self._ports = range(1, antennas + 1)
        self._radio = Radio(antennas)
        self._answers: dict[int, Callable[[bytes], bytes]] = {
            0x0C: lambda _: APPLICATION,
            BOOT: lambda _: self._version,
            VERSION_OF: lambda _: self._version,
            0x06: self._set_baud,
            0x10: lambda _: bytes.fromhex("00400000"),
            0x2A: lambda _: b"",
            BUFFER: lambda data: data[:3].ljust(3, b"\0") + b"\0",
            0x61: self._get_antennas,
            0x91: self._set_antennas,
            0x62: lambda data: self._get_power(0x92, data),
            0x92: lambda data: self._set_power(0x92, data),
            0x63: lambda _: self._protocol,
            0x93: self._set_protocol,
            0x64: lambda data: self._get_power(0x94, data),
            0x94: lambda data: self._set_power(0x94, data),
            0x66: lambda data: (data or b"\1")[:1] + bytes.fromhex("010000020000"),
            0x96: lambda _: b"",
            0x67: lambda _: self._region,
            0x97: self._set_region,
            0x68: lambda _: self._power_mode,
            0x98: self._set_power_mode,
            0x6A: self._get_config,
            0x9A: self._set_config,
            0x6B: self._get_gen2,
            0x9B: self._set_gen2,
            0x70: lambda _: GEN2,
            0x71: lambda _: REGIONS,
        }
        self._heard = b""
        self._power_up()

    def _power_up(self) -> None:
        self._region = bytes((self._region_at_power_up,))
        self._protocol, self._power_mode = bytes(2), b"\0"
        self._searched = list(self._ports)
        self._powers_cdbm = {0x92: 2000, 0x94: 2000}
        self._own_powers = dict.fromkeys(self._ports, (NO_POWER, NO_POWER, 0))
        self._config = {b"\x01\x0c": b"\x01"}  # the read filter is on
        self._gen2 = {parameter: bytes.fromhex(values[0]) for parameter, values in GEN2_VALUES.items()}

    @property
    def _connected(self) -> dict[int, int]:
        """1 for the ports with an antenna on them."""
        return {port: int(port in self._radio.connected) for port in self._ports}

    @property
    def _version(self) -> bytes:
        return OTHER_VERSION if self._radio.has_other_firmware else VERSION

    def commands(self, data: bytes) -> bytes:
        """The answers to the commands that these bytes complete; a damaged one is not answered."""
        heard = self._heard + data
        said = b""
        while len(heard) >= 2:
            end = heard[1] + 5
            if heard[0] != 0xFF or heard[1] > LONGEST_DATA:
                heard = heard[1:]
            elif len(heard) < end:
                break
            elif _crc_of(heard[1 : end - 2]) == heard[end - 2 : end]:
                said += self._command(heard[2], heard[3 : end - 2])
                heard = heard[end:]
            else:
                heard = heard[1:]
        self._heard = heard
        return said

    def _command(self, opcode: int, data: bytes) -> bytes:
        if opcode not in self._answers:
            return frame_of(opcode, status=BAD_OPCODE)
        try:
            return frame_of(opcode, self._answers[opcode](data))
        except RefusedError as refused:
            return frame_of(opcode, status=refused.status)

    def _set_baud(self, data: bytes) -> bytes:
        if int.from_bytes(data) not in BAUDS:
            raise RefusedError(BAD_BAUD)
        self.baud = int.from_bytes(data)
        return b""

    def _set_region(self, data: bytes) -> bytes:
        if len(data) != 1 or data not in REGIONS:
            raise RefusedError(BAD_REGION)
        self._region = data
        return b""

    def _set_protocol(self, data: bytes) -> bytes:
        if data != GEN2:
            raise RefusedError(BAD_PARAMETER)
        self._protocol = data
        return b""

    def _set_power_mode(self, data: bytes) -> bytes:
        if len(data) != 1 or data[0] > 3:
            raise RefusedError(BAD_PARAMETER)
        self._power_mode = data
        return b""

    def _get_antennas(self, data: bytes) -> bytes:
        if not data:
            return bytes((self._searched[0], self._searched[0]))
        pairs: dict[bytes, bytes] = {
            b"\1": bytes((self._searched[0], self._searched[0])),
            b"\2": bytes(port for port in self._searched for _ in ("transmits", "receives")),
            b"\3": b"".join(pack(">Bhh", port, *own[:2]) for port, own in self._own_powers.items()),
            b"\4": b"".join(pack(">BhhH", port, *own) for port, own in self._own_powers.items()),
            b"\5": bytes(number for pair in self._connected.items() for number in pair),
            b"\6": bytes(number for port in self._ports for number in (port, self._radio.return_loss_db(port))),
        }
        if data not in pairs:
            raise RefusedError(BAD_PARAMETER)
        return data + pairs[data]

    def _set_antennas(self, data: bytes) -> bytes:
        """Of option 2: the search list; of options 3 and 4: the powers of each port."""
        size = {2: 2, 3: 5, 4: 7}.get(data[0] if data else 0)
        if size is None or len(data) < 1 + size or (len(data) - 1) % size:
            raise RefusedError(BAD_LENGTH)
        records = list(iter_unpack({2: ">BB", 3: ">Bhh", 4: ">BhhH"}[data[0]], data[1:]))
        if any(port not in self._ports for port, *_ in records):
            raise RefusedError(BAD_PARAMETER)
        if data[0] == 2:
            if any(transmits != receives for transmits, receives in records):
                raise RefusedError(BAD_PARAMETER)
            self._searched = [port for port, _ in records]
            return b""
        for _, read_cdbm, write_cdbm, *_ in records:
            for cdbm in {read_cdbm, write_cdbm} - {NO_POWER}:
                _check_power(cdbm)
        for port, read_cdbm, write_cdbm, *settle_us in records:
            self._own_powers[port] = (read_cdbm, write_cdbm, *(settle_us or (0,)))[:3]
        return b""

    def _get_power(self, which: int, data: bytes) -> bytes:
        """Of option 0: the power; of option 1: and the most and the least that it could be."""
        if data not in (b"\0", b"\1"):
            raise RefusedError(BAD_PARAMETER)
        limits = pack(">hh", MOST_POWER_CDBM, LEAST_POWER_CDBM)
        return data + pack(">h", self._powers_cdbm[which]) + (limits if data == b"\1" else b"")

    def _set_power(self, which: int, data: bytes) -> bytes:
        if len(data) != 2:
            raise RefusedError(BAD_LENGTH)
        _check_power(int.from_bytes(data, signed=True))
        self._powers_cdbm[which] = int.from_bytes(data, signed=True)
        return b""

    def _get_config(self, data: bytes) -> bytes:
        if len(data) != 2:
            raise RefusedError(BAD_LENGTH)
        return data + self._config.get(data, b"\0")

    def _set_config(self, data: bytes) -> bytes:
        if len(data) < 3:
            raise RefusedError(BAD_LENGTH)
        self._config[data[:2]] = data[2:]
        return b""

    def _get_gen2(self, data: bytes) -> bytes:
        if len(data) != 2 or data[0] != 5 or data[1] not in self._gen2:
            raise RefusedError(BAD_PARAMETER)
        return data + self._gen2[data[1]]

    def _set_gen2(self, data: bytes) -> bytes:
        if len(data) < 3:
            raise RefusedError(BAD_LENGTH)
        if data[0] != 5 or data[2:].hex() not in GEN2_VALUES.get(data[1], ()):
            raise RefusedError(BAD_PARAMETER)
        self._gen2[data[1]] = data[2:]
        return b""


def _check_power(cdbm: int) -> None:
    if cdbm > MOST_POWER_CDBM:
        raise RefusedError(POWER_TOO_HIGH)
    if cdbm < LEAST_POWER_CDBM:
        raise RefusedError(POWER_TOO_LOW)
