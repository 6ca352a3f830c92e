"""The gate by hand-made crossings: the sentences of the design's "A passing", one after the other.

Over 300 lines, for it is one text, and read beside it.
"""

from __future__ import annotations

from itertools import count, permutations

import msgspec
import pytest

from reader.gate import Gate
from reader.model import ChipRead, Instant, Pick, Reads, Use
from reader.passing import GateState, Opened, Rules, Told
from reader.past import Past

S = 1_000_000_000
MS = 1_000_000
UTC_OFFSET_NS = 1_700_000_000 * S


class Mat:
    """One gate, spoken to in seconds. ``linger_s`` is 8, ``quiet_s`` 0.85 and ``dead_time_s`` 20 if not said."""

    def __init__(
        self, pick: Pick = "best", *, use: Use = "finish", quiet_s: float = 0.85, by_reader: bool = False
    ) -> None:
        ids = count(1)
        time_from = "reader" if by_reader else "host"
        self.rules = Rules(pick, use, ns(quiet_s), 20 * S, 8 * S, time_from)  # type: ignore[arg-type]  # one of two
        self.new_id = lambda: f"e-{next(ids)}"
        self.gate = Gate("main", self.rules, self.new_id)
        self.everything: list[Opened | Told] = []

    def hear(
        self, *at_s: float, dbm: int | None = None, chip: str = "A1", came_s: float | None = None, antenna: int = 1
    ) -> None:
        """Reads at these times, each when it was heard or all at ``came_s``."""
        for t_s in at_s:
            t, host_ns = ns(t_s), ns(t_s if came_s is None else came_s)
            read = ChipRead(chip, antenna, dbm, None, None, 0)
            self.gate.hear(Reads("north", Instant(t + UTC_OFFSET_NS, t), 0, [read]), host_ns)

    def hear_by_reader(self, reader_s: float, host_s: float, chip: str = "A1", reader: str = "north") -> None:
        """One read with the reader's own time (seconds of its UTC), when the host has that time."""
        read = ChipRead(chip, 1, None, ns(reader_s), None, 0)
        self.gate.hear(Reads(reader, Instant(ns(host_s) + UTC_OFFSET_NS, ns(host_s)), 0, [read]), ns(host_s))

    def restart(self) -> None:
        """Another gate goes on from the snapshot of this one."""
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.gate.state()), type=GateState)
        self.gate = Gate("main", self.rules, self.new_id)
        self.gate.restore(state)

    def until(self, at_s: float) -> None:
        self.gate.advance(ns(at_s))

    def told(self) -> list[Told]:
        """What was told since the last time."""
        taken = self.gate.take()
        self.everything += taken
        return [one for one in taken if isinstance(one, Told)]

    def times(self) -> list[tuple[int, str | None, float]]:
        """The same, as revision, reason and the split's time in seconds."""
        return [(one.rev, one.revised_for, seconds(one.utc_ns)) for one in self.told()]


def ns(value_s: float) -> int:
    return round(value_s * 1_000) * MS


def seconds(utc_ns: int) -> float:
    return round((utc_ns - UTC_OFFSET_NS) / S, 3)


def steps(begin_s: float, end_s: float, every_s: float = 0.1) -> list[float]:
    return [begin_s + every_s * place for place in range(round((end_s - begin_s) / every_s) + 1)]


def walk_by(mat: Mat, at_s: float) -> None:
    """Nine reads, the strongest in the middle."""
    for place, dbm in enumerate([-70, -66, -62, -58, -55, -58, -62, -66, -70]):
        mat.hear(at_s + (place - 4) * 0.1, dbm=dbm)


# ---- one passing -------------------------------------------------------------------------------------------


def test_one_walk_by_is_told_once_with_the_time_of_the_peak() -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.until(160)
    [told] = mat.told()
    assert (told.rev, told.revised_for, told.nth, told.reads, told.rssi_dbm) == (1, None, 1, 9, -55)
    assert seconds(told.utc_ns) == seconds(told.best_ns) == 100
    assert (seconds(told.first_ns), seconds(told.last_ns)) == (99.6, 100.4)
    assert (told.lingering, told.left, told.loiter, told.after_restart) == (False, False, False, False)
    assert told.mono_ns == 100 * S


def test_it_is_heard_at_once_and_told_when_no_stronger_read_came_for_quiet_s() -> None:
    mat = Mat()
    walk_by(mat, 100)
    [heard] = mat.gate.take()
    assert isinstance(heard, Opened)
    assert (heard.passing, heard.chip, seconds(heard.utc_ns)) == ("e-1", "A1", 99.6)
    mat.until(100.849)
    assert mat.told() == []
    mat.until(100.85)
    assert mat.times() == [(1, None, 100)]


def test_it_is_told_though_the_chip_stays() -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.hear(*steps(100.5, 103), dbm=-72)
    assert mat.times() == [(1, None, 100)]


@pytest.mark.parametrize(("pick", "time_s"), [("first", 100.0), ("best", 100.3), ("last", 100.6)])
def test_without_signal_strengths_best_is_the_middle(pick: Pick, time_s: float) -> None:
    mat = Mat(pick)
    mat.hear(100, 100.1, 100.6)
    mat.until(101.46)
    last = mat.told()[-1]
    assert last.rev == 1
    assert seconds(last.utc_ns) == time_s
    if pick != "first":
        assert (seconds(last.first_ns), seconds(last.best_ns), seconds(last.last_ns)) == (100, 100.3, 100.6)


