"""`timing-mat status`: how the daemon on this box stands, over the control socket."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption
from reader.wording import counted

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "dim"}


def status(
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The status message as it is, on one line.")] = False,
) -> None:
    """Say how the mat on this box stands; exit code 1 if a part of it has failed.

    Example: timing-mat status
    """
    said = tell(config, socket, {"do": "status"})["status"]
    console = Console()
    if as_json:
        print(json.dumps(said))
    else:
        _show(said, console)
    if any(part["word"] == "fail" for part in said["parts"].values()):
        raise typer.Exit(1)


def _show(said: dict[str, object], console: Console) -> None:
    word = "[green]RECORDING[/]" if said["recording"] else "[bold red]NOT RECORDING[/]"
    console.print(f"{word}  box {said['box']}  mode {said['mode']}  {said['time']}")
    table = Table("part", "", "says", box=None, pad_edge=False)
    parts = said["parts"]
    assert isinstance(parts, dict)  # noqa: S101 - the daemon's own message
    for name, part in parts.items():
        table.add_row(name, f"[{COLOURS[part['word']]}]{part['word']}[/]", escape(part["says"]))
    console.print(table)
    counts, on_mat, teardown = said["counts"], said["on_mat"], said["teardown"]
    assert isinstance(counts, dict)  # noqa: S101 - likewise
    assert isinstance(on_mat, dict)  # noqa: S101 - likewise
    assert isinstance(said["last_seq"], int)  # noqa: S101 - likewise
    assert isinstance(teardown, dict)  # noqa: S101 - likewise
    rejected = ", ".join(f"{reason} {count}" for reason, count in counts["rejected"].items()) or "none"
    sums = ", ".join(counted(counts[f"{one}s"], one) for one in ("read", "chip", "split"))
    console.print(f"{sums}, {on_mat['count']} on the mat now")
    console.print(f"rejected on the line: {rejected}; last read: {said['last_read'] or 'none yet'}")
    entries = counted(said["last_seq"], "entry")
    console.print(f"epoch {said['epoch']}: {entries}, {said['backlog']} not yet delivered")
    console.print(f"{teardown['verdict']}: {escape('; '.join(teardown['reasons']))}")
