"""`timing-mat assign`: this box is another mat from here on."""

from __future__ import annotations

from typing import Annotated

import typer

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


def assign(
    event: Annotated[str, typer.Argument(help="The event, as in mat.toml.")],
    point: Annotated[str, typer.Argument(help="The timing point.")],
    mat: Annotated[str, typer.Argument(help="The mat's name there.")],
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Make this box another mat: a new epoch begins there. Over restarts, until mat.toml names another one itself.

    Only in test, when released, or before the first crossing.

    Example: timing-mat assign chicago-2023 half half-main
    """
    print(tell(config, socket, {"do": "assign", "event": event, "point": point, "mat": mat})["says"])
