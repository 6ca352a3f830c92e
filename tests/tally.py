"""What every fault is counted by, and the one table of them all at the end of the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from _pytest.terminal import TerminalReporter

PROPERTY = "fault"
HEADS = ("fault", "times", "passings", "lost", "doubled", "may lose")


class Row(NamedTuple):
    """One fault: how often it was made to happen, and what became of the passings made meanwhile."""

    fault: str
    times: int
    passings: int
    lost: int
    doubled: int
    may_lose: str


Tally = Callable[..., None]


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """``tally(fault, times=…, passings=…, lost=…, doubled=…, may_lose="")``: a row of the table; holds what it says.

    ``lost`` counts what must not be lost; what a fault may lose (reads of the last instant before a kill) is named
    in ``may_lose``, and not counted.
    """
    counted = False

    def count(fault: str, *, times: int, passings: int, lost: int, doubled: int, may_lose: str = "") -> None:
        nonlocal counted
        counted = True
        row = Row(fault, times, passings, lost, doubled, may_lose)
        request.node.user_properties.append((PROPERTY, json.dumps(row)))
        assert times > 0, f"{fault}: was never made to happen"
        assert passings > 0, f"{fault}: no passing was made meanwhile"
        assert lost == 0, f"{fault}: {lost} of {passings} passings lost"
        assert doubled == 0, f"{fault}: {doubled} of {passings} passings doubled"

    yield count
    assert counted or request.session.shouldfail or request.node.stash.get(FAILED, False), "the fault was not counted"


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined] # pluggy's result, which hookwrapper's type hides
    if report.when == "call" and not report.passed:
        item.stash[FAILED] = True


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """The table, from whichever process the tests ran in."""
    rows = sorted(
        {
            Row(*json.loads(str(value)))
            for reports in terminalreporter.stats.values()
            for report in reports
            for name, value in getattr(report, "user_properties", ())
            if name == PROPERTY
        }
    )
    if not rows:
        return
    cells = [HEADS, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
    terminalreporter.section("faults: what was lost")
    for line in cells:
        words = [
            cell.rjust(width) if 0 < n < 5 else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        terminalreporter.write_line("  ".join(words).rstrip())
