"""The moment of crossing: the power-weighted mean around the peak."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from reader.moment import KeptRead, best_of, prune

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
