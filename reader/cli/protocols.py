"""`timing-mat protocols`: which readers are known."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reader.line.protocols import FAMILIES


def protocols(
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list, for programs.")] = False,
) -> None:
    """List the reader families that are known, as `protocol` of a [[reader]] names them.

    Example: timing-mat protocols
    """
    if as_json:
        hidden = {"module", "question"}
        rows = [{name: value for name, value in family._asdict().items() if name not in hidden} for family in FAMILIES]
        print(json.dumps(rows, indent=2))
        return
    table = Table("protocol", "readers", "factory baud", "other bauds", "keep-alives", "dated records")
    for family in FAMILIES:
        table.add_row(
            family.name,
            family.says,
            str(family.baud),
            ", ".join(str(baud) for baud in sorted(family.bauds) if baud != family.baud),
            "yes" if family.has_keep_alives else "no",
            "yes" if family.has_date else "no",
        )
    Console(markup=False, highlight=False).print(table)
