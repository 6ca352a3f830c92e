r"""A simulated IPICO reader: ASCII lines, records unasked from power-up.

Record (36 characters and CR LF; IPICO Reader Serial Protocol 1.00)::

    aa RR TTTTTTTTTTTT II QQ yymmdd hhmmss cc LL
       reader id · chip, 12 hex · I and Q counters · UTC · hundredths in HEX · checksum

The checksum is the low byte of the sum of the ASCII codes from RR to cc. Command and answer are
``ab RR NN CC data LL`` with NN the count of data bytes (FF: a question) and CC the command.
"""

from __future__ import annotations

import re
import time

from reader.model import NS_PER_S

HUNDREDTH_NS = 10_000_000
LONGEST_COMMAND = 256

GET_TIME, BAD_LENGTH, BAD_CHECKSUM, UNKNOWN = "02", "f0", "f1", "f2"

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


class IpicoReader:
    """Reader 00, its clock set to the race's and its zone to UTC.

    ``get time`` is answered; any other command is refused as unknown, the clock can't be set.
    """

    is_hearing = True

    def __init__(self, baud: int = 115_200) -> None:
        self.baud = baud
        self._heard = b""
        self._second = -1
        self._dated = ""

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int]:
        """The record, and the time that it bears: UTC nanoseconds, rounded down to 10 ms. It bears no antenna."""
        second, hundredths = divmod(at_ns // HUNDREDTH_NS, 100)
        if second != self._second:
            self._second, self._dated = second, time.strftime("%y%m%d%H%M%S", time.gmtime(second))
        counter = 1 + (rssi_dbm + 75) // 15  # a stronger chip is decoded more often; 1 is common on a real line
        body = f"00{chip}00{counter:02x}{self._dated}{hundredths:02x}".lower().encode()
        return b"aa%b%02x\r\n" % (body, sum(body) & 0xFF), second * NS_PER_S + hundredths * HUNDREDTH_NS

    def tick(self, now_ns: int) -> bytes:
        """Nothing: an IPICO reader that hears no chip is silent."""
        return b""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answers to the commands that these bytes complete."""
        *lines, self._heard = (self._heard + data).split(b"\n")
        self._heard = self._heard[-LONGEST_COMMAND:]
        return b"".join(self._answer(line.strip().decode("ascii", "replace"), now_ns) for line in lines)

    def reboot(self) -> bytes:
        """Nothing is said; it goes on hearing."""
        self._heard = b""
        return b""

    def _answer(self, line: str, now_ns: int) -> bytes:
        if not re.fullmatch(r"(ab|ac)[0-9a-f]{8,}", line):
            return b""
        mark, count, command, data, given = line[:2], line[4:6], line[6:8], line[8:-2], line[-2:]
        if mark == "ab" and given != _checksum(line[2:-2]):
            return _control(BAD_CHECKSUM)
        if count != "ff" and len(data) != 2 * int(count, 16):
            return _control(BAD_LENGTH)
        if command == GET_TIME and not data:
            second, rest = divmod(now_ns, NS_PER_S)
            moment = time.gmtime(second)
            # The ninth byte is 27 in every answer published; what it means is not known.
            dated = time.strftime("%y%m%d", moment) + f"{moment.tm_wday + 1:02d}" + time.strftime("%H%M%S", moment)
            return _control(GET_TIME, f"{dated}{rest // HUNDREDTH_NS:02x}27")
        return _control(UNKNOWN)


def _control(command: str, data: str = "") -> bytes:
    body = f"00{len(data) // 2:02x}{command}{data}"
    return f"ab{body}{_checksum(body)}\r\n".encode()


def _checksum(body: str) -> str:
    return f"{sum(body.encode()) & 0xFF:02x}"
