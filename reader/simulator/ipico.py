r"""A simulated IPICO reader, or a Trident: records unasked from power-up.

Record (36 characters and CR LF; IPICO Reader Serial Protocol 1.00)::

    aa RR TTTTTTTTTTTT II QQ yymmdd hhmmss cc LL
       reader id · chip, 12 hex · I and Q counters · UTC · hundredths in HEX · checksum

The checksum is the low byte of the sum of the ASCII codes from RR to cc. In the binary form each pair of digits is a
byte, and so is the checksum, of the bytes. Command and answer are ``ab RR NN CC data LL`` with NN the count of data
bytes (FF: a question) and CC the command.

A Trident (TimeMachine manual, "Tag data message format") says 40 characters, and hears ``$GETDATE`` and
``$SETDATE:yymmddhhmmss``::

    aa L R TTTTTTTTTTTT nnnn yymmdd hhmmss cc 00 RR SS
       reader letter · receiver (the antenna) · chip · counter · UTC · hundredths in HEX · kind of record · signal
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable
from typing import Literal

from reader.model import NS_PER_S

HUNDREDTH_NS = 10_000_000
LONGEST_COMMAND = 256
BRIDGED_BAUD = 115_200  # as boxes behind a network bridge have it; the 9600 of the factory carry 25 reads a second
UNSET_NS = 946_684_860 * NS_PER_S  # 2000-01-01 00:01:00

SET_TIME, GET_TIME, MODE, STATISTICS, BANNER, CLOCK_WAS_SET = "01", "02", "09", "0a", "37", "4c"
BAD_LENGTH, BAD_CHECKSUM, UNKNOWN = "f0", "f1", "f2"
# All as a Lite of 2013 sent them.
BANNER_TEXT = "ARM9 Controller for DF Dual DSP TTO Actel FPGA (STK Lite) (38.4kB) v1.4 Jun  5 2013 14:16:40 (RWXLF)"
OTHER_BANNER_TEXT = BANNER_TEXT.replace("v1.4 Jun  5 2013 14:16:40", "v1.2 Feb 11 2011 09:30:12")
STATISTICS_DATA = "f800270000ff31144c2b0003450001"
CLOCK_WAS_SET_DATA = "01555202a8555201f4"

Form = Literal["text", "binary", "trident"]

_CHIP = re.compile(r"[0-9A-Fa-f]{12}")


def chip_from_number(number: int) -> str:
    """``058`` and nine hex digits of the number; ValueError outside them."""
    if not 0 <= number < 16**9:
        raise ValueError("expected a number from 0 to 68719476735")
    return f"058{number:09X}"


def chip_from_text(text: str) -> str:
    """A chip's code as it is, in upper case; ValueError unless twelve hex digits."""
    if not _CHIP.fullmatch(text):
        raise ValueError("expected twelve hex digits, as an IPICO chip has")
    return text.upper()


def make_reader(baud: int | None = None, antennas: int = 1, region: int | None = None) -> IpicoReader:
    """A Lite at 115200 baud; its records bear no antenna, and it has no region."""
    return IpicoReader(BRIDGED_BAUD if baud is None else baud)


