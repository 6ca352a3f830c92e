"""`timing-mat release`: the mat may be rolled up."""

from __future__ import annotations

from typing import Annotated

import typer

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


def release(
    by: Annotated[
        str | None, typer.Option("--by", help="Who says so; otherwise the user of this terminal.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Release the mat, by your name: it may be rolled up, tested or assigned.

    It ends when a chip crosses that is no sweep, after 2 hours, and at a restart.

    Example: timing-mat release --by anna
    """
    print(tell(config, socket, {"do": "release", **({"by": by} if by else {})})["says"])