@pytest.mark.parametrize("pick", ["best", "last"])
def test_without_signal_strengths_or_by_last_it_is_told_when_unheard_for_quiet_s(pick: Pick) -> None:
    mat = Mat(pick)
    mat.hear(*steps(100, 104, 0.8))
    mat.until(104.849)
    assert mat.told() == []
    mat.until(104.85)
    assert len(mat.told()) == 1


def test_exactly_quiet_s_is_quiet() -> None:
    mat = Mat("last")
    mat.hear(100)
    mat.hear(100.85)
    mat.until(110)
    assert mat.times() == [(1, None, 100), (2, "heard_again", 100.85)]


def test_by_first_it_is_told_at_once_and_closed_at_absence() -> None:
    mat = Mat("first")
    mat.hear(100)
    assert mat.times() == [(1, None, 100)]
    mat.hear(*steps(100.1, 101))
    mat.until(121)
    [left] = mat.told()
    assert (left.rev, left.revised_for, left.left, seconds(left.utc_ns)) == (2, "left", True, 100)
    assert (seconds(left.best_ns), seconds(left.last_ns), left.reads) == (100.5, 101, 11)


# ---- a chip that stays -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pick", "expected"),
    [
        ("first", [(1, None, 100), (2, "still_here", 100), (3, "left", 100)]),
        ("best", [(1, None, 100), (2, "still_here", 100), (3, "left", 100)]),
        ("last", [(1, None, 107), (2, "still_here", 107), (3, "heard_again", 130), (4, "left", 130)]),
    ],
)
def test_a_chip_that_stays_half_a_minute_is_one_passing(pick: Pick, expected: list[object]) -> None:
    mat = Mat(pick)
    mat.hear(*steps(100, 130), dbm=-60)
    mat.until(149.999)
    before = mat.times()
    mat.until(150)
    after = mat.told()
    times = before + [(one.rev, one.revised_for, seconds(one.utc_ns)) for one in after]
    # By best the mean around the first of equally strong reads; by last the one before 108, and the last of all.
    assert [(rev, why, int(time_s)) for rev, why, time_s in times] == expected
    assert [one.left for one in after] == [True]
    assert after[0].lingering
    assert {one.passing for one in mat.everything if isinstance(one, Told)} == {"e-1"}


def test_a_passing_not_yet_told_is_told_when_it_has_lingered() -> None:
    mat = Mat("last", quiet_s=3)
    mat.hear(*steps(100, 107.9))
    mat.until(107.999)
    assert mat.told() == []
    mat.until(108)
    assert mat.times() == [(1, None, 107.9)]


def test_the_moment_of_lingering_follows_an_earlier_first_read() -> None:
    """A late read puts it forward to a time before the deadline that was known."""
    mat = Mat("last", quiet_s=3)
    mat.hear(*steps(100, 103))
    mat.hear(97.2, came_s=103.1)
    mat.hear(*steps(103.2, 105.1))
    mat.hear(105.5)
    assert [(told.rev, told.revised_for, seconds(told.utc_ns), told.lingering) for told in mat.told()] == [
        (1, None, 105.1, False),
        (2, "still_here", 105.1, True),
    ]


def test_after_the_moment_of_lingering_no_stronger_read_changes_the_time() -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.hear(108, 108.1, dbm=-30)
    mat.until(130)
    first, still_here, left = mat.told()
    assert [seconds(told.utc_ns) for told in (first, still_here, left)] == [100, 100, 100]
    assert (still_here.rssi_dbm, still_here.reads, seconds(still_here.last_ns)) == (-30, 10, 108)
    assert (left.rssi_dbm, left.reads, seconds(left.last_ns)) == (-30, 11, 108.1)


def test_late_reads_from_before_the_moment_of_lingering_still_change_the_time() -> None:
    mat = Mat()
    mat.hear(100, 100.1, dbm=-60)
    mat.hear(109, dbm=-60)
    mat.hear(100.5, 100.6, dbm=-49, came_s=109.5)
    mat.until(112)
    assert mat.times() == [(1, None, 100.05), (2, "still_here", 100.05), (3, "late_reads", 100.55)]


def test_late_reads_from_after_it_change_nothing() -> None:
    mat = Mat()
    mat.hear(100, 100.1, dbm=-60)
    mat.hear(111, dbm=-60)
    mat.hear(109, 109.1, dbm=-40, came_s=112)
    mat.until(140)
    assert mat.times() == [(1, None, 100.05), (2, "still_here", 100.05), (3, "left", 100.05)]


# ---- told again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dbm", "is_told_again"), [(-50, False), (-49, True)])
def test_a_read_six_decibels_stronger_is_told_when_it_has_held(dbm: int, is_told_again: bool) -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.hear(103, 103.1, dbm=dbm)
    mat.until(103.849)
    assert mat.times() == [(1, None, 100)]
    mat.until(103.95)
    assert mat.times() == ([(2, "stronger", 103.05)] if is_told_again else [])


