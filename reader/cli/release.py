"""`timing-mat release`: the mat may be rolled up."""

from __future__ import annotations

from reader.cli.naming import SocketOption, tell
from reader.cli.run import ConfigOption


def release(config: ConfigOption = None, socket: SocketOption = None) -> None:
    """Release the mat, by your name: it may be rolled up, tested or assigned.

    It ends when a chip crosses that is no sweep, after 2 hours, and at a restart.

    Example: timing-mat release
    """
    print(tell(config, socket, {"do": "release"})["says"])
