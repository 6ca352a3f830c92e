"""The antennas of an A0 reader, as its rounds found them, and when it last showed itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from reader.line.protocols import Examined


class Heard(msgspec.Struct):
    """The present, and when the reader last showed itself: monotonic nanoseconds."""

    now_ns: int = 0
    read_ns: int | None = None
    round_ns: int | None = None

    @property
    def alive_ns(self) -> int | None:
        """When it last ended a round or reported a chip."""
        return max((at for at in (self.read_ns, self.round_ns) if at is not None), default=None)


class Port(msgspec.Struct):
    """One antenna; ``number`` from 1, None for whichever the reader is set to. ``out``: why it is left out.

    ``is_known``: a profile names it, or it has been up: at any other port nothing need be connected.
    """

    number: int | None
    out: Literal["", "missing", "bad"] = ""
    is_loose: bool = False  # by its return loss
    is_up: bool = False
    is_known: bool = False
    says: str = ""
    tried_ns: int = 0
    seen: int | None = None  # the antenna that its rounds bear, from 1
    loss_db: int | None = None  # the return loss as last measured

    @property
    def state(self) -> Literal["up", "missing", "bad", "unknown"]:
        """As :class:`AntennaStanding` has it."""
        if self.out:
            return self.out
        if self.is_loose:
            return "bad"
        return "up" if self.is_up else "unknown"

    def leave_out(self, out: Literal["missing", "bad"], says: str, now_ns: int) -> None:
        """Until it is tried again."""
        self.out, self.says, self.is_up, self.tried_ns = out, says, False, now_ns


def words_of_missing(port: Port) -> str:
    """What is said of an antenna that the reader misses."""
    which = "the antenna" if port.number is None else f"antenna {port.number}"
    return f"{which} is missing: check its cable"


def health_of(ports: Iterable[Port]) -> Examined:
    """Which of these antennas are connected, and their return loss, as far as either is known."""
    known = [(number, port) for port in ports if (number := port.number or port.seen) is not None]
    return Examined(
        connected={number: port.state == "up" for number, port in known if port.state in ("up", "missing")},
        return_loss_db={number: port.loss_db for number, port in known if port.loss_db is not None},
    )
