"""What several commands take: the name of a family, the line of a reader that isn't there, where the daemon listens."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from reader.box.control import ask_for_pages
from reader.config import BoxSettings, find, load
from reader.errors import ConfigError, TimingMatError, UsageError
from reader.line.protocols import BY_NAME, Family
from reader.simulator.line import PseudoTerminal, TcpServer

SocketOption = Annotated[
    Path | None, typer.Option(help="The control socket, instead of the file's [box] control.", show_default=False)
]


def tell(config: Path | None, socket: Path | None, command: dict[str, object], limit_s: float = 10.0) -> dict[str, Any]:
    """The reply of the daemon on this box to a command; TimingMatError, in its words, if it refuses."""
    return next(tell_in_pages(config, socket, command, limit_s))


def tell_in_pages(
    config: Path | None, socket: Path | None, command: dict[str, object], limit_s: float = 10.0
) -> Iterator[dict[str, Any]]:
    """All its replies; likewise."""
    for reply in ask_for_pages(socket or socket_of(config), {"by": who()} | command, limit_s):
        if not reply.get("ok"):
            raise TimingMatError(f"the daemon says: {reply.get('error')}")
        yield reply


def who() -> str:
    """Who types this: for the log of what was changed."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"user {os.getuid()}"


def socket_of(config: Path | None) -> Path:
    """Where the daemon of that configuration listens."""
    try:
        return load(find(config)).box.control
    except ConfigError:
        if config is not None:
            raise
        return BoxSettings().control


def family_of(name: str) -> Family:
    """The family of that name; UsageError with those there are."""
    if name not in BY_NAME:
        raise UsageError(f"--protocol: found {name!r}, expected one of: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def line_from_options(link: Path | None, tcp: str | None) -> PseudoTerminal | TcpServer:
    """What --link and --tcp say; a pseudo-terminal without a link for neither."""
    if tcp is None:
        return PseudoTerminal(link)
    if link is not None:
        raise UsageError("--link and --tcp exclude each other: a link leads to a pseudo-terminal.")
    host, _, port = tcp.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--tcp {tcp}: expected HOST:PORT, as 127.0.0.1:10000.")
    return TcpServer(host, int(port))
