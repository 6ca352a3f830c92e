"""What a check is: a name, what it touches, and a function from the bench to its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from reader.messages import Check
from reader.selftest.bench import Bench


class Plan(NamedTuple):
    """One check of the table.

    ``name``: what ``--check`` takes; its findings are called so, or ``name:main:2`` where there are several (a reader,
    an antenna). ``says``: what it looks at, for a list. ``run``: the findings as they are made; a ReaderError, a
    BrokerError or an OSError that it lets out becomes a failed one. ``touches``: what of the world it moves, in words
    (it transmits, it beeps): done only if allowed; "": it only looks. ``thoroughly``: what it moves besides where it
    is allowed and no race is on; else it finds out less. ``interrupts``: timing, or
    a test chip is needed: in a daemon only in mode test or released. ``needs``: a key of the bench's ``missing``:
    where it stands there the check is skipped, for what it says.
    """

    name: str
    says: str
    run: Callable[[Bench], Iterator[Check]]
    touches: str = ""
    interrupts: bool = False
    needs: str = ""
    thoroughly: str = ""
