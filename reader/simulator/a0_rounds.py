"""The rounds of a simulated A0 reader, and the buffer that one kind of them fills."""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Iterator

import msgspec

from reader.model import NS_PER_S

MS_NS = 1_000_000
ROUND_NS = 40 * MS_NS
SHORTEST_NS = 30 * MS_NS
BUFFERED, SWITCHED = 0x80, 0x8A


class Round(msgspec.Struct):
    """A round that is on: its command, and the antennas (from 0) with the length of each one's turn."""

    command: int
    turns: deque[tuple[int, int]]
    began_ns: int
    ends_ns: int
    turn_ends_ns: int
    reads: int = 0

    def end(self, antenna: int, buffered: int) -> bytes:
        """What the frame of its end carries; ``buffered``: chips in the buffer."""
        took_ns = max(self.ends_ns - self.began_ns, 1)
        if self.command == SWITCHED:
            return min(self.reads, 0xFFFFFF).to_bytes(3) + (took_ns // MS_NS).to_bytes(4)
        counts = min(self.reads * NS_PER_S // took_ns, 0xFFFF).to_bytes(2) + self.reads.to_bytes(4)
        return bytes((antenna,)) + (buffered.to_bytes(2) if self.command == BUFFERED else b"") + counts


def turns_from_switching(data: bytes, ports: int) -> list[tuple[int, int]] | None:
    """The turns that 8A asks for: A B C D repeat; or (antenna, stay) for each port, interval, repeat. None: neither."""
    if len(data) == 5:
        pairs = [(antenna, 1) for antenna in data[:4]]
    elif len(data) in (10, 18):
        pairs = list(zip(data[:-2:2], data[1:-2:2], strict=True))
    else:
        return None
    return [(antenna, ROUND_NS * stay) for antenna, stay in pairs if antenna < ports and stay] * max(data[-1], 1)


class Buffer:
    """Chips that were heard, by what they sent: what was heard last of each, and how often."""

    def __init__(self) -> None:
        self._chips: dict[bytes, tuple[int, int, int]] = {}

    def __len__(self) -> int:
        return len(self._chips)

    def add(self, pc_epc: bytes, freqant: int, rssi: int) -> None:
        """One read."""
        self._chips[pc_epc] = freqant, rssi, min(self._chips.get(pc_epc, (0, 0, 0))[2] + 1, 0xFF)

    def clear(self) -> None:
        """Forget them."""
        self._chips.clear()

    def records(self) -> Iterator[bytes]:
        """What the frame of each carries."""
        for pc_epc, (freqant, rssi, count) in self._chips.items():
            crc = (binascii.crc_hqx(pc_epc, 0xFFFF) ^ 0xFFFF).to_bytes(2)
            size = bytes((len(pc_epc) + 2,))
            yield len(self._chips).to_bytes(2) + size + pc_epc + crc + bytes((rssi, freqant, count))
