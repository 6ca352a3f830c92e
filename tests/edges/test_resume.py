"""What happens between two runs of the daemon: on real files, with a clock that goes when it is told to."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

import msgspec
import pytest

from reader.errors import DiskFull
from reader.journal import Journal, JournalView
from reader.lines import LinesSettings
from reader.model import NS_PER_S, Fired
from tests.fakes.clock import FakeClock
from tests.run import MAT, RULES, Run, booted, told

# ---- a reader's memory ----------------------------------------------------------------------------------------

LOG = [("A1", 3_600.0), ("B2", 3_500.0), ("A1", 3_400.0)]  # who crossed, and how many seconds before the cable was in


def read_out(run: Run, log: list[tuple[str, float]], ago_s: float = 0) -> None:
    """Of each crossing three reads, the strongest in the middle; it was so much longer ago."""
    for chip, crossed_ago_s in log:
        for place, dbm in enumerate((-60, -50, -60)):
            run.hear((chip, dbm), ago_s=crossed_ago_s + ago_s - place * 0.1)
            run.clock.go(0.01)
            ago_s += 0.01


@pytest.mark.parametrize("again_after_s", [600, 7_200])
@pytest.mark.parametrize("boots", [False, True])
def test_a_log_read_out_is_told_once_and_the_same_again_after_a_restart_not_at_all(
    boots: bool, again_after_s: float, tmp_path: Path
) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock(mono_ns=20_000 * NS_PER_S))
    run.begin_hearing()
    run.hear(("A1", -60))
    run.wait(1_000)
    read_out(run, LOG)
    run.wait(60)
    run.recorder.save_gate()
    run.wait(again_after_s / 2)
    path = run.die(tmp_path / "first")
    once = told(path).splits
    assert [(split.chip, split.nth, split.reads, split.rev) for split in once] == [
        ("A1", 1, 1, 1),
        ("A1", 2, 3, 1),
        ("B2", 1, 3, 1),
        ("A1", 3, 3, 1),
    ]
    assert [split.time[11:22] for split in once] == ["22:13:20.00", "21:30:00.10", "21:31:40.10", "21:33:20.10"]
    if boots:
        clock = booted(clock, 0)
    again = Run(path, clock)
    again.begin_hearing()
    again.wait(again_after_s / 2)
    read_out(again, LOG, ago_s=again_after_s + 60 + 0.09)
    again.wait(600)
    path = again.die(tmp_path / "second")
    assert told(path).splits == once
    again = Run(path, clock)
    again.begin_hearing()
    read_out(again, [*LOG, ("B2", 3_450.0)], ago_s=again_after_s + 660 + 0.18)
    again.wait(2)
    again.end()
    [split] = told(path).splits[len(once) :]
    assert (split.chip, split.nth, split.reads, split.time[11:22]) == ("B2", 2, 3, "21:32:30.10")


# ---- the same boot -----------------------------------------------------------------------------------------

Act = tuple[float, tuple[tuple[str, int], ...], float]
SCRIPT: list[Act] = [  # seconds to wait, what is heard then, how long ago it was
    (0.0, (("A1", -60),), 0),
    (0.1, (("A1", -50), ("B2", -55)), 0),
    (0.1, (("A1", -62), ("B2", -54)), 0),
    (1.5, (), 0),  # both are told
    (0.1, (("C3", -60),), 0),
    (0.2, (("A1", -49), ("A1", -49)), 2.5),  # late: A1 is owed a revision
    (0.3, (("C3", -58),), 0),
    (1.5, (("B2", -40), ("B2", -40)), 0),  # stronger: B2 is owed one
    (2.0, (), 0),
    (4.0, (("B2", -60),), 0),  # lingers
    (8.0, (("B2", -60),), 0),
    (5.0, (("A1", -60),), 0),  # absent for 22 seconds: a second passing
    (14.0, (), 0),
    (7.0, (), 0),  # B2 has left
    (60.0, (), 0),
]


def act(run: Run, script: list[Act]) -> None:
    for wait_s, reads, ago_s in script:
        run.wait(wait_s)
        if reads:
            run.hear(*reads, ago_s=ago_s)


def outcome(path: Path, epoch: str) -> dict[str, object]:
    """The last revision of each passing, as a subscriber has it; the epoch's own name aside."""
    return {
        passing.removeprefix(epoch): msgspec.structs.replace(split, passing="")
        for passing, split in told(path).last_revisions().items()
    }


@pytest.mark.parametrize("cut", range(len(SCRIPT)))
def test_a_run_cut_anywhere_and_begun_again_tells_what_an_uncut_one_tells(cut: int, tmp_path: Path) -> None:
    outcomes = []
    for name, pieces in (("whole", [SCRIPT]), ("cut", [SCRIPT[: cut + 1], SCRIPT[cut + 1 :]])):
        (tmp_path / name).mkdir()
        path, clock = tmp_path / name / "j.db", FakeClock()
        for number, piece in enumerate(pieces):
            run = Run(path, clock)
            run.begin_hearing()
            act(run, piece)
            path = run.die(tmp_path / f"{name}-{number}")
        outcomes.append(outcome(path, run.recorder.journal.epoch))
    whole, after_cut = outcomes
    assert len(whole) == 4
    assert after_cut == whole


