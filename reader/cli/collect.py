"""`timing-mat collect`: race control's collector, and what there is to see of it."""

from __future__ import annotations

import re
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from reader.cli.broker_options import as_level, with_broker
from reader.cli.collect_view import line, view
from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.config.settings import LEVEL
from reader.errors import BrokerUnreachable, UsageError
from reader.model import NS_PER_S
from reader.racecontrol.collector import Collector
from reader.racecontrol.expecting import Expecting
from reader.racecontrol.outlook import Outlook
from reader.racecontrol.starters import load_starters
from reader.racecontrol.store import CrossingsFile, News, Store
from reader.signals import stopping_at
from reader.wording import counted

POLL_S = 0.1
SHOW_NS = NS_PER_S // 2
LINE_NS = 5 * NS_PER_S  # where it is no terminal
READ_AT_ONCE = 5_000  # lines of a copy between two commits


@with_broker
def collect(
    broker: MqttSettings,
    event: Annotated[str, typer.Option(help="The event, all mats of it.", callback=as_level)],
    db: Annotated[
        Path | None, typer.Option(help="The database; EVENT.db where none is named.", show_default=False)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Keep the crossings in this CSV file, or folder, too.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="Under which it acknowledges to the mats.", callback=as_level)] = "rc1",
    points: Annotated[
        str | None,
        typer.Option(help="The points in the order of the course: tells mats who is to come.", show_default=False),
    ] = None,
    starters: Annotated[
        Path | None, typer.Option(help="The starters: CSV with chip,bib,status.", show_default=False)
    ] = None,
    read: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Take in a box's second copy (a file, or the folder) first; may be given again.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line for each split, no table.")] = False,
    duration: Annotated[float | None, typer.Option(help="End after so many seconds.", min=0)] = None,
) -> None:
    """Collect everything that the mats of an event tell, until Ctrl-C, into a database.

    Doubles are removed, gaps filled by asking the mats for what is missing, and what is on disk is acknowledged. Killed
    and started again it goes on where it was. One row an entry, one a passing, and one a crossing: what the main mat,
    the backup behind it and both chips of a bib have told of the same crossing, joined.

    Example: timing-mat collect --event chicago-2023 --points start,half,finish --starters starters.csv
    """
    clock = SystemClock()
    listed = load_starters(starters) if starters else None
    expecting = Expecting(_course(points), listed)
    path = db or Path(f"{event}.db")
    store = Store(path, event)
    try:
        collector = Collector(broker, clock, store, event, name, listed)
        outlook = Outlook(expecting, collector, store, clock, f"{broker.prefix}/{event}")
        crossings = CrossingsFile(csv, path, clock) if csv else None
        desk = _Desk(collector, outlook, crossings, as_json=as_json)
        try:
            for copy in read or ():
                desk.read(copy)
            with stopping_at(signal.SIGINT, signal.SIGTERM) as ending:
                desk.serve(clock, ending, duration)
        finally:
            desk.finish()
    finally:
        store.close()
    if not collector.connects and not read:
        raise BrokerUnreachable(collector.trouble)


class _Desk:
    """What is done with what has come, until it ends."""

    def __init__(
        self, collector: Collector, outlook: Outlook, crossings: CrossingsFile | None, *, as_json: bool
    ) -> None:
        self._collector = collector
        self._outlook = outlook
        self._crossings = crossings
        self._as_json = as_json
        self._said = {"broker": collector.trouble}  # not connected yet: nobody has tried

    def read(self, path: Path) -> None:
        """Take in a box's second copy: one file of entries, or all in a folder. UsageError if there is none."""
        files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        files = [file for file in files if not file.name.endswith(".reads.jsonl")]
        if not files:
            raise UsageError(f"--read {path}: found no file of entries, expected EPOCH.jsonl, as a box writes them")
        for file in files:
            try:
                count = self._read_file(file)
            except OSError as error:
                raise UsageError(f"--read {file}: {error.strerror}") from error
            print(f"{file}: {counted(count, 'line')} read", file=sys.stderr)

    def _read_file(self, path: Path) -> int:
        number = 0
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                self._collector.take(f"{path}, line {number}", text)
                if number % READ_AT_ONCE == 0:
                    self._news(self._collector.commit())
                    self._say()
        self._news(self._collector.commit())
        self._say()
        return number

    def serve(self, clock: SystemClock, ending: threading.Event, duration: float | None) -> None:
        """Until it is told to end, or the time is over."""
        end_ns = None if duration is None else clock.mono_ns() + int(duration * NS_PER_S)
        console = Console(stderr=self._as_json)
        is_live = console.is_terminal and not self._as_json
        show_at_ns = 0 if is_live else clock.mono_ns() + LINE_NS
        with Live(console=console, auto_refresh=False) if is_live else nullcontext() as live:
            while not ending.is_set() and (end_ns is None or clock.mono_ns() < end_ns):
                self._news(self._collector.turn(POLL_S))
                self._outlook.turn()
                if self._crossings:
                    self._crossings.turn()
                now_ns = clock.mono_ns()
                if not is_live:
                    self._say()
                if now_ns < show_at_ns:
                    continue
                if live:
                    live.update(view(self._collector, now_ns, self._troubles()), refresh=True)
                else:
                    print(line(self._collector, now_ns), file=sys.stderr, flush=True)
                show_at_ns = now_ns + (SHOW_NS if is_live else LINE_NS)

    def finish(self) -> None:
        """Write and acknowledge what has come, and say how it stands."""
        self._news(self._collector.finish())
        if self._crossings:
            self._crossings.finish()
        self._say()
        print(line(self._collector, None), file=sys.stderr)

    def _news(self, news: list[News]) -> None:
        if not news:
            return
        self._outlook.note(news)
        if self._crossings:
            self._crossings.note_change()
        if self._as_json:
            sys.stdout.write("".join(f"{one.body.strip()}\n" for one in news))
            sys.stdout.flush()

    def _troubles(self) -> list[str]:
        found = [self._collector.disk_trouble, self._collector.trouble]
        return [says for says in (*found, self._crossings.trouble if self._crossings else "") if says]

    def _say(self) -> None:
        """What is wrong, once; and what makes no sense."""
        says = self._collector.says
        while says:
            print(says.popleft(), file=sys.stderr)
        csv_trouble = self._crossings.trouble if self._crossings else ""
        for what, trouble, remedy in (
            ("broker", self._collector.trouble, "trying again"),
            ("disk", self._collector.disk_trouble, "nothing is acknowledged until it does; trying again"),
            ("csv", csv_trouble, "trying again"),
        ):
            if trouble and self._said.get(what) != trouble:
                print(f"{trouble}; {remedy}", file=sys.stderr, flush=True)
            self._said[what] = trouble


def _course(points: str | None) -> tuple[str, ...]:
    """The points, in their order. UsageError for what can't be one."""
    course = tuple(point.strip() for point in points.split(",")) if points else ()
    for point in course:
        if not re.fullmatch(LEVEL, point):
            raise UsageError(f'--points: found "{points}", expected points with commas between, as start,05k,finish')
    return course
