"""A reader's clock, disciplined: over drift, steps, restarts, wraps, disorder, stalls and logs, held against the truth.

The world (``fakes/reader_clock.py``) knows when each read was; the discipline sees what it bears and when it came.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.line.discipline import Discipline, Word
from tests.fakes.reader_clock import MS, Came, S, World

WITHIN_NS = 5 * MS
ENOUGH = 36  # thirty reads, the one that is looked at, and some that a late one has led astray
RACE_DAY_NS = 1_700_000_000 * S
IN_1980_NS = 315_532_800 * S
SILENCE_NS = 60 * S  # so long the pace of a crystal of which little is known carries


class Judged(NamedTuple):
    """One read, and what was made of it: a time on the host's clock or None (its arrival), and the error claimed."""

    came: Came
    mono_ns: int | None
    error_ns: int
    is_settled: bool

    @property
    def off_ns(self) -> int:
        assert self.mono_ns is not None
        return abs(self.mono_ns - self.came.true_ns)


def disciplined(world: World) -> list[Judged]:
    """All reads of the world through a discipline, looked at ten times a second."""
    discipline = Discipline(world.resolution_ns, world.wraps_ns)
    reads = world.in_order()
    found: dict[object, tuple[int | None, int]] = {}
    tick_ns = reads[0].came_ns
    for number, read in enumerate(reads):
        while tick_ns < read.came_ns:
            found.update({one.token: (one.mono_ns, one.error_ns) for one in discipline.settle(tick_ns)})
            tick_ns += 100 * MS
        said = discipline.hear(read.x_ns, read.came_ns, number)
        if said is not Word.HELD:
            mono_ns = None if isinstance(said, Word) else said
            found[number] = (mono_ns, discipline.error_ns(read.x_ns))
        found.update({one.token: (one.mono_ns, one.error_ns) for one in discipline.settle(read.came_ns)})
    found.update({one.token: (one.mono_ns, one.error_ns) for one in discipline.settle(tick_ns + 60 * S)})
    assert len(found) == len(reads), "each read comes out once"
    return judged(world, reads, found)


def judged(world: World, reads: list[Came], found: dict[object, tuple[int | None, int]]) -> list[Judged]:
    """With whether thirty prompt reads have come since the last start, step, restart or long silence before it."""
    prompt = [0] * len(world.restless_ns)
    result = []
    last_ns = 0
    for number, read in enumerate(reads):
        run = bisect_right(world.restless_ns, read.true_ns) - 1
        if read.is_prompt:
            if read.true_ns - last_ns > SILENCE_NS:
                prompt[run] = 0
            prompt[run] += 1
            last_ns = read.true_ns
        result.append(Judged(read, *found[number], is_settled=prompt[run] >= ENOUGH))
    return result


def hold(world: World) -> list[Judged]:
    """The promise of the design, of every read; what was made of them."""
    reads = disciplined(world)
    within_ns = WITHIN_NS + (world.resolution_ns if world.resolution_ns > MS else 0)
    for read in reads:
        if read.mono_ns is None:
            assert not (read.is_settled and read.came.is_prompt), f"left at its arrival: {read}"
        elif read.is_settled:
            assert read.off_ns <= within_ns, f"off by {read.off_ns / MS:.1f} ms: {read}"
        else:
            assert read.off_ns <= max(read.error_ns, within_ns), f"claims too much: {read}"
    return reads


@st.composite
def worlds(draw: st.DrawFn, *, dated: bool | None = None) -> World:
    """A dated clock of 10 ms, or a counter of 32 bits of ms; a crystal; the jitter of the way to the host."""
    is_dated = draw(st.booleans()) if dated is None else dated
    return World(
        dice=random.Random(draw(st.integers(0, 2**32))),
        resolution_ns=10 * MS if is_dated else MS,
        wraps_ns=None if is_dated else 2**32 * MS,
        clock_ns=RACE_DAY_NS if is_dated else draw(st.integers(0, 2**32 - 1)) * MS,
        drift_ppm=draw(st.floats(-100, 100)),
        jitter_ms=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )


@given(worlds())
def test_it_runs_on(world: World) -> None:
    world.reads(90, 10)
    hold(world)


@given(worlds())
def test_few_chips_far_between(world: World) -> None:
    for _ in range(8):
        world.reads(1.5, 12)
        world.go(20 * S)
    hold(world)


