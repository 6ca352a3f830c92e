"""Which passings of one runner at one point are one crossing, and which of their times it has. Pure.

A runner wears two chips, the mat has a backup behind it, a wide road two mats side by side, a mat a second line: one
crossing is told many times, and nobody who scores wants to know. A runner is a bib; a chip without one is a runner of
its own. The passings of one runner at one point, in the order of their times:

====================================================================  ==============================
the passing                                                           belongs to
====================================================================  ==============================
is the first                                                          a new crossing
comes 20 s or less after the *first* of the crossing before it        that crossing
comes later                                                           a new crossing
is of a chip that the same line of the same box has in that crossing  a new crossing, however soon:
                                                                      the mat said that it was gone
                                                                      in between (a short lap)
… but says ``after_restart``                                          that crossing: the mat could
                                                                      not know
is told in mode ``test``                                              none
====================================================================  ==============================

It is measured from the crossing's first passing, not from its last, so that half an hour of standing about never
becomes one long crossing; and so a main read half an hour later never takes the place of an earlier backup one.

The time of a crossing is that of one of its passings: of a main mat, else of one at the side, else of a backup; of
several such, the earliest. The result depends on which passings there are, not on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

WITHIN_US = 20_000_000
ROLES = ("main", "side", "backup")  # the first counts most; one that we don't know counts least


class Passing(NamedTuple):
    """A passing at its highest revision, as far as joining asks; ``utc_us``: microseconds since 1970."""

    passing: str
    utc_us: int
    mat: str
    box: str
    line: str
    role: str
    chip: str
    after_restart: bool


class Crossing(NamedTuple):
    """``counts``: the passing whose time it is; ``passings``: all of them, by time."""

    counts: Passing
    passings: tuple[Passing, ...]


def join(passings: Iterable[Passing]) -> list[Crossing]:
    """The crossings that these passings of one runner at one point are, by time."""
    joined: list[list[Passing]] = []
    for passing in sorted(passings, key=_by_time):
        if joined and _belongs(passing, joined[-1]):
            joined[-1].append(passing)
        else:
            joined.append([passing])
    return [Crossing(min(together, key=_by_rank), tuple(together)) for together in joined]


def _belongs(passing: Passing, together: list[Passing]) -> bool:
    if passing.utc_us - together[0].utc_us > WITHIN_US:
        return False
    return passing.after_restart or not any(_heard(one) == _heard(passing) for one in together)


def _heard(passing: Passing) -> tuple[str, str, str, str]:
    return passing.chip, passing.mat, passing.box, passing.line


def _by_time(passing: Passing) -> tuple[int, str]:
    return passing.utc_us, passing.passing


def _by_rank(passing: Passing) -> tuple[int, int, str]:
    rank = ROLES.index(passing.role) if passing.role in ROLES else len(ROLES)
    return rank, passing.utc_us, passing.passing
