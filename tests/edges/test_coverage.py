"""When a mat could hear, over restarts and power cuts: what the log says of it, and that nothing is said twice."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reader.before import last_told
from reader.journal import JournalView
from reader.model import NS_PER_S, Hearing, Input
from tests.fakes.clock import FakeClock
from tests.run import Run, booted, told


def lost(clock: FakeClock, antenna: int | None = 2) -> Hearing:
    now = clock.now()
    return Hearing("north", now, antenna is None, "antenna 2 is missing", antenna, antenna is None, now.mono_ns - 5)


def log(path: Path) -> list[tuple[int | None, str]]:
    return [(one.antenna, one.hearing) for one in told(path).coverages]


def test_an_antenna_s_entry_bears_when_it_was_said_and_since_when_and_the_gate_hears_on(tmp_path: Path) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60))
    run.take(msgspec.structs.replace(lost(clock), since_ns=clock.mono_ns() - 5 * NS_PER_S))
    assert run.recorder._lines.hearing == {"north"}
    run.wait(1)
    run.take(lost(clock, None))
    for _ in range(30):  # a spell in which nothing could be heard would be no absence
        run.wait(1)
    run.hear(("A1", -60))
    run.wait(60)
    run.end()
    assert log(run.path) == [(None, "up"), (2, "down"), (None, "partial")]
    antenna = told(run.path).coverages[1]
    assert (antenna.time[-10:-1], antenna.since[-10:-1]) == ("20.000000", "15.000000")
    assert len(told(run.path).last_revisions()) == 2


def test_in_the_same_boot_a_restart_is_a_pair_and_what_was_down_is_not_told_again(tmp_path: Path) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.take(lost(clock), lost(clock, None))
    clock.go(50)
    path = run.die(tmp_path / "one")
    again = Run(path, clock)
    assert again.resumed.coverage == {"north": {None: "down", 2: "down"}}
    assert log(path) == [(None, "up"), (2, "down"), (None, "partial"), (None, "down")]
    assert told(path).coverages[-1].reason == "the daemon was not running"
    last = again.die(tmp_path / "two")
    third = Run(last, clock)
    third.end()
    assert log(last) == log(path)


@pytest.mark.parametrize("synced", [True, False])
def test_a_power_cut_is_bounded_from_both_sides(tmp_path: Path, synced: bool) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock(utc_ns=1_700_000_000 * NS_PER_S))  # 22:13:20
    run.begin_hearing()
    run.hear(("A1", -60))
    clock.go(12)
    run.hear(("A1", -60))
    path = run.die()
    again = Run(path, booted(clock, 30, synced=synced))
    again.end()
    down = told(path).coverages[-1]
    assert (down.hearing, down.antenna) == ("down", None)
    assert "between 22:13:32 (last known to hear) and 22:14:02 UTC (timing began again)" in down.reason
    assert down.reason.endswith("right") != synced
    # Where the two boots can't be tied the entry's own time is all there is: the sentence has the rest.
    assert down.since[11:19] == ("22:13:32" if synced else "22:14:02")
    assert down.time[11:19] == "22:14:02"


def test_over_midnight_the_dates_are_said(tmp_path: Path) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock(utc_ns=1_700_000_000 * NS_PER_S))
    run.begin_hearing()
    path = run.die()
    Run(path, booted(clock, 7_200)).end()
    reason = told(path).coverages[-1].reason
    assert "between 2023-11-14 22:13:20 (last known to hear) and 2023-11-15 00:13:20 UTC" in reason


def test_an_old_entry_told_again_by_a_better_clock_is_not_the_last_word(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    for _ in range(3):
        run.take(Hearing("north", clock.now(), hears=False, reason="gone"))
        run.begin_hearing()
    run.take(Hearing("north", clock.now(), hears=False, reason="gone"))
    clock.synced, clock.error_ms = True, 2.0
    run.wait(2)
    run.begin_hearing()
    for _ in range(40):
        run.wait(1)
    run.end()
    assert {one.rev for one in told(run.path).coverages} == {1, 2}
    view = JournalView(run.path)
    assert last_told(view, view.epochs()[-1].epoch) == {"north": {None: "up"}}
    view.close()


def test_a_journal_from_before_antennas_is_read(tmp_path: Path) -> None:
    old = msgspec.msgpack.encode([["h", "north", [1, 2], True, "it answers"]])
    [hearing] = msgspec.msgpack.Decoder(list[Input]).decode(old)
    assert isinstance(hearing, Hearing)
    assert (hearing.antenna, hearing.hearing, hearing.since) == (None, "up", hearing.at)
