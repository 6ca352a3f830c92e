"""How an M100 is, asked of it: what it hears on each of its channels, and nothing else.

::

    F3 -> FIRST LAST dBm s8...     the strength on each channel while nobody answers: the noise
    F2 -> FIRST LAST dBm s8...     what blocks the receiver on each channel (the module's own carrier comes back, too)

It takes no command but the stop while it polls. It has neither a thermometer nor a check of its antenna: a sentence
says so. Sources: see :mod:`.frame`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from reader.line.protocols import Examined
from reader.line.protocols.asking import Script, Stuck, alone
from reader.line.protocols.m100.frame import INFO, JAMMERS, NOISE, REGION, STOP, Form
from reader.line.protocols.m100.report import REGIONS
from reader.line.protocols.m100.settings import ANTENNA, HARDWARE, asked, question, said_in, words_from_region
from reader.line.protocols.m100.talk import CHECK
from reader.model import NS_PER_S, Reply

SCAN_NS = 2 * NS_PER_S  # it listens on each of up to 64 channels

CANNOT = "it has no thermometer, and can't tell whether its antenna is connected"
POLLS = "it takes no question while it polls"


def examine(is_interrupting: bool) -> Script[Examined]:
    """How it is. A poll is stopped for it, and begun again by the conversation."""
    if not is_interrupting:
        return Examined(says=(POLLS, CANNOT))
    return (yield from alone(_examine()))


def _examine() -> Script[Examined]:
    first = yield from asked("to stop", STOP)
    if first is None:
        first = yield from asked("who it is", INFO, bytes((HARDWARE,)))
    if first is None:
        raise Stuck(f"does not answer: {CHECK}", is_unanswered=True)
    form = Form[str(first.fields["form"])]
    says = [CANNOT]
    answer = yield from asked("its region", REGION)
    code = said_in(answer, "region")
    if not isinstance(code, int):
        says.append(f"its region: {_why_not(answer)}")
    elif code not in REGIONS:
        says.append(f"no region is set that there is ({code})")
    noise = yield question("its noise", NOISE, tries=1, wait_ns=SCAN_NS, form=form)
    levels_dbm = _levels(noise)
    if not levels_dbm:
        says.append(f"its noise: {_why_not(noise)}")
    jammers = yield question("what blocks it", JAMMERS, tries=1, wait_ns=SCAN_NS, form=form)
    if blocked_dbm := _levels(jammers):
        says.append(f"the strongest signal that blocks it: {max(blocked_dbm)} dBm")
    else:
        says.append(f"what blocks it: {_why_not(jammers)}")
    return Examined(
        noise_dbm={ANTENNA: max(levels_dbm)} if levels_dbm else {},
        region=words_from_region(code) if isinstance(code, int) and code in REGIONS else None,
        says=tuple(says),
    )


def _levels(answer: Reply | None) -> Sequence[int]:
    return cast("Sequence[int]", said_in(answer, "dbm") or ())


def _why_not(answer: Reply | None) -> str:
    if answer is None:
        return "no answer"
    return f"refused, {answer.fields['says']}" if answer.name == "error" else "not told"
