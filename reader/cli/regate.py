"""`timing-mat regate`: raw reads through the gate again, by the run's own rules or by others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer
from msgspec import Meta
from msgspec.structs import replace
from rich.console import Console
from rich.progress import Progress

from reader.cli.run import ConfigOption
from reader.config import find, load
from reader.config.settings import CHIP_PATTERN, GATE_BY_USE
from reader.errors import JournalError, UsageError
from reader.journal import Entry, JournalView
from reader.lines import LinesSettings
from reader.messages import Split
from reader.model import NS_PER_S, ChipRead, ClockQuality, Identity, Instant, Pick, Reads, Use
from reader.passing import Rules
from reader.regate import Highest, Regate
from reader.telling import Teller, encode, time_error_ms
from reader.uplink import wire
from reader.wording import counted

SQLITE = b"SQLite format 3\x00"
PAGE = 500
NOBODY = Identity("regate", "regate", "regate", "regate")
UNKNOWN = ClockQuality(synced=False, source="unknown", error_ms=None)

Chip = Annotated[str, Meta(pattern=CHIP_PATTERN)]
Antenna = Annotated[int, Meta(ge=1)]


class Row(msgspec.Struct, frozen=True):
    """One read of a file of JSON lines; ``at_ns``: when it arrived, where that is not ``utc_ns``, when it was read."""

    chip: Chip
    utc_ns: int
    antenna: Antenna | None = None
    rssi_dbm: int | None = None
    at_ns: int | None = None
    reader: str = "main"
    line: str = "main"


class Changes(msgspec.Struct, frozen=True):
    """What of the rules is another than the run's; None: as it was."""

    pick: Pick | None
    use: Use | None
    quiet_s: float | None
    dead_time_s: float | None
    linger_s: float | None

    def apply(self, rules: Rules) -> Rules:
        """The rules so changed."""
        times = {"quiet_ns": self.quiet_s, "dead_time_ns": self.dead_time_s, "linger_ns": self.linger_s}
        changed: dict[str, Any] = {name: round(s * NS_PER_S) for name, s in times.items() if s is not None}
        changed |= {name: value for name in ("pick", "use") if (value := getattr(self, name)) is not None}
        return replace(rules, **changed)


def regate(
    file: Annotated[
        Path | None,
        typer.Argument(help="A journal, or JSON lines (- for those piped in); without it the file's [journal] path."),
    ] = None,
    config: ConfigOption = None,
    pick: Annotated[Pick | None, typer.Option(help="Which time is the split's.", show_default=False)] = None,
    use: Annotated[Use | None, typer.Option(help="What the mat is for.", show_default=False)] = None,
    quiet_s: Annotated[float | None, typer.Option(min=0.05, max=60, help="As in [gate].", show_default=False)] = None,
    dead_time_s: Annotated[
        float | None, typer.Option(min=0.5, max=3600, help="As in [gate].", show_default=False)
    ] = None,
    linger_s: Annotated[float | None, typer.Option(min=0.5, max=3600, help="As in [gate].", show_default=False)] = None,
    chip: Annotated[str | None, typer.Option(help="Only this chip's splits.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, instead of the screen.", show_default=False)
    ] = None,
) -> None:
    """Put raw reads through the gate again: the highest revision of each split, as JSON lines.

    From a journal without other rules it gives the splits that were told; otherwise no clock is known, and
    `time_error_ms` is that of the reads alone, as `spread_ms`. A line of JSON has `chip`, `utc_ns`, `antenna`,
    `rssi_dbm`, in order of arrival, and `at_ns` where it arrived later than it was read.

    Example: timing-mat regate journal.db --pick first --dead-time-s 60
    """
    changes = Changes(pick, use, quiet_s, dead_time_s, linger_s)
    path = file or load(find(config)).journal.path
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
        progress.disable = not sys.stderr.isatty()
        lines = _from_journal(path, changes, progress) if _is_journal(path) else _from_lines(path, changes)
        if chip is not None:
            lines = (line for line in lines if line[1] == chip.upper())
        found = [payload for payload, _ in lines]  # all of it, before anything is written
        target: TextIO = sys.stdout if out is None else stack.enter_context(out.open("w", encoding="utf-8"))
        for payload in found:
            target.write(payload.decode() + "\n")
    if out is not None:
        print(f"{counted(len(found), 'split')} written to {out}")


def _is_journal(path: Path) -> bool:
    if str(path) == "-":
        return False
    if path.is_dir():
        raise UsageError(f"{path}: found a folder, expected one file: a journal, or a second copy's EPOCH.reads.jsonl")
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


# ---- from a journal ----------------------------------------------------------------------------------------


