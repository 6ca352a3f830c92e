"""`python -m tests.mat`: bias and scatter of each rule on a model of a mat, and how often its interval holds.

In GitHub's Markdown, milliseconds. `best`, `first` and `last` come out of the gate with a finish's rules, highest
revision; strongest read and regression are given the same reads. `middle` is `best` of a reader without signal
strengths. The same seed gives the same tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from random import Random
from statistics import quantiles

from tests.mat.measure import Timed, bias, covered, crossings, of_rule, robust_scatter, scatter, stoppers
from tests.mat.model import Mat, Wear
from tests.mat.others import other_mat

RULES = ("first", "last", "best", "middle", "strongest", "regression")
CLAIMING = ("first", "last", "best", "middle")
WEARS: tuple[Wear, ...] = ("bib", "shoe")
STRATA: dict[str, Callable[[Timed], bool]] = {
    "all": lambda _: True,
    "1.2-2 m/s": lambda one: one.speed_m_s < 2,
    "2-3.5 m/s": lambda one: 2 <= one.speed_m_s < 3.5,
    "3.5-5.5 m/s": lambda one: 3.5 <= one.speed_m_s < 5.5,
    "5.5-9 m/s": lambda one: one.speed_m_s >= 5.5,
    "1 antenna": lambda one: one.antennas == 1,
    "2 antennas": lambda one: one.antennas == 2,
    "3 antennas": lambda one: one.antennas == 3,
    "4 antennas": lambda one: one.antennas == 4,
    "1 read": lambda one: one.reads == 1,
    "2-3 reads": lambda one: 2 <= one.reads <= 3,
    "4-8 reads": lambda one: 4 <= one.reads <= 8,
    "9 reads and more": lambda one: one.reads >= 9,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.mat", description=__doc__)
    parser.add_argument("--crossings", type=int, default=10_000, help="of bibs, and as many of shoes [10000]")
    parser.add_argument("--seed", type=int, default=1, help="of the dice [1]")
    parser.add_argument("--swing", type=float, default=1.0, help="how much a foot swings: 0 is a steady one [1]")
    parser.add_argument("--others", type=int, default=0, help="how many other mats to look at, 800 crossings each [0]")
    chosen = parser.parse_args()
    mat = Mat(swing=chosen.swing)
    timed = {wear: crossings(mat, wear, chosen.crossings, chosen.seed) for wear in WEARS}
    print_rules(timed)
    print_stoppers(chosen.crossings // 10, chosen.seed)
    print_coverage(timed)
    if chosen.others:
        print_others(chosen.others, chosen.seed)


def print_rules(timed: dict[Wear, list[Timed]]) -> None:
    """Bias and scatter (standard deviation; robust: half of what lies between the 16th and the 84th of 100).

    Over all: each wear's own bias taken off.
    """
    print("| ms | bib: bias | scatter | robust | shoe: bias | scatter | robust | all: scatter | robust |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for rule in RULES:
        figures: list[float] = []
        of_all: list[float] = []
        for wear in WEARS:
            late_ms = of_rule(timed[wear], rule)
            figures += (bias(late_ms), scatter(late_ms), robust_scatter(late_ms))
            of_all += (one - figures[-3] for one in late_ms)
        figures += (scatter(of_all), robust_scatter(of_all))
        print(f"| `{rule}` |", " | ".join(str(round(figure)) for figure in figures), "|")
    print()


def print_stoppers(number: int, seed: int) -> None:
    """How much later `best` is for who stops."""
    print("| `best` of who stops past the mat for 30 s: ms later than the same one walking on | mean | median | 95th |")
    print("|---|--:|--:|--:|")
    for wear in WEARS:
        later_ms = sorted(stoppers(wear, number, seed))
        figures = (bias(later_ms), later_ms[number // 2], later_ms[number * 95 // 100])
        print(f"| {wear} |", " | ".join(str(round(figure)) for figure in figures), "|")
    print()


def print_coverage(timed: dict[Wear, list[Timed]]) -> None:
    """How often the interval holds, by pick and stratum."""
    columns = [(wear, rule) for wear in WEARS for rule in CLAIMING]
    print("| interval holds, % |", " | ".join(f"{wear}: `{rule}`" for wear, rule in columns), "|")
    print("|---|" + "--:|" * len(columns))
    for name, only in STRATA.items():
        held = (f"{100 * covered(timed[wear], rule, only):.1f}" for wear, rule in columns)
        print(f"| {name} |", " | ".join(held), "|")
    widths = (quantiles([one.claimed_ms[rule] for one in timed[wear]], n=4)[1] for wear, rule in columns)
    print("| half-width, ms, median |", " | ".join(f"{width:.0f}" for width in widths), "|")
    print()


def print_others(number: int, seed: int) -> None:
    """The same on other mats: of the mats, how often the interval holds."""
    dice = Random(f"{seed} others")
    mats = [other_mat(dice) for _ in range(number)]
    print(f"| interval holds on {number} other mats, % | 5th of 100 | 25th | middle | 75th |")
    print("|---|--:|--:|--:|--:|")
    for wear in WEARS:
        timed = [crossings(mat, wear, 800, seed) for mat in mats]
        for rule in CLAIMING:
            cut = quantiles([100 * covered(one, rule) for one in timed], n=20, method="inclusive")
            print(f"| {wear}: `{rule}` |", " | ".join(f"{cut[n]:.1f}" for n in (0, 4, 9, 14)), "|")
    print()


if __name__ == "__main__":
    main()
