"""`timing-mat identify`: lights and buzzer, to find the box."""

from __future__ import annotations

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


def identify(config: ConfigOption = None, socket: SocketOption = None) -> None:
    """Let the box show itself by its lights and its buzzer.

    Example: timing-mat identify
    """
    tell(config, socket, {"do": "identify"})
    print("the box shows itself")
