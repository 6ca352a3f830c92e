"""What the checks of the readers share: how a reader stands once it has had time to, and what it tells of itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

from reader.config import ReaderSettings
from reader.errors import ReaderError
from reader.line.protocols import Examined, load
from reader.line.protocols.asking import Script
from reader.line.state import LinkState
from reader.messages import Check
from reader.model import NS_PER_S
from reader.selftest.bench import Bench, RaceBegan
from reader.selftest.plan import Plan

T = TypeVar("T")

LINES = "lines"  # in Bench.missing, where the readers' lines are not opened

TRANSMITS = "the readers stop timing for some seconds, and transmit on one antenna after the other"
LOOK_AT_READER = "look at the reader's power and at its cable"

POLL_S = 0.1
SETTLE_S = 15.0  # a reader is opened and set up in less, and found if it is at a likely place
ANSWER_LIMIT_S = 40.0  # for all that one check asks: sixteen antennas take their time

# A look at one reader; the finding of it, or those of its antennas, are called by the name that is given, or begin so.
Look: TypeAlias = Callable[[Bench, ReaderSettings, str], Iterator[Check]]


def plan_of_readers(
    name: str,
    says: str,
    look: Look,
    *,
    must_be_found: bool = True,
    touches: str = "",
    interrupts: bool = False,
    needs: str = LINES,
    thoroughly: str = "",
) -> Plan:
    """A plan that looks at every reader, as in :class:`Plan`; what goes wrong with one does not hide the others.

    ``must_be_found``: skipped until it is known which family is on the line. A look that is refused by a ReaderError
    becomes a failed finding, in its words.
    """

    def run(bench: Bench) -> Iterator[Check]:
        for reader in bench.config.readers:
            full_name = f"{name}:{reader.name}"
            try:
                if must_be_found and (state := settled(bench, reader)).family is None:
                    yield skipped(full_name, f"no reader has been found yet for {reader.name}: {state.says}")
                    continue
                yield from look(bench, reader, full_name)
            except ReaderError as error:
                yield Check(name=full_name, result="fail", says=f"reader {reader.name}: {error}", do=LOOK_AT_READER)

    return Plan(name, says, run, touches, interrupts, needs, thoroughly)


def skipped(name: str, says: str) -> Check:
    """Why it was not looked at."""
    return Check(name=name, result="skip", says=says)


def settled(bench: Bench, reader: ReaderSettings) -> LinkState:
    """How it stands when it hears, or says why not; one that was waited for in vain is not waited for again."""
    part = f"reader:{reader.name}"
    until_ns = bench.clock.mono_ns() + int(SETTLE_S * NS_PER_S)
    while True:
        state = bench.links.state(reader.name)
        if state.hears or state.word == "fail" or part in bench.missing:
            return state
        if bench.clock.mono_ns() >= until_ns:
            bench.missing[part] = state.says
            return state
        pause(bench)


def pause(bench: Bench) -> None:
    """A tenth of a second, between two looks at what may have changed."""
    bench.pause(POLL_S)


def answer_of(bench: Bench, reader: ReaderSettings, script: Script[T], *, is_interrupting: bool = True) -> T:
    """What a script returns that is said to that reader; ReaderError in words.

    One that interrupts timing is left, and the reader set up again, as soon as a race begins (RaceBegan), or nobody
    waits for it (Left): starters do not wait for a self-test.
    """

    def has_race_begun() -> bool:
        return is_interrupting and bench.mode_now() == "race"

    try:
        return bench.links.run(
            reader.name, script, ANSWER_LIMIT_S, lambda: not (bench.leaving.is_set() or has_race_begun())
        )
    except ReaderError:
        bench.pause(0)
        if has_race_begun():
            raise RaceBegan from None
        raise


def examined(bench: Bench, reader: ReaderSettings) -> Examined:
    """What a reader, once found, tells of its health; asked once in a self-test. ReaderError.

    Thoroughly, so that reports stop meanwhile and each antenna transmits, only where nothing is timed and it is
    allowed: then a check that interrupts nothing profits from one that does. Never one that does not transmit because
    its region is not the profile's.
    """
    state = settled(bench, reader)
    is_interrupting = bench.mode_now() != "race" and bench.is_allowed and "not transmitting" not in state.says
    key = reader.name, is_interrupting
    if key not in bench.examined:
        script = load(state.family or "").examine(is_interrupting)
        try:
            told = answer_of(bench, reader, script, is_interrupting=is_interrupting)
        except RaceBegan:
            return examined(bench, reader)  # what can be had of it in a race
        bench.examined[key] = told if is_interrupting else _completed(told, state.health)
    return bench.examined[key]


def why_not_told(reader: ReaderSettings, what: str, pattern: str, told: Examined) -> str:
    """Why ``what`` is not known, in what it has said of itself: the sentences with ``pattern`` in them, or all."""
    said = [one for one in told.says if re.search(pattern, one)] or told.says
    return "; ".join((f"reader {reader.name} does not tell {what}", *said))


def _completed(told: Examined, before: Examined) -> Examined:
    """What a reader that may not be interrupted told when it was asked; where it did not, of its own accord before."""
    return Examined(
        temperature_c=before.temperature_c if told.temperature_c is None else told.temperature_c,
        noise_dbm={**before.noise_dbm, **told.noise_dbm},
        connected={**before.connected, **told.connected},
        return_loss_db={**before.return_loss_db, **told.return_loss_db},
        region=told.region or before.region,
        says=told.says or before.says,
    )
