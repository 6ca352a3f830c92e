r"""A simulated RDM6300, ID-12 or clone of them: 125 kHz chips, said unasked; it has no ears.

::

    rdm6300   02 VV IIIIIIII XX 03          ten hex digits of the chip, two of their XOR
    id12      02 VV IIIIIIII XX 0D 0A 03
    clone     02 VV IIIIIIII x 03           x: the XOR as it is, one byte

The XOR goes over the five bytes that the ten digits stand for (frames as users published them).
"""

from __future__ import annotations

import re
from typing import Literal

BAUD = 9600
VERSION = "01"  # of chips made from a number

Form = Literal["rdm6300", "id12", "clone"]

_CHIP = re.compile(r"[0-9A-Fa-f]{10}")


def chip_from_number(number: int) -> str:
    """``VERSION`` and eight hex digits of the number; ValueError outside them."""
    if not 0 <= number < 16**8:
        raise ValueError("expected a number from 0 to 4294967295")
    return f"{VERSION}{number:08X}"


def chip_from_text(text: str) -> str:
    """A chip's code as it is, in upper case; ValueError unless ten hex digits, and not all of them 0."""
    if not _CHIP.fullmatch(text) or not int(text, 16):
        raise ValueError("expected ten hex digits, not all of them 0, as a 125 kHz chip has")
    return text.upper()


def make_reader(baud: int | None = None, antennas: int = 1, region: int | None = None) -> Rdm6300Reader:
    """An RDM6300, at 9600 baud; it has one antenna and no region, whatever is asked for."""
    return Rdm6300Reader(BAUD if baud is None else baud)


class Rdm6300Reader:
    """Says a chip that comes anew twice, one frame after the other: as often as it takes to be believed.

    A real one says it every 65 ms, with nothing between, for it hears one chip at a time; here many cross at once.
    """

    is_hearing = True
    suffers = frozenset({"reboot"})

    def __init__(self, baud: int = BAUD, form: Form = "rdm6300") -> None:
        self.baud = baud
        self._form = form
        self._last_chip = ""

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int]:
        """The frame, twice if the last one was another chip's, and ``at_ns``: it bears no time."""
        frame = self._frame_of(chip)
        times = 1 if chip == self._last_chip else 2
        self._last_chip = chip
        return frame * times, at_ns

    def tick(self, now_ns: int) -> bytes:
        """Nothing: one that hears no chip is silent."""
        return b""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """Nothing."""
        return b""

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """Nothing is said; it goes on hearing."""
        self._last_chip = ""
        return b""

    def _frame_of(self, chip: str) -> bytes:
        total = 0
        for byte in bytes.fromhex(chip):
            total ^= byte
        end = {"rdm6300": b"%02X" % total, "id12": b"%02X\r\n" % total, "clone": bytes((total,))}[self._form]
        return b"\x02" + chip.encode() + end + b"\x03"
