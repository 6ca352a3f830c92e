"""Who is still to come at each point of the course: from the starters' list, and from who was seen where. Pure.

A runner is a bib with all its chips, or a chip that no one has given a bib. Of each, the last point of the course at
which it was seen is kept. At a point, it is

=================  =======================  ===================  =======================
on the list as     seen nowhere yet         seen last before it  seen there or beyond
=================  =======================  ===================  =======================
``started``        expected                 expected             has been here
``listed``         expected at the start    expected             has been here
``not-started``    not expected             expected             has been here
``out``            not expected             not expected         has been here
not on it          --                       not expected         has been here
there is no list   --                       expected             has been here
=================  =======================  ===================  =======================

The start is the first point of the course. Who was seen has started, whatever the list says of the start: so a list
without statuses works, but it can't know of those who have yet to cross the start, and tells of the points behind
it only when somebody has been seen. Who is on no list though there is one (a spare bib in a van, a helper)
is not waited for, but counted (:attr:`Expecting.unlisted`). A sweep's chip is no runner.

Where runners come by more than once (``use`` lap, start-finish) having been there says nothing: such a point has
no expectation, and only as the first of the course does it count as seen, for the start.

Test passings are nothing. The order in which splits come changes nothing but the estimate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import median

from msgspec import UNSET

from reader.clock import rfc3339_from_utc_ns
from reader.errors import UsageError
from reader.racecontrol.starters import Starters
from reader.racecontrol.wished import NOTHING, Wish, all_of
from reader.uplink.wire import Expect

NAMED = 200  # as many runners are named by their chips
CHIPS_BYTES = 12_000  # and as many bytes of them: the message stays well under 16 KiB
PACE_OF = 21  # the last so many who came from the point before tell how long it takes now
COMES_BY_AGAIN = ("lap", "start-finish")


class Expecting:
    """The course in its order, and who is still on it. ``starters`` None: whoever is seen is a runner.

    ``unlisted``: how many runners were seen who are not on the list.
    """

    def __init__(self, course: Sequence[str], starters: Starters | None = None) -> None:
        self._course = {point: index for index, point in enumerate(course)}
        if len(self._course) != len(course):
            twice = next(point for point in course if list(course).count(point) > 1)
            raise UsageError(f'the course: found "{twice}" twice, expected each point once, in the order of running')
        self._starters = starters
        self._runner_of = {chip: bib for bib, runner in (starters or {}).items() for chip in runner.chips}
        self._chips = {bib: dict.fromkeys(runner.chips) for bib, runner in (starters or {}).items()}
        by_status: dict[str, set[str]] = {status: set() for status in ("started", "listed", "not-started", "out")}
        for bib, runner in (starters or {}).items():
            by_status[runner.status].add(bib)
        self._unseen, self._listed, self._out = by_status["started"], by_status["listed"], by_status["out"]
        self._last_seen: list[set[str]] = [set() for _ in course]  # by point: who is waited for beyond it
        self._at: dict[str, tuple[int, int]] = {}  # by runner: the point, and when
        self._took: list[deque[int]] = [deque(maxlen=PACE_OF) for _ in course]  # ns from the point before
        self._again: set[str] = set()
        self._unlisted: set[str] = set()
        self._wishes: list[tuple[str, str | None, Wish]] = []
        self._wished: dict[tuple[str, str | None], Wish] = {}
        self._sweeps: set[str] = set()

    @property
    def unlisted(self) -> int:
        """How many."""
        return len(self._unlisted)

    def note(self, point: str, *, chip: str, bib: str | None, mode: str, use: str, utc_ns: int) -> None:
        """A split that was told at that point; ``utc_ns``: its time. Revisions and doubles change nothing."""
        index = self._course.get(point)
        if index is None or mode == "test" or chip in self._sweeps:
            return
        if use in COMES_BY_AGAIN:
            self._again.add(point)
            if index:
                return
        runner = self._runner(chip, bib)
        known = self._at.get(runner)
        if known is None:
            self._unseen.discard(runner)
            self._listed.discard(runner)
        elif known[0] >= index:
            return
        else:
            self._last_seen[known[0]].discard(runner)
            if known[0] == index - 1 and utc_ns > known[1]:
                self._took[index].append(utc_ns - known[1])
        self._at[runner] = index, utc_ns
        if runner not in self._out and runner not in self._unlisted:
            self._last_seen[index].add(runner)

    def wish(self, wish: Wish, point: str = "", mat: str | None = None) -> None:
        """What race control says from now on, to that point or all (""), to that mat or all there (None)."""
        self._wishes.append((point, mat, wish))
        self._wished.clear()
        if wish.sweep_armed is not UNSET:
            self._take_for_sweeps(set(wish.sweep_armed))

    def expect(self, point: str, now_utc_ns: int, mat: str | None = None) -> Expect | None:
        """Who is still to come there, as is said to that mat; None where nothing is known of that.

        ``last_runner_at`` is an estimate: of those still to come who were seen, the latest at the pace of the last
        who came that way before, never before now; null while more than 200 are to come, or nobody came that way.
        """
        wished = self._wished_of(point, mat)
        index = self._course.get(point)
        count, runners = None, None
        if index is not None and self._is_known(index) and point not in self._again:
            waived = self._waived(wished, index)
            count = self._count(index) - len(waived)
            runners = self._named(index, waived) if count <= NAMED else None
        last_at = None if runners is None or index is None else self._last_at(runners, index, now_utc_ns)
        if wished.count is not UNSET and wished.count is not None:
            count, runners = wished.count, runners if wished.count == count else None
        if count is None:
            return None
        if wished.last_runner_at is not UNSET and wished.last_runner_at is not None:
            last_at = wished.last_runner_at
        chips = None if runners is None else list(chain.from_iterable(self._chips[runner] for runner in runners))
        is_short = chips is not None and sum(len(chip) + 3 for chip in chips) <= CHIPS_BYTES
        return Expect(
            count=count,
            as_of=rfc3339_from_utc_ns(now_utc_ns),
            chips=chips if chips is not None and is_short else UNSET,
            sweep_armed=[] if wished.sweep_armed is UNSET else list(wished.sweep_armed),
            last_runner_at=last_at,
        )

    def _runner(self, chip: str, bib: str | None) -> str:
        runner = self._runner_of.get(chip)
        if runner is None:
            runner = self._runner_of[chip] = bib or chip
            self._chips.setdefault(runner, {})[chip] = None
            if self._starters is not None and runner not in self._starters:
                self._unlisted.add(runner)
        return runner

    def _is_known(self, index: int) -> bool:
        return bool(self._unseen or (self._listed and index == 0) or (self._at and (self._starters or index)))

    def _count(self, index: int) -> int:
        before = sum(map(len, self._last_seen[:index]))
        return len(self._unseen) + before + (len(self._listed) if index == 0 else 0)

    def _is_expected(self, runner: str, index: int) -> bool:
        at = self._at.get(runner)
        if at is None:
            return runner in self._unseen or (index == 0 and runner in self._listed)
        return at[0] < index and runner in self._last_seen[at[0]]

    def _waived(self, wished: Wish, index: int) -> set[str]:
        """Of those waived, who would be expected."""
        runners = {self._runner_of.get(name.upper(), name) for name in wished.waive}
        return {runner for runner in runners if self._is_expected(runner, index)}

    def _named(self, index: int, waived: set[str]) -> list[str]:
        waiting = [self._unseen, *([self._listed] if index == 0 else ()), *self._last_seen[:index]]
        # To go through a set that was large costs as much as when it was.
        return sorted(set(chain.from_iterable(one for one in waiting if one)) - waived)

    def _last_at(self, runners: Iterable[str], index: int, now_utc_ns: int) -> str | None:
        seen = [self._at[runner] for runner in runners if runner in self._at]
        first = min((at[0] for at in seen), default=index)
        if first == index or not all(self._took[first + 1 : index + 1]):
            return None
        way_ns = {index: 0}
        for leg in range(index, first, -1):
            way_ns[leg - 1] = way_ns[leg] + int(median(self._took[leg]))
        return rfc3339_from_utc_ns(max(now_utc_ns, *(utc_ns + way_ns[place] for place, utc_ns in seen)))

    def _wished_of(self, point: str, mat: str | None) -> Wish:
        if not self._wishes:
            return NOTHING
        key = (point, mat)
        if key not in self._wished:
            self._wished[key] = all_of(
                wish for to, its, wish in self._wishes if to in ("", point) and its in (None, mat)
            )
        return self._wished[key]

    def _take_for_sweeps(self, chips: set[str]) -> None:
        """They are no runners, and never were."""
        self._sweeps |= chips
        for chip in chips:
            runner = self._runner_of.get(chip)
            if runner is not None and self._chips[runner].keys() <= self._sweeps:
                self._out.add(runner)
                for waiting in (self._unseen, self._listed, self._unlisted, *self._last_seen):
                    waiting.discard(runner)
