"""What a reader says of itself and what its antennas heard, and which changes of its hearing are told of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from reader.line.activity import Heard60s
from reader.line.coverage import DEAF_NS, LOST_NS, UP_NS, Coverage
from reader.line.protocols import AntennaStanding, Standing, State
from reader.model import NS_PER_S, Hears

S = NS_PER_S
HEARS = Standing(hears=True, word="ok", says="streaming")
GONE = Standing(hears=False, word="fail", says="the port is gone")
HOT = Standing(hears=True, word="warn", says="streaming; too hot", is_weak=True)
BEGINNING = Standing(hears=False, word="unknown", says="setting up the reader")


class Reader:
    """Four antennas, looked at once a second. ``reads``: of each, a minute; ``chips`` likewise."""

    def __init__(self, told: Mapping[int | None, Hears] | None = None) -> None:
        self.coverage = Coverage(told)
        self.now_s = 1_000
        self.standing = HEARS
        self.says: dict[int, State] = dict.fromkeys((1, 2, 3, 4), "up")
        self.expected = {1, 2, 3, 4}
        self.reads = dict.fromkeys((1, 2, 3, 4), 0)
        self.chips = 30
        self.last_s: dict[int, int] = {}
        self.reference_s: dict[int, int] = {}
        self.told: list[tuple[int | None, Hears]] = []
        self.reasons: list[str] = []
        self.since_s: list[int] = []

    def go(self, seconds: int = 1) -> Reader:
        """So many looks."""
        for _ in range(seconds):
            self.now_s += 1
            standings = [AntennaStanding(n, state, None, n in self.expected) for n, state in self.says.items()]
            heard = [
                Heard60s(n, reads, self.chips, None, reads, self.last_s.get(n, 0) * S, self._reference_ns(n))
                for n, reads in self.reads.items()
                if reads or n in self.last_s or n in self.reference_s
            ]
            for change in self.coverage.look(self.standing, standings, heard, self.now_s * S):
                self.told.append((change.antenna, change.hearing))
                self.reasons.append(change.reason)
                self.since_s.append(change.since_ns // S)
        return self

    def news(self) -> list[tuple[int | None, Hears]]:
        """What was told since the last call."""
        told, self.told = self.told, []
        return told

    def hears_with(self, antennas: Iterable[int]) -> None:
        for antenna in antennas:
            self.last_s[antenna] = self.now_s + 1

    def _reference_ns(self, antenna: int) -> int | None:
        return self.reference_s[antenna] * S if antenna in self.reference_s else None


def begun(told: Mapping[int | None, Hears] | None = None) -> Reader:
    reader = Reader(told).go(20)
    reader.news()
    return reader


# ---- the reader as a whole -----------------------------------------------------------------------------------


def test_what_begins_and_ceases_is_told_at_once_and_once() -> None:
    reader = Reader()
    assert reader.go(3).news() == [(None, "up")]
    reader.standing = GONE
    assert reader.go(3).news() == [(None, "down")]
    assert reader.reasons == ["streaming", "the port is gone"]
    reader.standing = HEARS
    assert reader.go(3).news() == [(None, "up")]


def test_a_reader_that_has_yet_to_be_spoken_to_has_not_ceased_to_hear() -> None:
    reader = Reader()
    reader.standing = BEGINNING
    assert reader.go(3).news() == []
    reader.standing = GONE
    assert reader.go(3).news() == [(None, "down")]
    reader.standing = BEGINNING
    assert reader.go(3).news() == []


def test_since_when_it_has_ceased_may_have_been_before_it_was_noticed() -> None:
    coverage = Coverage()
    coverage.look(HEARS, [], [], 100 * S)
    [change] = coverage.look(GONE, [], [], 110 * S, since_ns=107 * S)
    assert change == (None, "down", "the port is gone", 107 * S)


def test_a_reader_that_says_it_hears_less_is_partial_while_it_says_so() -> None:
    reader = begun()
    reader.standing = HOT
    assert reader.go(LOST_NS // S).news() == []
    assert reader.go().news() == [(None, "partial")]
    assert reader.reasons[-1] == HOT.says
    assert reader.since_s[-1] == 1_021
    reader.standing = HEARS
    assert reader.go(UP_NS // S).news() == []
    assert reader.go().news() == [(None, "up")]


@pytest.mark.parametrize(("told", "expected"), [("down", "up"), ("partial", "up"), ("up", None)])
def test_what_the_log_says_already_is_not_told_again(told: Hears, expected: Hears | None) -> None:
    assert Reader({None: told}).go(3).news() == ([(None, expected)] if expected else [])
    reader = Reader({None: "down"})
    reader.standing = GONE
    assert reader.go(3).news() == []


# ---- one antenna lost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["missing", "bad"])
def test_an_antenna_that_the_reader_misses_is_told_and_the_reader_is_partial_until_it_is_back(state: State) -> None:
    reader = begun()
    reader.says[2] = state
    assert reader.go(LOST_NS // S).news() == []
    assert reader.go().news() == [(2, "down"), (None, "partial")]
    assert reader.reasons[-1] == f"antenna 2 is {state}, says the reader: look at it and at its cable"
    assert reader.since_s[-2:] == [1_021, 1_021]
    assert reader.coverage.down.keys() == {2}
    reader.says[2] = "up"
    assert reader.go(UP_NS // S).news() == []
    assert reader.go().news() == [(2, "up"), (None, "up")]
    assert reader.coverage.down == {}


def test_a_second_one_makes_it_no_more_partial_than_it_is() -> None:
    reader = begun()
    reader.says[2] = "missing"
    reader.go(10)
    reader.says[3] = "missing"
    assert reader.go(10).news() == [(2, "down"), (None, "partial"), (3, "down")]


def test_an_antenna_that_is_gone_for_a_moment_is_not_told_of() -> None:
    reader = begun()
    for _ in range(20):
        reader.says[2] = "missing"
        reader.go(LOST_NS // S)
        reader.says[2] = "up"
        reader.go()
    assert reader.news() == []


def test_all_of_them_lost_is_the_reader_lost_until_one_is_heard() -> None:
    reader = begun()
    reader.says = dict.fromkeys(reader.says, "missing")
    assert reader.go(LOST_NS // S + 1).news() == [(1, "down"), (2, "down"), (3, "down"), (4, "down"), (None, "down")]
    assert reader.coverage.has_lost_all
    reader.hears_with([3])
    assert reader.go().news() == [(None, "partial")]
    assert reader.go(UP_NS // S).news() == [(3, "up")]


def test_what_is_heard_all_the_same_hears_whatever_the_reader_says() -> None:
    reader = begun()
    reader.says[2] = "missing"  # an antenna without a path for direct current
    reader.go()
    reader.hears_with([2])
    assert reader.go(600).news() == []
    reader.says[2] = "up"  # for as long as nothing says otherwise: its read was the last word
    reader.go(5)
    reader.says[2] = "missing"
    assert reader.go(600).news() == []
    reader.says[2] = "up"
    reader.go(20)
    reader.says[2] = "missing"
    assert reader.go(20).news() == [(2, "down"), (None, "partial")]


def test_where_nothing_need_be_connected_nothing_is_missing() -> None:
    reader = begun()
    reader.expected = {1, 2}
    reader.says |= {3: "missing", 4: "missing"}
    assert reader.go(60).news() == []


def test_a_reader_that_does_not_hear_says_nothing_of_its_antennas() -> None:
    reader = begun()
    reader.says[2] = "missing"
    reader.go(3)
    reader.standing = GONE
    reader.go(60)
    assert reader.news() == [(None, "down")]
    reader.standing = HEARS
    assert reader.go(LOST_NS // S).news() == [(None, "up")]
    assert reader.go().news() == [(2, "down"), (None, "partial")]
    reader.standing = GONE
    reader.go(60)
    reader.standing = HEARS
    assert reader.go(60).news() == [(None, "down"), (None, "partial")]


# ---- one antenna deaf ----------------------------------------------------------------------------------------


def test_one_that_hears_less_than_a_tenth_of_the_others_is_told() -> None:
    reader = begun()
    reader.reads = {1: 9, 2: 100, 3: 90, 4: 110}
    assert reader.go(DEAF_NS // S).news() == []
    assert reader.go().news() == [(1, "down"), (None, "partial")]
    assert reader.reasons[-1].startswith("antenna 1 hears 9 reads a minute, its neighbours 100: look at it")
    reader.reads[1] = 19  # more than a tenth, not yet a fifth
    assert reader.go(60).news() == []
    reader.reads[1] = 20
    assert reader.go(UP_NS // S + 1).news() == [(1, "up"), (None, "up")]


@pytest.mark.parametrize(
    ("reads", "chips"),
    [
        ({1: 10, 2: 100, 3: 90, 4: 110}, 30),  # a tenth
        ({1: 0, 2: 59, 3: 59, 4: 59}, 30),  # few run
        ({1: 0, 2: 600, 3: 600, 4: 600}, 9),  # or stand about
        ({1: 0, 2: 0, 3: 0, 4: 900}, 30),  # on the outside of the road
    ],
)
def test_where_it_can_t_be_known_nothing_is_told(reads: dict[int, int], chips: int) -> None:
    reader = begun()
    reader.reads, reader.chips = reads, chips
    assert reader.go(600).news() == []


def test_of_two_the_other_one_is_what_it_is_held_against_and_one_alone_against_none() -> None:
    for antennas, expected in ((2, [(1, "down"), (None, "partial")]), (1, [])):
        reader = Reader()
        reader.says = dict.fromkeys(range(1, antennas + 1), "up")
        reader.reads = {1: 0, 2: 300} if antennas == 2 else {1: 0}
        assert reader.go(60).news() == [(None, "up"), *expected]


def test_a_lost_one_is_no_measure_for_the_others() -> None:
    reader = begun()
    reader.says |= {3: "missing", 4: "missing"}
    reader.reads = {1: 0, 2: 300, 3: 0, 4: 0}
    assert (1, "down") in reader.go(60).news()


def test_one_that_hears_a_reference_chip_hears() -> None:
    reader = begun()
    reader.reads = {1: 0, 2: 300, 3: 300, 4: 300}
    for _ in range(60):
        reader.reference_s[1] = reader.now_s
        reader.go()
    assert reader.news() == []
    reader.go(10 + DEAF_NS // S + 1)
    assert reader.news() == [(1, "down"), (None, "partial")]
    reader.reference_s[1] = reader.now_s + 1
    assert reader.go(UP_NS // S + 1).news() == [(1, "up"), (None, "up")]


def test_a_deaf_one_stays_deaf_while_nobody_runs_and_a_few_chips_show_that_it_is_not() -> None:
    reader = begun()
    reader.reads = {1: 0, 2: 300, 3: 300, 4: 300}
    reader.go(60)
    reader.news()
    reader.reads, reader.chips = dict.fromkeys(reader.reads, 0), 0
    assert reader.go(3_600).news() == []
    reader.reads[1], reader.chips = 10, 1
    assert reader.go(60).news() == [(1, "up"), (None, "up")]


def test_a_reader_that_names_its_antennas_only_in_its_reads_is_judged_by_them() -> None:
    reader = Reader()
    reader.says = {}
    reader.reads = {1: 5, 2: 300, 3: 300}
    assert reader.go(60).news() == [(None, "up"), (1, "down"), (None, "partial")]


# ---- over a restart ------------------------------------------------------------------------------------------


def test_an_antenna_that_was_down_before_a_restart_still_is_until_it_is_known_to_hear() -> None:
    reader = Reader({None: "down", 2: "down", 3: "up"})
    reader.says[2] = "missing"
    assert reader.go(60).news() == [(None, "partial")]
    reader.says[2] = "up"
    assert reader.go(60).news() == [(2, "up"), (None, "up")]
    reader = Reader({None: "down", 2: "down"})
    reader.says = dict.fromkeys(reader.says, "unknown")
    assert reader.go(60).news() == [(None, "partial")]
    reader.reads[2] = 30
    assert reader.go(60).news() == [(2, "up"), (None, "up")]
