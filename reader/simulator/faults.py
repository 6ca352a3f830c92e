"""What can go wrong on purpose, when, and what it does to the bytes."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from reader.errors import UsageError

UNPLUGGED_S = 3.0
SILENT_S = 5.0
GARBAGE_BYTES = 200
DAMAGED_SHARE = 0.01

FAULTS = {
    "unplug": f"the line is gone for {UNPLUGGED_S:g} s, then back under the same name",
    "silence": f"the reader is mute for {SILENT_S:g} s",
    "garbage": f"{GARBAGE_BYTES} random bytes between two frames",
    "bad-checksum": "from then on one byte in one of a hundred reads is wrong",
    "half-frame": "from then on one of a hundred reads ends in the middle",
    "bad-bytes": "from then on one of a hundred bytes of all that is said is wrong",
    "wrong-baud": "from then on the line has another speed than the host: all that is said and heard is garbage",
}
READER_FAULTS = {
    "reboot": "the reader restarts: its settings are gone, a ThingMagic says so and streams no more",
    "antenna-off": "an antenna is not connected any more; a second time: it is back",
    "bad-cable": "an antenna's cable is bad, it sends back nearly all it gets; a second time: good again",
    "poor-cable": "an antenna's cable is old and wet, a quarter comes back; a second time: good again",
    "deaf": "an antenna hears one read in twenty; a second time: all again",
    "warm": "the reader is warmer than it should be; a second time: cool again",
    "hot": "the reader is too hot, says so, and reads less; a second time: cool again",
    "noisy": "something beside the reader transmits; a second time: it is quiet again",
    "no-region": "the reader has lost the region that was set in it",
    "other-firmware": "the reader has another firmware; a second time: its own again",
    "buffer-full": "the reader's memory is full: it says so, and some reads are gone",
    "unset-clock": "the reader's clock has lost the time: its records bear a date of long ago",
}
OF_AN_ANTENNA = frozenset({"antenna-off", "bad-cable", "poor-cable", "deaf"})


class Fault(msgspec.Struct, frozen=True):
    """One of ``FAULTS`` or ``READER_FAULTS``, and when: seconds of the race since it began; it lasts in host time.

    ``antenna``: from 1, for those of ``OF_AN_ANTENNA``.
    """

    name: str
    at_s: float
    antenna: int = 1


def fault_from_text(text: str, suffers: Iterable[str] = READER_FAULTS, antennas: int = 1) -> Fault:
    """``NAME``, ``NAME@SECONDS`` or ``NAME=ANTENNA@SECONDS``; UsageError with the list for any other.

    ``suffers``: those of ``READER_FAULTS`` that the reader can have; ``antennas``: how many it has.
    """
    suffers = set(suffers)
    known = FAULTS | {name: says for name, says in READER_FAULTS.items() if name in suffers}
    what, _, at = text.partition("@")
    name, has_antenna, which = what.partition("=")
    try:
        at_s = float(at or 0)
    except ValueError:
        at_s = -1.0
    if name not in known or not 0 <= at_s < float("inf"):
        listed = "\n".join(f"  {name}: {says}" for name, says in known.items())
        found = "this reader can't have that; " if name in READER_FAULTS and name not in known else ""
        raise UsageError(f"--fault {text}: {found}expected NAME or NAME@SECONDS, with NAME one of\n{listed}")
    if not has_antenna:
        return Fault(name, at_s)
    if name not in OF_AN_ANTENNA:
        raise UsageError(
            f"--fault {text}: only {', '.join(sorted(OF_AN_ANTENNA))} are of one antenna: leave out ={which}"
        )
    if not (which.isdecimal() and 1 <= int(which) <= antennas):
        raise UsageError(f"--fault {text}: expected {name}=ANTENNA, with one from 1 to {antennas} (--antennas)")
    return Fault(name, at_s, int(which))


class Spoiling:
    """Bytes made wrong, by dice: which kinds of wrong are set one by one."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._kinds: set[str] = set()

    def begin(self, kind: str) -> None:
        """``bad-checksum``, ``half-frame`` or ``bad-bytes``, from now on."""
        self._kinds.add(kind)

    def read(self, frame: bytes) -> bytes:
        """The frame of a read, whole or not. The end of a line of text is left alone: it is no part of the record."""
        if not self._kinds or not frame:
            return frame
        end = len(frame) - 2 if frame.endswith(b"\r\n") else len(frame)
        if "half-frame" in self._kinds and self._rng.random() < DAMAGED_SHARE:
            return frame[: self._rng.randrange(1, max(end, 2))]
        if "bad-checksum" in self._kinds and self._rng.random() < DAMAGED_SHARE:
            at = self._rng.randrange(end)
            frame = frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :]
        return self.other(frame[:end]) + frame[end:]

    def other(self, said: bytes) -> bytes:
        """Anything else that is said."""
        if "bad-bytes" not in self._kinds:
            return said
        # One of the lower four bits: another letter or digit, where a higher one might only change its case.
        return bytes(
            byte ^ 1 << self._rng.randrange(4) if self._rng.random() < DAMAGED_SHARE else byte for byte in said
        )


def garbling(seed: int) -> bytes:
    """A table for ``bytes.translate``: what another speed of the line makes of each byte."""
    return random.Random(seed).randbytes(256)  # noqa: S311 - a fault, not a secret
