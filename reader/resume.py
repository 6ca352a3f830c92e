"""What happens between two runs: the journal is opened, and the gates go on as if nothing had been.

A journal that can't be read, or that belongs to another race, point or box, is set aside and a fresh one
begun (WIRE.md of the design, "epoch"); what it owed is told first, what it had not delivered is taken over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from reader.before import Told, last_told, why_deaf
from reader.clock import Clock
from reader.errors import DiskRefused, JournalDamaged
from reader.journal import Journal, JournalView
from reader.journal.aside import finish_setting_aside, set_aside, take_in_all
from reader.journal.ballast import Ballast
from reader.journal.steady import SteadyJournal, take_in_left_over
from reader.lines import Lines, LinesSettings, LinesState
from reader.messages import Split
from reader.model import Began, Identity, Instant, Role
from reader.modes import Modes
from reader.recorder import Recorder
from reader.report import Committed
from reader.telling import Teller

SPLITS_LOOKED_AT = 500
MORE_THAN_ON_MAT = 1_000_000  # passings that have an id, and are not in the log yet

_split = msgspec.json.Decoder(Split)
_settings = msgspec.msgpack.Decoder(LinesSettings)
_state = msgspec.msgpack.Decoder(LinesState)


class Alive(Protocol):
    """When the last run of this boot was last known to be alive (``box/alive.py``)."""

    def read(self, boot: str) -> int | None:
        """Monotonic nanoseconds, or None."""

    def write(self, boot: str, at: Instant) -> None:
        """Mark it."""


class LastKnown(NamedTuple):
    """The last thing the journal knows: in which boot, when, and whether UTC was good."""

    boot: str
    at: Instant
    synced: bool


def open_journal(path: Path, identity: Identity, end: Callable[[Journal, Lines], None]) -> tuple[Journal, list[str]]:
    """The journal to write, and what is to be said of those set aside for it.

    ``end``: tells what the gates of a journal of this box still owe, before it is set aside.
    JournalInUse, DiskRefused.
    """
    says: list[str] = []
    finish_setting_aside(path)
    journal = _open_own(path, identity, end, says) if path.exists() else None
    if journal is None:
        journal = Journal.create(path, identity)
    for taken in take_in_all(journal):
        parts = [f"{taken.entries} entries of {taken.file} were taken over"]
        if taken.foreign:
            parts.append(f"{taken.foreign} of another box wait there and are not sent")
        if taken.trouble:
            parts.append(taken.trouble)
        says.append("; ".join(parts))
    return journal, says


def _open_own(path: Path, identity: Identity, end: Callable[[Journal, Lines], None], says: list[str]) -> Journal | None:
    """The journal that is there, if it is this mat's and whole; otherwise it is set aside."""
    try:
        journal = Journal.open(path)
    except JournalDamaged as error:
        aside = set_aside(path, "damaged")
        says.append(f"the journal could not be read and was set aside as {aside.name}: {error}")
        return None
    was = journal.identity
    if was == identity:
        return journal
    if was.box == identity.box:
        end(journal, restore_lines(journal)[0])
    journal.close()
    aside = set_aside(path, "other")
    place = f"{was.event}/{was.point}/{was.mat} on box {was.box}"
    says.append(f"the journal was of {place}, and was set aside as {aside.name}")
    return None


def restore_lines(journal: Journal | SteadyJournal) -> tuple[Lines, LastKnown | None]:
    """The gates as they were after the last commit, under the rules of then; and the last thing known.

    Where they can't be read (written by another version of this program), they begin anew: a chip on the mat
    then has two passings, which is better than none. No passing gets the id of an earlier one.
    """
    view = journal.view()
    try:
        kept = view.gate_state()
        last = view.last_inputs()
        if kept is None or last is None:
            return _no_lines(journal.epoch), None
        reads_n, settings, state = kept
        lines = Lines(_settings.decode(settings), journal.epoch)
        lines.restore(_state.decode(state))
        for row in view.kept_inputs(after_n=reads_n):
            for given in row.inputs:
                lines.give(given)
                lines.take()  # told before: what a commit holds is whole
        return lines, LastKnown(last.boot, last.inputs[-1].at, last.synced)
    except msgspec.MsgspecError:
        return _no_lines(journal.epoch, journal.last_seq + MORE_THAN_ON_MAT), None
    finally:
        view.close()


def _no_lines(epoch: str, ids: int = 0) -> Lines:
    """Of no readers. ``ids``: how many passings of that epoch may have one."""
    lines = Lines(LinesSettings({}, {}), epoch)
    lines.restore(LinesState(epoch, ids, 0, [], {}))
    return lines


def carry_over(old: Lines, settings: LinesSettings) -> tuple[Lines, Lines | None]:
    """The gates under the settings of now; and those of lines that can't go on, whose passings are to be ended."""
    if old.settings == settings:
        return old, None
    state = old.state()
    goes_on = {
        line
        for line, rules in settings.rules_of_line.items()
        if line in old.settings.rules_of_line and old.settings.rules_of_line[line].time_from == rules.time_from
    }
    ending = None
    if set(state.gates) - goes_on:
        ending = Lines(old.settings, old.epoch)
        ending.restore(msgspec.structs.replace(state, gates={k: v for k, v in state.gates.items() if k not in goes_on}))
    lines = Lines(settings, old.epoch)
    lines.restore(msgspec.structs.replace(state, gates={k: v for k, v in state.gates.items() if k in goes_on}))
    return lines, ending


