"""IPICO records for tests, written by hand from the maker's description: shares nothing with the decoder.

::

    aa 00 CCCCCCCCCCCC AAAA YYMMDD HHMMSS cc SS        CR LF
       |  chip         I+Q  date   time   |  sum of the characters after "aa", lowest eight bits
       reader                             hundredths, in hex
"""

from __future__ import annotations

from datetime import datetime, timedelta


def record(chip: str, at: datetime) -> bytes:
    """One read of ``chip`` (12 hex digits) at that moment by the reader's clock."""
    body = f"aa00{chip.lower()}0001{at:%y%m%d%H%M%S}{at.microsecond // 10_000:02x}"
    return f"{body}{sum(body[2:].encode()) & 0xFF:02x}\r\n".encode()


def record_of(chip: int, second: int) -> bytes:
    """One read of the chip of that number, so many seconds after a midnight."""
    return record(f"{chip:012x}", datetime(2026, 3, 7) + timedelta(seconds=second))  # noqa: DTZ001 - the reader's