def test_one_wild_read_without_company_moves_nothing_and_hides_nothing() -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.hear(102, dbm=-20)
    mat.until(104)
    assert mat.times() == [(1, None, 100)]
    mat.hear(105, 105.1, dbm=-45)
    mat.until(106)
    assert mat.times() == [(2, "stronger", 105.05)]


def test_late_reads_before_the_telling_belong_to_it() -> None:
    mat = Mat()
    mat.hear(100, 100.1, dbm=-60)
    mat.hear(99, 99.1, dbm=-50, came_s=100.3)
    mat.until(101.15)
    assert mat.times() == [(1, None, 99.05)]


@pytest.mark.parametrize(("pick", "was_s", "is_s"), [("first", 100, 95), ("best", 100.05, 95.05)])
def test_late_reads_after_the_telling_are_told_when_they_have_held(pick: Pick, was_s: float, is_s: float) -> None:
    mat = Mat(pick)
    mat.hear(100, 100.1, dbm=-60)
    mat.until(101)
    mat.hear(95, 95.1, dbm=-50, came_s=101.1)
    mat.until(101.949)
    assert mat.times() == [(1, None, was_s)]
    mat.until(101.95)
    assert mat.times() == [(2, "late_reads", is_s)]


def test_by_last_a_late_read_after_the_last_one_is_told() -> None:
    mat = Mat("last")
    mat.hear(100)
    mat.until(102)
    mat.hear(100.5, came_s=102)
    mat.until(103)
    assert mat.times() == [(1, None, 100), (2, "late_reads", 100.5)]


def test_a_change_under_a_millisecond_is_not_told() -> None:
    mat = Mat("first")
    mat.hear(100)
    assert mat.times() == [(1, None, 100)]
    for early_ns, revisions in ((MS - 1, []), (MS, [(2, "late_reads", 99.999)])):
        t = 100 * S - early_ns
        read = ChipRead("A1", 1, None, None, None, 0)
        mat.gate.hear(Reads("north", Instant(t + UTC_OFFSET_NS, t), 0, [read]), 101 * S)
        mat.until(103)
        assert mat.times() == revisions


def test_a_change_still_owed_at_absence_goes_out_with_the_closing() -> None:
    mat = Mat()
    mat.hear(100, 100.1, dbm=-60)
    mat.until(101)
    mat.hear(99, 99.1, dbm=-50, came_s=119.9)
    mat.until(120.099)
    assert mat.times() == [(1, None, 100.05)]
    mat.until(120.1)
    assert mat.times() == [(2, "left", 99.05)]
    mat.until(200)
    assert mat.told() == []


@pytest.mark.parametrize("stray_dbm", [-40, -52])
def test_a_strong_stray_before_the_crossing_does_not_keep_its_time(stray_dbm: int) -> None:
    """None of the crossing's reads is six decibels stronger than it, but they have company."""
    mat = Mat()
    mat.hear(98.5, dbm=stray_dbm)
    walk_by(mat, 100)
    mat.until(108.6)
    assert mat.times() == [(1, None, 98.5), (2, "stronger", 100)]
    mat.until(150)
    assert mat.told() == []


def test_of_strays_without_company_the_first_told_stays_but_for_six_decibels() -> None:
    mat = Mat()
    mat.hear(98, dbm=-45)
    mat.hear(99, 100, 101, dbm=-40)
    mat.hear(102, dbm=-39)
    mat.until(104)
    assert mat.times() == [(1, None, 98), (2, "stronger", 102)]


def test_a_stray_keeps_its_time_when_the_company_comes_after_the_moment_of_lingering() -> None:
    mat = Mat()
    mat.hear(98, 106, dbm=-40)
    mat.hear(106.1, 106.2, 106.3, dbm=-41)
    mat.until(140)
    assert mat.times() == [(1, None, 98), (2, "still_here", 98), (3, "left", 98)]


def test_a_crossing_told_with_company_is_not_told_again_for_weaker_company() -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.hear(103, 103.1, dbm=-52)
    mat.until(106)
    assert mat.times() == [(1, None, 100)]


# ---- how far off the time may be ---------------------------------------------------------------------------


def test_the_slower_it_goes_over_the_wider_the_interval() -> None:
    widths = []
    for step_s in (0.01, 0.05, 0.1):
        mat = Mat()
        for place, dbm in enumerate([-70, -66, -62, -58, -55, -58, -62, -66, -70]):
            mat.hear(100 + place * step_s, dbm=dbm)
        mat.until(102)
        [told] = mat.told()
        widths.append(told.half_width_ns)
    assert 0 < widths[0] < widths[1] < widths[2] < S


def test_by_first_it_is_known_better_when_all_has_been_heard() -> None:
    mat = Mat("first")
    for place, dbm in enumerate([-70, -66, -62, -58, -55, -58, -62, -66, -70]):
        mat.hear(100 + place * 0.02, dbm=dbm)
    mat.until(140)
    at_once, left = mat.told()
    assert left.utc_ns == at_once.utc_ns
    assert left.half_width_ns < at_once.half_width_ns


