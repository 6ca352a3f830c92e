"""The mat that is measured: its configuration, and the IPICO records that it is given."""

from __future__ import annotations

from pathlib import Path

from tests.broker import Mosquitto

READS = 12  # a crossing
RECORDS_AN_HOUR = 360_000


def config(folder: Path, broker: Mosquitto, more: str = "") -> str:
    """One IPICO reader on ``folder``'s line; ``more``: further lines of its table."""
    return f"""
        [mat]
        event = "bench"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{folder}/line"
        {more}
        [mqtt]
        port = {broker.port}
    """


def chip_of(number: int) -> str:
    """The chip of one record in a row of them: twelve reads each, one chip after the other."""
    return f"{number // READS:012X}"


def record_of(number: int) -> bytes:
    """A record with a time of its own, to the hundredth of a second: repeats would not count."""
    second, hundredths = divmod(number % RECORDS_AN_HOUR, 100)
    body = f"aa00{chip_of(number).lower()}000126030712{second // 60:02d}{second % 60:02d}{hundredths:02x}"
    return f"{body}{sum(body[2:].encode()) & 0xFF:02x}\r\n".encode()
