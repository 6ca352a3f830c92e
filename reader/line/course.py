"""The course of a reader's clock against the host's: a line drawn under its reads, pure.

Of a read that was not delayed, arrival less reader time lies on a line, for a crystal runs steadily. A delay lifts a
read above that line and nothing brings one below it. So the line is found from below: under the least of each second of
reader time, over a window; its slope by the least of the first third and the least of the last. (The idea of NTP's
clock filter, RFC 5905, section 10, without a way there and back.)
"""

from __future__ import annotations

from typing import NamedTuple

from reader.model import NS_PER_S

MS_NS = 1_000_000
PPB = 1_000_000_000

WINDOW_NS = 1800 * NS_PER_S  # for the slope
NEAR_WINDOW_NS = 300 * NS_PER_S  # for the place: what a crystal's pace changes by in so long is under a millisecond
DRAW_NS = 10 * NS_PER_S  # how often the line is drawn anew; and a silence after which it has to be
MAX_FROZEN = 20_000
READY_READS = 30
READY_NS = NS_PER_S // 2
EDGE_SHARE = 0.5

CRYSTAL_PPB = 100_000
SLOPE_LIMIT_PPB = 150_000
SLOPE_SPAN_NS = 20 * NS_PER_S
SLOPE_ROUNDS = 3
STEEP_PPB = 500_000  # no crystal
STEEP_SPAN_NS = 30 * NS_PER_S
WANDER_PPB = 2_000  # with the weather
FLOOR_NS = MS_NS  # by how much the least of many delays may still be more than the least of all
UNSETTLED_NS = 10 * MS_NS  # by how much the first reads after a silence may have been delayed

Point = tuple[int, int]
"""The least of a second: the reader's time, arrival less it."""


class Line(NamedTuple):
    """Host minus reader: ``offset_ns`` at the reader's ``x_ns``, and its slope."""

    x_ns: int
    offset_ns: int
    slope_ppb: int

    def at(self, x_ns: int) -> int:
        """Host minus reader, at that reader time."""
        return self.offset_ns + (x_ns - self.x_ns) * self.slope_ppb // PPB


