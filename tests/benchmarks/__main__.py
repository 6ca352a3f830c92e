"""`python -m tests.benchmarks`: what it costs, how soon and how truly it tells, each against a yardstick of that run.

These machines are shared and noisy: a figure means something only beside its yardstick, so both are measured in
turn, and what counts is the ratio of the medians. A table is printed; ``--json FILE`` writes it too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import collect, cost, latency, picks, stamps
from tests.benchmarks.rows import HEAD, Row, text_of, write_json


class Subject(NamedTuple):
    """Something to measure: how, given how often; and what it is, in a line."""

    measure: Callable[[int], list[Row]]
    says: str


SUBJECTS = {
    "cost": Subject(cost.rows, "CPU a read, and memory, of the whole daemon"),
    "latency": Subject(latency.rows, "from a chip's first read to `heard` at a subscriber"),
    "stamps": Subject(stamps.rows, "how far the stamps scatter, idle and while all cores are busy"),
    "collect": Subject(collect.rows, "splits a second into race control's database"),
    "picks": Subject(picks.rows, "the gate alone, by each pick rule, a million reads"),
}


def main() -> None:
    """Measure what is asked for, and print it as it is found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        epilog="\n".join(["what there is:", *(f"  {name:9}{subject.says}" for name, subject in SUBJECTS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="a part; may be given again [all]")
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--json", type=Path, help="a file to write the table to")
    chosen = parser.parse_args()
    rows: list[Row] = []
    print(HEAD)
    for name in chosen.only or SUBJECTS:
        found = SUBJECTS[name].measure(chosen.runs)
        print("\n".join(map(text_of, found)), flush=True)
        rows += found
    if chosen.json:
        write_json(rows, chosen.json)


if __name__ == "__main__":
    main()
