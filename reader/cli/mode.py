"""`timing-mat mode`: race or test."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


class Wanted(StrEnum):
    """The modes that can be asked for by that name."""

    RACE = "race"
    TEST = "test"


def mode(
    wanted: Annotated[Wanted, typer.Argument(help="race, or test.")],
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Begin a test, or end it: what crosses in a test is told, marked as such, and left out of results.

    A test ends by itself: after 15 minutes, at a gun, at a restart, and when 20 chips cross within a minute. It is
    refused within 30 minutes of a crossing, and after a gun, unless the mat is released.

    Example: timing-mat mode test
    """
    print(tell(config, socket, {"do": "mode", "mode": wanted.value})["says"])
