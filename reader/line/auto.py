"""Which family is on the line? The first whole, checked frame says it.

All decoders listen to the same bytes, so what a reader said before it was known is not lost. A family that
only answers is asked; nothing that is sent changes anything in any reader.
"""

from __future__ import annotations

from reader.line.protocols import FAMILIES, Decoder, Family, load
from reader.model import NS_PER_S, ChipRead, Event, Reply

LISTEN_NS = 3 * NS_PER_S  # at each speed, before the next is tried
ASK_NS = NS_PER_S
# The get-program command of ThingMagic: read-only, and garbage to everyone else.
QUESTION = bytes.fromhex("FF000C1D03")
# Text that any program could have sent proves nothing.
PROVES_NOTHING = frozenset({"banner"})


class Guess:
    """Listening on one line at one speed until a family has shown itself."""

    def __init__(self, now_ns: int) -> None:
        self._since_ns = now_ns
        self._ask_ns = now_ns
        self._ears: list[tuple[Family, Decoder, list[Event]]] = [
            (family, load(family.name).Decoder(), []) for family in FAMILIES
        ]

    def feed(self, data: bytes) -> tuple[Family, Decoder, list[Event]] | None:
        """The family, its decoder and all it has decoded so far; None while it isn't known."""
        for family, decoder, events in self._ears:
            events.extend(decoder.feed(data))
            if any(_is_proof(event) for event in events):
                return family, decoder, events
            del events[:-100]  # rejected bytes, of no more use
        return None

    def question(self, now_ns: int) -> bytes:
        """What to send, if it is time to ask again."""
        if now_ns < self._ask_ns:
            return b""
        self._ask_ns = now_ns + ASK_NS
        return QUESTION

    def is_over(self, now_ns: int) -> bool:
        """Whether another speed should be tried."""
        return now_ns >= self._since_ns + LISTEN_NS


def speeds(baud: int | None) -> tuple[int, ...]:
    """The speeds to try, in turn: the one given, or those the families leave the factory or are used with."""
    return (baud,) if baud else (115200, 9600, 38400, 921600, 19200, 57600, 230400)


def _is_proof(event: Event) -> bool:
    return isinstance(event, ChipRead) or (isinstance(event, Reply) and event.name not in PROVES_NOTHING)
