"""``timing-mat simulate``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, date, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reader.cli.naming import line_from_options
from reader.clock import SystemClock
from reader.errors import UsageError
from reader.model import NS_PER_S
from reader.signals import stopping_at
from reader.simulator.faults import FAULTS, OF_AN_ANTENNA, READER_FAULTS, fault_from_text
from reader.simulator.play import Reader, play, truth_from_told
from reader.simulator.race import Crossing, made_race, race_from_file
from reader.simulator.signal import Mat, Told
from reader.wording import counted

MADE_RACE_HOUR = 8  # when a made race of a given day begins, UTC


class Family(StrEnum):
    """The readers that can be simulated."""

    IPICO = "ipico"
    THINGMAGIC = "thingmagic"
    A0 = "a0"
    M100 = "m100"
    UHFREADER = "uhfreader"
    RDM6300 = "rdm6300"


class _Module(Protocol):
    def make_reader(self, baud: int | None, antennas: int, region: int | None) -> Reader: ...
    def chip_from_number(self, number: int) -> str: ...
    def chip_from_text(self, text: str) -> str: ...


class Simulated(NamedTuple):
    """A family's module in the simulator, imported when it is used."""

    module: str

    def make_reader(self, baud: int | None = None, antennas: int = 1, region: int | None = None) -> Reader:
        """A reader of this family; None for the speed, or the region, that it has by itself."""
        return self._loaded.make_reader(baud, antennas, region)

    def chip_from_number(self, number: int) -> str:
        """A chip's code as this family has it; ValueError outside its numbers."""
        return self._loaded.chip_from_number(number)

    def chip_from_text(self, text: str) -> str:
        """A chip's code as it is, in upper case; ValueError if this family can have none such."""
        return self._loaded.chip_from_text(text)

    @property
    def _loaded(self) -> _Module:
        return cast(_Module, import_module(self.module))


FAMILIES = {
    Family.IPICO: Simulated("reader.simulator.ipico"),
    Family.THINGMAGIC: Simulated("reader.simulator.thingmagic"),
    Family.A0: Simulated("reader.simulator.a0"),
    Family.M100: Simulated("reader.simulator.m100"),
    Family.UHFREADER: Simulated("reader.simulator.uhfreader"),
    Family.RDM6300: Simulated("reader.simulator.rdm6300"),
}


def simulate(
    protocol: Annotated[Family, typer.Option(help="The reader's family.")] = Family.IPICO,
    link: Annotated[Path | None, typer.Option(help="Path of a link to the pseudo-terminal, for mat.toml.")] = None,
    tcp: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Serve TCP instead of a terminal.")] = None,
    crossings: Annotated[Path | None, typer.Option(help="CSV file (or .csv.gz) of a race to play.")] = None,
    point: Annotated[str | None, typer.Option(help="The column of that file that holds the times.")] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Day of the race, UTC [today].")
    ] = None,
    spread: Annotated[bool, typer.Option(help="Put times of whole seconds anywhere within their second.")] = True,
    runners: Annotated[int, typer.Option(min=1, help="Of a race made here, without --crossings.")] = 200,
    minutes: Annotated[float, typer.Option(min=0.01, help="From its first crossing to about its last.")] = 5.0,
    reads: Annotated[int, typer.Option(min=1, help="Reads of one crossing.")] = 12,
    antennas: Annotated[
        int, typer.Option(min=1, max=16, help="Antennas of the mat, where a reader tells them apart.")
    ] = 1,
    region: Annotated[
        int | None,
        typer.Option(
            min=0, max=255, help="Region at power-up, in the maker's numbers [one of its own].", show_default=False
        ),
    ] = None,
    disorder: Annotated[float, typer.Option(min=0, help="Say reads up to so many seconds late.")] = 0.0,
    repeats: Annotated[float, typer.Option(min=0, max=1, help="Share of reads that are said twice.")] = 0.0,
    speed: Annotated[float, typer.Option(min=0, help="Race seconds a second; 0: as fast as the line takes it.")] = 1.0,
    baud: Annotated[
        int | None,
        typer.Option(min=300, help="Bits a second; it paces the line at speed 1 [the family's].", show_default=False),
    ] = None,
    strict_baud: Annotated[
        bool, typer.Option("--strict-baud", help="Nothing but garbage while the host has set another speed.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="The race stands still while nobody has the line open.")] = False,
    linger: Annotated[float, typer.Option(min=0, help="Seconds the reader stays after the race.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed plays the same race.")] = 1,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=N][@S]",
            help=f"At second S of the race: {', '.join(FAULTS | READER_FAULTS)}. Repeatable. "
            f"With N, of that antenna: {', '.join(sorted(OF_AN_ANTENNA))}.",
        ),
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="JSON lines to write: what was said of each crossing.")] = None,
) -> None:
    """Play a race on a line, byte for byte as a mat's reader would say it.

    For training and tests: point the daemon's `port` at the link.

        timing-mat simulate --link /tmp/mat --runners 500 --minutes 10 --wait

        timing-mat simulate --link /tmp/mat --crossings chicago.csv.gz --point finish --speed 100 --truth truth.jsonl

    At --speed 0 and with --wait nothing is lost: the race stands still while nobody listens. Otherwise runners wait
    for nobody, and what is said to a closed line is lost. Ctrl-C ends it cleanly.
    """
    family = FAMILIES[protocol]
    on = _day(day) if day else None
    race: Iterable[Crossing]
    if crossings is not None:
        if point is None:
            raise UsageError("--crossings needs --point COLUMN: which column of the file holds the times.")
        listed = race_from_file(
            crossings,
            point,
            on or datetime.now(UTC).date(),
            family.chip_from_number,
            family.chip_from_text,
            seed,
            spread=spread,
        )
        race, count = listed, len(listed)
    else:
        begins_ns = _begin_ns(on)
        race, count = made_race(runners, minutes * 60, begins_ns, family.chip_from_number, seed), runners
    reader = family.make_reader(baud, antennas, region)
    faults = [fault_from_text(text, reader.suffers, antennas) for text in fault or []]
    mat = Mat(reads=reads, antennas=antennas, disorder_s=disorder, repeats=repeats)

    with ExitStack() as closing:
        stop = closing.enter_context(stopping_at(signal.SIGINT, signal.SIGTERM))
        told_to = None
        if truth is not None:
            try:
                told_to = closing.enter_context(truth.open("wb"))
            except OSError as error:
                raise UsageError(f"--truth {truth}: can't be written: {error.strerror}.") from error
        line = line_from_options(link, tcp)
        closing.enter_context(line)
        print(f"{protocol} reader on {line.address}, {counted(count, 'crossing')}", flush=True)
        progress = closing.enter_context(_progress())
        task = progress.add_task("crossings", total=count)

        def tell(told: Told) -> None:
            if told_to is not None:
                told_to.write(truth_from_told(told))
            progress.advance(task)

        played = play(
            race,
            reader,
            line,
            mat=mat,
            speed=speed,
            seed=seed,
            waits=wait,
            linger_s=linger,
            is_strict=strict_baud,
            faults=faults,
            stop=stop,
            tell=tell,
        )
    print(f"{played.crossings} crossings, {played.reads} reads, {played.unheard} crossings unheard")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--date {text}: expected YYYY-MM-DD, as 2023-10-08.") from error


def _begin_ns(day: date | None) -> int:
    """A made race begins now, so that a reader's clock is right at speed 1; on a given day, in the morning."""
    if day is None:
        return SystemClock().now().utc_ns
    return int(datetime(day.year, day.month, day.day, MADE_RACE_HOUR, tzinfo=UTC).timestamp()) * NS_PER_S


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