@pytest.mark.parametrize("pick", ["best", "last"])
def test_a_time_that_stays_as_it_was_told_keeps_its_interval(pick: Pick) -> None:
    """What came since would make it another time, with another interval."""
    mat = Mat(pick)
    walk_by(mat, 100)
    mat.until(102)
    mat.hear(103, 103.6, dbm=-52)
    mat.hear(108.1, dbm=-60)
    told = mat.told()
    mat.until(140)
    told += mat.told()
    widths_by_time = {one.utc_ns: {other.half_width_ns for other in told if other.utc_ns == one.utc_ns} for one in told}
    assert [len(widths) for widths in widths_by_time.values()] == ([1] if pick == "best" else [1, 1, 1])
    whys = ["still_here", "left"] if pick == "best" else ["heard_again", "still_here", "heard_again", "left"]
    assert [one.revised_for for one in told] == [None, *whys]


def test_an_interval_of_a_time_told_again_is_that_of_the_new_one() -> None:
    mat = Mat()
    mat.hear(98.5, dbm=-40)
    walk_by(mat, 100)
    mat.until(108)
    stray, crossing = mat.told()
    assert stray.half_width_ns != crossing.half_width_ns
    alone = Mat()
    walk_by(alone, 100)
    alone.until(108)
    assert crossing.half_width_ns == alone.told()[0].half_width_ns


def test_the_readers_error_is_the_largest_of_the_reads_whatever_else_was_heard() -> None:
    for errors_us, has_host_read, error_ns in (
        ((40, 1_500, 20), False, 1_500_000),
        ((40, 1_500), True, 1_500_000),
        ((), True, 0),
    ):
        mat = Mat()
        for place, error_us in enumerate(errors_us):
            at = Instant(UTC_OFFSET_NS + 100 * S, 100 * S)
            read = ChipRead("A1", 1, -60, None, None, 0)
            mat.gate.hear(Reads("north", at, 0, [read], [at.mono_ns + place], "disciplined", error_us), at.mono_ns)
        if has_host_read:
            mat.hear(100.1, dbm=-60)
        mat.until(102)
        [told] = mat.told()
        assert (told.time_from, told.error_ns) == ("host" if has_host_read else "disciplined", error_ns)


# ---- two passings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("again_s", "passings"), [(119.999, 1), (120, 2)])
def test_exactly_the_dead_time_is_absence(again_s: float, passings: int) -> None:
    mat = Mat()
    mat.hear(100, dbm=-60)
    mat.hear(again_s, dbm=-60)
    mat.until(200)
    assert len({told.passing for told in mat.told()}) == passings


@pytest.mark.parametrize(("late_s", "joins"), [(112, "e-1"), (118, "e-2")])
def test_a_late_read_between_two_passings_joins_the_nearer(late_s: float, joins: str) -> None:
    mat = Mat("first")
    mat.hear(100, 130)
    mat.told()
    mat.hear(late_s, came_s=131)
    mat.until(200)
    assert [(told.passing, told.reads) for told in mat.told() if told.left and told.reads == 2] == [(joins, 2)]
    assert [told.nth for told in mat.everything if isinstance(told, Told) and told.rev == 1] == [1, 2]


def test_two_chips_at_the_identical_instant_are_two_passings_with_equal_times() -> None:
    mat = Mat()
    at = Instant(UTC_OFFSET_NS + 100 * S, 100 * S)
    mat.gate.hear(Reads("north", at, 0, [ChipRead(chip, 1, -60, None, None, 0) for chip in ("A1", "B2")]), 100 * S)
    mat.until(200)
    assert [(told.chip, seconds(told.utc_ns), told.reads) for told in mat.told()] == [("A1", 100, 1), ("B2", 100, 1)]


def test_the_fourth_passing_within_five_minutes_is_loitering() -> None:
    for use, expected in (("finish", [False, False, False, True, False]), ("lap", [False] * 5)):
        mat = Mat(use=use)  # type: ignore[arg-type]  # two of the five uses
        mat.hear(100, 200, 300, 400, 701, dbm=-60)
        mat.until(800)
        assert [(told.nth, told.loiter) for told in mat.told()] == list(enumerate(expected, 1))


# ---- deaf spells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deaf_s", "again_s", "passings"),
    [
        (30, 149.999, 1),  # 20 s of absence need 50 s, of which 30 are taken off
        (30, 150, 2),
        (600, 720, 2),  # 620 s without a word, but only 60 are taken off
        (65, 179.999, 1),
        (65, 180, 2),
    ],
)
def test_of_a_deaf_spell_sixty_seconds_are_taken_off_the_absence(deaf_s: float, again_s: float, passings: int) -> None:
    mat = Mat()
    mat.hear(100, dbm=-60)
    mat.gate.cease(ns(110))
    mat.gate.resume(ns(110 + deaf_s))
    mat.hear(again_s, dbm=-60)
    mat.until(1_000)
    assert len({told.passing for told in mat.told()}) == passings


def test_a_spell_that_still_lasts_is_taken_off_too_and_not_off_quiet_s() -> None:
    mat = Mat("first")
    mat.hear(100)
    mat.gate.cease(ns(100.5))
    mat.told()
    mat.until(179.999)
    assert mat.told() == []
    mat.until(180)
    assert mat.times() == [(2, "left", 100)]
    quiet = Mat("last")
    quiet.hear(100)
    quiet.gate.cease(ns(100.5))
    quiet.until(100.85)
    assert quiet.times() == [(1, None, 100)]