class IpicoReader:
    """Reader 00, its clock set to the race's and its zone to UTC, until it is set otherwise.

    ``form``: of its records. An IPICO answers get and set time, mode, statistics and banner, and refuses the rest as
    unknown; a Trident answers its own two commands.
    """

    is_hearing = True
    suffers = frozenset({"reboot", "unset-clock", "other-firmware"})

    def __init__(self, baud: int = BRIDGED_BAUD, form: Form = "text") -> None:
        self.baud = baud
        self._heard = b""
        self._second = -1
        self._dated = ""
        self._offset_ns: int | None = 0  # of its clock from the race's; None: it begins anew when it is looked at next
        self._counts: dict[str, int] = {}
        self._mode, self._timeout_s = 0, 5
        self._has_other_firmware = False
        self._form: Form = form
        self._record: Callable[[str, int, int, str, str], bytes] = {
            "text": self._text,
            "binary": self._binary,
            "trident": self._trident,
        }[form]

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int]:
        """The record, and the time that it bears: UTC nanoseconds, rounded down to 10 ms.

        Only a Trident's bears the antenna.
        """
        second, hundredths = divmod(self._clock_ns(at_ns) // HUNDREDTH_NS, 100)
        if second != self._second:
            self._second, self._dated = second, time.strftime("%y%m%d%H%M%S", time.gmtime(second))
        frame = self._record(chip.lower(), rssi_dbm, antenna, self._dated, f"{hundredths:02x}")
        return frame, second * NS_PER_S + hundredths * HUNDREDTH_NS

    def tick(self, now_ns: int) -> bytes:
        """Nothing: an IPICO reader that hears no chip is silent."""
        self._clock_ns(now_ns)
        return b""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete."""
        *lines, self._heard = (self._heard + data).split(b"\n")
        self._heard = self._heard[-LONGEST_COMMAND:]
        answer = self._answer_as_trident if self._form == "trident" else self._answer
        return b"".join(answer(line.strip().decode("ascii", "replace"), now_ns) for line in lines)

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """Nothing is said; it goes on hearing. Its clock outlives a restart."""
        self._heard = b""
        if fault == "unset-clock":
            self._offset_ns = None
        elif fault == "other-firmware":
            self._has_other_firmware = not self._has_other_firmware
        return b""

    def _clock_ns(self, now_ns: int) -> int:
        if self._offset_ns is None:
            self._offset_ns = UNSET_NS - now_ns
        return now_ns + self._offset_ns

    # ---- records -------------------------------------------------------------------------------------

    def _text(self, chip: str, rssi_dbm: int, _: int, dated: str, hundredths: str) -> bytes:
        body = f"00{chip}00{_counter(rssi_dbm):02x}{dated}{hundredths}".encode()
        return b"aa%b%02x\r\n" % (body, sum(body) & 0xFF)

    def _binary(self, chip: str, rssi_dbm: int, _: int, dated: str, hundredths: str) -> bytes:
        body = bytes.fromhex(f"00{chip}00{_counter(rssi_dbm):02x}{dated}{hundredths}")
        return b"\xaa%b%c\r\n" % (body, sum(body) & 0xFF)

    def _trident(self, chip: str, rssi_dbm: int, antenna: int, dated: str, hundredths: str) -> bytes:
        count = self._counts[chip] = self._counts.get(chip, 0) % 0xFFFF + 1
        receiver = antenna if antenna <= 9 else 0
        return f"aaA{receiver}{chip}{count:04x}{dated}{hundredths}00RR{rssi_dbm & 0x7F:02x}\r\n".encode()

    # ---- commands ------------------------------------------------------------------------------------

    def _answer(self, line: str, now_ns: int) -> bytes:
        if not re.fullmatch(r"(ab|ac)[0-9a-f]{8,}", line):
            return b""
        mark, count, command, data, given = line[:2], line[4:6], line[6:8], line[8:-2], line[-2:]
        if mark == "ab" and given != _checksum(line[2:-2]):
            return _control(BAD_CHECKSUM)
        if len(data) != (0 if count == "ff" else 2 * int(count, 16)):
            return _control(BAD_LENGTH)
        if command == GET_TIME and not data:
            return _control(GET_TIME, self._time(now_ns))
        if command == SET_TIME and len(data) == 14:
            return self._set_time(data[:6] + data[8:], now_ns)
        if command == MODE:
            return self._mode_from(data) if data else _control(MODE, f"{self._mode:02x}{self._timeout_s:02x}")
        if command == STATISTICS and not data:
            return _control(STATISTICS, STATISTICS_DATA)
        if command == BANNER and not data:
            text = OTHER_BANNER_TEXT if self._has_other_firmware else BANNER_TEXT
            return f"\r\n{text}\r\n\r\n".encode() + _control(BANNER)
        return _control(UNKNOWN)

    def _time(self, now_ns: int) -> str:
        second, rest = divmod(self._clock_ns(now_ns), NS_PER_S)
        moment = time.gmtime(second)
        # Days of the week from Sunday, 00. The ninth byte is 27 in every answer published: a setting.
        dated = time.strftime("%y%m%d", moment) + f"{(moment.tm_wday + 1) % 7:02d}" + time.strftime("%H%M%S", moment)
        return f"{dated}{rest // HUNDREDTH_NS:02x}27"

    def _set_time(self, digits: str, now_ns: int) -> bytes:
        if not self._set_clock(digits, now_ns):
            return _control(BAD_LENGTH)
        return _control(SET_TIME) + _control(CLOCK_WAS_SET, CLOCK_WAS_SET_DATA)

    def _set_clock(self, digits: str, now_ns: int) -> bool:
        """To this ``yymmddhhmmss``; whether there is such a moment."""
        try:
            second = calendar.timegm(time.strptime(digits, "%y%m%d%H%M%S"))
        except ValueError:
            return False
        self._offset_ns = second * NS_PER_S - now_ns
        return True

    def _mode_from(self, data: str) -> bytes:
        if len(data) not in (4, 6):
            return _control(BAD_LENGTH)
        self._mode, self._timeout_s = int(data[:2], 16), int(data[2:4], 16)
        return _control(MODE)

    def _answer_as_trident(self, line: str, now_ns: int) -> bytes:
        if not line:
            return b""
        is_set = re.fullmatch(r"\$SETDATE:(\d{12})", line)
        if line != "$GETDATE" and not (is_set and self._set_clock(is_set[1], now_ns)):
            return b"CMD UNHANDLED\r\n"
        moment = time.gmtime(self._clock_ns(now_ns) // NS_PER_S)
        return time.strftime("DATE:%a %b %d %Y %H:%M:%S\r\n", moment).encode()


def _counter(rssi_dbm: int) -> int:
    """A stronger chip is decoded more often; 1 is common on a real line."""
    return 1 + (rssi_dbm + 75) // 15


def _control(command: str, data: str = "") -> bytes:
    body = f"00{len(data) // 2:02x}{command}{data}"
    return f"ab{body}{_checksum(body)}\r\n".encode()


def _checksum(body: str) -> str:
    return f"{sum(body.encode()) & 0xFF:02x}"
