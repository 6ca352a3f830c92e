"""`timing-mat mark`: a time without a chip, into the log of the mat on this box."""

from __future__ import annotations

from typing import Annotated

import typer

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


def mark(
    text: Annotated[str, typer.Argument(help="What it is, in a few words.", show_default=False)] = "",
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Put this moment into the log, as the crew's button does: it goes out as a `marker`.

    Example: timing-mat mark "lead car"
    """
    reply = tell(config, socket, {"do": "mark", "text": text})
    print(f"marked: {reply['time']}")