def test_time_without_the_daemon_is_no_absence(tmp_path: Path) -> None:
    """Fifteen seconds heard and unheard, half an hour down, of which a minute counts as deaf."""
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60), ("B2", -60))
    run.wait(10)
    path = run.die()
    clock.go(50)
    again = Run(path, clock)
    again.begin_hearing()
    again.wait(9)
    again.hear(("A1", -60))
    again.wait(2)
    again.hear(("B2", -60))
    again.wait(60)
    again.end()
    found = told(path)
    assert [(split.chip, split.nth) for split in found.splits if split.rev == 1] == [("A1", 1), ("B2", 1), ("B2", 2)]
    assert [(one.hearing, one.reason) for one in found.coverages] == [
        ("up", "it answers"),
        ("down", "the daemon was not running"),
        ("up", "it answers"),
    ]
    assert [one.says for one in found.notices] == [
        "timing began for the first time in this epoch, in mode race",
        "timing began again, after a restart, in mode race",
    ]


# ---- another boot ------------------------------------------------------------------------------------------


def test_in_another_boot_good_clocks_tie_a_passing_to_what_it_was(tmp_path: Path) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60))
    run.wait(0.5)
    run.hear(("B2", -70))
    path = run.die()
    again = Run(path, booted(clock, 30))
    again.begin_hearing()
    again.hear(("B2", -60), ("B2", -60))
    again.wait(60)
    again.end()
    by_chip = {split.chip: split for split in told(path).last_revisions().values()}
    assert len(by_chip) == 2
    assert (by_chip["A1"].reads, by_chip["A1"].rev, by_chip["A1"].after_restart) == (1, 1, False)
    assert (by_chip["B2"].reads, by_chip["B2"].lingering, by_chip["B2"].left) == (3, True, True)
    assert by_chip["A1"].time == "2023-11-14T22:13:20.000000Z"
    assert (by_chip["B2"].time, by_chip["B2"].last) == ("2023-11-14T22:13:20.500000Z", "2023-11-14T22:13:50.500000Z")


@pytest.mark.parametrize(("was_good", "is_good"), [(False, True), (True, False), (False, False)])
def test_in_another_boot_without_good_clocks_what_is_owed_is_told_and_the_next_passing_is_marked(
    was_good: bool, is_good: bool, tmp_path: Path
) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock(synced=was_good))
    run.begin_hearing()
    run.hear(("A1", -60), ("B2", -60))
    path = run.die()
    assert told(path).splits == []
    again = Run(path, booted(clock, 5, synced=is_good))
    assert [(split.chip, split.rev, split.after_restart) for split in told(path).splits] == [
        ("A1", 1, False),
        ("B2", 1, False),
    ]
    again.begin_hearing()
    again.hear(("A1", -60), ("C3", -60))
    again.wait(81)
    again.hear(("B2", -60))
    again.wait(60)
    again.end()
    assert [(split.chip, split.nth, split.after_restart) for split in told(path).splits[2:]] == [
        ("A1", 2, True),
        ("C3", 1, False),
        ("B2", 2, False),  # a minute and a dead time later it is nothing to wonder at
    ]


# ---- other settings ----------------------------------------------------------------------------------------


def test_changed_rules_go_on_with_what_is_open(tmp_path: Path) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60))
    path = run.die()
    patient = msgspec.structs.replace(RULES, pick="last", quiet_ns=3 * NS_PER_S)
    again = Run(path, clock, LinesSettings({"north": "main"}, {"main": patient}))
    again.begin_hearing()
    again.wait(2.5)
    again.hear(("A1", -60))
    again.wait(2.9)
    assert told(path).splits == []
    again.wait(0.1)
    [split] = told(path).splits
    assert (split.pick, split.reads, split.time) == ("last", 2, "2023-11-14T22:13:22.500000Z")
    again.end()


def test_a_line_that_is_no_more_tells_what_it_owes(tmp_path: Path) -> None:
    two = LinesSettings({"north": "main", "south": "second"}, {"main": RULES, "second": RULES})
    run = Run(tmp_path / "j.db", clock := FakeClock(), two)
    run.begin_hearing("north", "south")
    run.hear(("A1", -60))
    run.hear(("A1", -60), reader="south")
    path = run.die()
    again = Run(path, clock)
    assert [(split.line, split.rev) for split in told(path).splits] == [("second", 1)]
    again.begin_hearing()
    again.wait(60)
    again.hear(("A1", -60))
    again.wait(60)
    again.end()
    assert [(split.line, split.nth, split.passing[-2:]) for split in told(path).splits] == [
        ("second", 1, "-2"),
        ("main", 1, "-1"),
        ("main", 2, "-3"),
    ]


