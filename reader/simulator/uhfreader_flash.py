"""What a simulated UHFReader keeps in its flash, and the commands that read and write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from reader.simulator.radio import Radio

Model = Literal["288", "18", "86"]

BAUDS = {0: 9600, 1: 19200, 2: 38400, 5: 57600, 6: 115200}
TYPES = {"288": 0x0C, "18": 0x09, "86": 0x86}
HIGHEST_CHANNEL = {1: 19, 2: 49, 3: 31, 4: 14, 6: 6, 7: 11, 8: 19, 9: 3, 10: 11, 12: 52}  # by the band's code
MOST_POWER_DBM = 33
FIRMWARE, OTHER_FIRMWARE = bytes((0, 22)), bytes((0, 3))
SERIAL = bytes.fromhex("00288001")

BAD_LENGTH, BAD_PARAMETER = 0xFD, 0xFF


class RefusedError(Exception):
    """The reader answers with this status and no data."""

    def __init__(self, status: int) -> None:
        self.status = status


class Flash:
    """The settings of a reader with that ``radio``; ``writes`` counts.

    ``answers``: what each command answers to its data; RefusedError where it does not.
    """

    def __init__(self, model: Model, baud: int, region: int, radio: Radio) -> None:
        self.model = model
        self.radio = radio
        self.writes = 0
        self.baud = baud
        self.address = 0
        self.band = bytes((region >> 2 << 6 | HIGHEST_CHANNEL.get(region, 0), (region & 3) << 6))
        self.powers = [30] * (4 if model == "288" else 1)
        self.scan = 20
        self.mask = sum(1 << port - 1 for port in radio.connected)
        self.checks, self.beeps = 1, 0
        self.mode = int(model == "86")
        self.heartbeat = 0
        self._mode_parameters = bytes.fromhex("0204020600")
        self._real_time = bytes.fromhex("0000000400")
        self.answers: dict[int, Callable[[bytes], bytes]] = {
            0x21: self._info,
            0x22: self._set_band,
            0x24: self._set_address,
            0x25: self._set_scan_time,
            0x28: self._set_baud,
            0x2F: self._set_power,
            0x33: lambda _: b"",
            0x40: self._set_beep,
            0x4C: lambda _: SERIAL,
        }
        if model == "288":
            self.answers |= {
                0x3F: self._set_antennas,
                0x66: self._set_check,
                0x75: self._set_real_time,
                0x76: self._set_mode,
                0x77: lambda _: bytes((self.mode,)) + self._real_time + bytes(36),
                0x78: self._set_heartbeat,
                0x91: self._return_loss,
                0x92: lambda _: bytes((1, radio.temperature_c)),
                0x94: lambda _: bytes(self.powers),
            }
        else:
            self.answers |= {
                0x35: self._set_mode_18,
                0x36: lambda _: bytes.fromhex("001E0A0F") + bytes((self.mode,)) + self._mode_parameters + bytes(2),
            }

    def _info(self, _: bytes) -> bytes:
        firmware = OTHER_FIRMWARE if self.radio.has_other_firmware else FIRMWARE
        said = firmware + bytes((TYPES[self.model], 3)) + self.band + bytes((self.powers[0], self.scan))
        return said + bytes((self.mask, self.beeps, 0, self.checks)) if self.model == "288" else said

    def _write(self, data: bytes, length: int, *, is_possible: bool) -> bytes:
        if len(data) != length:
            raise RefusedError(BAD_LENGTH)
        if not is_possible:
            raise RefusedError(BAD_PARAMETER)
        self.writes += 1
        return b""

    def _set_band(self, data: bytes) -> bytes:
        if len(data) == 2:
            code, first, last = data[0] >> 6 << 2 | data[1] >> 6, data[1] & 0x3F, data[0] & 0x3F
            self._write(data, 2, is_possible=first <= last <= HIGHEST_CHANNEL.get(code, -1))
            self.band = data
            return b""
        raise RefusedError(BAD_LENGTH)

    def _set_address(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=data != b"\xff")
        self.address = data[0]
        return b""

    def _set_scan_time(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=True)
        self.scan = max(data[0], 3)
        return b""

    def _set_baud(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=bool(data) and data[0] in BAUDS)
        self.baud = BAUDS[data[0]]
        return b""

    def _set_power(self, data: bytes) -> bytes:
        ports = len(self.powers)
        self._write(data, ports if len(data) == ports else 1, is_possible=all(dbm <= MOST_POWER_DBM for dbm in data))
        self.powers = list(data) if len(data) == ports else [data[0]] * ports
        return b""

    def _set_beep(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=data in (b"\0", b"\1"))
        self.beeps = data[0]
        return b""

    def _set_antennas(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=bool(data) and 0 < data[0] & 0x7F < 1 << len(self.powers))
        if data[0] & 0x80:
            self.writes -= 1  # for this once only
        self.mask = data[0] & 0x7F
        return b""

    def _set_check(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=data in (b"\0", b"\1"))
        self.checks = data[0]
        return b""

    def _set_real_time(self, data: bytes) -> bytes:
        self._write(data[:5], 5, is_possible=True)
        self._real_time = data[:5]
        return b""

    def _set_mode(self, data: bytes) -> bytes:
        self._write(data, 1, is_possible=bool(data) and data[0] <= 2)
        self.mode = data[0]
        return b""

    def _set_mode_18(self, data: bytes) -> bytes:
        self._write(data, 6, is_possible=bool(data) and data[0] <= 3)
        self.mode, self._mode_parameters = data[0], data[1:]
        return b""

    def _set_heartbeat(self, data: bytes) -> bytes:
        if len(data) != 1:
            raise RefusedError(BAD_LENGTH)
        if data[0] & 0x80:
            self.writes += 1
            self.heartbeat = data[0] & 0x7F
        return bytes((self.heartbeat,))

    def _return_loss(self, data: bytes) -> bytes:
        """``KHZ[4] ANTENNA``, the antenna from 0; in dB."""
        if len(data) != 5:
            raise RefusedError(BAD_LENGTH)
        if data[4] >= len(self.powers):
            raise RefusedError(BAD_PARAMETER)
        return bytes((self.radio.return_loss_db(data[4] + 1),))
