"""A simulated UHFReader: binary frames, polled; a 288 with up to four antennas, an 18, or an 86 that reports by itself.

::

    host → reader   LEN ADR CMD        data[LEN-4] CRC CRC
    reader → host   LEN ADR CMD status data[LEN-5] CRC CRC

LEN counts what stands behind it. The CRC is the remainder of what stands before it modulo x¹⁶+x¹²+x⁵+1, begun with
FFFF, the bits taken lowest first (polynomial 8408); its low byte is sent first (the makers' manuals, chapter 3).

A round is asked for by 01. Chips are said one by one while it is on (status 03), its end with status 01 and none.
"""

from __future__ import annotations

from reader.simulator.radio import Radio
from reader.simulator.thingmagic import chip_from_number, chip_from_text
from reader.simulator.uhfreader_flash import BAD_LENGTH, BAD_PARAMETER, Flash, Model, RefusedError

__all__ = ["UhfReader", "chip_from_number", "chip_from_text", "make_reader"]

MS_NS = 1_000_000
ROUND_NS = 40 * MS_NS  # as long as a round takes when few chips answer, however long it might
HEARTBEAT_UNIT_NS = 30_000 * MS_NS
RSSI_OF_ZERO_DBM = 129

US = 2

OK, DONE, MORE, MEMORY_FULL, HEARTBEAT = 0x00, 0x01, 0x03, 0x04, 0x28
NO_ANTENNA, NO_CHIP, BAD_COMMAND = 0xF8, 0xFB, 0xFE
INVENTORY, STOP, PUSH = 0x01, 0x93, 0xEE


