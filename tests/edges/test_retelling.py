"""What was told under a wrong clock is told again when the clock is right: on real files, with a clock that steps."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path

import pytest

from reader.clock import utc_ns_from_rfc3339
from reader.messages import Split
from reader.model import NS_PER_S, ChipRead, Fired, Marked, Reads
from reader.retelling import Steady
from tests.fakes.clock import FakeClock
from tests.run import Run, booted, told

HOUR_S = 3600.0
MS_NS = 1_000_000


def settle(run: Run) -> None:
    """Let the log be put right, piece by piece."""
    for _ in range(20):
        run.take()


def cross(run: Run, chip: str, truth: dict[str, int], ahead_s: float) -> None:
    """One chip crosses; ``ahead_s``: by how much UTC is ahead of the truth."""
    truth[chip] = run.clock.now().utc_ns - round(ahead_s * NS_PER_S)
    run.hear((chip, -50))


def highest(path: Path) -> dict[str, Split]:
    """By chip; each chip crosses once here."""
    splits = told(path).last_revisions().values()
    by_chip = {split.chip: split for split in splits}
    assert len(by_chip) == len(splits), "a passing was doubled"
    return by_chip


@pytest.mark.parametrize("wrong_s", [HOUR_S, -HOUR_S, -1_600_000_000.0])
def test_after_a_step_in_the_middle_of_a_run_all_highest_revisions_have_the_right_time(
    wrong_s: float, tmp_path: Path
) -> None:
    clock = FakeClock(synced=False)
    clock.step(wrong_s)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    truth: dict[str, int] = {}
    for n in range(250):
        cross(run, f"{n:04X}", truth, wrong_s)
        run.wait(0.3)
    run.take(Fired(clock.now(), "elite", "input"), Marked(clock.now(), "rain", "button"))
    gun_ns = clock.now().utc_ns - round(wrong_s * NS_PER_S)
    clock.step(-wrong_s)
    clock.synced = True
    for n in range(250, 280):
        cross(run, f"{n:04X}", truth, 0)
        run.wait(1.5)
    settle(run)
    run.wait(100)
    settle(run)
    run.end()

    splits = highest(tmp_path / "j.db")
    assert {chip: utc_ns_from_rfc3339(split.time) for chip, split in splits.items()} == pytest.approx(truth, abs=MS_NS)
    assert {chip: utc_ns_from_rfc3339(split.first) for chip, split in splits.items()} == pytest.approx(truth, abs=MS_NS)
    assert all(split.clock.synced for split in splits.values())
    early = [split for split in told(tmp_path / "j.db").splits if split.rev == 1 and not split.clock.synced]
    assert 240 < len(early) <= 251
    bodies = told(tmp_path / "j.db")
    for entries in (bodies.guns, bodies.markers):
        assert [(entry.n, entry.rev) for entry in entries] == [(1, 1), (1, 2)]
        assert utc_ns_from_rfc3339(entries[1].time) == pytest.approx(gun_ns, abs=MS_NS)
        assert entries[1].revised_for == "clock"
    assert [(one.hearing, one.rev) for one in bodies.coverages] == [("up", 1), ("up", 2)]
    [notice] = [notice for notice in bodies.notices if notice.kind == "clock"]
    assert notice.offset_us == round(-wrong_s * 1_000_000)


def test_the_error_of_a_time_told_without_a_good_clock_is_told_when_it_is_known(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    for _ in range(5):
        run.hear(("A1", -50))
        run.hear(("B2", -50), error_us=4_000)
        run.wait(0.1)
    run.wait(2)
    clock.step(HOUR_S)
    clock.synced, clock.error_ms = True, 300.0
    run.wait(1)
    run.wait(31)
    settle(run)
    run.end()
    splits = told(tmp_path / "j.db").splits
    assert [(split.chip, split.rev, split.revised_for or None) for split in splits] == [
        ("A1", 1, None),
        ("B2", 1, None),
        ("A1", 2, "clock"),
        ("B2", 2, "clock"),
    ]
    assert [(split.time_error_ms, split.clock.error_ms) for split in splits[:2]] == [(None, None)] * 2
    for was, again, reader_ms in zip(splits[:2], splits[2:], (0, 4), strict=True):
        assert (was.spread_ms, was.reader_error_ms) == (again.spread_ms, again.reader_error_ms)
        assert again.spread_ms
        assert again.reader_error_ms == reader_ms
        assert again.clock.error_ms == 300 + reader_ms
        assert again.time_error_ms == pytest.approx(math.hypot(again.spread_ms, 300 + reader_ms), abs=0.001)


@pytest.mark.parametrize(("step_s", "revisions"), [(0.1, 2), (0.0015, 1)])
def test_what_the_readers_clock_may_be_off_hides_no_step_of_the_hosts(
    step_s: float, revisions: int, tmp_path: Path
) -> None:
    """The host claimed 2 ms, the split 502: by more than 2 it is told again, and then never more."""
    clock = FakeClock()
    clock.error_ms = 2.0
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    run.hear(("A1", -50), error_us=500_000)
    run.wait(2)
    clock.step(step_s)
    for _ in range(200):
        run.wait(1)
    run.end()
    splits = told(tmp_path / "j.db").splits
    assert [split.clock.error_ms for split in splits] == [502.0] * revisions


def test_an_entry_of_an_earlier_version_is_told_again_without_an_error(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    run.hear(("A1", -50))
    run.wait(2)
    path = run.die()
    database = sqlite3.connect(path)
    [(body,)] = database.execute("select body from entry where type = 'split'")
    old = json.loads(body)
    del old["spread_ms"], old["reader_error_ms"]
    database.execute(
        "update entry set body = ?, crc = null where type = 'split'", (json.dumps(old, separators=(",", ":")).encode(),)
    )
    database.commit()
    database.close()
    clock.synced, clock.error_ms = True, 2.0
    again = Run(path, clock)
    again.wait(1)
    again.wait(31)
    settle(again)
    again.end()
    [was, now] = told(path).splits
    assert (was.time_error_ms, was.spread_ms) == (None, None)
    assert (now.revised_for, now.time_error_ms, now.spread_ms, now.clock.error_ms) == ("clock", None, None, 2.0)


def test_nothing_is_told_again_within_thirty_seconds_nor_twice(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    run.hear(("A1", -50))
    run.wait(10)
    clock.step(5)
    clock.synced = True
    run.wait(1)  # seen
    run.wait(29)
    settle(run)
    assert [split.rev for split in told(tmp_path / "j.db").splits] == [1]
    run.wait(1)
    settle(run)
    assert [split.revised_for for split in told(tmp_path / "j.db").splits[1:]] == ["clock"]
    for _ in range(50):
        run.wait(1)
    clock.step(0.0009)  # less than is ever claimed
    for _ in range(50):
        run.wait(1)
    assert len(told(tmp_path / "j.db").splits) == 2
    run.end()


def test_a_passing_begun_before_the_step_never_claims_a_good_clock_with_a_wrong_time(tmp_path: Path) -> None:
    clock = FakeClock(synced=True)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    run.hear(("A1", -50))
    clock.step(HOUR_S)
    run.wait(1)
    [split] = told(tmp_path / "j.db").splits
    assert not split.clock.synced
    run.wait(31)
    settle(run)
    [_, again] = told(tmp_path / "j.db").splits
    assert again.clock.synced
    assert utc_ns_from_rfc3339(again.time) - utc_ns_from_rfc3339(split.time) == pytest.approx(
        HOUR_S * NS_PER_S, abs=9e8
    )
    run.end()


def test_killed_in_the_middle_it_goes_on_with_the_rest(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    truth: dict[str, int] = {}
    for n in range(350):
        cross(run, f"{n:04X}", truth, HOUR_S)
        run.wait(0.1)
    clock.step(-HOUR_S)
    clock.synced = True
    run.wait(1)
    run.wait(31)
    for _ in range(2):
        run.take()
    path = run.die()
    revised = [split for split in told(path).splits if split.rev == 2]
    assert 0 < len(revised) < 350
    again = Run(path, clock)
    again.wait(1)
    again.wait(31)
    settle(again)
    again.wait(60)
    again.end()
    splits = highest(path)
    assert {chip: utc_ns_from_rfc3339(split.time) for chip, split in splits.items()} == pytest.approx(truth, abs=MS_NS)
    assert len([split for split in told(path).splits if split.revised_for == "clock"]) == 350


def test_the_time_of_a_remote_gun_is_its_own_and_stays(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.take(Fired(clock.now(), "wheelchairs", "command", is_given=True))
    clock.step(HOUR_S)
    clock.synced = True
    run.wait(1)
    run.wait(31)
    settle(run)
    run.end()
    assert [gun.rev for gun in told(tmp_path / "j.db").guns] == [1]


# ---- another boot ------------------------------------------------------------------------------------------


def hear_by_its_clock(run: Run, chip: str, reader_ns: int) -> None:
    """A read whose reader's own dated clock is disciplined."""
    at = run.clock.now()
    read = ChipRead(chip, None, None, reader_ns, None, 38)
    run.take(Reads("north", at, 0, [read], [at.mono_ns], "disciplined", 5_000))


