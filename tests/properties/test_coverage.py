"""The laws of coverage: whatever a reader and its antennas do, it is told once, not too soon, and it ends."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from reader.line.activity import Heard60s
from reader.line.coverage import LOST_NS, Change, Coverage
from reader.line.protocols import AntennaStanding, Standing, State
from reader.model import NS_PER_S, Hears

S = NS_PER_S
BEGIN_NS = 1_000 * S
ANTENNAS = (1, 2, 3)
WELL_S = 120  # after so long with nothing wrong, nothing is
GONE = Standing(hears=False, word="fail", says="gone")
law = settings(max_examples=150, deadline=None)


class Spell(NamedTuple):
    """So many seconds of this: of each antenna what the reader says, its reads a minute, whether it is heard now."""

    seconds: int
    hears: bool
    is_weak: bool
    states: tuple[State, ...]
    reads: tuple[int, ...]
    heard: tuple[bool, ...]


def of_each(what: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(*(what for _ in ANTENNAS))


STATES = st.sampled_from(["up", "up", "up", "missing", "bad", "unknown"])
READS = st.sampled_from([0, 1, 10, 60, 61, 300, 3_000])
SPELLS = st.builds(
    Spell,
    st.integers(1, 40),
    st.sampled_from([True, True, True, False]),
    st.booleans(),
    of_each(STATES),
    of_each(READS),
    of_each(st.sampled_from([False, False, False, True])),
)
TOLD = st.dictionaries(st.sampled_from([None, *ANTENNAS]), st.sampled_from(["up", "down"]), max_size=3)
WELL = Spell(WELL_S, True, False, ("up",) * 3, (300,) * 3, (True,) * 3)


class Reader:
    """One look a second."""

    def __init__(self, told: dict[int | None, Hears]) -> None:
        self.coverage = Coverage(told)
        self.now_ns = BEGIN_NS
        self.last_ns = dict.fromkeys(ANTENNAS, 0)

    def live(self, spell: Spell) -> list[Change]:
        standing = Standing(spell.hears, "ok", "listening", spell.is_weak) if spell.hears else GONE
        changes = []
        for _ in range(spell.seconds):
            self.now_ns += S
            for antenna, is_heard in zip(ANTENNAS, spell.heard, strict=True):
                self.last_ns[antenna] = self.now_ns if is_heard else self.last_ns[antenna]
            antennas = [AntennaStanding(n, state, None) for n, state in zip(ANTENNAS, spell.states, strict=True)]
            heard = [
                Heard60s(n, reads, 30, None, reads, self.last_ns[n], None)
                for n, reads in zip(ANTENNAS, spell.reads, strict=True)
            ]
            changes += self.coverage.look(standing, antennas, heard, self.now_ns)
        return changes


@law
@given(st.lists(SPELLS, max_size=12), TOLD)
def test_no_state_is_told_twice_running_and_what_began_is_ended(
    spells: list[Spell], told: dict[int | None, Hears]
) -> None:
    reader = Reader(told)
    now: dict[int | None, Hears] = {None: told.get(None, "up")} if None in told else {}
    now |= {antenna: told.get(antenna, "up") for antenna in ANTENNAS}
    for spell in [*spells, WELL]:
        for change in reader.live(spell):
            assert change.hearing != now.get(change.antenna)
            assert BEGIN_NS <= change.since_ns <= reader.now_ns
            assert change.reason
            now[change.antenna] = change.hearing
        down = {antenna for antenna in ANTENNAS if now[antenna] == "down"}
        assert reader.coverage.down.keys() == down
        if not spell.hears:
            assert now[None] == "down"
        elif now[None] == "up":
            assert not down
    assert set(now.values()) == {"up"}


@law
@given(st.lists(st.tuples(of_each(STATES), st.integers(1, 60)), max_size=30))
def test_a_fault_that_does_not_last_tells_nothing(faults: list[tuple[tuple[State, ...], int]]) -> None:
    reader = Reader({})
    short_s = LOST_NS // S
    told = reader.live(WELL)
    for states, well_s in faults:
        told += reader.live(WELL._replace(seconds=short_s, states=states, heard=(False,) * 3, is_weak=True))
        told += reader.live(WELL._replace(seconds=well_s, heard=(False,) * 3))
    assert [change.antenna for change in told] == [None]


@law
@given(st.lists(SPELLS, max_size=8), st.integers(0, 7))
def test_begun_again_it_tells_nothing_that_the_log_says_already(spells: list[Spell], cut: int) -> None:
    """The daemon restarts: all readers are told to be down, and it goes on from what the log said last."""
    now: dict[int | None, Hears] = {}
    reader = Reader({})
    for number, spell in enumerate(spells):
        if number == cut:
            now = {**now, None: "down"}
            begun = Reader(now)
            begun.now_ns = reader.now_ns
            reader = begun
        for change in reader.live(spell):
            assert change.hearing != now.get(change.antenna, None if change.antenna is None else "up")
            now[change.antenna] = change.hearing
