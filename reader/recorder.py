"""The loop: line → gate → journal. One thread; it owns the gates and the one writing connection.

What arrives is taken all at once, given to the gates, and kept. When a passing opens or there is something
for the log, all that has arrived is committed together, and only then is anyone told; raw reads alone wait
up to a second for company, to spare the card. A commit that stalls is waited for, for the ports hold what
comes meanwhile; one that fails is made again.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future

import msgspec

from reader.clock import Clock
from reader.errors import JournalError
from reader.journal import JournalView
from reader.journal.steady import SteadyJournal
from reader.lines import Lines
from reader.logbook import Logbook
from reader.model import NS_PER_S, Began, Fired, Hearing, Input, Instant, Marked, Noted, Reads, Ticked, ToldAgain
from reader.modes import Modes
from reader.moding import AskedLeave, AskedMode, Moding
from reader.passing import Opened
from reader.report import Committed, Report, report_from
from reader.righting import Righting
from reader.telling import Teller

COMPANY_NS = NS_PER_S  # raw reads wait so long for others
COMPANY_IN_TEST_NS = NS_PER_S // 5  # who passes a chip over the mat to try it waits for the beep of each
CURSOR_NS = 5 * NS_PER_S  # a delivery alone waits so long for an entry to ride with
SNAPSHOT_READS = 50_000  # what a restart replays at most: a quarter of a second
RETRY_NS = NS_PER_S // 2
REPORT_NS = NS_PER_S
IDLE_S = 1.0
TAKEN_AT_ONCE = 64  # inputs, before the loop looks at its deadlines and the disk again

_pack = msgspec.msgpack.Encoder().encode


class Recorder:
    """Owns the journal and the gates while it runs.

    ``told`` is called after each commit; ``moved`` when the log goes on in another file; ``alive`` once a second at
    most.
    """

    def __init__(
        self,
        *,
        journal: SteadyJournal,
        lines: Lines,
        teller: Teller,
        modes: Modes,
        clock: Clock,
        tells_heard: bool,
        told: Callable[[Committed], None],
        moved: Callable[[], None],
        alive: Callable[[Instant], None],
    ) -> None:
        self.journal = journal
        self.progress_ns = clock.mono_ns()
        self.in_disk_since_ns: int | None = None
        self._lines = lines
        self._teller = teller
        self._clock = clock
        self._tells_heard = tells_heard
        self._told = told
        self._moved = moved
        self._alive = alive
        self._inbox: queue.SimpleQueue[Input | AskedMode | AskedLeave | None] = queue.SimpleQueue()
        self._to_commit = Committed()
        self._splits = journal.count_of("split")
        self._reads_since_snapshot = 0
        self._first_unwritten_ns: int | None = None
        self._last_read_utc_ns: int | None = None
        self._trouble = ""
        self._report_due_ns = 0
        self._logbook = Logbook(journal, teller, clock.quality())
        self._moding = Moding(modes, self._logbook)
        self._righting = Righting(journal, lines, self._logbook, self._moding.note_put_right)
        self.report = self._make_report(clock.now())

    # ---- from any thread -------------------------------------------------------------------------------

    def put(self, given: Input) -> None:
        """Hand in what a line has to say; returns at once."""
        self._inbox.put(given)

    def ask(self, asked: AskedMode | AskedLeave) -> Future[str]:
        """Ask for something that may be refused; the answer comes when it is committed."""
        self._inbox.put(asked)
        return asked.answer

    def waiting(self) -> int:
        """How many inputs wait to be taken."""
        return self._inbox.qsize()

    def stop(self) -> None:
        """Take what was handed in so far, commit it, and end :meth:`run`."""
        self._inbox.put(None)

    # ---- the thread ------------------------------------------------------------------------------------

    def give(self, given: Input) -> None:
        """Take one input: to the gates, to the journal, and into the log what it means."""
        self._lines.give(given)
        if not self._lines.is_reference_alone(given):
            self.journal.keep(given)
            self._to_commit.reads += len(given.reads) if isinstance(given, Reads) else 0
        match given:
            case Reads():
                self._reads_since_snapshot += len(given.reads)
                self._last_read_utc_ns = given.at.utc_ns
                self._righting.note_reads(given)
            case Hearing():
                self._logbook.coverage(given)
            case Fired():
                self._logbook.gun(given)
                self._moding.note_fired(given.at)
            case Marked():
                self._logbook.marker(given)
            case Noted():
                self._logbook.notice(given)
        self._tell(given.at)

    def begin(self, began: Began, was_hearing: set[str], deaf_reason: str, says: list[str]) -> None:
        """The first things of a run, before :meth:`run`: what must be told of the time before it.

        ``deaf_reason``: why nothing could be heard since ``began.deaf_since``; "": this epoch has no run before it.
        """
        for reader in sorted(was_hearing):
            self._logbook.coverage(Hearing(reader, began.at, False, deaf_reason, since_ns=began.deaf_since))
        self.give(began)
        for sentence in says:
            self._logbook.notice(Noted(began.at, "journal", sentence))
        word = "again, after a restart" if deaf_reason else "for the first time in this epoch"
        sentence = f"timing began {word}, in mode {self._teller.mode}"
        self._logbook.notice(Noted(began.at, "restart", sentence))
        self.save_gate()
        self._write(began.at)

    def close(self) -> None:
        """After :meth:`run` has ended: write how far was delivered, and close the log while a view is open."""
        self._righting.close()
        view = JournalView(self.journal.path)
        self._write(self._clock.now())
        self.journal.close()
        view.close()

    def finish(self) -> None:
        """Tell all that is owed of every passing, and commit it: this log ends here."""
        self._lines.finish()
        self._tell(self._clock.now())
        self.save_gate()
        self._write(self._clock.now())

    def save_gate(self) -> None:
        """Write the gates' state with the next commit: a restart replays from there."""
        self.journal.save_gate(_pack(self._lines.settings), _pack(self._lines.state()))
        self._reads_since_snapshot = 0
        self._logbook.is_due = True

    def run(self) -> None:
        """Until :meth:`stop`."""
        stopping = False
        while not stopping:
            stopping = self._take_in(self._wait_s())
            now = self._clock.now()
            self.progress_ns = now.mono_ns
            if self._righting.is_stepped(now, self._logbook.quality):
                self._logbook.quality = self._clock.quality()
            self._moding.tick(now)
            if self._lines.advance(now.mono_ns):
                self.give(Ticked(now))
            if not (self._logbook.is_due or self._trouble) and self._righting.step(now, self._logbook.quality):
                self._logbook.is_due = True
            if self._reads_since_snapshot >= SNAPSHOT_READS:
                self.save_gate()
            if stopping or self._is_time_to_commit(now.mono_ns):
                self._commit(now)
            if now.mono_ns >= self._report_due_ns:
                self._report_due_ns = now.mono_ns + REPORT_NS
                self._logbook.quality = self._clock.quality()
                self.report = self._make_report(now)
                self._alive(now)

    def _take_in(self, wait_s: float) -> bool:
        """All that has arrived, waiting for the first; whether the end was among it."""
        try:
            given = self._inbox.get(timeout=wait_s)
            for _ in range(TAKEN_AT_ONCE):
                if given is None:
                    return True
                self._take_one(given)
                given = self._inbox.get_nowait()
        except queue.Empty:
            return False
        if given is not None:
            self._take_one(given)
        return given is None

    def _take_one(self, given: Input | AskedMode | AskedLeave) -> None:
        if isinstance(given, AskedMode | AskedLeave):
            self._moding.ask(given, self._clock.now(), has_crossings=bool(self._splits or self._lines.chips_heard()))
        else:
            self.give(given)

    def _tell(self, now: Instant) -> None:
        """What the gates have to tell goes into the log, and what was first heard is told after the commit."""
        for told in self._lines.take():
            self._logbook.is_due = True
            if isinstance(told, Opened):
                self._moding.note_opened(told, now)
                self._to_commit.opened += 1
                if self._tells_heard:
                    self._to_commit.heard.append(self._teller.heard(told, self._logbook.quality))
            else:
                quality = self._righting.quality_of(told, self._clock.now(), self._logbook.quality)
                split = self._moding.in_its_mode(self._teller.split(told, quality))
                at = Instant(told.utc_ns, told.mono_ns)
                self._logbook.say(split, at)
                self._moding.note_told(split, at, now)
                self._righting.note_told(told.passing)
                self._splits += told.rev == 1
        if passings := self._moding.tell_again(now):
            again = ToldAgain(now, passings)
            self._lines.give(again)
            self.journal.keep(again)
            self._righting.begin_anew()

    def _wait_s(self) -> float:
        if self._righting.is_at_work:
            return 0.0
        now_ns = self._clock.mono_ns()
        dues = [now_ns + int(IDLE_S * NS_PER_S), self._moding.due_ns, self._lines.next_due_host_ns(now_ns)]
        if self._first_unwritten_ns is not None:
            dues.append(self._first_unwritten_ns + self._company_ns())
        if self._trouble:
            dues.append(now_ns + RETRY_NS)
        return max(0.0, (min(due for due in dues if due is not None) - now_ns) / NS_PER_S)

    def _is_time_to_commit(self, now_ns: int) -> bool:
        if self._logbook.is_due:
            return True
        if self.journal.has_unwritten or self.journal.has_cursor_to_write or not self.journal.is_durable:
            if self._first_unwritten_ns is None:
                self._first_unwritten_ns = now_ns
            return now_ns >= self._first_unwritten_ns + self._company_ns()
        return False

    def _company_ns(self) -> int:
        """How long what is unwritten waits for others."""
        if not self.journal.has_unwritten:
            return CURSOR_NS
        return COMPANY_IN_TEST_NS if self._teller.mode == "test" else COMPANY_NS

    def _commit(self, now: Instant) -> None:
        self.in_disk_since_ns = now.mono_ns
        try:
            self._write(now)
        except JournalError as error:
            self._trouble = str(error)
            self._report_due_ns = 0
            return
        finally:
            self.in_disk_since_ns = None
        self._trouble = ""
        self._logbook.is_due = False
        self._moding.note_committed()
        if self._teller.mode != self.report.mode:
            self._report_due_ns = 0
        self._first_unwritten_ns = None
        committed, self._to_commit = self._to_commit, Committed()
        self._told(committed)

    def _write(self, now: Instant) -> None:
        has_moved = self.journal.commit(self._teller.boot, self._logbook.quality.synced, now.utc_ns, now.mono_ns)
        if has_moved:
            # The gates' state goes along: should the next run begin there, it goes on from it.
            self._logbook.count_anew()
            self._moding.new_epoch()
            self._logbook.notice(Noted(now, "journal", has_moved))
            self.save_gate()
            self.journal.commit(self._teller.boot, self._logbook.quality.synced, now.utc_ns, now.mono_ns)
            self._moved()

    def _make_report(self, now: Instant) -> Report:
        return report_from(
            self.journal,
            self._lines,
            now,
            splits=self._splits,
            last_read_utc_ns=self._last_read_utc_ns,
            trouble=self._trouble,
            mode=self._teller.mode,
        )