@pytest.mark.parametrize("has_run_on", [True, False])
def test_a_reader_that_ran_through_links_an_earlier_boot_and_nothing_else_does(
    has_run_on: bool, tmp_path: Path
) -> None:
    clock = FakeClock(synced=False, utc_ns=1_000 * NS_PER_S)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    reader_ns = 946_684_800 * NS_PER_S  # it woke in 2000
    hear_by_its_clock(run, "A1", reader_ns)
    run.wait(60)
    path = run.die()
    # Ten minutes later, UTC good: the box had power for 7 s then.
    later = booted(clock, 0)
    later.error_ms = 2.0
    later.step(1_700_000_600 - later.now().utc_ns / NS_PER_S)
    again = Run(path, later)
    again.begin_hearing()
    hear_by_its_clock(again, "B2", reader_ns + (660 * NS_PER_S if has_run_on else 5 * NS_PER_S))
    for _ in range(8):
        again.wait(10)
        settle(again)
    again.end()
    by_chip = highest(path)
    assert utc_ns_from_rfc3339(by_chip["B2"].time) == 1_700_000_600 * NS_PER_S
    if has_run_on:
        assert utc_ns_from_rfc3339(by_chip["A1"].time) == 1_699_999_940 * NS_PER_S
        assert by_chip["A1"].clock.synced
        assert by_chip["A1"].clock.error_ms is not None
        assert 60 < by_chip["A1"].clock.error_ms < 100
    else:
        assert utc_ns_from_rfc3339(by_chip["A1"].time) == 1_000 * NS_PER_S
        assert not by_chip["A1"].clock.synced