class Course:
    """One unbroken run of the reader's clock. ``slope_ppb``, ``span_ns``: how steep, known over how long (0: not)."""

    def __init__(self, slope_ppb: int, span_ns: int) -> None:
        self.slope_ppb = slope_ppb
        self.span_ns = span_ns
        self.is_steep = False
        self.born = 0  # for who keeps several: when it was the newest
        self.reads = 0
        self.first_x = self.last_x = 0
        self.first_came = self.last_came = 0
        self._first_offsets: list[int] = []
        self._least: dict[int, Point] = {}  # by second of reader time
        self._frozen: dict[int, Line] = {}  # by second of reader time
        self._now: Line | None = None
        self._drawn_for = 0
        self._reads_since_silence = 0

    @property
    def is_ready(self) -> bool:
        """Whether enough has been heard of it."""
        return self.is_heard_often(READY_READS)

    @property
    def is_settled(self) -> bool:
        """Whether enough has been heard of it since the last silence that its place is known to the millisecond."""
        return self._reads_since_silence >= READY_READS

    def is_heard_often(self, reads: int) -> bool:
        """Whether so many reads are on it, and over half a second of both clocks: what runs by faster is a log."""
        return self.reads >= reads and min(self.last_x - self.first_x, self.last_came - self.first_came) >= READY_NS

    def has_edge(self, near_ns: int) -> bool:
        """Whether its first reads crowd at their lower edge: those of a queue that waxes and wanes don't."""
        edge_ns = min(self._first_offsets) + near_ns
        return sum(offset <= edge_ns for offset in self._first_offsets) >= EDGE_SHARE * len(self._first_offsets)

    def note(self, x_ns: int, came_ns: int) -> None:
        """A read that was not late."""
        if not self._least:
            self.first_x = self.last_x = x_ns
            self.first_came = came_ns
        if x_ns - self.last_x > DRAW_NS:
            self._reads_since_silence = 0
        if not self.is_settled:
            self._now = None
        self._reads_since_silence += 1
        self.reads += 1
        self.last_came = came_ns
        self.first_x = min(self.first_x, x_ns)
        self.last_x = max(self.last_x, x_ns)
        second, difference = x_ns // NS_PER_S, came_ns - x_ns
        if len(self._first_offsets) < READY_READS:
            self._first_offsets.append(difference - (x_ns - self.first_x) * self.slope_ppb // PPB)
        least = self._least.get(second)
        if least is None or difference < least[1]:
            self._least[second] = (x_ns, difference)

    def note_on_line(self, second: int, x_ns: int, came_ns: int) -> None:
        """The same of one in a second of which another has been noted, on a course long settled."""
        self.reads += 1
        self.last_came = came_ns
        if x_ns > self.last_x:
            self.last_x = x_ns
        if came_ns - x_ns < self._least[second][1]:
            self._least[second] = (x_ns, came_ns - x_ns)

    def begin_anew(self) -> None:
        """After a long silence: it is ready again when it has been heard as often as at first."""
        self.reads = 0
        self.first_came = self.last_came
        self._now = None

    def thaw(self) -> None:
        """No time has been given out by the line of now: it may be drawn anew."""
        self._frozen.pop(self.last_x // NS_PER_S, None)
        self._now = None

    def line(self, x_ns: int) -> Line:
        """The line by which times are given out: one and the same for all of a second, so that equal stays equal."""
        second = x_ns // NS_PER_S
        line = self._frozen.get(second)
        if line is None:
            line = self._frozen[second] = self.line_of_now(x_ns)
            if len(self._frozen) > MAX_FROZEN:
                del self._frozen[next(iter(self._frozen))]
        return line

    def line_of_now(self, x_ns: int) -> Line:
        """The line as it is known now."""
        if self._now is None or x_ns - self._drawn_for > DRAW_NS:
            self._now, self._drawn_for = self._drawn(), max(x_ns, self._drawn_for)
        return self._now

    def above_ns(self, x_ns: int, came_ns: int) -> int:
        """How far above the line of now a read came."""
        return came_ns - x_ns - self.line_of_now(x_ns).at(x_ns)

    def growth_ns(self, x_ns: int) -> int:
        """How far the line may be off at a time before or after what was heard of it."""
        away_ns = max(0, x_ns - self.last_x, self.first_x - x_ns)
        unsure_ppb = CRYSTAL_PPB if not self.span_ns else WANDER_PPB + 4 * FLOOR_NS * PPB // self.span_ns
        return away_ns * min(unsure_ppb, CRYSTAL_PPB) // PPB

    @property
    def drift_ns(self) -> int:
        """How far it may have drifted while it was heard, where its slope is not known yet."""
        return 0 if self.span_ns else (self.last_x - self.first_x) * CRYSTAL_PPB // PPB

    def error_ns(self, x_ns: int) -> int:
        """How far the line may be off there, all in all."""
        return FLOOR_NS + self.drift_ns + self.growth_ns(x_ns) + (0 if self.is_settled else UNSETTLED_NS)

    def _drawn(self) -> Line:
        oldest = (self.last_x - WINDOW_NS) // NS_PER_S
        if min(self._least) < oldest:
            self._least = {second: point for second, point in self._least.items() if second >= oldest}
        points = list(self._least.values())
        self._find_slope(points)
        x0, slope_ppb = self.last_x, self.slope_ppb
        near = [point for point in points if point[0] >= x0 - NEAR_WINDOW_NS]
        return Line(x0, min(difference - (x - x0) * slope_ppb // PPB for x, difference in near), slope_ppb)

    def _find_slope(self, points: list[Point]) -> None:
        """By the least of the first and of the last third, which depend on it: a few rounds."""
        first, last = min(points)[0], max(points)[0]
        early = [point for point in points if point[0] <= first + (last - first) // 3]
        late = [point for point in points if point[0] >= last - (last - first) // 3]
        slope_ppb, span_ns = self.slope_ppb, 0
        for _ in range(SLOPE_ROUNDS):
            begin, end = (_least_of(some, slope_ppb) for some in (early, late))
            if end[0] - begin[0] < SLOPE_SPAN_NS:
                break
            span_ns = end[0] - begin[0]
            slope_ppb = (end[1] - begin[1]) * PPB // span_ns
        self.is_steep = abs(slope_ppb) > STEEP_PPB and span_ns >= STEEP_SPAN_NS
        if span_ns and abs(slope_ppb) <= SLOPE_LIMIT_PPB:
            self.slope_ppb, self.span_ns = slope_ppb, span_ns


def _least_of(points: list[Point], slope_ppb: int) -> Point:
    x0 = points[0][0]
    return min(points, key=lambda point: point[1] - (point[0] - x0) * slope_ppb // PPB)
