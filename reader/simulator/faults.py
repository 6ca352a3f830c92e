"""What can go wrong on purpose, and when."""

from __future__ import annotations

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
    "reboot": "the reader restarts: its settings are gone, a ThingMagic says so and streams no more",
    "bad-checksum": "from then on one byte in one of a hundred reads is wrong",
}


class Fault(msgspec.Struct, frozen=True):
    """One of ``FAULTS``, and when: seconds of the race since it began. How long it lasts is host time."""

    name: str
    at_s: float


def fault_from_text(text: str) -> Fault:
    """``NAME`` or ``NAME@SECONDS``; UsageError with the list for any other."""
    name, _, at = text.partition("@")
    try:
        at_s = float(at or 0)
    except ValueError:
        at_s = -1.0
    if name not in FAULTS or not 0 <= at_s < float("inf"):
        known = "\n".join(f"  {known}: {says}" for known, says in FAULTS.items())
        raise UsageError(f"--fault {text}: expected NAME or NAME@SECONDS, with NAME one of\n{known}")
    return Fault(name, at_s)