def test_one_moment_at_which_the_clocks_were_read_apart_is_no_step() -> None:
    clock, steady = FakeClock(), Steady()
    assert not steady.look(clock.now(), clock.quality())
    clock.go(40)
    assert steady.is_right(clock.now())
    clock.step(0.2)
    assert not steady.is_right(clock.now())
    assert not steady.look(clock.now(), clock.quality())
    clock.step(-0.2)
    assert not steady.look(clock.now(), clock.quality())
    assert steady.is_right(clock.now())
    clock.step(0.2)
    assert [steady.look(clock.now(), clock.quality()) for _ in range(3)] == [False, True, False]
    clock.go(29)
    assert not steady.is_right(clock.now())
    clock.go(1)
    assert steady.is_right(clock.now())


def test_what_was_told_without_a_disk_is_told_again_too(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    clock.step(HOUR_S)
    truth: dict[str, int] = {}
    without_disk = Run(tmp_path / "memory.db", clock)
    without_disk.begin_hearing()
    cross(without_disk, "AA", truth, HOUR_S)
    without_disk.wait(30)
    without_disk.end()
    # The disk is back: what was in memory is written down under its own epoch.
    run = Run(tmp_path / "j.db", clock, memory=[tmp_path / "memory.db"])
    run.begin_hearing()
    cross(run, "BB", truth, HOUR_S)
    run.wait(30)
    clock.step(-HOUR_S)
    clock.synced = True
    run.wait(1)
    run.wait(31)
    settle(run)
    run.end()
    splits = highest(tmp_path / "j.db")
    assert {chip: utc_ns_from_rfc3339(split.time) for chip, split in splits.items()} == pytest.approx(truth, abs=MS_NS)
    assert {chip: (split.rev, split.revised_for) for chip, split in splits.items()} == {
        "AA": (2, "clock"),
        "BB": (2, "clock"),
    }
