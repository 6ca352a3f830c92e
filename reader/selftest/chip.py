"""The check that needs somebody: a test chip passed over one antenna after the other, and what each heard of it.

A neighbour hears it too, only weaker. So an antenna has heard the chip if none heard it better.

In mode released a chip that is not a sweep's would begin the race again, and be timed as a runner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from reader.clock import Clock
from reader.config import ReaderSettings
from reader.line.state import LinkState
from reader.messages import Check
from reader.model import NS_PER_S, ChipRead
from reader.selftest.antennas import LOOK_AT, of_antenna, place_of
from reader.selftest.bench import Bench
from reader.selftest.standing import LOOK_AT_READER, pause, plan_of_readers, settled, skipped
from reader.wording import counted

WEAK_DBM = -70  # a runner's chip is no stronger, farther away and against a body
PASSED_NS = NS_PER_S  # a chip that is unheard for so long has passed
ENDS_RELEASE = (
    "in mode released a test chip would be timed as a runner, and end the release: begin a test first (timing-mat mode"
    " test), or name the chip as a sweep in [chips]"
)
LIES_NS = 3 * NS_PER_S  # one that is heard for so long was not passed, but laid there: that will do


class Heard(NamedTuple):
    """Of one chip by one antenna; monotonic times."""

    chip: str
    antenna: int | None
    reads: int
    best_dbm: int | None
    first_ns: int
    last_ns: int


class Ear:
    """What is heard of each chip in its last passing, but for chips fixed to the mat.

    ``take`` is called by the port's thread, all else by any other.
    """

    def __init__(self, clock: Clock, reference: Set[str]) -> None:
        self._clock = clock
        self._reference = reference
        self.heard: dict[tuple[str, int | None], Heard] = {}  # by chip and antenna; replaced whole

    def take(self, reads: Sequence[ChipRead]) -> None:
        """These came."""
        now_ns = self._clock.mono_ns()
        heard = dict(self.heard)
        for read in reads:
            if read.chip in self._reference:
                continue
            of_chip = [one for one in heard.values() if one.chip == read.chip]
            if of_chip and all(now_ns - one.last_ns >= PASSED_NS for one in of_chip):
                heard = {key: one for key, one in heard.items() if one not in of_chip}
            key = read.chip, read.antenna
            before = heard.get(key) or Heard(*key, 0, None, now_ns, now_ns)
            levels = [level for level in (before.best_dbm, read.rssi_dbm) if level is not None]
            heard[key] = before._replace(reads=before.reads + 1, best_dbm=max(levels, default=None), last_ns=now_ns)
        self.heard = heard

    def best(self, antenna: int | None) -> Heard | None:
        """The chip that this antenna (None: any) heard best, of those that no other heard better."""
        of_all = self.heard.values()
        best_of_chip = {one.chip: one for one in sorted(of_all, key=_strength)}
        here = [one for one in best_of_chip.values() if antenna in (None, one.antenna)]
        return max(here, key=_strength, default=None)


def _strength(one: Heard) -> tuple[int, int]:
    """To compare: by the signal, and where none is told by the reads."""
    return (-1000 if one.best_dbm is None else one.best_dbm, one.reads)


def _look_for_chip(bench: Bench, reader: ReaderSettings, name: str) -> Iterator[Check]:
    state = settled(bench, reader)
    if not state.hears:
        yield Check(name=name, result="fail", says=f"reader {reader.name}: {state.says}", do=LOOK_AT_READER)
        return
    if bench.mode == "released" and not bench.config.chips.sweep:
        yield skipped(name, ENDS_RELEASE)
        return
    for antenna in antennas_to_test(state):
        ear = Ear(bench.clock, frozenset(bench.config.chips.reference))
        with bench.links.listening(reader.name, ear.take):
            yield _chip_over(bench, reader, of_antenna(name, antenna), antenna, ear)


def antennas_to_test(state: LinkState) -> list[int | None]:
    """Those that the reader listens on; None for a mat whose reads do not name any."""
    numbers = [one.antenna for one in state.standings if one.is_expected or one.state != "missing"]
    return list(numbers) or [None]


def _chip_over(bench: Bench, reader: ReaderSettings, name: str, antenna: int | None, ear: Ear) -> Check:
    place = place_of(reader.name, antenna)
    limit = f"a chip within {bench.chip_wait_s:g} s"
    chip = "a sweep's chip, and no other," if bench.mode == "released" else "the test chip"
    bench.tell(f"pass {chip} over {place}, within {bench.chip_wait_s:g} s")
    until_ns = bench.clock.mono_ns() + int(bench.chip_wait_s * NS_PER_S)
    elsewhere = ""
    while True:
        state = bench.links.state(reader.name)
        if state.word == "fail" and not state.hears:
            says = f"reader {reader.name} went away while the test chip was waited for: {state.says}"
            return Check(name=name, result="fail", limit=limit, says=says, do=LOOK_AT_READER)
        now_ns = bench.clock.mono_ns()
        if heard := ear.best(antenna):
            has_passed = now_ns - heard.last_ns >= PASSED_NS or now_ns - heard.first_ns >= LIES_NS
            if has_passed or now_ns >= until_ns + LIES_NS:  # chips may come one after the other, for ever
                return chip_finding(name, place, heard)
        elif other := ear.best(None):
            elsewhere = f"; {place_of(reader.name, other.antenna)} heard one"
        if now_ns >= until_ns and not heard:
            says = f"{place} heard no chip within {bench.chip_wait_s:g} s{elsewhere}"
            return Check(
                name=name, result="fail", value="0 reads", limit=limit, says=says, do=f"{LOOK_AT}; try another chip"
            )
        pause(bench)


def chip_finding(name: str, place: str, heard: Heard) -> Check:
    """The chip, how often it was heard, and how strong at best."""
    reads = counted(heard.reads, "read")
    if heard.best_dbm is None:
        says = f"{place} heard chip {heard.chip}, {reads}; it does not tell how strong"
        return Check(name=name, result="pass", value=reads, says=says)
    is_weak = heard.best_dbm < WEAK_DBM
    return Check(
        name=name,
        result="warn" if is_weak else "pass",
        value=f"{heard.best_dbm} dBm",
        limit=f"{WEAK_DBM} dBm",
        says=f"{place} heard chip {heard.chip}, {reads}, {'only ' if is_weak else ''}{heard.best_dbm} dBm at best",
        do=f"{LOOK_AT}; pass the chip closer" if is_weak else "",
    )


CHIP_PLAN = plan_of_readers(
    "test-chip",
    "what each antenna hears of a test chip",
    _look_for_chip,
    touches="needs somebody with a test chip",
    interrupts=True,
)
