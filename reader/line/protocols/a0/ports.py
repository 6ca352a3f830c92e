"""The antennas of an A0 reader, as its rounds found them, and when it last showed itself."""

from __future__ import annotations

from typing import Literal

import msgspec


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
