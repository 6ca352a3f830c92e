"""The clock of a reader, disciplined against the host's monotonic one: pure.

Reads that were not late lie on the clock's :class:`~reader.line.course.Course`. What does not is told apart so:

- A read *from the future* (below the line) can't be: the clock has been set forward. Five that agree are believed.
- A read *above* the line by up to a tenth of a second has been delayed, or the clock has been set back a little. It
  was set back if thirty in a row agree, and none in between lies on the line.
- A read far above is *late* (a stall, a saturated line, a reader's memory), or the clock was set back: it is **held**
  until a read on the line shows that the clock goes on as it went, or thirty agree that it does not, or an answer to
  a question, which can't be older than the question, decides. After two seconds the evidence there is has to do:
  what runs by faster than time does, and what has come without a pause, was late; a few that agree are left at their
  arrival; of others the error says how late they would have been.

A clock that was set leaves its old course behind: reads stored before it was set are put on that. One that has to be
found again and again, or not at all, does not run evenly, and is not used.

Over 300 lines, because what one read can mean is one idea: each rule is only right beside the others.
"""

from __future__ import annotations

from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from reader.line.course import CRYSTAL_PPB, MS_NS, PPB, READY_READS, Course, Line
from reader.model import NS_PER_S

AGREE_NS = 30 * MS_NS
AGREE_IN_FUTURE = 5
AGREE_SHARE = 1 / 3
MOST = 0.45  # of a queue that waxes and wanes fewer agree
NEAR_NS = 3 * MS_NS  # with the resolution of the reader's clock: on the line
PROMPT_NS = 100 * MS_NS
HOLD_NS = 2 * NS_PER_S
PAUSE_NS = 300 * MS_NS  # on a line that was silent for so long nothing was waiting
NO_PAUSE_NS = 300 * NS_PER_S  # no reader keeps more waiting
NEARLY_LATE_NS = 10 * NS_PER_S  # under any dead time: put down wrongly by less, a read makes no passing and hides none
HOLD_UNREADY_NS = 10 * NS_PER_S  # after a long silence: until it is known by how much the clock has drifted in it
LATEST_NS = 48 * 3600 * NS_PER_S  # no reader's memory is read out later
LATEST_COUNTER_NS = 60 * NS_PER_S  # a module without a memory
MAX_CANDIDATES = 8
MAX_PAST = 8
MAX_HELD = 20_000
STALE_NS = 10 * MS_NS
UNEVEN_PPB = 300_000
LEAP_NS = NS_PER_S  # who is set is set by more, or seldom
UNEVEN_MOVES = 4
UNEVEN_WITHIN_NS = 600 * NS_PER_S
UNEVEN_READS = 150  # so many in a row of which none was shown to be on a course
CALM_NS = 60 * NS_PER_S


class Word(Enum):
    """Instead of a time."""

    HOST = "by its arrival"
    HELD = "to be told later"


class Settled(NamedTuple):
    """A read that was held: which one, its time on the host's monotonic clock or None (its arrival), and the error."""

    token: object
    mono_ns: int | None
    error_ns: int


class _Held(NamedTuple):
    x_ns: int
    came_ns: int
    token: object


class _Calm(NamedTuple):
    """While the clock just runs on: its course, and the line of the second of now."""

    course: Course
    line: Line