def began(last: LastKnown | None, clock: Clock, alive_ns: int | None) -> Began:
    """The beginning of this run, tied to what is known of the last one.

    ``alive_ns``: when the last run of this boot was last known to be alive, monotonic; None if not known.
    """
    now = clock.now()
    if last is None:
        return Began(now, clock.boot, now.mono_ns, None)
    if last.boot == clock.boot:
        deaf_since = max(last.at.mono_ns, alive_ns or 0)
        return Began(now, clock.boot, min(deaf_since, now.mono_ns), 0)
    if last.synced and clock.quality().synced:
        shift_ns = (last.at.utc_ns - last.at.mono_ns) - (now.utc_ns - now.mono_ns)
        return Began(now, clock.boot, min(last.at.mono_ns + shift_ns, now.mono_ns), shift_ns)
    return Began(now, clock.boot, now.mono_ns, None)


def last_raced_ns(journal: SteadyJournal, clock: Clock) -> int | None:
    """When the last split of this mat in mode race was, on this boot's monotonic clock; None if there is none.

    In whichever epoch: a spell without a disk has one of its own.

    Where it can't be known how long ago that was, it is now: better a test refused than a race taken for a test.
    """
    view = journal.view()
    try:
        rows = view.epochs()
        raced = [_raced_ns(view, row.epoch, clock) for row in rows if row.identity == rows[-1].identity]
        return max((at_ns for at_ns in raced if at_ns is not None), default=None)
    finally:
        view.close()


def _raced_ns(view: JournalView, epoch: str, clock: Clock) -> int | None:
    for entry in view.last_told(epoch, "split", SPLITS_LOOKED_AT):
        split = _split.decode(entry.body)
        if split.mode != "race":
            continue
        now = clock.now()
        if split.boot == clock.boot:
            return min(entry.mono_ns, now.mono_ns)
        if split.clock.synced and clock.quality().synced:
            return now.mono_ns - max(0, now.utc_ns - entry.utc_ns)
        return now.mono_ns
    return None


class Resumed(NamedTuple):
    """The recorder, ready to run; what had to be said of journals set aside; what the log last said of hearing."""

    recorder: Recorder
    says: list[str]
    coverage: Told


def resume(
    *,
    path: Path,
    identity: Identity,
    role: Role,
    settings: LinesSettings,
    bibs: dict[str, str] | None,
    tells_heard: bool,
    clock: Clock,
    sweep: frozenset[str] = frozenset(),
    alive: Alive,
    told: Callable[[Committed], None],
    moved: Callable[[], None],
    memory: Sequence[Path],
    ballast: Ballast | None = None,
) -> Resumed:
    """Open the journal and go on where the last run was; without a disk, in ``memory``. JournalInUse."""

    def recorder_of(journal: SteadyJournal, lines: Lines, identity: Identity, raced_ns: int | None = None) -> Recorder:
        return Recorder(
            journal=journal,
            lines=lines,
            teller=Teller(identity, role, clock.boot, lines.settings.rules_of_line, bibs),
            modes=Modes(sweep, raced_ns, has_gun=journal.count_of("gun") > 0),
            clock=clock,
            tells_heard=tells_heard,
            told=told,
            moved=moved,
            alive=lambda at: alive.write(clock.boot, at),
        )

    def end(journal: Journal, lines: Lines) -> None:
        recorder_of(SteadyJournal(path, journal.identity, journal, memory), lines, journal.identity).finish()

    if ballast is not None:
        ballast.make_room()
    try:
        on_disk, says = open_journal(path, identity, end)
        try:
            if left_over := take_in_left_over(on_disk, memory):
                says.append(left_over)
        except DiskRefused:
            on_disk.close()
            raise
        journal = SteadyJournal(path, identity, on_disk, memory, ballast=ballast)
    except DiskRefused as error:
        says = [f"timing goes on without a disk: {error}"]
        journal = SteadyJournal(path, identity, None, memory, str(error), ballast)
    old_lines, last = restore_lines(journal)
    began_now = began(last, clock, alive.read(clock.boot))
    was_hearing = set(old_lines.hearing)
    lines, ending = carry_over(old_lines, settings)
    if ending is not None:
        recorder_of(journal, ending, identity).finish()
    raced_ns = last_raced_ns(journal, clock)
    recorder = recorder_of(journal, lines, identity, raced_ns)
    view = journal.view()
    coverage = last_told(view, journal.epoch)
    view.close()
    was_hearing |= {reader for reader, by_antenna in coverage.items() if by_antenna.get(None, "down") != "down"}
    why = "the daemon was not running" if coverage else ""
    if last is not None:
        has_good_clocks = last.synced and clock.quality().synced
        why = why_deaf(last.boot, last.at.utc_ns, began_now, has_good_clocks=has_good_clocks)
    recorder.begin(began_now, was_hearing, why, says)
    for reader in was_hearing:
        coverage.setdefault(reader, {})[None] = "down"
    return Resumed(recorder, says, coverage)
