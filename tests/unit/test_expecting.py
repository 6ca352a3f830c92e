"""Who is still to come: every row of the table in `expecting`, and what must never change it."""

from __future__ import annotations

import csv
import gzip
import random
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from reader.clock import rfc3339_from_utc_ns, utc_ns_from_rfc3339
from reader.errors import UsageError
from reader.model import NS_PER_S
from reader.racecontrol.expecting import NAMED, Expecting
from reader.racecontrol.starters import Runner, Starters, Status
from reader.racecontrol.wished import Wish
from reader.uplink.wire import Expect

CROSSINGS = Path(__file__).parents[2].parent / "shared" / "data" / "chicago-2023-crossings.csv.gz"
COURSE = ("start", "10k", "half", "finish")
GUN_NS = 1_772_891_330 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S


def listed(status: Status, *bibs: str) -> Starters:
    return {bib: Runner((chip_of(bib),), status) for bib in bibs}


def chip_of(bib: str) -> str:
    return f"{int(bib):04X}"


def see(
    expecting: Expecting, point: str, *bibs: str, mode: str = "race", use: str = "split", minutes: float = 0
) -> None:
    for bib in bibs:
        utc_ns = GUN_NS + int(minutes * MINUTE_NS)
        expecting.note(point, chip=chip_of(bib), bib=bib, mode=mode, use=use, utc_ns=utc_ns)


def counts(expecting: Expecting) -> list[int | None]:
    said = [expecting.expect(point, GUN_NS) for point in COURSE]
    return [None if one is None else one.count for one in said]


def expect(expecting: Expecting, point: str, minutes: float = 0, mat: str | None = None) -> Expect:
    said = expecting.expect(point, GUN_NS + int(minutes * MINUTE_NS), mat)
    assert said is not None
    return said


# ---- the table -------------------------------------------------------------------------------------------

LISTS: dict[str, Starters | None] = {
    status: listed(status, "1") | listed("started", "2") for status in ("started", "listed", "not-started", "out")
}
LISTS["not on it"] = listed("started", "2")
LISTS["there is no list"] = None