@given(worlds(dated=False), st.integers(1, 40))
def test_a_counter_begins_again_at_zero(world: World, after_s: int) -> None:
    world.clock_ns = (2**32 * MS) - after_s * S
    world.reads(80, 10)
    reads = hold(world)
    assert sum(read.mono_ns is None for read in reads) < ENOUGH, "a wrap is no restart"


@given(worlds(dated=False))
def test_a_counter_restarts(world: World) -> None:
    world.reads(70, 10)
    world.set_clock(0)
    world.reads(40, 12)
    hold(world)


@given(worlds(dated=True), st.one_of(st.integers(60, 90_000), st.integers(-(10**9), 10**9)))
def test_a_clock_is_set(world: World, by_ms: int) -> None:
    world.reads(60, 10)
    world.set_clock(world.clock_ns + by_ms * MS)
    world.reads(40, 20)
    if abs(by_ms) > 150:  # less is told from a delay only when thirty have agreed, and the error says so
        hold(world)


@given(worlds(dated=True))
def test_a_box_wakes_in_1980_and_is_set_in_the_middle_twice(world: World) -> None:
    for at_ns in (RACE_DAY_NS, RACE_DAY_NS + 80 * S):
        world.set_clock(IN_1980_NS)
        world.reads(30, 12)
        world.set_clock(at_ns)
        world.reads(40, 12)
    hold(world)


@given(worlds(dated=True), st.floats(0.05, 0.5))
def test_up_to_six_seconds_of_disorder(world: World, late_share: float) -> None:
    world.late_share = late_share
    world.reads(90, 20)
    reads = hold(world)
    late = [read for read in reads if read.is_settled and not read.came.is_prompt]
    assert any(read.mono_ns is not None for read in late)


@given(worlds(), st.floats(0.5, 15))
def test_a_stall_gives_all_at_once(world: World, for_s: float) -> None:
    world.reads(40, 10)
    world.held_back(for_s, 10)
    world.reads(20, 10)
    reads = hold(world)
    assert all(read.mono_ns is not None for read in reads if read.is_settled), "late is no reason to lose the time"


@given(worlds(dated=True), st.floats(28, 38))
def test_a_line_that_can_not_carry_it_all(world: World, fit_a_second: float) -> None:
    world.reads(60, 10)
    world.saturated(15, 60, fit_a_second)
    world.reads(40, 10)
    reads = hold(world)
    lost = [read for read in reads if read.is_settled and read.mono_ns is None]
    assert len(lost) * 20 <= len(reads), "nearly all keep their time; none gets a wrong one"


@given(worlds(dated=True), st.floats(30, 600))
def test_a_log_read_out_when_the_cable_is_back(world: World, for_s: float) -> None:
    world.reads(120, 10)
    world.held_back(for_s, 5, apart_ns=12 * MS)
    world.reads(60, 12)
    reads = hold(world)
    logged = [read for read in reads if read.came.came_ns - read.came.true_ns > S]
    assert logged
    assert all(read.mono_ns is not None for read in logged)


@given(worlds(dated=True))
def test_what_was_stored_before_the_clock_was_set_keeps_its_time(world: World) -> None:
    world.set_clock(IN_1980_NS)
    world.reads(30, 12)
    stored = len(world.came)
    world.reads(20, 5)
    until_ns = world.now_ns + 60 * S
    world.set_clock(RACE_DAY_NS)
    world.reads(60, 12)
    place = stored
    while world.came[place].true_ns < until_ns - 60 * S:
        world.came[place] = world.came[place]._replace(came_ns=until_ns + (place - stored) * 12 * MS, is_prompt=False)
        place += 1
    world.reads(20, 12)
    hold(world)