def test_of_each_of_two_spells_what_it_lasted_is_taken_off() -> None:
    mat = Mat("first")
    mat.hear(100)
    for begin_s in (101, 111):
        mat.gate.cease(ns(begin_s))
        mat.gate.resume(ns(begin_s + 5))
    mat.told()
    mat.until(129.999)
    assert mat.told() == []
    mat.until(130)
    assert len(mat.told()) == 1


def test_of_a_spell_in_which_a_read_came_all_the_same_only_what_follows_is_taken_off() -> None:
    mat = Mat("first")
    mat.hear(100)
    mat.gate.cease(ns(101))
    mat.hear(110)
    mat.gate.resume(ns(121))
    mat.told()
    mat.until(140.999)
    assert mat.told() == []
    mat.until(141)
    assert len(mat.told()) == 1


# ---- the reader's own clock --------------------------------------------------------------------------------


def test_by_the_readers_clock_equal_times_stay_equal_however_late_they_come() -> None:
    mat = Mat("last", by_reader=True)
    mat.hear_by_reader(5_000, 100, "A1")
    mat.hear_by_reader(5_000, 103, "B2")
    mat.until(110)
    assert [(told.chip, told.utc_ns) for told in mat.told()] == [("A1", 5_000 * S), ("B2", 5_000 * S)]


def test_by_the_readers_clock_now_is_its_newest_time_run_on_by_the_hosts() -> None:
    mat = Mat("last", by_reader=True)
    mat.hear_by_reader(5_000, 100)
    assert mat.gate.next_due_host_ns(100 * S) == ns(100.85)
    mat.hear_by_reader(5_000.5, 100.1, "B2")
    mat.until(100.449)
    assert mat.told() == []
    mat.until(100.45)
    assert [told.chip for told in mat.told()] == ["A1"]


def test_by_the_readers_clock_what_fell_due_before_a_read_comes_is_done_before_it() -> None:
    """A newer reader time, delivered late, puts "now" back; what was due meanwhile does not wait for it."""
    seldom, often = Mat("last", by_reader=True), Mat("last", by_reader=True)
    for mat in (seldom, often):
        mat.hear_by_reader(5_000, 100)
        if mat is often:
            mat.until(101)
        mat.hear_by_reader(5_000.1, 101)
        mat.until(130)
    assert seldom.told() == often.told()


def test_the_same_read_again_within_a_minute_is_a_repeat() -> None:
    mat = Mat("last", by_reader=True)
    mat.hear_by_reader(5_000, 100)
    mat.hear_by_reader(5_000, 100.1)
    mat.hear_by_reader(5_000, 100.2, reader="south")
    mat.hear_by_reader(5_000, 160)
    mat.until(300)
    assert mat.gate.counts == {"reads": 4, "repeats": 2, "passings": 1}
    [told] = mat.told()
    assert told.reads == 2


def test_a_reader_time_that_comes_late_makes_no_repeat_forgotten() -> None:
    """It puts "now" back a little, just after the memory of repeats has been turned over."""
    mat = Mat("last", by_reader=True)
    for reader_s, host_s in [(5_000, 100), (5_061, 161), (5_100, 200), (5_116, 222), (5_117, 223)]:
        mat.hear_by_reader(reader_s, host_s)
    mat.hear_by_reader(5_100, 223.1)
    assert mat.gate.counts["repeats"] == 1


def test_a_deaf_spell_in_which_now_was_put_back_makes_no_absence_longer() -> None:
    mat = Mat("first", by_reader=True)
    mat.hear_by_reader(5_000, 100, "A1")
    mat.gate.cease(ns(108))
    mat.hear_by_reader(5_005, 108, "B2")
    mat.gate.resume(ns(109))
    mat.told()
    mat.until(127.999)
    assert [(told.chip, told.revised_for) for told in mat.told()] == [("A1", "left")]
    mat.until(128)
    assert [(told.chip, told.revised_for) for told in mat.told()] == [("B2", "left")]


# ---- a reader's memory, read out hours later ----------------------------------------------------------------

LOG_DBM = [-70, -67, -64, -61, -58, -55, -55, -58, -61, -64, -67, -70]


def send_log(mat: Mat, *crossings: tuple[float, str], came_s: float) -> None:
    """Of each crossing twelve reads in 1.1 s, as the reader's memory has them: they come within a fifth of a second."""
    for at_s, chip in crossings:
        for place, dbm in enumerate(LOG_DBM):
            t_s, host_s = at_s + place / 10, came_s + place / 60
            if mat.rules.time_from == "reader":
                read = ChipRead(chip, 1, dbm, ns(t_s) + UTC_OFFSET_NS, None, 0)
                mat.gate.hear(Reads("north", Instant(0, ns(host_s)), 0, [read]), ns(host_s))
            else:
                mat.hear(t_s, dbm=dbm, chip=chip, came_s=host_s)


