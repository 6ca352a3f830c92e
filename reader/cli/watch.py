"""`timing-mat watch`: a live table of splits and boxes, from the broker."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Annotated

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reader.cli.broker_options import EventOption, with_broker
from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.errors import BrokerUnreachable
from reader.model import NS_PER_S
from reader.racecontrol.subscriber import Board, Mat, Subscriber, Told
from reader.wording import counted

POLL_S = 0.1
ROWS_BESIDE_TABLES = 10  # headings, frames and the last line


@with_broker
def watch(
    broker: MqttSettings,
    event: EventOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line for each message, no table.")] = False,
    duration: Annotated[float | None, typer.Option(help="End after so many seconds.", min=0)] = None,
) -> None:
    """Watch splits and boxes as the broker tells them, until Ctrl-C.

    Each passing stands once, at its highest revision; what was only heard yet is dim. With --json nothing
    is left out but doubles. A broker that can't be reached is tried again; with --duration the exit code is
    6 if it never was.

    Example: timing-mat watch --host rc1 --event chicago-2023
    """
    clock = SystemClock()
    subscriber = Subscriber(broker, clock, event)
    end_ns = None if duration is None else clock.mono_ns() + int(duration * NS_PER_S)

    def is_over() -> bool:
        return end_ns is not None and clock.mono_ns() >= end_ns

    board = Board()
    try:
        if as_json:
            while not is_over():
                _print_lines(board, subscriber)
        else:
            console = Console()
            with Live(console=console, auto_refresh=False) as live:
                while not is_over():
                    for received in subscriber.poll(POLL_S):
                        board.add(received)
                    live.update(view(board, subscriber.trouble, console.height - ROWS_BESIDE_TABLES), refresh=True)
            if not console.is_terminal:
                console.print()  # Live leaves the line open there
    except KeyboardInterrupt:
        return
    finally:
        subscriber.close()
    if not subscriber.was_connected:
        raise BrokerUnreachable(subscriber.trouble)


class _Line(msgspec.Struct):
    topic: str
    message: msgspec.Raw


def _print_lines(board: Board, subscriber: Subscriber) -> None:
    trouble = subscriber.trouble
    for received in subscriber.poll(POLL_S):
        if board.add(received):
            print(msgspec.json.encode(_Line(received.topic, msgspec.Raw(received.payload))).decode(), flush=True)
    while subscriber.malformed:
        print(subscriber.malformed.popleft(), file=sys.stderr)
    if subscriber.trouble and subscriber.trouble != trouble:
        print(f"{subscriber.trouble}; trying again", file=sys.stderr)


def view(board: Board, trouble: str, rows: int) -> Group:
    """All there is to see: the latest ``rows`` passings, the boxes, and a line of sums."""
    sums = counted(board.splits, "split")
    if board.gaps:
        sums += f", {counted(board.gaps, 'entry')} missing in between"
    if board.doubled:
        sums += f", {board.doubled} told again"
    last = Text(f"{trouble}; trying again", style="bold red") if trouble else Text(sums, style="dim")
    parts: list[Table | Text] = [_splits(board, max(rows - len(board.statuses), 5))]
    if board.statuses or board.links:
        parts.append(_boxes(board))
    return Group(*parts, last)


def _splits(board: Board, rows: int) -> Table:
    table = Table("UTC", "mat", "chip", "bib", "nth", "dBm", "remarks", box=None, pad_edge=False)
    for told in islice(reversed(board.told.values()), rows):
        # As text: a bib in square brackets is no markup.
        table.add_row(*map(Text, _cells(told)), style="dim" if told.split is None else "")
    return table


def _cells(told: Told) -> tuple[str, ...]:
    split, heard = told.split, told.heard
    if split is None:
        assert heard is not None  # noqa: S101 - one of the two is what it was told by
        return (_time_of_day(heard.time), told.mat[2], heard.chip, heard.bib or "", "", "", "heard")
    remarks: list[str] = [] if split.time_error_ms is None else [f"±{split.time_error_ms / 1000:.2f} s"]
    if split.mode != "race":
        remarks.append(split.mode)
    if split.rev > 1:
        remarks.append(f"rev {split.rev}: {split.revised_for or 'told again'}")
    if not split.clock.synced:
        remarks.append("clock not synchronised")
    remarks += [word for word in ("lingering", "loiter", "after_restart") if getattr(split, word)]
    strength = "" if split.rssi_dbm is None else str(split.rssi_dbm)
    time = _time_of_day(split.time)
    return (time, told.mat[2], split.chip, split.bib or "", str(split.nth), strength, ", ".join(remarks))


def _boxes(board: Board) -> Table:
    table = Table("mat", "box", "link", "mode", "recording", "teardown", "says", box=None, pad_edge=False)
    for mat in sorted(board.statuses.keys() | board.links.keys()):
        status, link = board.statuses.get(mat), board.links.get(mat)
        word = Text(link.link if link else "?", style="" if link and link.link == "online" else "bold red")
        if status is None:
            table.add_row(_place(mat), Text(link.box if link else ""), word)
            continue
        faults = [f"{name}: {part.says}" for name, part in status.parts.items() if part.word == "fail"]
        recording = Text("yes") if status.recording else Text("NOT RECORDING", style="bold red")
        box = status.label or status.box
        table.add_row(
            _place(mat),
            Text(box),
            word,
            status.mode,
            recording,
            status.teardown.verdict,
            Text("; ".join(faults), style="red"),
        )
    return table


def _place(mat: Mat) -> Text:
    return Text("/".join(mat))


def _time_of_day(time: str) -> str:
    """Milliseconds are what fits; --json has all."""
    return time[11:23]
