"""A simulated A0 reader (Invelion, IND903, R2000 boards): binary frames, silent until polled, for each round anew.

::

    A0 LEN ADDR CMD data[LEN - 3] CHK      both ways; CHK brings the sum of all bytes to a multiple of 256

A tag report (CMD 89, 8A, 8B) is: channel in six bits and antenna in two (FREQANT), PC (2), EPC, RSSI index, whose
upper bit is the antenna's third on readers of eight ports. A round ends with the antenna, reads a second (2) and
their number (4); one that switches antennas (8A) with their number (3) and what it took in ms (4).

Layouts and codes are those of the maker's serial interface protocol, V2.2 and V3.7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from reader.simulator.a0_rounds import BUFFERED, ROUND_NS, SHORTEST_NS, SWITCHED, Buffer, Round, turns_from_switching
from reader.simulator.radio import Radio
from reader.simulator.thingmagic import chip_from_number, chip_from_text

__all__ = ["A0Reader", "chip_from_number", "chip_from_text", "make_reader"]

MS_NS = 1_000_000
BAUD_OF_CODE = {1: 9600, 2: 19200, 3: 38400, 4: 115200}
BAUD = 115200
DONE, FAILED, NO_ANTENNA, BUFFER_EMPTY = 0x10, 0x11, 0x22, 0x38
BAD_PARAMETER, BAD_ADDRESS, BAD_ANTENNA, BAD_POWER, BAD_REGION, BAD_BAUD = 0x41, 0x46, 0x47, 0x48, 0x49, 0x4A
BAD_FREQUENCY, LOSS_FAILED = 0x4F, 0xEE
BANDS = {0: (0, 0), 1: (7, 59), 2: (0, 6), 3: (43, 53)}  # of each region when it leaves the factory
VERSION, OTHER_VERSION = bytes((8, 2)), bytes((7, 1))
FACTORY_POWER_DBM, MOST_DBM = 30, 33
WRITES_FLASH = frozenset({0x62, 0x67, 0x69, 0x71, 0x73, 0x76, 0x78, 0x7A})


class _RefusedError(Exception):
    """The reader answers with this code."""

    def __init__(self, code: int) -> None:
        self.code = code


class A0Reader:
    """A reader of four ports, eight if it has more ``antennas`` connected. ``region``: code, 0 for none."""

    suffers = Radio.faults - {"noisy"} | {"reboot", "no-region"}

    def __init__(self, baud: int = BAUD, antennas: int = 1, region: int = 1) -> None:
        self.baud = baud
        self.flash_writes = 0
        self._ports = 4 if antennas <= 4 else 8
        self._radio = Radio(antennas)
        self._address = 1
        self._band = bytes((region, *BANDS.get(region, (0, 0))))
        self._power = bytes((FACTORY_POWER_DBM,))
        self._detector, self._link, self._beeper = 3, 0xD1, 0
        self._identifier = b"\xff" * 12
        self._now_ns = 0
        self._heard = self._waiting = b""
        self._round: Round | None = None
        self._buffer = Buffer()
        self._answers: dict[int, Callable[[bytes], bytes | None]] = {
            0x60: lambda _: bytes((1, 1)),
            0x61: lambda data: self._checked(len(data) == 2),
            0x62: lambda data: self._keep("_detector", data, range(256)),
            0x63: lambda _: bytes((self._detector,)),
            0x66: lambda data: self._set_power(data, is_temporary=True),
            0x67: self._set_identifier,
            0x68: lambda _: self._identifier,
            0x69: lambda data: self._keep("_link", data, range(0xD0, 0xD4)),
            0x6A: lambda _: bytes((self._link,)),
            0x70: lambda _: self._start(),
            0x71: self._set_baud,
            0x72: lambda _: OTHER_VERSION if self._radio.has_other_firmware else VERSION,
            0x73: lambda data: self._keep("_address", data, range(255), BAD_ADDRESS),
            0x74: lambda data: self._keep("_antenna", data, range(self._ports), BAD_ANTENNA),
            0x75: lambda _: bytes((self._antenna,)),
            0x76: self._set_power,
            0x77: lambda _: self._temporary_power or self._power,
            0x78: self._set_band,
            0x79: lambda _: self._band,
            0x7A: lambda data: self._keep("_beeper", data, range(3), 0x4B),
            0x7B: lambda _: bytes((1, self._radio.temperature_c)),
            0x7E: self._return_loss,
            BUFFERED: lambda data: self._begin(BUFFERED, data, 1),
            0x85: self._set_match,
            0x86: lambda _: bytes((0, len(self._match))) + self._match if self._match else b"\1",
            0x89: lambda data: self._begin(0x89, data, 1),
            SWITCHED: self._begin_switching,
            0x8B: self._begin_session,
            0x90: lambda _: bytes((BUFFER_EMPTY,)),
            0x91: lambda _: bytes((BUFFER_EMPTY,)),
            0x92: lambda _: len(self._buffer).to_bytes(2),
            0x93: lambda _: self._clear_buffer(),
        }
        self._start()

    def _start(self) -> bytes | None:
        """All that is not in flash is forgotten; nothing is said."""
        self._antenna = 0
        self._temporary_power = b""
        self._match = b""
        self._buffer.clear()
        self._round, self._heard, self._waiting = None, b"", b""
        return None

    # ---- chips ---------------------------------------------------------------------------------------

    @property
    def is_hearing(self) -> bool:
        """A round is on."""
        return self._round is not None

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        """The frame, and the time of the read, of which it says nothing; None unless a round is on at that antenna."""
        index, epc = antenna - 1, bytes.fromhex(chip)
        if self._round is None or self._round.turns[0][0] != index or antenna not in self._radio.connected:
            return None
        if self._match not in (b"", epc):
            return None
        self._round.reads += 1
        channel = self._band[1] + (at_ns // MS_NS) % (self._band[2] - self._band[1] + 1)
        rssi = min(max(rssi_dbm + (129 if rssi_dbm >= -39 else 130), 0), 98) | (index & 4) << 5
        freqant = channel << 2 | index & 3
        pc_epc = (len(epc) // 2 << 11).to_bytes(2) + epc
        if self._round.command == BUFFERED:
            self._buffer.add(pc_epc, freqant, rssi)
            return b"", at_ns
        return self._frame(self._round.command, bytes((freqant,)) + pc_epc + bytes((rssi,))), at_ns

    def tick(self, now_ns: int) -> bytes:
        """The end of a round that was over by ``now_ns`` (UTC), and the answers to what was asked meanwhile."""
        said = b""
        while (on := self._round) is not None and now_ns >= on.turn_ends_ns:
            said += self._end_turn(on)
            if not self.is_hearing:
                waiting, self._waiting = self._waiting, b""
                said += self.answer(waiting, now_ns)
        return said

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """Nothing is said; at a ``reboot`` a round that is on has no end."""
        if fault == "reboot":
            self._start()
        elif fault == "no-region":
            self._band = bytes(3)
        self._radio.suffer(fault, antenna)
        return b""

    # ---- commands ------------------------------------------------------------------------------------

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete; while a round is on they wait for its end."""
        self._now_ns = now_ns
        if self._round is not None:
            self._waiting += data
            return b""
        heard, said = self._heard + data, b""
        self._heard = b""
        while len(heard) >= 2:
            end = heard[1] + 2
            if heard[0] != 0xA0 or end < 5:
                heard = heard[1:]
            elif len(heard) < end:
                break
            elif sum(heard[:end]) % 256 == 0:
                command, heard = heard[:end], heard[end:]
                if command[2] in (self._address, 0xFF):
                    said += self._answer(command[3], command[4:-1])
                    if self.is_hearing:
                        self._waiting = heard
                        return said
            else:
                heard = heard[1:]
        self._heard = heard
        return said

    def _frame(self, command: int, data: bytes) -> bytes:
        body = bytes((0xA0, len(data) + 3, self._address, command)) + data
        return body + bytes((256 - sum(body) % 256 & 0xFF,))

    def _answer(self, command: int, data: bytes) -> bytes:
        if command in (0x90, 0x91) and self._buffer:
            return self._tell_buffer(command)
        try:
            said = self._answers.get(command, self._refuse)(data)
        except _RefusedError as refused:
            said = bytes((refused.code,))
        else:
            self.flash_writes += command in WRITES_FLASH
        return b"" if said is None else self._frame(command, said)

    def _refuse(self, _: bytes) -> bytes:
        raise _RefusedError(FAILED)

    def _checked(self, is_right: bool, code: int = BAD_PARAMETER) -> bytes:
        if not is_right:
            raise _RefusedError(code)
        return bytes((DONE,))

    def _keep(self, name: str, data: bytes, possible: range | tuple[int, ...], code: int = BAD_PARAMETER) -> bytes:
        said = self._checked(len(data) == 1 and data[0] in possible, code)
        setattr(self, name, data[0])
        return said

    def _set_baud(self, data: bytes) -> bytes:
        """It answers at the old speed, then starts anew with the other."""
        said = self._checked(len(data) == 1 and data[0] in BAUD_OF_CODE, BAD_BAUD)
        self.baud = BAUD_OF_CODE[data[0]]
        self._start()
        return said

    def _set_identifier(self, data: bytes) -> bytes:
        said = self._checked(len(data) == 12)
        self._identifier = data
        return said

    def _set_power(self, data: bytes, is_temporary: bool = False) -> bytes:
        said = self._checked(len(data) in (1, self._ports) and max(data) <= MOST_DBM, BAD_POWER)
        self._power, self._temporary_power = (self._power, data) if is_temporary else (data, b"")
        return said

    def _set_band(self, data: bytes) -> bytes:
        said = self._checked(len(data) == 3 and 1 <= data[0] <= 3, BAD_REGION)
        self._checked(data[1] <= data[2] <= 59, BAD_FREQUENCY)
        self._band = data
        return said

    def _return_loss(self, data: bytes) -> bytes:
        self._checked(len(data) == 1 and data[0] <= 59, BAD_FREQUENCY)
        return bytes((self._radio.return_loss_db(self._antenna + 1),))

    def _set_match(self, data: bytes) -> bytes:
        if data == b"\1":
            self._match = b""
            return bytes((DONE,))
        said = self._checked(len(data) > 2 and data[0] == 0 and data[1] == len(data) - 2)
        self._match = data[2:]
        return said

    # ---- rounds --------------------------------------------------------------------------------------

    def _begin(self, command: int, data: bytes, size: int) -> None:
        self._checked(len(data) == size)
        repeat = data[-1]
        length_ns = SHORTEST_NS if repeat == 0xFF else ROUND_NS * max(repeat, 1)
        self._begin_turns(command, [(self._antenna, length_ns)])

    def _begin_session(self, data: bytes) -> None:
        if len(data) == 4:  # with the chips' SL flag
            data = data[:2] + data[3:]
        self._checked(len(data) == 3 and data[0] <= 3 and data[1] <= 1)
        self._begin(0x8B, data, 3)

    def _begin_switching(self, data: bytes) -> None:
        turns = turns_from_switching(data, self._ports)
        self._checked(turns is not None)
        self._checked(bool(turns), BAD_ANTENNA)
        self._begin_turns(SWITCHED, turns or [])

    def _begin_turns(self, command: int, turns: list[tuple[int, int]]) -> None:
        if self._band[0] == 0:
            raise _RefusedError(BAD_REGION)
        if command != SWITCHED and self._is_missing(turns[0][0]):
            raise _RefusedError(NO_ANTENNA)
        now_ns = self._now_ns
        self._round = Round(command, deque(turns), now_ns, now_ns + sum(ns for _, ns in turns), now_ns + turns[0][1])

    def _is_missing(self, index: int) -> bool:
        """Whether the reader finds out that nothing is connected there."""
        return self._detector > self._radio.return_loss_db(index + 1)

    def _end_turn(self, ended: Round) -> bytes:
        antenna, _ = ended.turns.popleft()
        said = b""
        if ended.command == SWITCHED and self._is_missing(antenna):
            said = self._frame(SWITCHED, bytes((antenna, NO_ANTENNA)))
        if ended.turns:
            ended.turn_ends_ns += ended.turns[0][1]
            return said
        self._round = None
        return said + self._frame(ended.command, ended.end(antenna, len(self._buffer)))

    def _tell_buffer(self, command: int) -> bytes:
        said = b"".join(self._frame(command, record) for record in self._buffer.records())
        if command == 0x91:
            self._buffer.clear()
        return said

    def _clear_buffer(self) -> bytes:
        self._buffer.clear()
        return bytes((DONE,))


def make_reader(baud: int | None = None, antennas: int = 1, region: int | None = None) -> A0Reader:
    """A reader as it leaves the factory, but for what is given."""
    return A0Reader(BAUD if baud is None else baud, antennas, 1 if region is None else region)