@pytest.mark.parametrize("by_reader", [False, True])
@pytest.mark.parametrize(("pick", "time_s"), [("first", 5_000), ("best", 5_000.55), ("last", 5_001.1)])
def test_a_whole_crossing_of_an_hour_ago_is_one_split_with_its_true_times(
    pick: Pick, time_s: float, by_reader: bool
) -> None:
    mat = Mat(pick, by_reader=by_reader)
    send_log(mat, (8_580, "B2"), came_s=8_580)
    mat.until(8_650)
    mat.told()
    send_log(mat, (5_000, "A1"), came_s=8_600 + 100)
    mat.until(8_702)
    told = mat.told()
    assert [(one.rev, one.revised_for) for one in told] == [(1, None), (2, "left")][: 1 + (pick == "first")]
    assert {seconds(one.utc_ns) for one in told} == {time_s}
    last = told[-1]
    assert (seconds(last.first_ns), seconds(last.best_ns), seconds(last.last_ns)) == (5_000, 5_000.55, 5_001.1)
    assert (last.reads, last.rssi_dbm, last.lingering, last.loiter) == (12, -55, False, False)
    assert [passing.left for passing in mat.gate.state().passings if passing.chip == "A1"] == [True]
    mat.until(20_000)
    assert mat.told() == []


def test_one_of_an_hour_ago_whose_chip_stays_is_told_linger_s_after_it_was_first_heard_of() -> None:
    mat = Mat("last")
    mat.hear(*steps(5_000, 5_100, 1), came_s=8_600)
    for place in range(200):
        mat.hear(5_101 + place, came_s=8_600 + place / 20)
    mat.until(8_610.799)
    before_8_608 = 101 + 160
    assert [(told.rev, told.reads, told.lingering, told.left) for told in mat.told()] == [
        (1, before_8_608, True, False)
    ]
    mat.until(8_610.8)
    assert [(told.rev, told.revised_for, told.reads) for told in mat.told()] == [
        (2, "late_reads", 301),
        (3, "left", 301),
    ]


@pytest.mark.parametrize("by_reader", [False, True])
@pytest.mark.parametrize("has_restarted", [False, True])
@pytest.mark.parametrize("again_s", [9_200, 15_800, 8_600 + 48 * 3_600])
def test_the_same_log_again_tells_nothing_and_opens_nothing(
    again_s: float, has_restarted: bool, by_reader: bool
) -> None:
    mat = Mat(by_reader=by_reader)
    send_log(mat, (8_500, "B2"), came_s=8_500)
    send_log(mat, (5_000, "A1"), (5_100, "A1"), (5_050, "B2"), came_s=8_600)
    mat.until(again_s)
    assert [(told.chip, told.nth) for told in mat.told()] == [("B2", 1), ("A1", 1), ("A1", 2), ("B2", 2)]
    if has_restarted:
        mat.restart()
    for later_s in (0, 7_200):
        send_log(mat, (5_000, "A1"), (5_100, "A1"), (5_050, "B2"), (8_500, "B2"), came_s=again_s + later_s)
        mat.until(again_s + later_s + 3_000)
    assert mat.gate.take() == []
    assert mat.gate.counts == {"reads": 144, "repeats": 96, "passings": 4}
    assert mat.gate.state().passings == []


@pytest.mark.parametrize("has_restarted", [False, True])
def test_of_a_log_with_a_crossing_known_and_one_not_the_unknown_is_told(has_restarted: bool) -> None:
    mat = Mat()
    walk_by(mat, 5_000)
    mat.until(8_000)
    assert len(mat.told()) == 1
    if has_restarted:
        mat.restart()
    send_log(mat, (4_999.5, "A1"), (5_400, "A1"), came_s=8_600)
    mat.until(8_602)
    assert [(told.nth, told.reads, told.left, seconds(told.utc_ns)) for told in mat.told()] == [
        (2, 12, False, 5_400.55)
    ]


@pytest.mark.parametrize(("at_s", "passings"), [(4_980, 2), (4_980.001, 1), (5_019.999, 1), (5_020, 2)])
def test_a_read_of_long_ago_belongs_to_what_was_told_if_nearer_than_the_dead_time(at_s: float, passings: int) -> None:
    mat = Mat()
    mat.hear(5_000, dbm=-60)
    mat.until(8_000)
    mat.hear(at_s, dbm=-60, came_s=8_600)
    assert mat.gate.counts == {"reads": 2, "repeats": 2 - passings, "passings": passings}


def test_deaf_spells_of_long_ago_are_forgotten() -> None:
    """Rather a passing too many than one too few."""
    mat = Mat()
    mat.hear(5_000, dbm=-60)
    mat.gate.cease(ns(5_001))
    mat.gate.resume(ns(5_041))
    mat.until(8_000)
    mat.hear(5_050, dbm=-60, came_s=8_600)
    assert mat.gate.counts["passings"] == 2


def test_a_chip_that_stayed_as_only_the_log_knows_passed_once() -> None:
    mat = Mat()
    mat.hear(5_000, dbm=-60)
    mat.until(8_000)
    mat.told()
    mat.hear(*steps(4_990, 5_100, 10), dbm=-60, came_s=8_600)
    mat.hear(5_119.9, 5_060, 4_970.1, dbm=-60, came_s=9_600)
    assert mat.gate.take() == []
    mat.hear(5_139.9, 4_950.1, dbm=-60, came_s=9_600)
    assert mat.gate.counts["passings"] == 3