class Discipline:
    """The clock of one reader. ``resolution_ns``: of its times, which are rounded down.

    ``wraps_ns``: after so much a counter begins again at 0; None for a clock with a date.
    """

    def __init__(self, resolution_ns: int, wraps_ns: int | None = None) -> None:
        self.course: Course | None = None
        self.steps = 0
        self._resolution_ns = resolution_ns
        self._half_ns = resolution_ns // 2
        self._near_ns = NEAR_NS + resolution_ns
        self._calm: _Calm | None = None
        self._calm_second = -1
        self._wraps_ns = wraps_ns
        self._latest_ns = LATEST_NS if wraps_ns is None else LATEST_COUNTER_NS
        self._past: list[Course] = []
        self._below: list[Course] = []  # candidates: courses that some reads agree on
        self._above: list[Course] = []
        self._held: list[_Held] = []
        self._settled: list[Settled] = []
        self._moves: list[tuple[int, int]] = []  # when a course was left, and how far the next was from it
        self.is_uneven = False  # it can't be followed: it runs far too fast, too slow, or by leaps
        self._off_course = 0  # reads that were not on it, all in all
        self._lost_reads = 0
        self._restless_ns = 0  # when last it did not run as a clock does
        self._last_came = self._last_near = 0
        self._has_paused = True  # the line, since the last read on the course

    # ---- what comes in ---------------------------------------------------------------------------------

    def hear(self, x_ns: int, came_ns: int, token: object = None) -> int | Word:
        """A read that bears the reader's time ``x_ns`` and came at ``came_ns``: its time on the host's clock.

        A read that is held comes out of :meth:`settle` with its ``token``.
        """
        if x_ns // NS_PER_S == self._calm_second and self._calm is not None:
            # Most reads, and as little as can be done for them: the clock runs on, nothing is in doubt.
            calm = self._calm
            offset_ns = calm.line.at(x_ns)
            if abs(came_ns - x_ns - offset_ns) <= self._near_ns:
                calm.course.note_on_line(self._calm_second, x_ns, came_ns)
                self._last_came = self._last_near = came_ns
                return x_ns + offset_ns + self._half_ns
        self._calm_second = -1
        if came_ns - self._last_came > PAUSE_NS or came_ns - self._last_near > NO_PAUSE_NS:
            self._has_paused = True
        self._last_came = came_ns
        course = self.course
        if course is None:
            self._try(self._below, x_ns, came_ns, READY_READS)
            return self._lost(came_ns)
        x_ns = self._unwrapped(course, x_ns, came_ns)
        growth_ns = course.growth_ns(x_ns)
        above_ns = course.above_ns(x_ns, came_ns)
        near_ns = self._near_ns + growth_ns + course.drift_ns
        # While a course is new, or after a silence, a read below places its line better; later it is from the future.
        lowest_ns = -near_ns if course.is_settled else -PROMPT_NS - growth_ns
        if lowest_ns <= above_ns <= PROMPT_NS + growth_ns:
            return self._hear_prompt(course, x_ns, came_ns, is_near=above_ns <= near_ns)
        of = self._course_of(x_ns, came_ns, course, above_ns)
        if above_ns < 0:
            has_moved = self._try(self._below, x_ns, came_ns, AGREE_IN_FUTURE if of is course else READY_READS)
        else:
            is_restart = self._wraps_ns is not None and above_ns > self._latest_ns
            has_moved = self._try(self._above, x_ns, came_ns, AGREE_IN_FUTURE if is_restart else READY_READS)
        may_be_late = of is not course or 0 < above_ns <= self._latest_ns
        if has_moved or not may_be_late or self.is_uneven or len(self._held) >= MAX_HELD:
            return Word.HOST if has_moved else self._lost(came_ns)
        self._held.append(_Held(x_ns, came_ns, token))
        return Word.HELD

    def answered(self, x_ns: int, asked_ns: int, came_ns: int) -> None:
        """A reader with a dated clock, asked for its time at ``asked_ns``, said ``x_ns``."""
        course = self.course
        if course is None and came_ns - asked_ns <= PROMPT_NS:
            self._leave(self._new_course(x_ns, came_ns))
            return
        if course is not None:
            unsure_ns = PROMPT_NS + course.growth_ns(x_ns)
            if course.above_ns(x_ns, came_ns) < -unsure_ns or course.above_ns(x_ns, asked_ns) > unsure_ns:
                # It was between question and answer, and the course would have it otherwise: the clock was set.
                self._leave(self._new_course(x_ns, came_ns))
                return
            if self._held:
                self._decide_all_late()
        self.hear(x_ns, came_ns)

    def settle(self, now_ns: int) -> list[Settled]:
        """Those held of which it is known by now when they were."""
        if self._held:
            is_waited_for = self.course is not None and not self.course.is_ready and not self._above
            if now_ns - self._held[0].came_ns >= (HOLD_UNREADY_NS if is_waited_for else HOLD_NS):
                self._decide()
        return self._take_settled()

    def finish(self) -> list[Settled]:
        """The line is gone: all that is held, as well as it is known."""
        self._decide()
        return self._take_settled()

    def _take_settled(self) -> list[Settled]:
        settled, self._settled = self._settled, []
        return settled

    # ---- what is known ---------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether its times are used."""
        return self.course is not None and self.course.is_ready and not (self.is_uneven or self.course.is_steep)

    @property
    def is_in_doubt(self) -> bool:
        """Whether a question to the reader would decide something: what was late, or where a new course lies."""
        is_unknown = not self.course.is_ready if self.course is not None else self._off_course > 0
        return bool(self._held) or is_unknown

    def error_ns(self, x_ns: int) -> int:
        """How far a time put on the course may be off."""
        course = self.course
        if course is None:
            return 0
        error_ns = self._half_ns + course.error_ns(x_ns)
        if self._above and self._above[-1].reads >= AGREE_IN_FUTURE:
            # They may all be right, and the clock have been set back a little.
            error_ns = max(error_ns, PROMPT_NS)
        return error_ns

    def offset_ns(self) -> int | None:
        """Host minus reader, at what was last heard of it."""
        if self.course is None:
            return None
        return self.course.line_of_now(self.course.last_x).at(self.course.last_x) + self._half_ns

    def drift_ppm(self) -> float | None:
        """By how much the reader's clock is faster than the host's; None until it has been heard for long enough."""
        if self.course is None or not self.course.span_ns:
            return None
        return -self.course.slope_ppb / 1000

    def _lost(self, came_ns: int) -> Word:
        """One more of which it is not shown that it lies on a course."""
        self._lost_reads += 1
        self._restless_ns = came_ns
        if self._lost_reads >= UNEVEN_READS:
            self.is_uneven = True
        return Word.HOST

    # ---- one read --------------------------------------------------------------------------------------

    def _unwrapped(self, course: Course, x_ns: int, came_ns: int) -> int:
        """A counter's time as if it had never begun again."""
        wraps_ns = self._wraps_ns
        if wraps_ns is None:
            return x_ns
        expected_ns = course.last_x + came_ns - course.last_came
        return x_ns + (expected_ns - x_ns + wraps_ns // 2) // wraps_ns * wraps_ns

    def _hear_prompt(self, course: Course, x_ns: int, came_ns: int, *, is_near: bool) -> int | Word:
        if course.growth_ns(x_ns) > STALE_NS:
            course.begin_anew()
        was_ready = course.is_ready
        course.note(x_ns, came_ns)
        if is_near:
            self._hear_on_the_line(came_ns)
        elif self._try(self._above, x_ns, came_ns, READY_READS):
            return self._time_of_now(x_ns)
        if not was_ready:
            if course.is_ready:
                course.thaw()
                if is_near and self._held:
                    self._decide_all_late()
            return Word.HOST
        return self._time_of_now(x_ns)

    def _time_of_now(self, x_ns: int) -> int | Word:
        course = self.course
        if course is None or not self.is_ready:
            return Word.HOST
        line = course.line(x_ns)
        if course.is_settled and not (self._above or self._below or self._held):
            self._calm, self._calm_second = _Calm(course, line), x_ns // NS_PER_S
        return x_ns + line.at(x_ns) + self._half_ns

    def _hear_on_the_line(self, came_ns: int) -> None:
        """The clock goes on as it went: what was above was late."""
        self._lost_reads = 0
        self._last_near, self._has_paused = came_ns, False
        if self._above:
            self._above = []
        if self._held and self.is_ready:
            self._decide_all_late()
        if self.is_uneven and came_ns - self._restless_ns > CALM_NS:
            self.is_uneven, self._moves = False, []

    def _course_of(self, x_ns: int, came_ns: int, course: Course, above_ns: int) -> Course:
        """Which course a read is of that is not prompt: the one of now, or one that was left, stored then."""
        if -AGREE_NS <= above_ns <= NEARLY_LATE_NS or course.first_x <= x_ns <= course.last_x:
            return course
        for past in reversed(self._past):
            if past.first_x <= x_ns <= past.last_x + NS_PER_S and past.above_ns(x_ns, came_ns) >= 0:
                return past
        return course

    def _try(self, candidates: list[Course], x_ns: int, came_ns: int, enough: int) -> bool:
        """Put a read with all that it agrees with; whether one of them has enough by now to be the course."""
        self._off_course += 1
        agreeing = []
        for candidate in candidates:
            on_it_ns = self._unwrapped(candidate, x_ns, came_ns)
            if _agrees(candidate, on_it_ns, came_ns):
                candidate.note(on_it_ns, came_ns)
                agreeing.append(candidate)
                if self._is_course(candidate, enough):
                    self._leave(candidate)
                    return True
        # The one heard last stands last, and those not heard for long go.
        others = [one for one in candidates if one not in agreeing]
        candidates[:] = others + (agreeing or [self._new_course(x_ns, came_ns)])
        del candidates[:-MAX_CANDIDATES]
        return False

    def _is_course(self, candidate: Course, enough: int) -> bool:
        if enough < READY_READS:
            return candidate.reads >= enough
        if not candidate.is_ready or self.course is None:
            return candidate.is_ready
        is_most = candidate.reads >= MOST * (self._off_course - candidate.born)
        return is_most and candidate.has_edge(2 * NEAR_NS + self._resolution_ns)

    def _new_course(self, x_ns: int, came_ns: int) -> Course:
        """One that begins with this read; a crystal keeps its pace when its clock is set."""
        known = self.course or (self._past[-1] if self._past else None)
        course = Course(known.slope_ppb, known.span_ns) if known is not None else Course(0, 0)
        course.born = self._off_course
        course.note(x_ns, came_ns)
        return course

    # ---- another course --------------------------------------------------------------------------------

    def _leave(self, course: Course) -> None:
        """Go on with another course."""
        left, self.course = self.course, course
        self._calm_second = -1
        self._below, self._above = [], []
        self._lost_reads = 0
        self._last_near, self._has_paused = course.last_came, False
        if left is None:
            return
        x_ns = course.last_x
        moved_ns = course.line_of_now(x_ns).at(x_ns) - left.line_of_now(x_ns).at(x_ns)
        self._note_move(course.last_came, moved_ns)
        if left.is_ready and abs(moved_ns) > PROMPT_NS:
            self._past.append(left)
            del self._past[:-MAX_PAST]
        self.steps += 1
        self._decide_all_late()

    def _note_move(self, came_ns: int, moved_ns: int) -> None:
        """A clock that has to be found again and again, each time a little further on, runs too fast or too slow."""
        self._restless_ns = came_ns
        if abs(moved_ns) > LEAP_NS:
            return
        self._moves = [move for move in self._moves if move[0] >= came_ns - UNEVEN_WITHIN_NS]
        self._moves.append((came_ns, moved_ns))
        last = self._moves[-UNEVEN_MOVES - 1 :]
        moves = [moved for _, moved in last[1:]]
        if len(moves) < UNEVEN_MOVES or not (all(move > 0 for move in moves) or all(move < 0 for move in moves)):
            return
        if abs(sum(moves)) * PPB >= UNEVEN_PPB * max(1, last[-1][0] - last[0][0]):
            self.is_uneven = True

    # ---- the held --------------------------------------------------------------------------------------

    def _decide_all_late(self) -> None:
        """They were late: a course has them right."""
        held, self._held = self._held, []
        for one in held:
            self._settle_late(self._course_of_held(one), one)

    def _decide(self) -> None:
        """Nothing more will be known in time."""
        held, self._held = self._held, []
        agreeing = self._agreeing(held)
        late: dict[Course, list[_Held]] = {}
        for one in held:
            if agreeing is not None and _agrees(agreeing, one.x_ns, one.came_ns):
                self._lost(one.came_ns)
                self._settled.append(Settled(one.token, None, 0))
            else:
                late.setdefault(self._course_of_held(one), []).append(one)
        for course, held in late.items():
            was_waiting = course is self.course and not self._has_paused and agreeing is None
            is_sure = _is_in_turn(held) and (was_waiting or _is_log(held))
            for one in held:
                if not is_sure:
                    self._lost(one.came_ns)
                self._settle_late(course, one, is_sure=is_sure)

    def _agreeing(self, held: list[_Held]) -> Course | None:
        """The course that so many of them are on that the clock may have been set; those of a queue scatter."""
        near_ns = 2 * NEAR_NS + self._resolution_ns
        for course in (*self._above, *self._below):
            if course.is_heard_often(AGREE_IN_FUTURE) and course.has_edge(near_ns):
                agree = sum(_agrees(course, one.x_ns, one.came_ns) for one in held)
                if agree >= AGREE_SHARE * len(held):
                    return course
        return None

    def _course_of_held(self, one: _Held) -> Course:
        course = self.course
        assert course is not None  # noqa: S101 # nothing is held without one
        return self._course_of(one.x_ns, one.came_ns, course, course.above_ns(one.x_ns, one.came_ns))

    def _settle_late(self, course: Course, late: _Held, *, is_sure: bool = True) -> None:
        mono_ns = late.x_ns + course.line(late.x_ns).at(late.x_ns) + self._half_ns
        late_ns = late.came_ns - mono_ns
        if is_sure:
            self._settled.append(Settled(late.token, mono_ns, self._half_ns + course.error_ns(late.x_ns)))
        elif late_ns <= NEARLY_LATE_NS:
            self._settled.append(Settled(late.token, mono_ns, max(late_ns, self._half_ns)))
        else:
            # Put down long ago it might be taken for another crossing, and be lost: rather one too many.
            self._settled.append(Settled(late.token, None, 0))


def _is_log(held: list[_Held]) -> bool:
    """Whether these run by faster than time does: a memory read out, or what a stall has kept back."""
    came_ns = held[-1].came_ns - held[0].came_ns
    return held[-1].x_ns - held[0].x_ns > came_ns + came_ns // 2 + PROMPT_NS


def _is_in_turn(held: list[_Held]) -> bool:
    """Whether they come in the order of their times, as from a queue, and are enough to say so."""
    in_turn = sum(one.x_ns <= after.x_ns for one, after in pairwise(held))
    return len(held) >= AGREE_IN_FUTURE and in_turn * 10 >= 9 * (len(held) - 1)


def _agrees(candidate: Course, x_ns: int, came_ns: int) -> bool:
    """Whether a read may be of that course."""
    first_ns = candidate.first_came - candidate.first_x
    return abs(came_ns - x_ns - first_ns) <= AGREE_NS + abs(came_ns - candidate.first_came) * CRYSTAL_PPB // PPB
