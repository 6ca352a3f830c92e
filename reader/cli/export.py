"""`timing-mat export`: the journal as CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import Progress

from reader.cli.run import ConfigOption
from reader.clock import rfc3339_from_utc_ns
from reader.config import find, load
from reader.copying.lines import CopiedRead, reads_in
from reader.copying.reading import Copied, is_copy
from reader.errors import UsageError
from reader.journal import EpochRow, JournalView
from reader.uplink import wire
from reader.wording import counted

PAGE = 500

Row = dict[str, object]

SPLIT_COLUMNS = (
    "event point mat epoch seq passing rev revised_for chip bib time first best last pick nth reads rssi_dbm line"
    " reader antenna time_from time_error_ms spread_ms reader_error_ms clock_synced clock_source clock_error_ms"
    " lingering left loiter after_restart mode role box"
).split()
READ_COLUMNS = "utc mono_ns reader chip antenna rssi_dbm reader_time reader_ms time_from error_us".split()


class What(StrEnum):
    """What to write."""

    PASSINGS = "passings"
    ENTRIES = "entries"
    READS = "reads"


ONE_OF = {What.PASSINGS: "passing", What.ENTRIES: "entry", What.READS: "read"}


class Format(StrEnum):
    """How to write it."""

    CSV = "csv"
    JSONL = "jsonl"


def export(
    what: Annotated[
        What,
        typer.Argument(
            help="passings: the highest revision of each; entries: the whole log; reads: every raw read.",
        ),
    ] = What.PASSINGS,
    config: ConfigOption = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="The journal, instead of the file's [journal] path; or a second copy, a file or a folder.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="csv or jsonl (JSON lines).")] = Format.CSV,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, instead of the screen.", show_default=False)
    ] = None,
) -> None:
    """Write the journal out as CSV or JSON lines. It may be in use: it is only read.

    Example: timing-mat export passings --format csv --out splits.csv
    """
    if form is Format.CSV and what is What.ENTRIES:
        raise UsageError("entries are of many shapes: export them with --format jsonl, or passings as csv")
    path = journal or load(find(config)).journal.path
    with ExitStack() as stack:
        copied = Copied(path) if is_copy(path) else None
        progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
        progress.disable = not sys.stderr.isatty()
        if copied is None:
            rows, total = _rows(what, stack.enter_context(closing(JournalView(path))))
        else:
            rows, total = _copied(what, copied), None
        task = progress.add_task(f"{what} of {path.name}", total=total)
        file = sys.stdout if out is None else stack.enter_context(out.open("w", encoding="utf-8", newline=""))
        write = _writer(file, form, READ_COLUMNS if what is What.READS else SPLIT_COLUMNS)
        count = 0
        for row, done in rows:
            if row is not None:
                write(row)
                count += 1
            progress.update(task, completed=done)
    if copied is not None and copied.torn:
        print(f"{counted(copied.torn, 'line')} not whole: left out", file=sys.stderr)
    if out is not None:
        print(f"{counted(count, ONE_OF[what])} written to {out}")


def _writer(file: TextIO, form: Format, columns: list[str]) -> Callable[[Row], object]:
    if form is Format.JSONL:
        return lambda row: file.write(json.dumps(row) + "\n")
    writer = csv.DictWriter(file, columns, extrasaction="ignore")
    writer.writeheader()

    def write(row: Row) -> object:
        if isinstance(clock := row.get("clock"), dict):
            row = row | {f"clock_{name}": value for name, value in clock.items()}
        return writer.writerow(row)

    return write


def _rows(what: What, view: JournalView) -> tuple[Iterator[tuple[Row | None, int]], int | None]:
    """The rows with how far along they are, and how far it goes."""
    if what is What.READS:
        return _reads(view), view.rows_of_inputs()
    epochs = view.epochs()
    total = sum(epoch.last_seq for epoch in epochs)
    return (_passings(view, epochs) if what is What.PASSINGS else _entries(view, epochs)), total


def _copied(what: What, copied: Copied) -> Iterator[tuple[Row | None, int]]:
    """The same from a second copy, of which nobody knows how far it goes."""
    if what is What.READS:
        return ((_row_of(read), done) for done, read in enumerate(copied.reads(), 1))
    entries = ((entry, done) for done, entry in enumerate(copied.entries(), 1))
    return _highest(entries) if what is What.PASSINGS else entries


def _entries(view: JournalView, epochs: list[EpochRow]) -> Iterator[tuple[Row, int]]:
    done = 0
    for epoch in epochs:
        seq = 0
        while page := view.entries(epoch.epoch, seq, PAGE):
            seq = page[-1].seq
            for entry in page:
                done += 1
                yield json.loads(wire.payload(epoch.identity, entry)), done


def _passings(view: JournalView, epochs: list[EpochRow]) -> Iterator[tuple[Row | None, int]]:
    """The highest revision of each passing, in the order in which they were first told."""
    return _highest(_entries(view, epochs))


def _highest(entries: Iterator[tuple[Row, int]]) -> Iterator[tuple[Row | None, int]]:
    highest: dict[object, Row] = {}
    done = 0
    for row, done in entries:
        known = highest.get(row["passing"]) if row["type"] == "split" else None
        if row["type"] == "split" and (known is None or int(str(row["rev"])) > int(str(known["rev"]))):
            highest[row["passing"]] = row
        yield None, done
    for row in highest.values():
        yield row, done


def _reads(view: JournalView) -> Iterator[tuple[Row | None, int]]:
    for done, kept in enumerate(view.kept_inputs(), 1):
        for read in reads_in(kept, {}):
            yield _row_of(read), done
        yield None, done


def _row_of(read: CopiedRead) -> Row:
    return {
        "utc": rfc3339_from_utc_ns(read.utc_ns),
        "mono_ns": read.mono_ns,
        "reader": read.reader,
        "chip": read.chip,
        "antenna": read.antenna,
        "rssi_dbm": read.rssi_dbm,
        "reader_time": None if read.reader_ns is None else rfc3339_from_utc_ns(read.reader_ns),
        "reader_ms": read.reader_ms,
        "time_from": read.time_from,
        "error_us": read.error_us,
    }
