"""How it stands with one reader: what its thread tells everyone else."""

from __future__ import annotations

from typing import NamedTuple

from reader.line.activity import Heard60s
from reader.line.auto import Place
from reader.line.protocols import AntennaStanding, Examined, Standing
from reader.line.protocols.settings import Wanted
from reader.line.reader_clock import ReaderTime
from reader.messages import Word


class Asked(NamedTuple):
    """What a profile asks of the reader on the line, if it is of the family that the profile is for."""

    family: str
    wanted: Wanted

    def says_of(self, family: str | None) -> str:
        """What is wrong with it for a reader of that family, or nothing."""
        return "" if family == self.family else f"profile {self.wanted.profile} is for {self.family} and is not used"


def warned(standing: Standing, *warnings: str) -> tuple[Word, str]:
    """The word and the sentence, with what else there is to warn of; an empty warning is none."""
    said = [warning for warning in warnings if warning]
    word = "warn" if said and standing.word == "ok" else standing.word
    return word, "; ".join([standing.says, *said])


class LinkState(NamedTuple):
    """How it stands with one reader, replaced whole; for the status.

    ``rejected``: frames by reason; ``rejected_bytes``: all bytes that meant nothing.
    ``deaf``: the antennas that do not hear, whatever the reader says of them. ``health``: what the reader has told of
    itself while it reports; without a conversation nothing.
    """

    name: str
    word: Word
    says: str
    hears: bool
    family: str | None
    baud: int | None
    bytes_read: int
    rejected: dict[str, int]
    antennas: list[Heard60s]
    standings: list[AntennaStanding]
    deaf: frozenset[int]
    progress_ns: int
    rejected_bytes: int = 0
    found: Place | None = None  # where it has shown itself, if it was looked for
    time: ReaderTime | None = None  # how it stands with its clock
    health: Examined = Examined()