def _crc_table() -> list[int]:
    """What each byte does to an empty register, by the definition: bit by bit."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _crc_table()


def _crc_of(body: bytes) -> bytes:
    crc = 0xFFFF
    for byte in body:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return bytes((crc & 0xFF, crc >> 8))


def make_reader(baud: int | None = None, antennas: int = 1, region: int | None = None) -> UhfReader:
    """A 288. ``region``: the code of its band (2 US, 4 EU ...), all channels; 0 for none; None for US."""
    return UhfReader(baud or 57_600, antennas, US if region is None else region)


class UhfReader:
    """A reader with ``antennas`` connected. What is set is kept in flash; ``flash_writes`` counts.

    ``model``: "288"; "18", with one antenna, no RSSI and no parameters to its inventory; "86", likewise, which leaves
    the factory reporting by itself.
    """

    suffers = Radio.faults - {"noisy"} | {"reboot", "buffer-full", "no-region"}

    def __init__(self, baud: int = 57_600, antennas: int = 1, region: int = US, model: Model = "288") -> None:
        self._radio = Radio(antennas if model == "288" else 1)
        self.commands = 0
        self._model = model
        self._flash = Flash(model, baud, region, self._radio)
        self._power_up()

    def _power_up(self) -> None:
        self._heard = b""
        self._now_ns = 0
        self._round_ends_ns: int | None = None
        self._port = 1
        self._is_full = False
        self._packets = self._total = 0
        self._quiet_since_ns: int | None = None

    @property
    def baud(self) -> int:
        """The speed of its line."""
        return self._flash.baud

    @baud.setter
    def baud(self, baud: int) -> None:
        self._flash.baud = baud

    @property
    def flash_writes(self) -> int:
        """How often its flash was written."""
        return self._flash.writes

    # ---- chips ---------------------------------------------------------------------------------------

    @property
    def is_hearing(self) -> bool:
        """A round is on, or it reports by itself."""
        return self._flash.mode == 1 or self._round_ends_ns is not None

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        """The frame, and the time at which it is said: it bears none. None where it does not hear this antenna."""
        if not self.is_hearing or antenna not in self._radio.connected:
            return None
        epc = bytes.fromhex(chip)
        block = bytes((len(epc),)) + epc
        if self._model == "288":
            block += bytes((max(0, min(255, rssi_dbm + RSSI_OF_ZERO_DBM)),))
        self._total += 1
        if self._flash.mode == 1:
            if self._model == "288" and not self._flash.mask >> antenna - 1 & 1:
                return None
            self._quiet_since_ns = at_ns
            return self._reply(PUSH, bytes((1 << antenna - 1,)) + block if self._model == "288" else epc), at_ns
        if antenna != self._port:
            return None
        return self._reply(INVENTORY, self._head() + b"\x01" + block, MORE), at_ns

    def tick(self, now_ns: int) -> bytes:
        """The end of the round that is over by ``now_ns`` (UTC), and what was asked meanwhile; heartbeats."""
        self._now_ns = now_ns
        said = b""
        if self._round_ends_ns is not None and now_ns >= self._round_ends_ns:
            said += self._end_round() + self.answer(b"", now_ns)
        if self._flash.mode == 1 and self._flash.heartbeat:
            if self._quiet_since_ns is None:
                self._quiet_since_ns = now_ns
            while now_ns - self._quiet_since_ns >= self._flash.heartbeat * HEARTBEAT_UNIT_NS:
                self._quiet_since_ns += self._flash.heartbeat * HEARTBEAT_UNIT_NS
                self._packets += 1
                data = self._packets.to_bytes(4) + self._flash.mask.to_bytes(1) + self._total.to_bytes(4)
                said += self._reply(PUSH, data, HEARTBEAT)
        return said

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """Nothing is said but some garbage at a ``reboot``."""
        match fault:
            case "reboot":
                self._power_up()
                return bytes.fromhex("00FF8000F8")
            case "buffer-full":
                self._is_full = True
            case "no-region":
                self._flash.band = b"\0\0"
        self._radio.suffer(fault, antenna)
        return b""

    # ---- commands ------------------------------------------------------------------------------------

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete; while a round is on they have to wait."""
        self._now_ns = now_ns
        if self._round_ends_ns is None and _is_command(data):
            self._heard = b""  # half heard, and then silence: given up
        self._heard += data
        said = b""
        while len(self._heard) >= 5:
            size = self._heard[0] + 1
            if size < 5 or (
                len(self._heard) >= size and _crc_of(self._heard[: size - 2]) != self._heard[size - 2 : size]
            ):
                self._heard = self._heard[1:]
                continue
            if len(self._heard) < size:
                break
            command = self._heard[:size]
            if self._round_ends_ns is not None:
                if command[2] != STOP:
                    break
                said += self._end_round()
            self._heard = self._heard[size:]
            if command[1] in (self._flash.address, 0xFF):
                self.commands += 1
                said += self._answer(command[2], command[3:-2])
        return said

    def _reply(self, command: int, data: bytes = b"", status: int = OK) -> bytes:
        body = bytes((len(data) + 5, self._flash.address, command, status)) + data
        return body + _crc_of(body)

    def _answer(self, command: int, data: bytes) -> bytes:
        try:
            if command == INVENTORY:
                return self._begin_round(data)
            if command == 0x0F:
                return self._reply(command, status=NO_CHIP)
            if command == STOP and self._model == "288":
                return self._reply(command)
            if command not in self._flash.answers:
                return self._reply(0, status=BAD_COMMAND)
            address = self._flash.address
            reply = self._reply(command, self._flash.answers[command](data))
            if address != self._flash.address:
                said = bytes((5, address, command, OK))  # still from the old one
                return said + _crc_of(said)
            return reply
        except RefusedError as refused:
            return self._reply(command, status=refused.status)

    def _head(self) -> bytes:
        return bytes((1 << self._port - 1,)) if self._model == "288" else b""

    def _begin_round(self, data: bytes) -> bytes:
        """``Q SESSION [MEMORY ADDRESS ADDRESS BITS] [TARGET ANTENNA SCAN]``; 18: nothing, 86: at most Q SESSION."""
        if len(data) not in {"288": (2, 5, 6, 9), "18": (0,), "86": (0, 2)}[self._model]:
            raise RefusedError(BAD_LENGTH)
        if data and (data[0] & 0x1F > 15 or data[1] not in (0, 1, 2, 3, 0xFF)):
            raise RefusedError(BAD_PARAMETER)
        if self._flash.band == b"\0\0":
            raise RefusedError(BAD_PARAMETER)
        lasts_ns = (self._flash.scan or 255) * 100 * MS_NS
        self._port = 1
        if len(data) in (5, 9):
            target, antenna, scan = data[-3:]
            self._port = antenna - 0x7F
            if target > 1 or not 1 <= self._port <= len(self._flash.powers):
                raise RefusedError(BAD_PARAMETER)
            lasts_ns = scan * 100 * MS_NS or lasts_ns
        if self._port not in self._radio.connected and self._flash.checks:
            raise RefusedError(NO_ANTENNA)
        # Only where the command says how long does a round end when nobody answers any more.
        self._round_ends_ns = self._now_ns + (min(ROUND_NS, lasts_ns) if len(data) in (5, 9) else lasts_ns)
        return b""

    def _end_round(self) -> bytes:
        self._round_ends_ns = None
        status = MEMORY_FULL if self._is_full else DONE
        self._is_full = False
        return self._reply(INVENTORY, self._head() + b"\0", status)


def _is_command(data: bytes) -> bool:
    """One whole command and nothing else."""
    return len(data) >= 5 and len(data) == data[0] + 1 and _crc_of(data[:-2]) == data[-2:]