@pytest.mark.parametrize("changed", [{"event": "next"}, {"point": "10k"}, {"mat": "finish-backup"}])
def test_another_race_tells_under_the_old_epoch_what_the_old_one_owed(changed: dict[str, str], tmp_path: Path) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60))
    old_epoch = run.recorder.journal.epoch
    path = run.die()
    now = msgspec.structs.replace(MAT, **changed)
    again = Run(path, clock, identity=now)
    again.begin_hearing()
    again.hear(("A1", -60))
    again.wait(60)
    again.end()
    view = JournalView(path)
    assert [(row.identity, row.is_current) for row in view.epochs()] == [(MAT, False), (now, True)]
    view.close()
    splits = told(path).splits
    assert [(split.passing, split.nth) for split in splits] == [
        (f"{old_epoch}-1", 1),
        (f"{again.recorder.journal.epoch}-1", 1),
    ]


def test_passings_that_the_power_took_along_leave_their_ids_unused(tmp_path: Path) -> None:
    """What is told without a disk is in memory only; after the power has been away the log ends before it."""
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60))
    (tmp_path / "cut").mkdir()
    for ending in ("", "-wal"):
        (tmp_path / "cut" / f"j.db{ending}").write_bytes((tmp_path / f"j.db{ending}").read_bytes())
    run.hear(("B2", -60))
    run.wait(100)
    before = told(run.die(tmp_path / "gone")).last_revisions()
    run = Run(tmp_path / "cut" / "j.db", booted(clock, 0))
    run.begin_hearing()
    run.hear(("C3", -60))
    run.wait(100)
    after = told(run.die(tmp_path / "after")).last_revisions()
    assert {before[passing].chip for passing in set(before) & set(after)} == {"A1"}
    assert {split.chip for split in after.values()} == {"A1", "C3"}


def test_no_two_guns_have_one_name_though_the_disk_was_full_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "j.db", clock := FakeClock(), memory=[tmp_path / "memory.db"])
    fire = partial(Fired, name="gun", source="input")
    run.take(fire(clock.now()))
    commit = Journal.commit

    def refuse(journal: Journal, boot: str, synced: bool, utc_ns: int) -> None:
        if journal.path == run.path:
            raise DiskFull("the disk is full")
        commit(journal, boot, synced, utc_ns)

    with monkeypatch.context() as full:
        full.setattr(Journal, "commit", refuse)
        run.take(fire(clock.now()))
        run.take(fire(clock.now()))
    run.wait(10)
    run.take(fire(clock.now()))
    guns = told(run.die()).guns
    assert len({gun.of for gun in guns}) == len(guns) == 4


def test_where_the_gate_cannot_be_read_no_passing_gets_the_id_of_an_earlier_one(tmp_path: Path) -> None:
    """Another version of this program wrote it, in a way of its own."""
    run = Run(tmp_path / "j.db", clock := FakeClock())
    run.begin_hearing()
    run.hear(("A1", -60))
    run.wait(60)
    path = run.die()
    database = sqlite3.connect(path)
    database.execute("UPDATE gate SET state = x'c1', crc = NULL")
    database.commit()
    database.close()
    again = Run(path, clock)
    again.begin_hearing()
    again.hear(("B2", -60))
    again.wait(60)
    again.end()
    splits = told(path).splits
    assert {split.chip for split in splits} == {"A1", "B2"}
    assert len({split.passing for split in splits}) == 2
    assert len({split.passing.partition("-")[0] for split in splits}) == 1, "the epoch goes on"


def test_what_a_run_without_a_disk_was_about_to_make_when_it_died_stops_no_start(tmp_path: Path) -> None:
    memory = tmp_path / "in-memory.db"
    memory.touch()
    run = Run(tmp_path / "j.db", FakeClock(), memory=[memory])
    run.begin_hearing()
    assert not memory.exists()
    run.end()


def test_a_restart_without_a_disk_goes_on_in_the_same_epoch(tmp_path: Path) -> None:
    """What was heard before it is in memory alone: it must not be thrown away for a fresh beginning."""
    path, memory = tmp_path / "no-disk.db", tmp_path / "in-memory.db"
    path.with_name("no-disk.db.lock").mkdir()  # nothing can be written there
    run = Run(path, clock := FakeClock(), memory=[memory])
    run.begin_hearing()
    run.hear(("A1", -60))
    run.wait(60)
    epoch = run.recorder.journal.epoch
    run.end()
    again = Run(path, clock, memory=[memory])
    again.begin_hearing()
    again.hear(("B2", -60))
    again.wait(60)
    assert again.recorder.journal.epoch == epoch
    again.end()
    assert {split.chip for split in told(memory).splits} == {"A1", "B2"}


def test_a_reference_chip_that_lies_there_all_day_fills_no_journal(tmp_path: Path) -> None:
    settings = LinesSettings({"north": "main"}, {"main": RULES}, frozenset({"FE"}))
    run = Run(tmp_path / "j.db", FakeClock(), settings)
    run.begin_hearing()
    view = JournalView(tmp_path / "j.db")
    before = view.rows_of_inputs()
    for _ in range(100):
        run.hear(("FE", -40))
        run.clock.go(1)
    assert view.rows_of_inputs() <= before + 1  # a deadline of the gate may be among them
    run.hear(("FE", -40), ("A1", -50))
    run.wait(60)
    assert [split.chip for split in told(run.path).splits if split.rev == 1] == ["A1"]
    view.close()
    run.end()
