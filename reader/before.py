"""What is known of the time before this run: why nothing was heard, and what the log said last of each antenna."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from reader.clock import rfc3339_from_utc_ns
from reader.journal import JournalView
from reader.messages import Coverage
from reader.model import Began, Hears

LOOKED_AT = 1000  # entries

Told: TypeAlias = dict[str, dict[int | None, Hears]]  # by reader and antenna; None: all of them

_coverage = msgspec.json.Decoder(Coverage)


def why_deaf(boot: str, last_utc_ns: int, began: Began, *, has_good_clocks: bool) -> str:
    """Why nothing could be heard before this run, a sentence; after a power cut with the moments that bound it.

    ``boot``, ``last_utc_ns``: of the last that is known; ``has_good_clocks``: then and now.
    """
    if boot == began.boot:
        return "the daemon was not running"
    last, again = (rfc3339_from_utc_ns(utc_ns)[:19].replace("T", " ") for utc_ns in (last_utc_ns, began.at.utc_ns))
    if last[:10] == again[:10]:
        last, again = last[11:], again[11:]
    by = "" if has_good_clocks else ", by a clock that was not known to be right"
    return (
        "the box was without power or restarted: nothing can have been heard for some time, or all of it, between "
        f"{last} (last known to hear) and {again} UTC (timing began again){by}"
    )


def last_told(view: JournalView, epoch: str) -> Told:
    """What the log of that epoch said last of the hearing of each reader and antenna."""
    told: Told = {}
    try:
        entries = [_coverage.decode(entry.body) for entry in view.last_told(epoch, "coverage", LOOKED_AT)]
    except msgspec.MsgspecError:
        return told  # of another version: what is so is told once more
    # By number: an old one may have been told again, with its time put right, behind a newer one.
    for entry in sorted(entries, key=lambda entry: entry.n):
        told.setdefault(entry.reader, {})[entry.antenna] = entry.hearing
    return told
