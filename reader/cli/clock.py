"""`timing-mat clock`: the clocks of this box and of its readers, side by side; sets the readers'."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption
from reader.clocks import Clocks, ReaderClockLook
from reader.wording import counted

SET_LIMIT_S = 60.0


def clock(
    set_it: Annotated[
        bool, typer.Option("--set", help="Set the readers' clocks to this box's UTC, and read them back.")
    ] = False,
    reader: Annotated[str | None, typer.Option(help="Only this reader's.", show_default=False)] = None,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object, for programs.")] = False,
) -> None:
    """Show how good this box's clock is, and how its readers' stand against it.

    Reads bear the reader's time where it can be followed, so a reader's clock need not be right: only to run evenly.
    Its zone is found, while this box's clock is good.

    Example: timing-mat clock --set
    """
    command: dict[str, object] = {"do": "clock", "set": set_it}
    reply = tell(config, socket, command if reader is None else command | {"reader": reader}, limit_s=SET_LIMIT_S)
    if as_json:
        print(json.dumps({"did": reply["did"], **reply["clocks"]}))
        return
    console = Console()
    for did in reply["did"]:
        console.print(escape(did))
    _show(msgspec.convert(reply["clocks"], Clocks), reader, console)


def _show(clocks: Clocks, only: str | None, console: Console) -> None:
    host = clocks.host
    how = f"synchronised ({host.source})" if host.synced else f"not synchronised ({host.source})"
    error = "" if host.error_ms is None else f", off by at most {host.error_ms:.3g} ms"
    table = Table.grid(padding=(0, 2))
    table.add_row("this box", f"{host.time.removesuffix('Z')[:-4]} UTC, {how}{error}")
    for one in clocks.readers:
        if only in (None, one.reader):
            table.add_row(escape(one.reader), escape("\n".join([_stands(one), one.says])))
    console.print(table)


def _stands(one: ReaderClockLook) -> str:
    """What it shows, and how that differs."""
    words = []
    if one.time is not None and one.ahead_ms is not None:
        zone = f" {one.zone}" if one.zone else ""
        words.append(
            f"{one.time}{zone}, {abs(one.ahead_ms):.0f} ms {'behind' if one.ahead_ms < 0 else 'ahead of'} this box"
        )
    if one.drift_ppm is not None:
        words.append(f"{abs(one.drift_ppm):.1f} ppm {'slow' if one.drift_ppm < 0 else 'fast'}")
    if one.steps:
        words.append(f"was set {counted(one.steps, 'time')}")
    return ", ".join(words) or "shows no date"
