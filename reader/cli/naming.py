"""Words that several commands take: the name of a family, the line of a reader that isn't there."""

from __future__ import annotations

from pathlib import Path

from reader.errors import UsageError
from reader.line.protocols import BY_NAME, Family
from reader.simulator.line import PseudoTerminal, TcpServer


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
