"""How often the fault light blinks: a number for each part of the box that can be wrong. Pure.

The first that is wrong is shown, failures before warnings: what stops timing stands first, and few blinks are
quickly counted. What is wrong besides, and why, is in `status`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reader.messages import Part, Word


class Fault(NamedTuple):
    """``parts``: of the status, by name; "reader" stands for each of them."""

    blinks: int
    parts: tuple[str, ...]


FAULTS: tuple[Fault, ...] = (
    Fault(1, ("reader",)),
    Fault(2, ("journal", "storage")),
    Fault(3, ("daemon",)),
    Fault(4, ("power",)),
    Fault(5, ("config",)),
    Fault(6, ("clock",)),
    Fault(7, ("broker",)),
)
NOBODY_SAYS = 3  # the daemon's: its main thread does not say how it stands

# The journal warns that another was set aside at the start: nobody can do anything about it, all day long.
SILENT: frozenset[tuple[str, Word]] = frozenset({("journal", "warn")})


def blinks_of(parts: Mapping[str, Part]) -> int:
    """The number to blink for the parts of a status; 0: nothing is wrong."""
    wrong: dict[Word, set[str]] = {"fail": set(), "warn": set()}
    for name, part in parts.items():
        kind = name.partition(":")[0]
        if part.word in wrong and (kind, part.word) not in SILENT:
            wrong[part.word].add(kind)
    for kinds in wrong.values():
        for fault in FAULTS:
            if not kinds.isdisjoint(fault.parts):
                return fault.blinks
    return 0
