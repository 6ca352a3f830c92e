"""What all measurements here give: rows of a table, of ours beside a yardstick of the same run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict


class Row(TypedDict):
    """One row: ``what`` with its unit, and ``against`` which yardstick, if there is one."""

    what: str
    ours: float
    yardstick: NotRequired[float]
    against: NotRequired[str]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so much of them, 0 to 1, do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def text_of(row: Row) -> str:
    """A row as a line of the table."""
    yardstick = row.get("yardstick")
    beside = f"{yardstick:10.3f} {row['ours'] / yardstick:7.2f}" if yardstick else " " * 18
    return f"{row['what']:64} {row['ours']:10.3f} {beside}  {row.get('against', '')}".rstrip()


HEAD = f"{'what':64} {'ours':>10} {'yardstick':>10} {'ratio':>7}"


def write_json(rows: list[Row], path: Path) -> None:
    """The table, for a program."""
    path.write_text(json.dumps(rows, indent=1))
