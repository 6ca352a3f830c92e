"""What there is to see of a running `collect`: a table for a terminal, a line for a log."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from reader.model import NS_PER_S
from reader.racecontrol.collector import Collector
from reader.racecontrol.epochs import Epoch
from reader.racecontrol.mats import MatState
from reader.wording import counted

QUIET_NS = 30 * NS_PER_S  # a mat says how it is every 10 s


def view(collector: Collector, now_ns: int, troubles: list[str]) -> Group:
    """All there is: the mats, the latest that was said, and a line of sums."""
    table = Table(
        "mat", "box", "link", "last word", "mode", "splits", "missing", "backlog", "acked", box=None, pad_edge=False
    )
    for mat in sorted(collector.mats.values(), key=lambda mat: mat.key):
        table.add_row(*_cells(mat, _epochs_of(mat, collector), now_ns))
    says = [_plain(text) for text in list(collector.says)[-5:]]
    return Group(
        table,
        *says,
        *(Text(f"{trouble}; trying again", style="bold red") for trouble in troubles),
        Text(_sums(collector), style="dim"),
    )


def line(collector: Collector, now_ns: int | None) -> str:
    """The sums, and whoever is not well; ``now_ns`` None: it has ended, and nobody's silence says anything."""
    quiet = [mat for mat in collector.mats.values() if now_ns is not None and _is_quiet(mat, now_ns)]
    away = [mat for mat in collector.mats.values() if not mat.is_there]
    parts = [_sums(collector)]
    parts += [f"{'/'.join(mat.key)} {mat.link}" for mat in away]
    parts += [f"{'/'.join(mat.key)} silent" for mat in quiet if mat.is_there]
    return _plain("; ".join(parts)).plain


def _sums(collector: Collector) -> str:
    mats = collector.mats.values()
    sums = f"{counted(sum(mat.passings for mat in mats), 'passing')} of {counted(len(mats), 'mat')}"
    lost = sum(epoch.missing - epoch.missing_unlost for epoch in collector.epochs.values())
    missing = sum(epoch.missing_unlost for epoch in collector.epochs.values())
    if missing:
        sums += f", {counted(missing, 'entry')} missing"
    if lost:
        sums += f", {counted(lost, 'entry')} lost at {'its mat' if lost == 1 else 'their mats'}"
    if collector.doubled:
        sums += f", {collector.doubled} came again"
    return sums


def _epochs_of(mat: MatState, collector: Collector) -> list[Epoch]:
    return [epoch for epoch in collector.epochs.values() if epoch.mat == mat.key]


def _plain(text: str) -> Text:
    """What others wrote, as it is: neither markup nor words to the terminal."""
    return Text("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))


def _cells(mat: MatState, epochs: list[Epoch], now_ns: int) -> tuple[str | Text, ...]:
    missing = sum(epoch.missing for epoch in epochs)
    acked = epochs[-1] if epochs else None
    quiet_s = "?" if mat.last_word_ns is None else f"{(now_ns - mat.last_word_ns) / NS_PER_S:.0f} s"
    return (
        _plain("/".join(mat.key)),
        _plain(mat.label or mat.box),
        Text(mat.link[:10] or "?", style="" if mat.link == "online" else "bold red"),
        Text(quiet_s, style="bold red" if _is_quiet(mat, now_ns) else ""),
        Text(
            mat.mode if mat.is_recording else f"{mat.mode}, NOT RECORDING", style="" if mat.is_recording else "bold red"
        ),
        str(mat.passings),
        Text(str(missing), style="bold red" if missing else ""),
        str(mat.backlog),
        f"{acked.stored_through} of {acked.last_seq}" if acked else "",
    )


def _is_quiet(mat: MatState, now_ns: int) -> bool:
    return mat.last_word_ns is not None and now_ns - mat.last_word_ns > QUIET_NS
