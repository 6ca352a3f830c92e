"""When each read of a chunk came, on a line whose bytes take their time: pure.

A real UART hands over what has come since it was last asked, the last byte last. So a read came as many bytes before
the chunk as there are bytes behind it, at ten bits a byte; never before the chunk before, which did not hold it.
"""

from __future__ import annotations

from collections.abc import Sequence

from reader.model import NS_PER_S, ChipRead, Event

BITS_A_BYTE = 10  # a start bit, eight of data, a stop bit


def stamps(events: Sequence[Event], pending: int, at_ns: int, previous_ns: int, baud: int) -> list[int]:
    """When the last byte of each chip read came, monotonic ns, in order.

    ``events`` of one chunk that came at ``at_ns``, the chunk before it at ``previous_ns``; ``pending``: its bytes that
    no event has accounted for yet.
    """
    came: list[int] = []
    behind = pending
    for event in reversed(events):
        if type(event) is ChipRead:
            came.append(max(at_ns - behind * BITS_A_BYTE * NS_PER_S // baud, previous_ns))
        behind += event.size
    came.reverse()
    return came