@pytest.mark.parametrize("has_restarted", [False, True])
@pytest.mark.parametrize(("late_s", "is_repeat"), [(4_983, False), (4_987, False), (4_988, True), (4_992, True)])
def test_a_late_read_between_one_just_told_and_one_told_long_ago_joins_the_nearer(
    late_s: float, is_repeat: bool, has_restarted: bool
) -> None:
    mat = Mat()
    mat.hear(5_000, dbm=-60)
    mat.until(8_000)
    mat.hear(4_974.9, dbm=-60, came_s=8_600)
    if has_restarted:
        mat.restart()
    mat.hear(late_s, dbm=-60, came_s=8_600.1)
    assert mat.gate.counts == {"reads": 3, "repeats": int(is_repeat), "passings": 2}


def test_of_a_field_faster_than_can_be_remembered_the_oldest_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reader.gate.REMEMBERED", 3)
    mat = Mat()
    for place, at_s in enumerate([100, 101, 102, 103, 104, 105, 121, 140]):
        mat.hear(at_s, dbm=-60, chip=f"C{place}")
    mat.until(141)
    assert {passing.chip for passing in mat.gate.state().passings} == {f"C{place}" for place in range(1, 8)}
    mat.restart()
    mat.until(160)
    assert {passing.chip for passing in mat.gate.state().passings} == {"C5", "C6", "C7"}
    mat.hear(100, dbm=-60, chip="C0", came_s=172)
    mat.hear(105, dbm=-60, chip="C5", came_s=172)
    assert mat.gate.counts == {"reads": 10, "repeats": 1, "passings": 8}


def test_a_late_read_keeps_what_was_told_in_mind_for_another_five_minutes() -> None:
    mat = Mat()
    mat.hear(100, dbm=-60)
    mat.hear(100.1, dbm=-60, came_s=419.9)  # closed at 120
    mat.until(719.899)
    assert len(mat.gate.state().passings) == 1
    mat.until(719.9)
    assert mat.gate.state().passings == []


def test_to_let_go_of_what_was_told_is_nothing_to_tell() -> None:
    """No tick is written for it: a replay lets go of the same before whatever it is given next."""
    mat = Mat()
    mat.hear(100, dbm=-60)
    assert mat.gate.advance(ns(130))
    assert not mat.gate.advance(ns(1_000))
    assert mat.gate.state().passings == []


def test_in_another_boot_the_memory_moves_with_the_hosts_clock_and_stays_with_the_readers() -> None:
    for by_reader in (False, True):
        mat = Mat(by_reader=by_reader)
        send_log(mat, (5_000, "A1"), came_s=5_000)
        mat.until(8_000)
        mat.told()
        mat.gate.shift(-4_000 * S)
        send_log(mat, (5_000 if by_reader else 1_000, "A1"), came_s=4_600)
        assert mat.gate.counts["passings"] == 1
        send_log(mat, (1_000 if by_reader else 5_000, "A1"), came_s=6_000)
        assert mat.gate.counts["passings"] == 2


def test_in_another_boot_what_came_late_settles_and_is_let_go_of_when_it_would_have_been() -> None:
    mat = Mat("last")
    mat.hear(5_000, came_s=8_600)
    mat.gate.shift(-4_000 * S)
    mat.hear(*steps(1_000.5, 1_012, 0.5), came_s=4_600.1)
    for place in range(20):
        mat.hear(1_012.5 + place, came_s=4_600.5 + place / 2)
    [told] = mat.told()
    assert (told.rev, told.reads) == (1, 1 + 24 + 15)
    mat.until(4_620)
    [passing] = mat.gate.state().passings
    assert passing.left
    mat.gate.shift(-1_000 * S)
    mat.until(3_910.849)
    assert mat.gate.state().passings == [passing]
    mat.until(3_910.85)
    assert mat.gate.state().passings == []


def test_in_another_boot_the_minute_of_a_repeat_moves_with_the_hosts_clock() -> None:
    mat = Mat(by_reader=True)
    send_log(mat, (5_000, "A1"), came_s=5_000)
    mat.gate.shift(-4_000 * S)
    send_log(mat, (5_000, "A1"), came_s=1_030)
    assert mat.gate.counts == {"reads": 24, "repeats": 12, "passings": 1}


@pytest.mark.parametrize(("by_reader", "passings"), [(False, 2), (True, 1)])
def test_when_nothing_ties_two_boots_only_the_readers_times_still_tell_what_was_told(
    by_reader: bool, passings: int
) -> None:
    for closed_since_s in (10, 3_000):
        mat = Mat(by_reader=by_reader)
        send_log(mat, (5_000, "A1"), came_s=5_000)
        mat.until(5_030 + closed_since_s)
        mat.gate.finish()
        send_log(mat, (5_000, "A1"), came_s=5_100 + closed_since_s)
        assert mat.gate.counts["passings"] == passings


def test_what_was_on_the_mat_at_the_end_is_told_anew_even_by_the_readers_clock() -> None:
    """Nothing says that it was the end of that passing: a double is better than a loss."""
    mat = Mat(by_reader=True)
    send_log(mat, (5_000, "A1"), came_s=5_000)
    mat.gate.finish()
    send_log(mat, (5_005, "A1"), came_s=5_005)
    assert mat.gate.counts["passings"] == 2


