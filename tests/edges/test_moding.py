"""Modes, on a recorder with real files: a change of mode meets a clock put right, a full disk, and itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NoReturn

import pytest
from msgspec.structs import replace

from reader.clock import utc_ns_from_rfc3339
from reader.errors import DiskFull, UsageError
from reader.messages import Split
from reader.model import NS_PER_S, Fired, Mode
from reader.moding import AskedLeave, AskedMode
from tests.fakes.clock import FakeClock
from tests.run import ONE_LINE, RULES, Run, told

MINUTE_S = 60


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Of a mat that hears, with a place in memory."""
    run = Run(tmp_path / "j.db", FakeClock(), memory=[tmp_path / "memory.db"])
    run.begin_hearing()
    return run


def ask(run: Run, mode: Mode) -> str:
    asked = AskedMode(mode, "ann")
    run.recorder.ask(asked)
    run.take()
    return asked.answer.result(0)


def fire(run: Run) -> None:
    run.take(Fired(run.clock.now(), "start", "command"))


def cross(run: Run, chip: str) -> None:
    run.hear((chip, -50))
    run.wait(1)
    run.wait(1)


def splits(run: Run) -> list[Split]:
    """All of them; no revision left out or told twice."""
    bodies = told(run.path)
    bodies.last_revisions()
    return bodies.splits


def fill_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise DiskFull("the disk is full")

    monkeypatch.setattr(run.recorder.journal._now, "commit", refuse)


def is_in_memory(run: Run) -> bool:
    return not run.recorder.journal.is_durable


@pytest.mark.parametrize("when", ["put right", "at work"])
def test_a_gun_and_a_clock_put_right_revise_the_same_split_one_after_the_other(
    tmp_path: Path, when: Literal["put right", "at work"]
) -> None:
    clock = FakeClock(synced=False)
    clock.step(-3600)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    ask(run, "test")
    right_ns = clock.now().utc_ns + 3600 * NS_PER_S
    cross(run, "A1")
    clock.step(3600)
    clock.synced = True
    run.take()
    for _ in range(60):
        run.wait(1)
        if run.recorder._righting.is_at_work:
            break
    if when == "put right":
        for _ in range(5):
            run.take()
        assert [split.rev for split in splits(run)] == [1, 2]
    fire(run)
    for _ in range(10):
        run.take()
    last = splits(run)[-1]
    assert (last.mode, last.rev, last.clock.synced) == ("race", 3, True)
    assert {split.revised_for for split in splits(run)[1:]} == {"clock", "mode"}
    assert utc_ns_from_rfc3339(last.time) == right_ns


def test_to_ask_for_a_test_again_forgets_nothing_of_its_last_minute(run: Run) -> None:
    ask(run, "test")
    cross(run, "A1")
    run.wait(MINUTE_S)
    for number in range(10):
        cross(run, f"B{number}")
    ask(run, "test")
    for number in range(10):
        cross(run, f"C{number}")
    run.wait(1)
    last = {split.chip: split.mode for split in splits(run)}
    assert last.pop("A1") == "test"
    assert set(last.values()) == {"race"}
    assert len(last) == 20


def test_what_crossed_in_race_never_becomes_a_test(run: Run) -> None:
    for _ in range(12):
        run.hear(("A1", -50))
        run.wait(1)
    ask(run, "released")
    ask(run, "test")
    cross(run, "B1")
    run.wait(MINUTE_S)
    told_of = {(split.chip, split.mode) for split in splits(run)}
    assert told_of == {("A1", "race"), ("B1", "test")}
    assert [split.revised_for for split in splits(run) if split.chip == "A1"][-1] == "left"


def test_a_gun_that_the_disk_refused_is_a_gun_of_the_epoch_in_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(run, monkeypatch)
    fire(run)
    assert is_in_memory(run)
    with pytest.raises(UsageError, match="after a gun"):
        ask(run, "test")


def test_a_gun_of_the_epoch_before_a_full_disk_is_one_again_after_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fire(run)
    with monkeypatch.context() as full:
        fill_disk(run, full)
        cross(run, "A1")
        assert is_in_memory(run)
    for _ in range(40):
        run.wait(MINUTE_S)
        cross(run, "5EE9")
    assert not is_in_memory(run)
    run.wait(40 * MINUTE_S)
    with pytest.raises(UsageError, match="after a gun"):
        ask(run, "test")


def test_what_crossed_while_the_disk_was_full_is_remembered_by_the_next_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        fill_disk(run, full)
        cross(run, "A1")
        assert is_in_memory(run)
    run.wait(10)
    assert not is_in_memory(run)
    run.end()
    run.clock.go(20 * MINUTE_S)
    with pytest.raises(UsageError, match="20 minutes ago"):
        ask(Run(run.path, run.clock), "test")


def test_a_mat_whose_lines_have_new_names_has_timed_all_the_same(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Run(tmp_path / "j.db", clock)
    first.begin_hearing()
    cross(first, "A1")
    first.end()
    renamed = replace(ONE_LINE, line_of_reader={"north": "other"}, rules_of_line={"other": RULES})
    run = Run(tmp_path / "j.db", clock, renamed)
    asked = AskedLeave("this box becomes another", "ann")
    run.recorder.ask(asked)
    run.take()
    with pytest.raises(UsageError, match="release the mat first"):
        asked.answer.result(0)
