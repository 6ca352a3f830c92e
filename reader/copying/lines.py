"""One line of the copy for each entry, and for each raw read; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat

import msgspec

from reader.journal import Entry
from reader.journal.view import KeptInputs
from reader.model import Identity, Reads
from reader.uplink import wire

encode = msgspec.json.Encoder().encode


class CopiedRead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One raw read. ``n``: the journal's row of it; ``at_ns``: when it arrived, UTC, ``utc_ns``: when it was read.

    ``at_mono_ns`` and ``place``: the chunk it came in, on the monotonic clock of ``boot``, and where in it. The rest as
    in :class:`reader.model.ChipRead` and :class:`reader.model.Reads`.
    """

    n: int
    chip: str
    utc_ns: int
    antenna: int | None = None
    rssi_dbm: int | None = None
    at_ns: int
    reader: str
    line: str
    boot: str
    at_mono_ns: int
    mono_ns: int
    place: int = 0
    reader_ns: int | None = None
    reader_ms: int | None = None
    time_from: str = "host"
    error_us: int = 0


def entry_line(whose: Identity, entry: Entry) -> bytes:
    """The message as on its topic."""
    return wire.payload(whose, entry) + b"\n"


def reads_in(row: KeptInputs, line_of_reader: Mapping[str, str]) -> Iterator[CopiedRead]:
    """The raw reads of one row of the journal."""
    for given in row.inputs:
        if not isinstance(given, Reads):
            continue
        times = given.times or repeat(given.at.mono_ns)
        for place, (read, mono_ns) in enumerate(zip(given.reads, times, strict=False)):
            yield CopiedRead(
                n=row.n,
                chip=read.chip,
                utc_ns=given.at.utc_ns - given.at.mono_ns + mono_ns,
                antenna=read.antenna,
                rssi_dbm=read.rssi_dbm,
                at_ns=given.at.utc_ns,
                reader=given.reader,
                line=line_of_reader.get(given.reader, "main"),
                boot=row.boot,
                at_mono_ns=given.at.mono_ns,
                mono_ns=mono_ns,
                place=place,
                reader_ns=read.reader_ns,
                reader_ms=read.reader_ms,
                time_from=given.time_from,
                error_us=given.error_us,
            )