def test_a_log_newer_than_all_that_was_heard_waits_for_no_later_now() -> None:
    """By the reader's clock: a read in it of before the cable was out comes when "now" is an hour further."""
    mat = Mat(by_reader=True)
    send_log(mat, (5_000, "B2"), came_s=5_000)
    mat.until(8_600)
    mat.told()
    send_log(mat, (4_999, "A1"), (5_010, "B2"), (5_060, "C3"), came_s=8_600)
    mat.until(8_602)
    assert [(told.chip, told.reads) for told in mat.told()] == [("A1", 12), ("C3", 12)]


def test_of_a_log_sent_twice_at_once_each_read_is_one() -> None:
    """By the reader's clock "now" goes back by an hour, and the minute in which a read is a repeat does not."""
    mat = Mat(by_reader=True)
    send_log(mat, (5_000, "B2"), came_s=5_000)
    for came_s in (8_600, 8_601):
        send_log(mat, (4_999, "A1"), (5_060, "C3"), came_s=came_s)
    assert mat.gate.counts == {"reads": 60, "repeats": 24, "passings": 3}


def test_a_snapshot_of_before_there_was_a_long_memory_is_gone_on_from() -> None:
    mat = Mat()
    mat.hear(100, dbm=-60)
    mat.until(130)
    mat.hear(131, dbm=-60, chip="B2")
    mat.told()
    fields = msgspec.to_builtins(mat.gate.state())
    fields[0] = [passing[:-2] for passing in fields[0]]
    mat.gate = Gate("main", mat.rules, mat.new_id)
    mat.gate.restore(msgspec.convert(fields[:-1], GateState))
    mat.until(200)
    assert mat.times() == [(1, None, 131)]
    mat.until(1_000)
    assert mat.gate.state().passings == []
    assert len(mat.gate.state().past) == 2


def test_the_long_memory_knows_each_passing_to_the_nanosecond_however_many_and_in_any_order() -> None:
    spans = [(-7 * S, 5), (3 * S + 1, 3 * S + 1), (50 * S, 90_000 * S), (1_700_000_000 * S, 1_700_000_001 * S)]
    for order in permutations(spans):
        past = Past()
        for span in order:
            past.keep("A1", *span)
        for first, last in spans:
            assert [past.gap_ns("A1", t) for t in (first - 2, first, last, last + 3)] == [2, 0, 0, 3]
        assert (past.newest("A1"), len(past)) == (spans[-1][0], 4)
    assert past.gap_ns("B2", 0) > 1 << 60
    chips = ["B2", "A1"]
    assert Past(chips, past.rows(chips)).rows(["A1"]) == past.rows(["A1"])


def test_beyond_its_bound_the_long_memory_lets_those_go_that_ended_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reader.past.MOST_PASSINGS", 16)
    past = Past()
    for place in range(100):
        chip, at = f"C{place % 7}", place * 37 % 101 * S  # in no order of time
        past.keep(chip, at, at + 1)
        assert len(past) <= 16
        if place == 16:
            went = sorted(other * 37 % 101 for other in range(17))[:3]
            gone = [other for other in range(17) if past.gap_ns(f"C{other % 7}", other * 37 % 101 * S)]
            assert sorted(other * 37 % 101 for other in gone) == went
    chips = [f"C{place}" for place in range(7)]
    assert len(Past(chips, past.rows(chips))) == len(past) > 12


# ---- the end, and the beginning after it -------------------------------------------------------------------


def test_finish_tells_what_is_owed_and_names_the_chips_that_were_on_the_mat() -> None:
    mat = Mat()
    walk_by(mat, 100)
    mat.hear(100.2, dbm=-60, chip="B2")
    mat.until(100.9)
    assert len(mat.told()) == 1
    assert mat.gate.finish() == {"A1", "B2"}
    assert [(told.chip, told.rev, seconds(told.utc_ns)) for told in mat.told()] == [("B2", 1, 100.2)]
    mat.gate.doubt({"A1"}, 160 * S)
    mat.hear(102, dbm=-60)
    mat.hear(102, dbm=-60, chip="C3")
    mat.until(130)
    assert [(told.chip, told.nth, told.after_restart) for told in mat.told()] == [("A1", 2, True), ("C3", 1, False)]


def test_shift_moves_the_hosts_times_and_keeps_utc() -> None:
    mat = Mat("last")
    mat.hear(100, 100.1)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(mat.gate.state()), type=type(mat.gate.state()))
    other = Mat("last")
    other.gate.restore(state)
    other.gate.shift(-90 * S)
    other.until(10.949)
    assert other.told() == []
    other.until(10.95)
    [told] = other.told()
    assert (told.utc_ns, told.mono_ns) == (UTC_OFFSET_NS + ns(100.1), ns(10.1))


def test_chips_on_the_mat_are_those_heard_within_two_seconds_the_longest_first() -> None:
    mat = Mat()
    mat.hear(100, chip="B2")
    mat.hear(101, 103, chip="C3")
    mat.hear(102, chip="A1")
    assert mat.gate.on_mat(103 * S) == [("C3", 2 * S), ("A1", 1 * S)]
    assert mat.gate.chips_heard() == 3
