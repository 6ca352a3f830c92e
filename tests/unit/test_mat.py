"""The model of a mat, the rules that `best` is measured against, and the bounds of it in short.

`tests/system/test_mat.py` has the bounds as they are promised, on enough crossings.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from tests.mat.measure import bias, covered, crossings, of_rule, scatter, stoppers, through_gate
from tests.mat.model import Crossing, Mat, Read, Wear
from tests.mat.regression import fitted, regression, strongest, vertex

STEADY = Mat(wild_read=0, wild_crossing=0, swing=0, steady_db=(40, 40), measured_db=(0, 0), on_back=0)
WEARS: tuple[Wear, ...] = ("bib", "shoe")


def lobe(*, peak_s: float, antenna: int = 1, number: int = 21) -> list[Read]:
    """Reads every 20 ms on a parabola that is highest then."""
    times = [n * 0.02 for n in range(number)]
    return [Read(t_s, antenna, round(-50 - 200 * (t_s - peak_s) ** 2)) for t_s in times]


# ---- the model -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wear", WEARS)
@pytest.mark.parametrize("stops_m", [None, 0.5])
def test_the_truth_is_when_the_chip_is_over_the_line(wear: Wear, stops_m: float | None) -> None:
    for seed in range(50):
        crossing = Crossing(Mat(), wear, Random(seed), stops_m)
        assert crossing.x_m(0) == pytest.approx(0, abs=0.05)
        assert crossing.x_m(-0.3) < 0.03
        assert crossing.x_m(0.3) > -0.03


def test_a_shoe_stands_still_and_hurries() -> None:
    crossing = Crossing(Mat(speed_m_s=(3, 3)), "shoe", Random(1))
    steps_m = [crossing.x_m((n + 1) / 100) - crossing.x_m(n / 100) for n in range(200)]
    assert 0 <= min(steps_m) < 0.002
    assert max(steps_m) == pytest.approx(0.06, rel=0.05)


def test_who_stops_stands_there_for_half_a_minute_and_goes() -> None:
    crossing = Crossing(Mat(speed_m_s=(2, 2)), "bib", Random(1), stops_m=0.5)
    assert crossing.x_m(5) == pytest.approx(0.5, abs=0.03)
    assert crossing.x_m(29) == pytest.approx(0.5, abs=0.03)
    assert crossing.x_m(33) > 3
    reads = crossing.reads(Random(2))
    assert max(reads).t_s > 25


def test_a_steady_shoe_is_heard_alike_on_both_sides_and_strongest_above_the_antenna() -> None:
    mat = replace(STEADY, shoe_shadow_db=(0, 0), antennas=(1,))
    late_s = []
    for seed in range(40):
        dice = Random(seed)
        reads = Crossing(mat, "shoe", dice).reads(dice)
        peak_dbm = max(read.rssi_dbm for read in reads)
        late_s.append(sum(read.t_s for read in reads if read.rssi_dbm == peak_dbm) / len(reads))
    assert abs(sum(late_s) / len(late_s)) < 0.02


def test_a_bib_in_front_is_heard_longer_before_the_line() -> None:
    timed = crossings(STEADY, "bib", 100, seed=1)
    assert bias(of_rule(timed, "first")) < -1.5 * bias(of_rule(timed, "last"))
    assert bias(of_rule(timed, "best")) < -30


def test_antennas_are_asked_in_turn_or_at_once() -> None:
    for in_turn in (True, False):
        mat = Mat(antennas=(4,), in_turn=(in_turn,), dwell_s=(0.05, 0.05), interval_s=(0.01, 0.01))
        asked = Crossing(mat, "bib", Random(1)).asked(Random(2))
        changes = sum(one[1] != other[1] for one, other in pairwise(asked))
        assert set(Counter(antenna for _, antenna in asked)) == {0, 1, 2, 3}
        assert asked == sorted(asked)
        assert (changes < len(asked) / 3) is in_turn


def test_the_same_dice_give_the_same_crossings() -> None:
    assert crossings(Mat(), "bib", 5, seed=3) == crossings(Mat(), "bib", 5, seed=3)
    assert crossings(Mat(), "bib", 5, seed=3) != crossings(Mat(), "bib", 5, seed=4)


# ---- what it is measured against -----------------------------------------------------------------------------


def test_three_points_have_one_parabola() -> None:
    a, b, c = fitted([(0, -60.0), (0.5, -50.0), (1, -56.0)]) or (0, 0, 0)
    assert [(a * x + b) * x + c for x in (0, 0.5, 1)] == pytest.approx([-60, -50, -56])
    assert vertex((a, b, c)) == pytest.approx(-b / (2 * a))
    assert fitted([(0, -60.0), (1, -50.0), (1, -56.0)]) is None
    assert vertex((1, -1, 0)) is None


def test_the_regression_finds_the_vertex_and_puts_wild_reads_aside() -> None:
    reads = lobe(peak_s=0.25)
    assert regression(reads) == pytest.approx(0.25, abs=0.01)
    reads[3] = Read(reads[3].t_s, 1, -20)
    assert strongest(reads) == reads[3].t_s
    assert regression(reads) == pytest.approx(0.25, abs=0.01)


def test_the_regression_is_of_the_antenna_with_most_reads() -> None:
    assert regression(lobe(peak_s=0.2) + lobe(peak_s=0.3, antenna=2, number=12)) == pytest.approx(0.2, abs=0.01)


def test_the_regression_without_a_peak_among_the_reads_is_the_strongest_read() -> None:
    assert regression(lobe(peak_s=0.9)) == pytest.approx(0.4)
    assert regression([Read(0, 1, -60), Read(1, 1, -50)]) == 1
    assert regression([Read(0, 1, -50), Read(0.5, 1, -60), Read(1, 1, -52)]) == 0


def test_the_gate_picks() -> None:
    reads = lobe(peak_s=0.25)
    assert through_gate(reads, "first")[0] == pytest.approx(0, abs=0.001)
    assert through_gate(reads, "last")[0] == pytest.approx(400, abs=0.001)
    assert through_gate(reads, "best")[0] == pytest.approx(250, abs=30)
    assert through_gate(reads, "best", has_signals=False)[0] == pytest.approx(200, abs=0.001)


# ---- the bounds, in short --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wear", WEARS)
def test_best_scatters_less_than_the_regression_and_its_interval_holds(wear: Wear) -> None:
    timed = crossings(Mat(), wear, 600, seed=7)
    assert scatter(of_rule(timed, "best")) <= 0.9 * scatter(of_rule(timed, "regression"))
    for rule in ("best", "middle"):
        assert 0.92 <= covered(timed, rule) <= 0.98, rule
    for rule in ("first", "last"):
        assert covered(timed, rule) >= 0.90, rule


@pytest.mark.parametrize("wear", WEARS)
def test_who_stops_past_the_mat_is_not_much_later(wear: Wear) -> None:
    assert bias(stoppers(wear, 40, seed=7)) <= 100
