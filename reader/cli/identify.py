"""`timing-mat identify`: lights and buzzer, to find the box; or one of them, to see whether it works."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


class Light(StrEnum):
    """What can be lit alone, by its key of `[panel]`."""

    READY = "ready_led"
    UPLINK = "uplink_led"
    READ = "read_led"
    FAULT = "fault_led"
    BUZZER = "buzzer"


def identify(
    light: Annotated[
        Light | None,
        typer.Option(
            help="Only this one, the others off, to see whether it works; in mode test or released.",
            show_default=False,
        ),
    ] = None,
    for_s: Annotated[int, typer.Option(min=1, max=30, help="For how long, in seconds.")] = 10,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Let the box show itself by its lights and its buzzer.

    The ready light goes on saying whether the mat records.

    Example: timing-mat identify --light fault_led --for-s 5
    """
    command: dict[str, object] = {"do": "identify", "for_s": for_s}
    print(tell(config, socket, command if light is None else command | {"light": light.value})["says"])
