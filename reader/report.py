"""How it stands with recording, for the status and for who shows what was recorded: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from reader.journal.steady import SteadyJournal
from reader.lines import Lines
from reader.messages import Heard
from reader.model import Instant, Mode


class Report(NamedTuple):
    """How it stands, replaced whole.

    ``keeps``: what is heard is kept, on the disk or in memory. ``on_mat``: chips and nanoseconds, the longest
    first. ``trouble``: what the disk refused, or "".
    """

    epoch: str
    last_seq: int
    reads: int
    splits: int
    chips: int
    last_read_utc_ns: int | None
    on_mat: list[tuple[str, int]]
    keeps: bool
    trouble: str
    mode: Mode


@dataclass
class Committed:
    """What a commit puts on the disk.

    ``heard``: the messages of the passings it opened, where they are told; ``opened``: how many there are; ``reads``:
    raw reads, those of reference chips alone left out.
    """

    heard: list[Heard] = field(default_factory=list)
    opened: int = 0
    reads: int = 0


def report_from(
    journal: SteadyJournal,
    lines: Lines,
    now: Instant,
    *,
    splits: int,
    last_read_utc_ns: int | None,
    trouble: str,
    mode: Mode,
) -> Report:
    """From the log and the gates; ``trouble``: why nothing takes the log, or ""."""
    gates = lines.gates.values()
    on_mat = [chip for gate in gates for chip in gate.on_mat(now.mono_ns)]
    return Report(
        epoch=journal.epoch,
        last_seq=journal.last_seq,
        reads=sum(gate.counts["reads"] for gate in gates),
        splits=splits,
        chips=lines.chips_heard(),
        last_read_utc_ns=last_read_utc_ns,
        on_mat=sorted(on_mat, key=lambda chip_and_age: -chip_and_age[1]),
        keeps=not trouble,
        trouble=trouble or journal.trouble,
        mode=mode,
    )
