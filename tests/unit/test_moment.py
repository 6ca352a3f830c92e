"""The moment of crossing: the power-weighted mean around the peak, and how far off it may be."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reader.model import Pick
from reader.moment import REACH_NS, KeptRead, best_of, half_width_ns, has_company, prune

S = 1_000_000_000
MS = 1_000_000
ONE, OTHER = ("north", 1), ("north", 2)


def test_of_equal_signals_it_is_the_plain_mean() -> None:
    assert best_of([(0, ONE, -60), (100 * MS, ONE, -60), (500 * MS, ONE, -60)]) == (200 * MS, ONE, -60)


def test_ten_decibels_less_weigh_a_tenth() -> None:
    assert best_of([(0, ONE, -50), (110 * MS, ONE, -60)]).t_ns == 10 * MS


def test_eleven_decibels_less_weigh_nothing() -> None:
    assert best_of([(0, ONE, -50), (10 * MS, ONE, -50), (110 * MS, ONE, -61)]).t_ns == 5 * MS


def test_beyond_three_quarters_of_a_second_nothing_counts() -> None:
    assert best_of([(0, ONE, -50), (750 * MS, ONE, -50)]).t_ns == 375 * MS
    assert best_of([(0, ONE, -50), (10 * MS, ONE, -50), (751 * MS, ONE, -50)]).t_ns == 5 * MS


def test_one_wild_read_without_company_is_not_the_peak() -> None:
    reads = [(0, ONE, -60), (100 * MS, ONE, -60), (300 * MS, ONE, -40)]
    assert best_of(reads) == (50 * MS, ONE, -60)
    assert best_of([*reads, (310 * MS, ONE, -50)]).peak_dbm == -40


@pytest.mark.parametrize(
    ("t_ms", "ear", "dbm", "is_company"),
    [(750, ONE, -50, True), (751, ONE, -50, False), (750, ONE, -51, False), (0, OTHER, -40, False)],
)
def test_company_is_within_ten_decibels_and_the_reach_on_the_same_antenna(
    t_ms: int, ear: tuple[str, int], dbm: int, is_company: bool
) -> None:
    lone: list[KeptRead] = [(0, ONE, -40)]
    assert not has_company(lone)
    assert has_company([*lone, (t_ms * MS, ear, dbm)]) is is_company


def test_company_is_of_the_same_antenna() -> None:
    assert best_of([(0, ONE, -60), (100 * MS, ONE, -60), (50 * MS, OTHER, -55)]) == (50 * MS, ONE, -60)


def test_if_none_has_company_it_is_the_strongest() -> None:
    assert best_of([(0, ONE, -60), (2 * S, ONE, -55), (4 * S, OTHER, -58)]) == (2 * S, ONE, -55)


def test_other_antennas_do_not_count() -> None:
    assert best_of([(0, ONE, -50), (100 * MS, ONE, -50), (700 * MS, OTHER, -51)]).t_ns == 50 * MS


def test_the_order_of_arrival_does_not_matter() -> None:
    dice = random.Random(5)
    reads: list[KeptRead] = [
        (dice.randrange(2 * S), dice.choice((ONE, OTHER)), -dice.randrange(40, 76)) for _ in range(60)
    ]
    expected = best_of(reads)
    for _ in range(20):
        dice.shuffle(reads)
        assert best_of(reads) == expected


def test_utc_of_today_loses_no_nanoseconds_to_floating_point() -> None:
    begin = 1_700_000_000 * S
    assert best_of([(begin + 1, ONE, -60), (begin + 3, ONE, -60)]).t_ns == begin + 2


reads = st.lists(
    st.tuples(st.integers(0, 30).map(lambda n: n * 100 * MS), st.sampled_from([ONE, OTHER]), st.integers(-75, -45))
)


@given(reads, reads.filter(bool))
def test_what_is_pruned_never_matters_whatever_comes_later(before: list[KeptRead], after: list[KeptRead]) -> None:
    assert best_of(prune(before) + after) == best_of(before + after)


def test_a_weak_read_is_pruned_once_there_is_a_peak_with_company() -> None:
    weak = (500 * MS, ONE, -61)
    assert prune([(0, ONE, -50), weak]) == [(0, ONE, -50), weak]
    assert prune([(0, ONE, -50), (10 * MS, ONE, -52), weak]) == [(0, ONE, -50), (10 * MS, ONE, -52)]


# ---- how far off it may be -----------------------------------------------------------------------------------

picks = st.sampled_from(["first", "best", "last"])


def half_width(kept: list[KeptRead], pick: Pick = "best") -> int:
    """Of a passing made of these reads and no others."""
    times = [t_ns for t_ns, _, _ in kept]
    return half_width_ns(kept, pick, min(times), max(times), len(kept))


def test_the_wider_the_lobe_the_less_is_known() -> None:
    narrow, wide = (half_width([(n * step * MS, ONE, -60) for n in range(9)]) for step in (20, 60))
    assert narrow == pytest.approx(0.39 * 200 * MS, rel=0.15)  # nine reads over 160 ms: a lobe of 200 ms
    assert wide == pytest.approx(0.39 * 600 * MS, rel=0.02)


def test_weak_reads_and_those_far_off_are_not_of_the_lobe() -> None:
    reads = [(0, ONE, -60), (50 * MS, ONE, -60), (100 * MS, ONE, -62)]
    more = [(400 * MS, ONE, -73), (-900 * MS, ONE, -62)]
    assert half_width(reads) == half_width([*reads, *more])
    assert half_width(reads, "first") < half_width([*reads, *more], "first")


def test_another_antenna_shows_the_lobe_but_is_not_counted() -> None:
    one = [(0, ONE, -60), (20 * MS, ONE, -60)]
    assert half_width([*one, (300 * MS, OTHER, -65)]) > 2 * half_width(one) > 0


def test_one_read_alone_says_what_one_read_can() -> None:
    alone = half_width_ns([(5 * S, ONE, -60)], "best", 5 * S, 5 * S, 1)
    assert alone == pytest.approx(REACH_NS / 4, rel=0.03)
    assert half_width_ns([(5 * S, ONE, -60)], "first", 5 * S, 5 * S, 1) > 3 * alone  # told before the others come
    assert half_width_ns([], "best", 5 * S, 5 * S, 1) > alone


def test_without_signal_strengths_it_is_by_first_and_last_and_how_many() -> None:
    short, long, few = (half_width_ns([], "best", 0, *of) for of in ((S, 20), (3 * S, 20), (3 * S, 1)))
    assert short < long < few
    assert half_width_ns([], "last", 0, 3 * S, 20) > long


def test_first_and_last_are_off_by_what_lies_between_them_and_best() -> None:
    reads: list[KeptRead] = [(n * 20 * MS, ONE, -60) for n in range(9)]
    near = half_width_ns(reads, "last", 0, 160 * MS, 9)
    stood = half_width_ns(reads, "last", 0, 30 * S, 900)
    assert half_width(reads) < near
    assert 0.5 * 30 * S < stood - near < 30 * S


def test_two_reads_far_apart_are_of_no_lobe_longer_than_the_reach() -> None:
    assert half_width([(0, ONE, -60), (740 * MS, ONE, -60)]) < REACH_NS


@given(reads.filter(bool), picks, st.randoms(use_true_random=False))
def test_no_half_width_hangs_on_the_order_of_arrival(kept: list[KeptRead], pick: Pick, dice: random.Random) -> None:
    again = list(kept)
    dice.shuffle(again)
    assert half_width(kept, pick) == half_width(again, pick)


@given(reads.filter(bool), picks, st.integers(-(10**18), 10**18))
def test_no_half_width_hangs_on_when_it_was(kept: list[KeptRead], pick: Pick, by_ns: int) -> None:
    assert half_width(kept, pick) == half_width([(t_ns + by_ns, ear, dbm) for t_ns, ear, dbm in kept], pick)


@given(reads, reads.filter(bool), picks)
def test_no_half_width_hangs_on_what_is_pruned(before: list[KeptRead], after: list[KeptRead], pick: Pick) -> None:
    of_all = (min(t_ns for t_ns, _, _ in before + after), max(t_ns for t_ns, _, _ in before + after))
    count = len(before + after)
    assert half_width_ns(prune(before) + after, pick, *of_all, count) == half_width_ns(
        before + after, pick, *of_all, count
    )


@given(reads, picks, st.integers(0, 60 * S), st.integers(1, 10**6))
def test_a_half_width_is_never_nothing(kept: list[KeptRead], pick: Pick, span_ns: int, count: int) -> None:
    assert half_width_ns(kept, pick, 0, span_ns, count) > 0


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(-60, -50)), min_size=8, max_size=60), picks, st.integers(2, 5)
)
def test_so_many_times_slower_so_many_times_wider(some: list[tuple[int, int]], pick: Pick, times: int) -> None:
    kept: list[KeptRead] = [(at * MS // times, ONE, dbm) for at, dbm in some]
    slower: list[KeptRead] = [(t_ns * times, ear, dbm) for t_ns, ear, dbm in kept]
    assume(max(kept)[0] - min(kept)[0] >= 100 * MS)
    # What has no width of its own, the reach, is a small part of it.
    assert times * 0.55 <= half_width(slower, pick) / half_width(kept, pick) <= times * 1.01


@pytest.mark.parametrize("pick", ["first", "best", "last"])
def test_more_reads_of_the_same_lobe_tell_more(pick: Pick) -> None:
    dice = random.Random(3)

    def mean_of(count: int) -> float:
        lobes = [[dice.randint(-400, 400) * MS for _ in range(count)] for _ in range(300)]
        kept = [[(t_ns, ONE, -60 - abs(t_ns) // (40 * MS)) for t_ns in times] for times in lobes]
        return fmean(half_width_ns(one, pick, -500 * MS, 500 * MS, count) for one in kept)

    means = [mean_of(count) for count in (2, 4, 8, 16, 64)]
    assert means == sorted(means, reverse=True)
    assert not any(math.isclose(one, other, rel_tol=0.001) for one, other in pairwise(means))
