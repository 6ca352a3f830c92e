"""What is tried on an unknown line, one step after the other, in a time that a person waits."""

from __future__ import annotations

from itertools import zip_longest
from typing import NamedTuple

from reader.line.protocols import BY_NAME, FAMILIES, Family
from reader.model import NS_PER_S

NS_PER_MS = 1_000_000

SETTLE_NS = 35 * NS_PER_MS  # what comes so soon after a change of speed was said at the old one
WINDOW_NS = 250 * NS_PER_MS  # the slowest: a question and its answer at 4800 baud take 90 ms on the wire
ANSWER_NS = NS_PER_S  # on a line whose speed means nothing a network lies between
LIMIT_NS = 25 * NS_PER_S // 2  # all of it

# What talks by itself: IPICO and LF readers, then a ThingMagic left streaming, with a keep-alive each second.
CYCLE_NS = 1_100 * NS_PER_MS
LISTENED = ((9600, 350 * NS_PER_MS), (38400, 250 * NS_PER_MS), (57600, 300 * NS_PER_MS), (115200, CYCLE_NS))
# Speeds to which a ThingMagic is raised for more reads a second: it answers nothing while it streams.
LISTENED_LAST = (921600, 230400)
ASKED_FIRST = (
    ("thingmagic", 115200),
    ("thingmagic", 9600),
    ("thingmagic", 921600),
    ("a0", 115200),
    ("m100", 115200),
    ("uhfreader", 57600),
    ("uhfreader", 9600),
    ("uhfreader", 115200),
    ("ipico", 9600),
    ("ipico", 38400),
    ("ipico", 115200),
)


# A UHFReader believes any byte to be the length of a command, and one that has no clock for it waits for the rest for
# ever: so many bytes as a command can have make an end of it. Zeros are the length of none, and mean nothing to others.
CLEARED = {"uhfreader": bytes(255)}


class Step(NamedTuple):
    """So long at this speed; ``family``: whose question is asked, None for nobody's; ``cleared``: said before it."""

    baud: int
    family: Family | None
    lasts_ns: int
    cleared: bytes = b""

    @property
    def clearing_ns(self) -> int:
        """How long ``cleared`` is on the wire, and a silence behind it."""
        return 10 * len(self.cleared) * NS_PER_S // self.baud + SETTLE_NS if self.cleared else 0


def steps_from(first_baud: int | None) -> tuple[Step, ...]:
    """All there is to try, in order, in ``LIMIT_NS`` at most: at the speed that was named, and then at all others."""
    listened = [Step(baud, None, lasts_ns) for baud, lasts_ns in LISTENED if baud != first_baud]
    pairs = [(BY_NAME[name], baud) for name, baud in ASKED_FIRST if name in BY_NAME]
    for rank in zip_longest(*(family.bauds for family in FAMILIES)):
        pairs += [(family, baud) for family, baud in zip(FAMILIES, rank, strict=True) if baud is not None]
    pairs = [pair for pair in dict.fromkeys(pairs) if pair[0].question and pair[1] != first_baud]
    asking = [family for family in FAMILIES if family.question] if first_baud is not None else []
    told = [Step(first_baud, None, CYCLE_NS)] if first_baud is not None else []
    asked = [(family, first_baud or 0) for family in _in_order(asking)]
    left_ns = LIMIT_NS - sum(step.lasts_ns for step in told + listened)
    left_ns -= sum(_asking(*one, 0).lasts_ns for one in asked + pairs)
    lasts_ns = min(SETTLE_NS + WINDOW_NS, left_ns // len(asked + pairs))
    steps = [*told, *(_asking(*one, lasts_ns) for one in asked), *listened, *(_asking(*one, lasts_ns) for one in pairs)]
    for baud in LISTENED_LAST:
        if baud != first_baud and sum(step.lasts_ns for step in steps) + CYCLE_NS <= LIMIT_NS:
            steps.append(Step(baud, None, CYCLE_NS))
    return tuple(steps)


def steps_without_speeds() -> tuple[Step, ...]:
    """For a line whose speed means nothing: each family is asked once."""
    families = [family for family in _in_order(FAMILIES) if family.question]
    first = families[0].baud
    return (Step(first, None, CYCLE_NS), *(_asking(family, first, ANSWER_NS) for family in families))


def _asking(family: Family, baud: int, lasts_ns: int) -> Step:
    step = Step(baud, family, 0, CLEARED.get(family.name, b""))
    return step._replace(lasts_ns=lasts_ns + step.clearing_ns)


def _in_order(families: tuple[Family, ...] | list[Family]) -> list[Family]:
    """The families in the order in which they are asked first."""
    names = list(dict.fromkeys(name for name, _ in ASKED_FIRST))
    return sorted(families, key=lambda family: names.index(family.name) if family.name in names else len(names))
