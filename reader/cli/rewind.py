"""`timing-mat rewind`: entries of the log again, from the daemon on this box, as JSON lines."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from reader.cli.naming import SocketOption, tell_in_pages
from reader.cli.run import ConfigOption
from reader.wording import counted

PAGE_LIMIT_S = 60.0


def rewind(
    epoch: Annotated[str | None, typer.Option(help="Of this epoch only.", show_default=False)] = None,
    from_seq: Annotated[int | None, typer.Option(help="From this number on.", min=1, show_default=False)] = None,
    through_seq: Annotated[int | None, typer.Option(help="Through this number.", min=1, show_default=False)] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Not before this time, with its zone, as in 2026-03-07T13:48:50Z.", show_default=False),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Not after this time.", show_default=False)] = None,
    chip: Annotated[str | None, typer.Option(help="Of this chip only.", show_default=False)] = None,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Print entries of the log again, as they were told: one JSON line each; of journals set aside too.

    At most 20,000 at once. For the whole log: timing-mat export.

    Example: timing-mat rewind --since 2026-03-07T13:00:00Z --chip 058003E70E35
    """
    wanted = {
        "epoch": epoch,
        "from_seq": from_seq,
        "through_seq": through_seq,
        "since": since,
        "until": until,
        "chip": chip,
    }
    command: dict[str, object] = {"do": "rewind"} | {key: value for key, value in wanted.items() if value is not None}
    count = 0
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("rewind", total=None)
        for page in tell_in_pages(config, socket, command, limit_s=PAGE_LIMIT_S):
            for entry in page["entries"]:
                print(json.dumps(entry, ensure_ascii=False))
                count += 1
            progress.update(task, total=page["pages"], completed=page["page"])
    print(counted(count, "entry"), file=sys.stderr)
