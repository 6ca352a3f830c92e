"""A simulated MagicRF M100 (a YRM100 module, or an R200 board with the other form of frames): silent until polled.

::

    BB TYPE CMD PL PL PARAM[PL] CHK 7E     BB and 7E, or AA and DD; TYPE 00 asked, 01 answered, 02 a chip
    BB 02 22 PL PL RSSI PC PC EPC[..] CRC CRC CHK 7E

CHK is the sum from TYPE to the last of PARAM, modulo 256. A chip's own CRC is CRC-16/GENIBUS over PC and EPC.

It polls in rounds of ``ROUND_NS``, once or as many times as it was told, and says after each in which it heard no chip
that there was none. While it polls it takes no command but the stop, the most awkward that a module might be. All
settings are gone with the power; sources as in the maker's protocol V2.1.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable

from reader.simulator.radio import Radio
from reader.simulator.thingmagic import chip_from_number, chip_from_text

__all__ = ["M100Reader", "chip_from_number", "chip_from_text", "make_reader"]

BAUD = 115_200
BAUDS = (9600, 19200, 38400, 57600, 115200)
ROUND_NS = 40_000_000
FORMS = {"bb": b"\xbb\x7e", "aa": b"\xaa\xdd"}

BAD_PARAMETER, NO_CHIP, BAD_COMMAND, NO_CHANNEL = 0x0E, 0x15, 0x17, 0x20
TEXTS = (b"M100 26dBm V1.0", b"V2.3.5", b"MagicRf")
OTHER_SOFTWARE = b"V2.1.0"
JAMMERS_DBM = -14  # its own carrier, come back
REGIONS = (1, 2, 3, 4, 6)
CHINA_900 = 1
MOST_POWER_CDBM = 2600
DONE = b"\x00"
POLL, POLL_MANY, STOP = 0x22, 0x27, 0x28
# The settings that are kept as they come, and with how many bytes: written by the first command, told by the second.
KEPT = {0x0E: (0x0D, 2), 0xAB: (0xAA, 1), 0xF0: (0xF1, 4)}
AT_POWER_UP = {0x0D: bytes.fromhex("1020"), 0xAA: b"\x00", 0xF1: bytes.fromhex("030601B0")}
# No chip is in the field when one is to be accessed: read, write, kill, lock.
NO_CHIP_TO = {0x39: 0x09, 0x49: 0x10, 0x65: 0x12, 0x82: 0x13}


class _RefusedError(Exception):
    """The module answers with this error."""

    def __init__(self, code: int) -> None:
        self.code = code


class M100Reader:
    """A module. ``region``: at power-up, 0 for none: then it finds no channel. ``form``: ``"bb"`` or ``"aa"``.

    Its one antenna is number 1. ``flash_writes``: always 0, it has none for settings.
    """

    suffers = Radio.faults - {"warm", "hot", "poor-cable", "bad-cable"} | {"reboot", "no-region"}

    def __init__(self, baud: int = BAUD, region: int = CHINA_900, form: str = "bb") -> None:
        self.baud = baud
        self.flash_writes = 0
        self._baud_at_power_up = baud
        self._region_at_power_up = region
        self._ends = FORMS[form]
        self._radio = Radio(1)
        self._answers: dict[int, Callable[[bytes], bytes]] = {
            0x03: self._info,
            0x07: self._set_region,
            0x08: lambda _: bytes((self.region,)),
            0x11: self._set_baud,
            0xAD: self._set_hopping,
            0xB6: self._set_power,
            0xB7: lambda _: self.power_cdbm.to_bytes(2),
            0x0B: lambda _: self._select,
            0x0C: self._set_select,
            0xF2: lambda _: self._levels(JAMMERS_DBM),
            0xF3: lambda _: self._levels(self._radio.noise_dbm),
            0x1A: lambda data: data[:2] + b"\x01",
            0x1D: lambda data: data,
            **dict.fromkeys((0x04, 0x12, 0x17, 0xA9, 0xB0), lambda _: DONE),
        }
        self._heard = b""
        self._power_up()

    def _power_up(self) -> None:
        self.baud = self._baud_at_power_up
        self.region = self._region_at_power_up
        self.power_cdbm = 2000
        self.is_hopping = False
        self.kept = dict(AT_POWER_UP)
        self._select = bytes.fromhex("01000000206000") + bytes(12)
        self._rounds = 0  # still to come, the one under way too
        self._round_ends_ns = 0
        self._round_had_chip = False

    # ---- chips ---------------------------------------------------------------------------------------

    @property
    def is_hearing(self) -> bool:
        """A round is on."""
        return self._rounds > 0

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        """The frame, and when: it bears no time. None where it does not hear."""
        if not self._rounds or antenna not in self._radio.connected:
            return None
        epc = bytes.fromhex(chip)
        pc_epc = (len(epc) // 2 << 11).to_bytes(2) + epc
        chip_crc = binascii.crc_hqx(pc_epc, 0xFFFF) ^ 0xFFFF
        self._round_had_chip = True
        data = rssi_dbm.to_bytes(1, signed=True) + pc_epc + chip_crc.to_bytes(2)
        return self._frame(2, POLL, data), at_ns

    def tick(self, now_ns: int) -> bytes:
        """The rounds that ended by ``now_ns`` (UTC) without a chip."""
        said = 0
        while self._rounds and now_ns >= self._round_ends_ns:
            said += not self._round_had_chip
            self._round_had_chip = False
            self._round_ends_ns += ROUND_NS
            self._rounds -= 1
        return self._error(NO_CHIP) * said

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """Nothing is said, not of a restart nor of an antenna that comes off."""
        if fault == "no-region":
            self.region = self._region_at_power_up = 0
        elif fault == "reboot":
            self._heard = b""
            self._power_up()
        self._radio.suffer(fault, antenna)
        return b""

    # ---- commands ------------------------------------------------------------------------------------

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete; a damaged one is not answered."""
        heard = self._heard + data
        said = b""
        while len(heard) >= 5:
            end = 7 + int.from_bytes(heard[3:5])
            if heard[0] != self._ends[0] or heard[1] or end > 7 + 0xFF:
                heard = heard[1:]
            elif len(heard) < end:
                break
            elif heard[end - 1] == self._ends[1] and sum(heard[1 : end - 2]) % 256 == heard[end - 2]:
                said += self._answer(heard[2], heard[5 : end - 2], now_ns)
                heard = heard[end:]
            else:
                heard = heard[1:]
        self._heard = heard
        return said

    def _answer(self, code: int, data: bytes, now_ns: int) -> bytes:
        if code == STOP:
            self._rounds = 0
            return self._frame(1, STOP, DONE)
        if self._rounds:
            return b""
        try:
            if code in (POLL, POLL_MANY):
                self._poll(code, data, now_ns)
                return b""
            if code in NO_CHIP_TO:
                return self._error(NO_CHIP_TO[code])
            if code in self.kept:
                return self._frame(1, code, self.kept[code])
            if code in KEPT:
                return self._frame(1, code, self._keep(*KEPT[code], data))
            if code not in self._answers:
                return self._error(BAD_COMMAND)
            answer = self._answers[code](data)
            return self._frame(1, code, answer) if answer else b""
        except _RefusedError as refused:
            return self._error(refused.code)

    def _poll(self, code: int, data: bytes, now_ns: int) -> None:
        if code == POLL_MANY and (len(data) != 3 or data[0] != POLL):
            raise _RefusedError(BAD_PARAMETER)
        if self.region not in REGIONS:
            raise _RefusedError(NO_CHANNEL)
        self._rounds = int.from_bytes(data[1:]) if code == POLL_MANY else 1
        self._round_ends_ns = now_ns + ROUND_NS
        self._round_had_chip = False

    def _info(self, data: bytes) -> bytes:
        if len(data) != 1 or data[0] >= len(TEXTS):
            raise _RefusedError(BAD_PARAMETER)
        is_other = data[0] == 1 and self._radio.has_other_firmware
        return data + (OTHER_SOFTWARE if is_other else TEXTS[data[0]])

    def _set_region(self, data: bytes) -> bytes:
        if len(data) != 1 or data[0] not in REGIONS:
            raise _RefusedError(BAD_PARAMETER)
        self.region = data[0]
        return DONE

    def _set_baud(self, data: bytes) -> bytes:
        """Not answered: at once it speaks at the new speed."""
        baud = int.from_bytes(data) * 100
        if len(data) != 2 or baud not in BAUDS:
            raise _RefusedError(BAD_PARAMETER)
        self.baud = baud
        return b""

    def _set_hopping(self, data: bytes) -> bytes:
        if data not in (b"\xff", b"\x00"):
            raise _RefusedError(BAD_PARAMETER)
        self.is_hopping = data == b"\xff"
        return DONE

    def _set_power(self, data: bytes) -> bytes:
        if len(data) != 2 or int.from_bytes(data) > MOST_POWER_CDBM:
            raise _RefusedError(BAD_PARAMETER)
        self.power_cdbm = int.from_bytes(data)
        return DONE

    def _set_select(self, data: bytes) -> bytes:
        if len(data) < 7:
            raise _RefusedError(BAD_PARAMETER)
        self._select = data
        return DONE

    def _keep(self, told: int, size: int, data: bytes) -> bytes:
        if len(data) != size:
            raise _RefusedError(BAD_PARAMETER)
        self.kept[told] = data
        return DONE

    def _levels(self, dbm: int) -> bytes:
        return bytes((0, 19)) + dbm.to_bytes(1, signed=True) * 20

    def _error(self, code: int) -> bytes:
        return self._frame(1, 0xFF, bytes((code,)))

    def _frame(self, kind: int, code: int, data: bytes) -> bytes:
        body = bytes((kind, code)) + len(data).to_bytes(2) + data
        return self._ends[:1] + body + bytes((sum(body) % 256,)) + self._ends[1:]


def make_reader(baud: int | None = None, antennas: int = 1, region: int | None = None) -> M100Reader:
    """A module as it comes, or with that speed and region; it has one antenna, whatever is asked for."""
    return M100Reader(BAUD if baud is None else baud, CHINA_900 if region is None else region)
