"""`timing-mat gun`: a start signal, into the log of the mat on this box."""

from __future__ import annotations

from typing import Annotated

import typer

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


def gun(
    name: Annotated[str, typer.Argument(help="Whose start it is: elites, wheelchairs, wave-2.")],
    at: Annotated[
        str | None,
        typer.Option(
            help="When it was, with its zone, as in 2026-03-07T13:48:50.5Z; now, without.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Put a start signal into the log: it goes out as a `gun`. A second one is another start, not a correction.

    Example: timing-mat gun elites --at 2026-03-07T13:48:50.5Z
    """
    command: dict[str, object] = {"do": "gun", "name": name}
    reply = tell(config, socket, command if at is None else command | {"at": at})
    print(f"gun {name}: {reply['time']}")