@given(worlds(), st.sampled_from([-1, 1]), st.floats(1_000, 200_000))
def test_a_clock_that_runs_far_too_fast_or_slow_is_not_used(world: World, sign: int, ppm: float) -> None:
    world.drift_ppm = sign * ppm
    world.reads(240, 10)
    reads = disciplined(world)
    last = reads[-len(reads) // 3 :]
    assert all(read.mono_ns is None for read in last)


def discipline_after(world: World) -> Discipline:
    discipline = Discipline(world.resolution_ns, world.wraps_ns)
    for read in world.in_order():
        discipline.hear(read.x_ns, read.came_ns)
    return discipline


def some_world(drift_ppm: float = 40.0) -> World:
    return World(random.Random(1), 10 * MS, drift_ppm, jitter_ms=0.5, clock_ns=RACE_DAY_NS)


def test_equal_times_of_a_reader_are_equal_times_of_the_host() -> None:
    world = some_world()
    world.reads(60, 10)
    discipline = discipline_after(world)
    x_ns, came_ns = world.shown(), world.now_ns
    one = discipline.hear(x_ns, came_ns)
    assert isinstance(one, int)
    for later_ms in (1, 7, 40, 90):
        assert discipline.hear(x_ns, came_ns + later_ms * MS) == one
    assert discipline.hear(x_ns + 2 * S, came_ns + 2 * S) != one
    assert discipline.hear(x_ns, came_ns + 95 * MS) == one


def test_the_drift_is_found() -> None:
    world = some_world(drift_ppm=-63.0)
    world.reads(600, 5)
    drift_ppm = discipline_after(world).drift_ppm()
    assert drift_ppm == pytest.approx(-63.0, abs=3.0)


def test_an_answer_can_not_be_older_than_its_question() -> None:
    world = some_world()
    world.reads(60, 10)
    discipline = discipline_after(world)
    world.set_clock(world.clock_ns - 4 * S)
    world.go(1 * S)
    assert discipline.hear(world.shown(), world.now_ns, "one") is Word.HELD
    world.go(30 * MS)
    assert discipline.is_in_doubt
    discipline.answered(world.shown(), world.now_ns - 20 * MS, world.now_ns)
    assert discipline.hear(world.shown(), world.now_ns) is Word.HOST, "the course of before is left"
    [settled] = discipline.settle(world.now_ns)
    assert settled.token == "one"
    assert settled.mono_ns is not None
    assert abs(settled.mono_ns - (world.now_ns - 30 * MS)) < 40 * MS
    assert not discipline.is_ready, "one answer is not thirty"


def test_answers_find_the_clock_where_no_two_reads_agree() -> None:
    world = some_world()
    world.late_share = 1.0
    world.reads(30, 30)
    discipline = Discipline(world.resolution_ns)
    asked_ns = world.came[0].true_ns
    placed = 0
    for read in world.in_order():
        discipline.hear(read.x_ns, read.came_ns)
        while asked_ns + 300 * MS < read.came_ns:
            asked_ns += 300 * MS
            shown_ns = RACE_DAY_NS + asked_ns - world.restless_ns[0]
            discipline.answered(shown_ns // (10 * MS) * 10 * MS, asked_ns - 20 * MS, asked_ns)
        for one in discipline.settle(read.came_ns):
            placed += one.mono_ns is not None
    assert discipline.is_ready
    assert placed > 500


def test_an_answer_from_the_future_is_believed_at_once() -> None:
    world = some_world()
    world.reads(60, 10)
    discipline = discipline_after(world)
    world.set_clock(world.clock_ns + 3600 * S)
    world.go(1 * S)
    discipline.answered(world.shown(), world.now_ns - 20 * MS, world.now_ns)
    assert discipline.steps == 1
    assert discipline.is_in_doubt, "and more are asked for"
    for _ in range(30):
        world.go(300 * MS)
        discipline.answered(world.shown(), world.now_ns - 20 * MS, world.now_ns)
    assert discipline.is_ready
    assert not discipline.is_in_doubt


def test_an_answer_on_the_course_vouches_for_what_came_late() -> None:
    world = some_world()
    world.reads(60, 10)
    discipline = discipline_after(world)
    x_ns, read_ns = world.shown(), world.now_ns
    world.go(3 * S)
    assert discipline.hear(x_ns, world.now_ns, "late") is Word.HELD
    discipline.answered(world.shown(), world.now_ns - 20 * MS, world.now_ns + 2 * MS)
    [settled] = discipline.settle(world.now_ns + 3 * MS)
    assert settled.mono_ns is not None
    assert abs(settled.mono_ns - read_ns) <= 15 * MS


@pytest.mark.parametrize("settle", [lambda world: world.go(59 * S), lambda world: world.reads(10, 3)])
def test_nothing_is_held_for_longer_than_two_seconds(settle: Callable[[World], None]) -> None:
    world = some_world()
    world.reads(60, 10)
    discipline = discipline_after(world)
    assert discipline.hear(world.shown() - 5 * S, world.now_ns, 1) is Word.HELD
    assert discipline.settle(world.now_ns + 1_999 * MS) == []
    settle(world)
    assert [one.token for one in discipline.settle(world.now_ns)] == [1]
