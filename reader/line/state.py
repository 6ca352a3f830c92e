"""How it stands with one reader: what its thread tells everyone else."""

from __future__ import annotations

from typing import Literal, NamedTuple

from reader.line.activity import Heard60s
from reader.line.auto import Place
from reader.line.protocols import AntennaStanding


class LinkState(NamedTuple):
    """How it stands with one reader, replaced whole; for the status."""

    name: str
    word: Literal["ok", "warn", "fail", "unknown"]
    says: str
    hears: bool
    family: str | None
    baud: int | None
    bytes_read: int
    rejected: dict[str, int]
    antennas: list[Heard60s]
    standings: list[AntennaStanding]
    progress_ns: int
    found: Place | None = None  # where it has shown itself, if it was looked for