@pytest.mark.parametrize(
    ("status", "unseen", "seen_at_10k"),
    [
        ("started", [1, 1, 1, 1], [0, 0, 1, 1]),
        ("listed", [1, 0, 0, 0], [0, 0, 1, 1]),
        ("not-started", [0, 0, 0, 0], [0, 0, 1, 1]),
        ("out", [0, 0, 0, 0], [0, 0, 0, 0]),
        ("not on it", [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_each_row_of_the_table(status: str, unseen: list[int], seen_at_10k: list[int]) -> None:
    expecting = Expecting(COURSE, LISTS[status])
    assert counts(expecting) == [1 + count for count in unseen]  # runner 2 has started, and is nowhere
    see(expecting, "10k", "1")
    assert counts(expecting) == [1 + count for count in seen_at_10k]
    see(expecting, "finish", "1")
    assert counts(expecting) == [1, 1, 1, 1]
    assert expecting.unlisted == (status == "not on it")


def test_without_a_list_whoever_is_seen_is_a_runner() -> None:
    expecting = Expecting(COURSE)
    assert counts(expecting) == [None, None, None, None]
    see(expecting, "start", "1", "2")
    see(expecting, "10k", "1")
    assert counts(expecting) == [None, 1, 2, 2]
    assert expecting.unlisted == 0


def test_a_list_without_statuses_says_nothing_of_later_points_until_somebody_is_seen() -> None:
    expecting = Expecting(COURSE, listed("listed", "1", "2"))
    assert counts(expecting) == [2, None, None, None]
    see(expecting, "start", "1")
    assert counts(expecting) == [1, 1, 1, 1]


# ---- what a sighting is ----------------------------------------------------------------------------------


def test_test_passings_and_points_off_the_course_are_nothing() -> None:
    expecting = Expecting(COURSE, listed("started", "1"))
    see(expecting, "finish", "1", mode="test")
    see(expecting, "hotel", "1")
    assert counts(expecting) == [1, 1, 1, 1]
    assert expecting.expect("hotel", GUN_NS) is None
    see(expecting, "finish", "1", mode="released")
    assert counts(expecting) == [0, 0, 0, 0]


def test_a_runner_is_a_bib_with_all_its_chips() -> None:
    starters: Starters = {"1": Runner(("0A", "0B"), "started"), "2": Runner(("0C",), "started")}
    expecting = Expecting(COURSE, starters)
    assert expect(expecting, "finish").chips == ["0A", "0B", "0C"]
    # The mat has no chip file: the list knows whose chip it is.
    expecting.note("finish", chip="0B", bib=None, mode="race", use="finish", utc_ns=GUN_NS)
    assert expect(expecting, "finish").chips == ["0C"]
    # Without a list the mat's bib says it, and else the chip is all there is.
    alone = Expecting(COURSE)
    for chip, bib in (("0A", "1"), ("0B", "1"), ("0C", None)):
        alone.note("start", chip=chip, bib=bib, mode="race", use="start", utc_ns=GUN_NS)
    assert expect(alone, "10k").count == 2
    assert expect(alone, "10k").chips == ["0C", "0A", "0B"]


@pytest.mark.parametrize("use", ["lap", "start-finish"])
def test_where_runners_come_by_again_there_is_no_expectation(use: str) -> None:
    expecting = Expecting(COURSE, listed("listed", "1", "2"))
    see(expecting, "start", "1", use=use)
    assert counts(expecting) == [None, 1, 1, 1]
    see(expecting, "finish", "1", use=use)
    assert counts(expecting) == [None, 1, 1, None]


def test_a_course_has_each_point_once() -> None:
    with pytest.raises(UsageError, match='found "start" twice, expected each point once'):
        Expecting(("start", "10k", "start"))


class Seen(NamedTuple):
    point: str
    bib: str


sightings = st.lists(st.builds(Seen, st.sampled_from(COURSE), st.sampled_from("12345678")), max_size=30)


@given(sightings, st.randoms(use_true_random=False))
def test_neither_order_nor_doubles_change_who_is_expected(seen: list[Seen], rng: random.Random) -> None:
    starters = (
        listed("started", "1", "2") | listed("listed", "3", "4") | listed("out", "5") | listed("not-started", "6")
    )
    told = []
    for order in (seen, rng.sample(seen, len(seen)) + seen[:5]):
        expecting = Expecting(COURSE, starters)
        for one in order:
            see(expecting, one.point, one.bib)
        said = [expecting.expect(point, GUN_NS) for point in COURSE]
        told.append([None if one is None else (one.count, one.chips) for one in said])
    assert told[0] == told[1]


@given(sightings)
def test_the_counts_are_those_of_a_naive_reading_of_the_table(seen: list[Seen]) -> None:
    starters = (
        listed("started", "1", "2") | listed("listed", "3", "4") | listed("out", "5") | listed("not-started", "6")
    )
    expecting = Expecting(COURSE, starters)
    for one in seen:
        see(expecting, one.point, one.bib)
    for place, point in enumerate(COURSE):
        expected = []
        for bib, runner in starters.items():
            where = [COURSE.index(one.point) for one in seen if one.bib == bib]
            may_have_started = runner.status == "started" or (runner.status == "listed" and place == 0) or where
            if runner.status != "out" and may_have_started and max(where, default=-1) < place:
                expected.append(bib)
        said = expect(expecting, point)
        assert said.count == len(expected)
        assert said.chips == [chip_of(bib) for bib in expected]


# ---- what is said ----------------------------------------------------------------------------------------


def test_chips_are_named_when_few_are_left_and_never_too_many_bytes() -> None:
    many = [str(n) for n in range(1, NAMED + 2)]
    expecting = Expecting(COURSE, listed("started", *many))
    assert expect(expecting, "finish").chips is UNSET
    see(expecting, "finish", "1")
    said = expect(expecting, "finish")
    assert said.chips is not UNSET
    assert len(said.chips) == NAMED
    long_chips: Starters = {bib: Runner(("AB" * 62,), "started") for bib in many[:150]}
    said = expect(Expecting(COURSE, long_chips), "finish")
    assert (said.count, said.chips) == (150, UNSET)
    most: Starters = {bib: Runner(("A" * 28 + f"{int(bib):04X}",), "started") for bib in many[:NAMED]}
    assert len(msgspec.json.encode(expect(Expecting(COURSE, most), "finish"))) < 16_384


def test_the_last_one_is_estimated_at_the_pace_of_those_who_came_before() -> None:
    expecting = Expecting(COURSE, listed("started", "1", "2", "3", "4"))
    for bib, minutes in (("1", 0), ("2", 1), ("3", 5)):
        see(expecting, "start", bib, minutes=minutes)
    assert expect(expecting, "10k").last_runner_at is None  # nobody came that way yet
    see(expecting, "10k", "1", minutes=50)
    see(expecting, "10k", "2", minutes=61)
    see(expecting, "half", "1", minutes=110)
    at_10k = rfc3339_from_utc_ns(GUN_NS + 60 * MINUTE_NS)  # 3: 5 + the middle of 50 and 60
    at_half = rfc3339_from_utc_ns(GUN_NS + 121 * MINUTE_NS)  # 2: 61 + 60, later than 3: 5 + 55 + 60 is 120
    assert expect(expecting, "10k", 20).last_runner_at == at_10k
    assert expect(expecting, "half", 115).last_runner_at == at_half
    assert expect(expecting, "half", 130).last_runner_at == rfc3339_from_utc_ns(GUN_NS + 130 * MINUTE_NS)
    assert expect(expecting, "finish").last_runner_at is None


# ---- what race control says on top -----------------------------------------------------------------------


def test_waived_runners_are_not_waited_for_there_and_can_be_again() -> None:
    expecting = Expecting(COURSE, listed("started", "1", "2", "3"))
    expecting.wish(Wish(waive=("1", "77")), "finish")
    expecting.wish(Wish(waive=(chip_of("2").lower(),)))
    assert counts(expecting) == [2, 2, 2, 1]
    assert expect(expecting, "finish").chips == [chip_of("3")]
    see(expecting, "10k", "1")
    assert counts(expecting) == [1, 1, 2, 1]
    expecting.wish(Wish(unwaive=("1",)))
    assert counts(expecting) == [1, 1, 2, 2]


def test_a_sweep_is_armed_where_it_is_said_and_is_no_runner() -> None:
    expecting = Expecting(COURSE)
    see(expecting, "start", "1", "99")
    assert expect(expecting, "10k").count == 2
    expecting.wish(Wish(sweep_armed=(chip_of("99"), "0A0A")), "10k")
    assert expect(expecting, "10k").sweep_armed == [chip_of("99"), "0A0A"]
    assert expect(expecting, "half").sweep_armed == []
    assert counts(expecting) == [None, 1, 1, 1]
    see(expecting, "10k", "99")
    assert counts(expecting) == [None, 1, 1, 1]
    expecting.wish(Wish(sweep_armed=()), "10k")
    assert expect(expecting, "10k").sweep_armed == []


def test_a_count_and_a_time_that_are_said_stand_until_taken_back() -> None:
    expecting = Expecting(COURSE, listed("started", "1", "2"))
    said_at = "2026-03-07T16:10:00.000000Z"
    expecting.wish(Wish(count=7, last_runner_at=said_at), "finish", "finish-main")
    said = expect(expecting, "finish", mat="finish-main")
    assert (said.count, said.chips, said.last_runner_at) == (7, UNSET, said_at)
    assert expect(expecting, "finish", mat="finish-backup").count == 2
    expecting.wish(Wish(count=None, last_runner_at=None), "finish")
    said = expect(expecting, "finish", mat="finish-main")
    assert (said.count, said.chips, said.last_runner_at) == (2, [chip_of("1"), chip_of("2")], None)
    # A point off the course has what is said, and nothing else.
    expecting.wish(Wish(count=3), "hotel")
    assert expect(expecting, "hotel").count == 3


@pytest.mark.skipif(not CROSSINGS.exists(), reason="the crossings are not here: ../shared/data")
def test_chicago_is_counted_down_to_its_last_runner() -> None:
    course = ("start", "05k", "half", "finish")
    with gzip.open(CROSSINGS, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["finish"]]
    crossings = sorted((int(row[point]), point, row["runner"]) for row in rows for point in course if row[point])
    ends = sorted(int(row["finish"]) for row in rows)
    expecting = Expecting(course, listed("started", *(row["runner"] for row in rows)))
    estimated = False
    looks = [*range(28_000, 60_000, 2_000), ends[-1] - 1, ends[-1]]
    for at_s, point, runner in crossings:
        while looks and at_s > looks[0]:
            assert expect_at(expecting, looks[0]).count == sum(end > looks[0] for end in ends)
            looks.pop(0)
        expecting.note(point, chip=chip_of(runner), bib=None, mode="race", use="split", utc_ns=at_s * NS_PER_S)
        if at_s == ends[-150] and point == "finish":
            estimate = expect_at(expecting, at_s).last_runner_at
            assert estimate is not None
            # A quarter of an hour in a race of nine, from those who come in front of the last.
            assert abs(utc_ns_from_rfc3339(estimate) / NS_PER_S - ends[-1]) < 900
            estimated = True
    assert estimated
    assert expect_at(expecting, ends[-1]) == Expect(
        count=0, as_of=rfc3339_from_utc_ns(ends[-1] * NS_PER_S), chips=[], sweep_armed=[], last_runner_at=None
    )


def expect_at(expecting: Expecting, at_s: int) -> Expect:
    said = expecting.expect("finish", at_s * NS_PER_S)
    assert said is not None
    return said


def test_a_marathon_costs_little() -> None:
    runners = 48_000
    expecting = Expecting(COURSE, listed("started", *map(str, range(1, runners + 1))))
    began = time.perf_counter()
    for place, point in enumerate(COURSE):
        for n in range(1, runners + 1 - 150 * (place == 3)):
            expecting.note(point, chip=f"{n:04X}", bib=None, mode="race", use="split", utc_ns=place * n * NS_PER_S)
    noted_s = time.perf_counter() - began
    began = time.perf_counter()
    for _ in range(100):
        assert expect(expecting, "finish").count == 150
    assert noted_s / (4 * runners) < 50e-6  # ten times what it takes
    assert (time.perf_counter() - began) / 100 < 0.05
