"""The bounds that `best` and its interval are held to, on the model of a mat (`tests/mat`), by the gate as it ships."""

from __future__ import annotations

import pytest

from tests.mat.measure import PICKS, Timed, bias, covered, crossings, of_rule, robust_scatter, scatter, stoppers
from tests.mat.model import Mat, Wear

WEARS: tuple[Wear, ...] = ("bib", "shoe")
CROSSINGS = 6000
STOPPERS = 800

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def timed() -> dict[Wear, list[Timed]]:
    return {wear: crossings(Mat(), wear, CROSSINGS, seed=1) for wear in WEARS}


@pytest.mark.parametrize("wear", WEARS)
def test_best_scatters_at_least_a_tenth_less_than_the_regression(timed: dict[Wear, list[Timed]], wear: Wear) -> None:
    best, fit = of_rule(timed[wear], "best"), of_rule(timed[wear], "regression")
    assert scatter(best) <= 0.9 * scatter(fit)
    assert robust_scatter(best) <= 0.9 * robust_scatter(fit)


@pytest.mark.parametrize("rule", ["best", "middle"])
@pytest.mark.parametrize("wear", WEARS)
def test_the_interval_of_best_holds_for_bib_and_for_shoe(timed: dict[Wear, list[Timed]], wear: Wear, rule: str) -> None:
    assert 0.93 <= covered(timed[wear], rule) <= 0.97


@pytest.mark.parametrize("pick", PICKS)
def test_the_interval_of_every_pick_holds(timed: dict[Wear, list[Timed]], pick: str) -> None:
    assert 0.93 <= sum(covered(timed[wear], pick) for wear in WEARS) / len(WEARS) <= 0.97


@pytest.mark.parametrize("wear", WEARS)
def test_the_interval_of_best_holds_for_the_slow_the_fast_and_those_read_seldom(
    timed: dict[Wear, list[Timed]], wear: Wear
) -> None:
    for begin_m_s, end_m_s in ((1.2, 2), (2, 3.5), (3.5, 5.5), (5.5, 9)):
        held = covered(timed[wear], "best", lambda one, a=begin_m_s, b=end_m_s: a <= one.speed_m_s < b)  # type: ignore[misc]  # bound now
        assert held >= 0.88, begin_m_s
    for least, most in ((1, 3), (4, 8), (9, 10_000)):
        held = covered(timed[wear], "best", lambda one, a=least, b=most: a <= one.reads <= b)  # type: ignore[misc]  # bound now
        assert held >= 0.88, least


@pytest.mark.parametrize("wear", WEARS)
def test_who_stops_past_the_mat_is_at_most_100_ms_later(wear: Wear) -> None:
    assert bias(stoppers(wear, STOPPERS, seed=1)) <= 100
