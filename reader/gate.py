"""Debounce: reads become passings. One :class:`Gate` for each line; pure, time comes in with what is heard.

The rules are the design's "A passing". A passing opens with the first read of a chip that has been absent
from the line for the dead time, is told when its time has settled, told again when that time has to change
or the chip lingers, and closed when the chip has been absent for the dead time again. Chips never matter to
each other.

The gate is a function of what it was given, in order: every deadline is met at its own moment, before
whatever is heard later, however seldom :meth:`Gate.advance` is called. So its state after a crash is had by
giving it the same again. A passing is let go of some time after it was closed, and that is such a deadline too;
of what a reader's memory brings later still, ``past.py`` knows whether it was told.

All times are integers of nanoseconds of *gate time*: the host's monotonic clock, or with
``time_from = "reader"`` the reader's own UTC. "Now" is then the newest reader time heard on this line, run
on by the host's monotonic clock since. A passing keeps what to add to have UTC.

Over 300 lines, because the rules of a passing are one idea: to read them in two places would be harder.
What a passing is made of stands in ``passing.py``, and the reckoning of its best time in ``moment.py``.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable
from itertools import repeat

from reader.model import NS_PER_S, Reads
from reader.moment import NO_ANTENNA, Ear, Moment, best_of, half_width_ns, has_company, prune
from reader.passing import GateState, Opened, Passing, RevisedFor, Rules, Seen, TimeFrom, Told
from reader.past import FAR_NS, Past

US_NS = 1_000
MS_NS = 1_000_000
STRONGER_DB = 6
SPELL_COUNTS_NS = 60 * NS_PER_S  # what one deaf spell can take off an absence, at most
LOITER_WITHIN_NS = 300 * NS_PER_S
LOITER_PASSINGS = 4
# Late reads find the passings closed this long ago, to tell them again; of a field that is faster, the last REMEMBERED.
REMEMBER_NS = 300 * NS_PER_S
REMEMBER_AT_LEAST_NS = 20 * NS_PER_S
REMEMBERED = 4096
SPELLS = 64
# A reader reports one chip at most some hundred times a second: more than this in linger_s is not a crossing.
KEPT_READS = 4096
PRUNE_READS = 64  # how often those are let go that can't matter any more


class Gate:
    """The gate of one line. What it has to tell comes out of :meth:`take`, in order."""

    def __init__(self, line: str, rules: Rules, new_id: Callable[[], str]) -> None:
        self.line = line
        self.rules = rules
        self._new_id = new_id
        self._chips: dict[str, list[Passing]] = {}
        self._newest_of: dict[str, Passing] = {}
        self._open: dict[int, Passing] = {}
        self._closed: dict[int, Passing] = {}  # the first closed first
        self._past = Past()
        self._nth: dict[str, int] = {}
        self._spells: list[tuple[int, int | None]] = []
        self._seen: dict[str, Seen] = {}
        self._newest: int | None = None
        self._newest_host = 0
        self._order = 0
        self._doubtful: dict[str, int] = {}
        self._by_order: dict[int, Passing] = {}
        self._due: list[tuple[int, int]] = []
        self._out: list[Opened | Told] = []
        self.counts = {"reads": 0, "repeats": 0, "passings": 0}

    # ---- what comes in ---------------------------------------------------------------------------------

    def hear(self, given: Reads, host_ns: int) -> None:
        """Take the reads of one chunk, in their order; ``host_ns``: the host's "now", not before the chunk's own."""
        # The one loop that runs for every read: what most reads need stands in it, what few need in methods.
        from_reader = self.rules.time_from == "reader"
        dead_time_ns = self.rules.dead_time_ns
        offset_ns = 0 if from_reader else given.at.utc_ns - given.at.mono_ns
        reader, zone_offset_ns = given.reader, given.zone_offset_ns
        newest_of, due, past = self._newest_of, self._due, self._past
        now = self._now(host_ns)
        if due and now >= due[0][0]:
            self._meet_deadlines(now)  # before a reader's time that is late puts "now" back
        times = given.times or repeat(given.at.mono_ns)
        by_host, error_us = given.time_from == "host", given.error_us
        seen = self._seen_of(reader, host_ns)
        antenna: int | None = None
        ear = (reader, NO_ANTENNA)
        for read, t in zip(given.reads, times, strict=False):
            reader_ns = read.reader_ns
            if from_reader:
                t = now
                if reader_ns is not None:
                    t = reader_ns - zone_offset_ns
                    if self._newest is None or t > self._newest:
                        self._newest, self._newest_host = t, host_ns
                        if now - t >= dead_time_ns:
                            self._put_back(t)
                    now = self._newest + host_ns - self._newest_host
            if due and now >= due[0][0]:
                self._meet_deadlines(now)
            chip = read.chip
            if reader_ns is not None and seen.has(chip, reader_ns, host_ns):
                self.counts["repeats"] += 1
                continue
            if read.antenna != antenna:
                antenna = read.antenna
                ear = (reader, antenna or NO_ANTENNA)

            passing = newest_of.get(chip)
            if passing is None or not passing.first <= t < passing.last + dead_time_ns:
                passing = self._nearest(chip, t)
                if passing is None and past.gap_ns(chip, t) < dead_time_ns:
                    past.stretch(chip, t)  # told long ago
                    self.counts["repeats"] += 1
                    continue
            if passing is None:
                passing = self._open_passing(chip, t, now, ear, offset_ns, host_ns)
            passing.reads += 1
            if by_host:
                passing.by_host = True
            if error_us > passing.error_us:
                passing.error_us = error_us
            if now > passing.heard_now:  # a reader's time that is late puts "now" back
                passing.heard_now = now
            was_first, was_last = passing.first, passing.last
            if t > was_last:
                passing.last = t
            elif t < was_first:
                passing.first = t
                if now < passing.linger_at:
                    passing.linger_at = max(t + self.rules.linger_ns, passing.last_kept)
                    self._queue(passing)
            rssi_dbm = read.rssi_dbm
            if rssi_dbm is not None and (passing.strongest_dbm is None or rssi_dbm > passing.strongest_dbm):
                passing.strongest_dbm = rssi_dbm
                passing.stronger_now = passing.heard_now
            if t <= passing.linger_at:
                if t > passing.last_kept:
                    passing.last_kept = t
                if rssi_dbm is not None and len(passing.kept) < KEPT_READS:
                    passing.kept.append((t, ear, rssi_dbm))
                    if not len(passing.kept) % PRUNE_READS:
                        passing.kept = prune(passing.kept)
            elif not passing.lingering:
                passing.lingering = True
                if passing.rev > 0:
                    self._tell(passing, now, "still_here")
            if passing.rev > 0:
                self._reconsider(passing, t, now, rssi_dbm, was_first, was_last)
            elif passing.reads == 1:
                self._announce(passing, now)
        self.counts["reads"] += len(given.reads)

    def advance(self, host_ns: int) -> bool:
        """Meet every deadline up to now, a time of the host's monotonic clock; whether there was one."""
        if self._has_no_now():
            return False
        return self._meet_deadlines(self._now(host_ns))

    def cease(self, host_ns: int) -> None:
        """No reader of this line can hear from now on."""
        if self._has_no_now():
            return
        if not self._spells or self._spells[-1][1] is not None:
            self.advance(host_ns)
            self._spells.append((self._now(host_ns), None))
            del self._spells[:-SPELLS]

    def resume(self, host_ns: int) -> None:
        """A reader of this line hears again."""
        if self._spells and self._spells[-1][1] is None:
            self.advance(host_ns)
            begin = self._spells[-1][0]
            self._spells[-1] = (begin, max(begin, self._now(host_ns)))  # "now" may have been put back meanwhile
            for passing in self._open.values():
                self._queue(passing, force=True)  # a spell cut short brings the absence nearer

    def put_right(self, offset_ns: int) -> None:
        """UTC minus the host's monotonic clock is now known."""
        if self.rules.time_from == "host":
            for passing in self._by_order.values():
                passing.offset_ns = offset_ns

    def told_again(self, passings: set[str]) -> None:
        """These have been told again as they stood: one revision more for each."""
        for passing in self._by_order.values():
            passing.rev += passing.id in passings

    def take(self) -> list[Opened | Told]:
        """What there is to tell since the last call."""
        out, self._out = self._out, []
        return out

    def next_due_host_ns(self, host_ns: int) -> int | None:
        """When :meth:`advance` has something to do at the earliest, on the host's monotonic clock."""
        if not self._due or self._has_no_now():
            return None
        return host_ns + max(0, self._due[0][0] - self._now(host_ns))

    def on_mat(self, host_ns: int) -> list[tuple[str, int]]:
        """Chips heard within the last two seconds or ``quiet_s``, and for how long: nanoseconds, longest first."""
        if self._has_no_now():
            return []
        now = self._now(host_ns)
        since = now - max(self.rules.quiet_ns, 2 * NS_PER_S)
        here = [(p.chip, now - p.first) for p in self._open.values() if p.heard_now >= since]
        return sorted(here, key=lambda chip_and_age: -chip_and_age[1])

    def chips_heard(self) -> int:
        """How many chips have passed here since the epoch began."""
        return len(self._nth)

    # ---- restarts --------------------------------------------------------------------------------------

    def state(self) -> GateState:
        """A snapshot; what :meth:`take` has not yet given out is not in it."""
        return GateState(
            passings=[*self._closed.values(), *self._open.values()],
            nth=self._nth,
            spells=self._spells,
            seen=self._seen,
            newest=self._newest,
            newest_host=self._newest_host,
            order=self._order,
            doubtful=self._doubtful,
            counts=self.counts,
            past=self._past.rows(self._nth),
        )

    def restore(self, state: GateState) -> None:
        """Go on from a snapshot."""
        self._nth, self._spells = state.nth, state.spells
        self._seen = state.seen
        self._newest, self._newest_host, self._order = state.newest, state.newest_host, state.order
        self._doubtful, self.counts = state.doubtful, state.counts
        self._past = Past(state.nth, state.past)
        for passing in state.passings:
            insort(self._chips.setdefault(passing.chip, []), passing, key=_first_of)
            self._by_order[passing.order] = passing
            (self._closed if passing.left else self._open)[passing.order] = passing
            self._queue(passing, force=True)
        for chip in self._chips:
            self._note_newest(chip)

    def shift(self, by_ns: int) -> None:
        """Move all host times, when another boot's monotonic clock has been tied to this one's by UTC."""
        self._newest_host += by_ns
        self._doubtful = {chip: until + by_ns for chip, until in self._doubtful.items()}
        for seen in self._seen.values():
            seen.shift(by_ns)
        if self.rules.time_from == "reader":
            return
        self._spells = [(begin + by_ns, None if end is None else end + by_ns) for begin, end in self._spells]
        self._past.shift(by_ns)
        self._due.clear()
        for passing in self._by_order.values():
            passing.offset_ns -= by_ns
            for name in ("mono_ns", "first", "last", "last_kept", "linger_at", "came_now", "heard_now", "stronger_now"):
                setattr(passing, name, getattr(passing, name) + by_ns)
            for name in ("told_ns", "told_now", "owed_ns", "owed_now", "left_now"):
                setattr(passing, name, getattr(passing, name) + by_ns)
            passing.kept = [(t_ns + by_ns, ear, rssi_dbm) for t_ns, ear, rssi_dbm in passing.kept]
            self._queue(passing, force=True)

    def finish(self) -> set[str]:
        """Tell what is owed of every passing and forget them all; the chips whose passings were still open.

        For when what comes next can't be tied to what was: another boot without a good clock, another race. The
        readers' own times can: then what was closed goes to the long memory. Of what was open none knows the end.
        """
        still_open = {passing.chip for passing in self._open.values()}
        for passing in self._closed.values():
            self._past.keep(passing.chip, passing.first, passing.last)
        self._closed.clear()
        for passing in sorted(self._by_order.values(), key=lambda p: p.order):
            if passing.rev == 0:
                self._tell(passing, passing.heard_now, None)
            if not passing.left:
                self._close(passing, passing.heard_now)
            elif passing.owed:
                self._tell(passing, passing.heard_now, passing.owed)
        self._chips.clear()
        self._newest_of.clear()
        self._by_order.clear()
        self._open.clear()
        self._closed.clear()
        self._due.clear()
        self._spells.clear()
        self._seen.clear()
        if self.rules.time_from == "host":
            self._past = Past()
        self._newest = None
        return still_open

    def doubt(self, chips: set[str], until_host_ns: int) -> None:
        """Until then, a passing of these chips may have begun before the restart: it is marked so."""
        self._doubtful = dict.fromkeys(chips, until_host_ns)

    # ---- one read --------------------------------------------------------------------------------------

    def _seen_of(self, reader: str, host_ns: int) -> Seen:
        """What this reader has reported with its own times."""
        seen = self._seen.get(reader)
        if seen is None:
            seen = self._seen[reader] = Seen(host_ns)
        seen.age(host_ns)
        return seen

    def _put_back(self, now: int) -> None:
        """The newest reader time is one of long ago, out of a log: nothing waits longer for that."""
        for passing in self._by_order.values():
            if passing.heard_now > now:
                for name in ("came_now", "heard_now", "stronger_now", "owed_now"):
                    setattr(passing, name, min(getattr(passing, name), now))
                self._queue(passing)

    def _open_passing(self, chip: str, t: int, now: int, ear: Ear, offset_ns: int, host_ns: int) -> Passing:
        nth = self._nth[chip] = self._nth.get(chip, 0) + 1
        self._order += 1
        self.counts["passings"] += 1
        passings = self._chips.setdefault(chip, [])
        recent = sum([abs(t - other.first) <= LOITER_WITHIN_NS for other in passings])
        doubtful_until = self._doubtful.pop(chip, None) if self._doubtful else None
        passing = Passing(
            id=self._new_id(),
            order=self._order,
            chip=chip,
            nth=nth,
            loiter=self.rules.use != "lap" and recent >= LOITER_PASSINGS - 1,
            after_restart=doubtful_until is not None and host_ns < doubtful_until,
            ear=ear,
            offset_ns=offset_ns,
            mono_ns=host_ns,
            first=t,
            last=t,
            last_kept=t,
            linger_at=t + self.rules.linger_ns,
            came_now=now,
            heard_now=now,
            stronger_now=now,
        )
        insort(passings, passing, key=_first_of)
        self._note_newest(chip)
        self._open[self._order] = self._by_order[self._order] = passing
        return passing

    def _announce(self, passing: Passing, now: int) -> None:
        """Its first read has been taken."""
        reader, antenna = passing.ear
        utc_ns = passing.first + passing.offset_ns
        self._out.append(Opened(passing.id, passing.chip, utc_ns, self.line, reader, antenna or None))
        if self.rules.pick == "first":
            self._tell(passing, now, None)
        self._queue(passing)

    def _reconsider(
        self, passing: Passing, t: int, now: int, rssi_dbm: int | None, was_first: int, was_last: int
    ) -> None:
        """One more read of a passing that has been told: a change of time may be owed for it."""
        is_late = t < passing.told_now
        owed: RevisedFor | None = None
        match self.rules.pick:
            case "first":
                owed = "late_reads" if t < was_first else None
            case "last":
                if t > was_last:
                    owed = "late_reads" if is_late else "heard_again"
            case "best" if t <= passing.linger_at:
                if is_late:
                    owed = "late_reads"
                elif rssi_dbm is not None and passing.told_peak_dbm is not None:
                    is_stronger = rssi_dbm >= passing.told_peak_dbm + STRONGER_DB
                    # A lone read of before the crossing, and strong, must not keep its time.
                    if is_stronger or (passing.told_lone and has_company(passing.kept)):
                        owed = "stronger"
        if owed is None:
            return
        time_ns = self._time_of(passing)
        if abs(time_ns - passing.told_ns) < MS_NS:
            passing.owed = None
        elif passing.owed is None or time_ns != passing.owed_ns:
            passing.owed, passing.owed_ns, passing.owed_now = owed, time_ns, now
            self._queue(passing)

    def _nearest(self, chip: str, t: int) -> Passing | None:
        """The passing nearest in time of those that the chip has not been absent from for the dead time.

        None where one is nearer that was let go of; with that, deaf spells are let go of too.
        """
        found, found_gap = None, FAR_NS
        for passing in self._chips.get(chip, ()):
            begin, end = (passing.last, t) if t > passing.last else (t, passing.first)
            gap = max(0, end - begin)
            if gap < found_gap and gap - self._deaf_between(begin, end) < self.rules.dead_time_ns:
                found, found_gap = passing, gap
        return found if found is None or found_gap <= self._past.gap_ns(chip, t) else None

    def _note_newest(self, chip: str) -> None:
        """The newest passing of a chip takes most reads unsearched; not if one that was let go of came after it."""
        passings = self._chips.get(chip)
        if passings and passings[-1].first > self._past.newest(chip):
            self._newest_of[chip] = passings[-1]
        else:
            self._newest_of.pop(chip, None)

    # ---- deadlines -------------------------------------------------------------------------------------

    def _due_of(self, passing: Passing) -> int:
        """When something is next to be done about a passing, in gate time."""
        rules = self.rules
        # One that was first heard of when it should have been told or closed, as out of a reader's memory, has its
        # time to settle all the same.
        is_late = passing.came_now >= passing.linger_at - max(0, rules.linger_ns - rules.dead_time_ns)
        if passing.left:
            due = max(passing.left_now, passing.heard_now) + REMEMBER_NS
        else:
            due = self._absent_at(passing.last)
            if is_late:
                due = max(due, passing.heard_now + rules.quiet_ns)
        if passing.rev == 0:
            by_signal = rules.pick == "best" and passing.strongest_dbm is not None
            settles = (passing.stronger_now if by_signal else passing.heard_now) + rules.quiet_ns
            freezes = passing.came_now + rules.linger_ns if is_late else passing.linger_at
            due = min(due, settles, freezes)
        if passing.owed:
            due = min(due, passing.owed_now + rules.quiet_ns)
        return due

    def _queue(self, passing: Passing, *, force: bool = False) -> None:
        """Put a passing down for its deadline, unless it is down for an earlier one: that looks again."""
        due = self._due_of(passing)
        if force or passing.queued < 0 or due < passing.queued:
            passing.queued = due
            heapq.heappush(self._due, (due, passing.order))

    def _meet_deadlines(self, now: int) -> bool:
        """Meet what is due, in the order in which it was due; whether there was more to do than to forget."""
        has_met = False
        while self._due and self._due[0][0] <= now:
            due, order = heapq.heappop(self._due)
            passing = self._by_order.get(order)
            if passing is None or due != passing.queued:
                continue  # forgotten, or put down anew since
            passing.queued = -1
            if self._due_of(passing) == due:
                if passing.left and not passing.owed:
                    self._forget(passing)
                    continue
                self._meet(passing, due)
                has_met = True
            self._queue(passing)  # what has been put off is met in its turn
        return has_met

    def _meet(self, passing: Passing, now: int) -> None:
        if passing.rev == 0:
            self._tell(passing, now, None)
        elif passing.owed and passing.owed_now + self.rules.quiet_ns <= now:
            if abs(self._time_of(passing) - passing.told_ns) >= MS_NS:  # reads that owe nothing may have taken it back
                self._tell(passing, now, passing.owed)
            passing.owed = None
        else:
            self._close(passing, now)

    def _close(self, passing: Passing, now: int) -> None:
        passing.left, passing.left_now = True, now
        self._open.pop(passing.order, None)
        self._closed[passing.order] = passing
        owes = passing.owed is not None and abs(self._time_of(passing) - passing.told_ns) >= MS_NS
        if passing.lingering or owes or self.rules.pick == "first":
            self._tell(passing, now, "left")
        passing.owed = None
        while len(self._closed) > REMEMBERED:
            oldest = next(iter(self._closed.values()))
            if oldest.owed or now - max(oldest.left_now, oldest.heard_now) <= REMEMBER_AT_LEAST_NS:
                return
            self._forget(oldest)

    def _absent_at(self, last: int) -> int:
        """When a chip last heard then has been absent for the dead time, deaf spells taken off."""
        due = last + self.rules.dead_time_ns
        for begin, end in self._spells:
            if begin >= due:
                break
            if end is None:
                due += SPELL_COUNTS_NS
            elif end > last:
                due += min(SPELL_COUNTS_NS, end - max(begin, last))
        return due

    def _deaf_between(self, begin: int, end: int) -> int:
        """How much of that time is taken off for spells in which nothing could hear."""
        deaf = 0
        for spell_begin, spell_end in self._spells:
            overlap = (end if spell_end is None else min(end, spell_end)) - max(begin, spell_begin)
            deaf += min(SPELL_COUNTS_NS, max(0, overlap))
        return deaf

    # ---- telling ---------------------------------------------------------------------------------------

    def _time_of(self, passing: Passing) -> int:
        """The time that the pick rule gives a passing as it is known now."""
        if self.rules.pick == "first":
            return passing.first
        if self.rules.pick == "last":
            return passing.last
        return self._best_of(passing).t_ns

    def _best_of(self, passing: Passing) -> Moment:
        """The best time; without signal strengths the middle, and where the chip was first heard."""
        if passing.kept:
            return best_of(passing.kept)
        last = passing.last if self.rules.pick == "last" else passing.last_kept
        return Moment((passing.first + last) // 2, passing.ear, None)

    def _tell(self, passing: Passing, now: int, revised_for: RevisedFor | None) -> None:
        best = self._best_of(passing)
        if revised_for not in ("still_here", "left") or (revised_for == "left" and passing.owed):
            passing.told_ns = best.t_ns if self.rules.pick == "best" else self._time_of(passing)
            passing.told_now = max(now, passing.heard_now)
            passing.told_peak_dbm = best.peak_dbm
            passing.told_lone = self.rules.pick == "best" and not has_company(passing.kept)
        self._note_half_width(passing, best)
        passing.rev += 1
        reader, antenna = best.ear
        offset_ns = passing.offset_ns
        time_from = self._time_from(passing)
        self._out.append(
            Told(
                passing=passing.id,
                rev=passing.rev,
                revised_for=revised_for,
                chip=passing.chip,
                utc_ns=passing.told_ns + offset_ns,
                mono_ns=passing.mono_ns if self.rules.time_from == "reader" else passing.told_ns,
                first_ns=passing.first + offset_ns,
                best_ns=best.t_ns + offset_ns,
                last_ns=passing.last + offset_ns,
                nth=passing.nth,
                reads=passing.reads,
                rssi_dbm=passing.strongest_dbm,
                line=self.line,
                reader=reader,
                antenna=antenna or None,
                lingering=passing.lingering,
                left=passing.left,
                loiter=passing.loiter,
                after_restart=passing.after_restart,
                time_from=time_from,
                half_width_ns=passing.told_half_ns,
                error_ns=0 if time_from == "reader" else passing.error_us * US_NS,
            )
        )

    def _note_half_width(self, passing: Passing, best: Moment) -> None:
        """How far off the time told may be, as is known now; of a frozen one that is another by now, as it was then."""
        pick = self.rules.pick
        time_ns = best.t_ns if pick == "best" else self._time_of(passing)
        if passing.told_half_ns == 0 or abs(time_ns - passing.told_ns) < MS_NS:
            last = passing.last if pick == "last" else passing.last_kept
            passing.told_half_ns = half_width_ns(passing.kept, pick, passing.first, last, passing.reads)

    def _time_from(self, passing: Passing) -> TimeFrom:
        if self.rules.time_from == "reader":
            return "reader"
        return "host" if passing.by_host else "disciplined"

    # ---- memory ----------------------------------------------------------------------------------------

    def _now(self, host_ns: int) -> int:
        if self.rules.time_from == "host" or self._newest is None:
            return host_ns
        return self._newest + host_ns - self._newest_host

    def _has_no_now(self) -> bool:
        """With the readers' time, there is no "now" before the first read."""
        return self._newest is None and self.rules.time_from == "reader"

    def _forget(self, passing: Passing) -> None:
        """Let go of a passing: no read will change it any more."""
        del self._by_order[passing.order], self._closed[passing.order]
        passings = self._chips[passing.chip]
        passings.remove(passing)
        if not passings:
            del self._chips[passing.chip]
        self._past.keep(passing.chip, passing.first, passing.last)
        self._note_newest(passing.chip)


def _first_of(passing: Passing) -> int:
    return passing.first
