"""What there is to see of a self-test: a row for each finding as it is made, what is done now, and the sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reader.messages import Check, SelfTest
from reader.selftest.plan import Plan
from reader.selftest.runner import Doing, Found

COLOURS = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
NAME_WIDTH = 24


def show(telling: Iterable[Doing | Found | SelfTest], console: Console) -> SelfTest:
    """Show it while it lasts; the report, which is shown though it can't be published."""
    report = None
    try:
        with console.status("the self-test begins") as status:
            for told in telling:
                match told:
                    case Doing():
                        status.update(Text(told.says))  # as text: what stands in square brackets is no markup
                    case Found():
                        console.print(_row(told.check))
                    case SelfTest():
                        report = told
    finally:
        if report is not None:
            console.print()
            console.print(Text(report.says, style=COLOURS[report.verdict]))
    assert report is not None  # noqa: S101 - the last that is told
    return report


def show_plans(plans: Sequence[Plan], console: Console) -> None:
    """The checks there are: name, what each looks at, and what it moves."""
    table = Table("check", "looks at", "touches", box=None, pad_edge=False)
    for plan in plans:
        in_race = "not in a race" if plan.interrupts else "in a race less" if plan.thoroughly else ""
        touches = "; ".join(text for text in (plan.touches or plan.thoroughly, in_race) if text)
        table.add_row(plan.name, Text(plan.says), Text(touches))
    console.print(table)


def _row(check: Check) -> Table:
    row = Table.grid(padding=(0, 2), pad_edge=False)
    row.add_column(width=4)
    row.add_column(width=NAME_WIDTH, overflow="fold")
    row.add_column(overflow="fold")
    says = Text(check.says)
    if check.value:
        limit = f", limit {check.limit}" if check.limit else ""
        says.append(f" ({check.value}{limit})", style="dim")
    if check.do:
        says.append(f"\n{check.do}", style="italic")
    style = COLOURS[check.result]
    row.add_row(Text(check.result, style=style), Text(check.name), says)
    return row
