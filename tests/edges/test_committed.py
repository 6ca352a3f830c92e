"""What the recorder tells of each commit, and when: on real files, without the daemon's threads."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from reader import recorder
from reader.clock import SystemClock
from reader.journal import JournalView
from reader.lines import LinesSettings
from reader.model import NS_PER_S, ChipRead, Reads
from reader.moding import AskedMode
from reader.report import Committed
from tests.fakes.clock import FakeClock
from tests.run import ONE_LINE, Run
from tests.waiting import wait_until


class Watched(Run):
    """Remembers what was told of commits, and what stood in the journal then."""

    def __init__(self, path: Path, clock: FakeClock, settings: LinesSettings = ONE_LINE) -> None:
        super().__init__(path, clock, settings)
        self.told: list[Committed] = []
        self.on_disk: list[int] = []
        self.recorder._told = self._note

    def _note(self, committed: Committed) -> None:
        self.told.append(committed)
        view = JournalView(self.path)
        self.on_disk.append(
            sum(len(given.reads) for row in view.kept_inputs() for given in row.inputs if isinstance(given, Reads))
        )
        view.close()


def test_passings_and_reads_are_told_once_they_are_on_the_disk_whether_heard_is_told_or_not(tmp_path: Path) -> None:
    run = Watched(tmp_path / "journal.db", FakeClock())
    run.begin_hearing()
    run.told.clear()
    run.on_disk.clear()
    run.hear(("0A", -60), ("0B", -60), ("0A", -50))
    assert run.told == [Committed([], opened=2, reads=3)]
    assert run.on_disk == [3]
    run.hear(("0A", -50))
    run.hear(("0C", -50))
    run.wait(0.1)
    assert [(one.opened, one.reads) for one in run.told[1:]] == [(0, 1), (1, 1), (0, 0)]
    run.end()


def test_reference_chips_are_no_reads(tmp_path: Path) -> None:
    run = Watched(tmp_path / "journal.db", FakeClock(), replace(ONE_LINE, reference=frozenset({"0F"})))
    run.begin_hearing()
    run.told.clear()
    run.hear(("0F", -60))
    assert [(one.opened, one.reads) for one in run.told] == [(0, 0)]
    run.end()


class Running(Watched):
    """With its thread, on this machine's clock."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SystemClock())  # type: ignore[arg-type] # a clock all the same
        self.rounds = 0
        self._take_in, self.recorder._take_in = self.recorder._take_in, self._count  # type: ignore[method-assign] # counted
        self.thread = threading.Thread(target=self.recorder.run, name="recorder")
        self.thread.start()

    def _count(self, wait_s: float) -> bool:
        self.rounds += 1
        return self._take_in(wait_s)

    def read(self, chip: str) -> None:
        self.recorder.put(Reads("north", self.recorder._clock.now(), 0, [ChipRead(chip, 1, -50, None, None, 0)]))

    def finish(self) -> None:
        self.recorder.stop()
        self.thread.join(10)
        self.recorder.close()


def test_in_mode_test_raw_reads_wait_less_for_company(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recorder, "COMPANY_NS", 3600 * NS_PER_S)
    run = Running(tmp_path / "journal.db")
    try:
        run.recorder.ask(AskedMode("test", "Ann")).result(10)
        run.read("0A")
        wait_until(lambda: any(one.opened for one in run.told), what="the passing")
        run.told.clear()
        run.read("0A")
        wait_until(lambda: any(one.reads for one in run.told), what="the read")
    finally:
        run.finish()


def test_a_delivery_alone_is_waited_for_asleep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recorder, "CURSOR_NS", 2 * NS_PER_S)  # longer than reads wait for company
    run = Running(tmp_path / "journal.db")
    try:
        wait_until(lambda: not run.recorder._logbook.is_due and not run.recorder.journal.has_unwritten, what="quiet")
        run.recorder.journal.delivered(run.recorder.journal.epoch, 1)
        wait_until(lambda: run.recorder._first_unwritten_ns is not None, what="the delivery to be noticed")
        assert run.recorder.journal.has_cursor_to_write
        rounds, began_s = run.rounds, time.monotonic()
        wait_until(lambda: not run.recorder.journal.has_cursor_to_write, what="it to be written")
        assert time.monotonic() - began_s > 1.5  # for an entry that might have come
        assert run.rounds - rounds < 20
    finally:
        run.finish()