def _from_journal(path: Path, changes: Changes, progress: Progress) -> Iterator[tuple[bytes, str]]:
    view = JournalView(path)
    try:
        kept = view.gate_state()
        if kept is None:
            raise JournalError(f"{path}: no run has written its rules here yet; let the daemon run first")
        settings = msgspec.msgpack.decode(kept[1], type=LinesSettings)
        rules = {line: changes.apply(rules) for line, rules in settings.rules_of_line.items()}
        is_own = rules == settings.rules_of_line
        epoch = view.epochs()[-1]
        again = Regate(replace(settings, rules_of_line=rules), epoch.epoch if is_own else "regate", is_own=is_own)
        task = progress.add_task(f"reads of {path.name}", total=view.rows_of_inputs())
        for row in view.kept_inputs():
            for given in row.inputs:
                again.give(given)
            progress.advance(task)
        if not is_own:
            again.run_on()
        told = _told(view, epoch.epoch) if is_own else {}
        yield from _payloads(again, epoch.identity, told)
    finally:
        view.close()


def _told(view: JournalView, epoch: str) -> dict[str, tuple[int, Split]]:
    """By passing, the highest revision as it was told, and its place in the log."""
    found: dict[str, tuple[int, Split]] = {}
    seq = 0
    while page := view.entries(epoch, seq, PAGE):
        seq = page[-1].seq
        for entry in page:
            if entry.type == "split":
                split = msgspec.json.decode(entry.body, type=Split)
                found[split.passing] = (entry.seq, split)
    return found


# ---- from lines --------------------------------------------------------------------------------------------


def _from_lines(path: Path, changes: Changes) -> Iterator[tuple[bytes, str]]:
    gate = GATE_BY_USE[changes.use or "finish"]
    rules = changes.apply(
        Rules(
            pick=gate.pick,
            use=changes.use or "finish",
            quiet_ns=round(gate.quiet_s * NS_PER_S),
            dead_time_ns=round(gate.dead_time_s * NS_PER_S),
            linger_ns=round(gate.linger_s * NS_PER_S),
            time_from="host",
        )
    )
    again = Regate(LinesSettings({}, {}), "regate", is_own=False)
    at_ns = 0
    with ExitStack() as stack:
        stream = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
        for number, text in enumerate(stream, 1):
            if not text.strip():
                continue
            place = f"{path}, line {number}"
            row = _row(text, place)
            # It may lie a few ms before utc_ns: a reader's clock is held against this box's to within its error.
            if row.at_ns is not None and row.at_ns < at_ns:
                raise UsageError(f"{place}: found at_ns {row.at_ns}, expected none before the line above: {at_ns}")
            at_ns = max(at_ns, row.utc_ns) if row.at_ns is None else row.at_ns
            if not again.admit(row.reader, row.line, rules):
                raise UsageError(f"{place}: found reader {row.reader!r} on another line than before")
            at = Instant(at_ns, at_ns)
            again.tick(at)
            read = ChipRead(row.chip.upper(), row.antenna, row.rssi_dbm, None, None, 0)
            again.give(Reads(row.reader, at, 0, [read], [row.utc_ns]))
    again.run_on()
    yield from _payloads(again, NOBODY, {})


def _row(text: bytes, place: str) -> Row:
    try:
        return msgspec.json.decode(text, type=Row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        says = 'expected an object with chip (hex), utc_ns, antenna, rssi_dbm, as {"chip": "E280", "utc_ns": 1, …}'
        raise UsageError(f"{place}: {error}; {says}") from error


def _payloads(again: Regate, identity: Identity, told: dict[str, tuple[int, Split]]) -> Iterator[tuple[bytes, str]]:
    """Each split as a message, and its chip."""
    epoch = next(iter(again.highest), "regate-0").rpartition("-")[0]
    teller = Teller(identity, "main", "", again.rules_of_line, None)
    for n, highest in enumerate(again.highest.values(), 1):
        seq, split = _as_told(teller, highest, told.get(highest.told.passing), n)
        yield wire.payload(identity, Entry(epoch, seq, "split", encode(split))), split.chip


def _as_told(teller: Teller, highest: Highest, was: tuple[int, Split] | None, n: int) -> tuple[int, Split]:
    split = replace(teller.split(highest.told, UNKNOWN), boot=highest.boot)
    split = replace(split, time_error_ms=split.spread_ms)  # no clock was heard of
    if highest.is_for_clock:
        split = replace(split, revised_for="clock")
    if was is None:
        return n, split
    seq, old = was
    # What the gate does not decide is as it was told.
    same = ("mode", "role", "boot", "clock", "bib", "listed")
    split = replace(split, **{name: getattr(old, name) for name in same})
    return seq, replace(split, time_error_ms=time_error_ms(split))
