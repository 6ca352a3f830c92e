"""Putting the log right when UTC has become good: the recorder's part that decides when, and does it piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from reader.errors import JournalError
from reader.journal import JournalView
from reader.journal.steady import SteadyJournal
from reader.lines import Lines
from reader.logbook import Logbook
from reader.messages import Split
from reader.model import ClockQuality, Instant, PutRight, Reads
from reader.passing import Told
from reader.retelling import Anchor, Retelling, Steady, anchors_in, is_touched, last_anchors, linked


class Righting:
    """One piece of it at each :meth:`step`, so that what is new always goes first; belongs to the recorder's thread.

    ``put_right`` is called with each split that was told again, and its moment.
    """

    def __init__(
        self, journal: SteadyJournal, lines: Lines, logbook: Logbook, put_right: Callable[[Split, Instant], None]
    ) -> None:
        self._journal = journal
        self._lines = lines
        self._logbook = logbook
        self._teller = teller = logbook.teller
        self._put_right = put_right
        self._steady = Steady()
        self._now: Retelling | None = None
        self._epoch = ""
        self._is_done = False  # of this boot, since the clock last moved
        self._told_since: set[str] = set()
        self._anchors: dict[str, Anchor] = {}
        self._earlier = _boots_before(journal, teller.boot)
        self._tried_with = 0

    @property
    def is_at_work(self) -> bool:
        """Whether the next step has something to do at once."""
        return self._now is not None

    def note_told(self, passing: str) -> None:
        """The gate has told this passing: it is right, as told."""
        if self._now is not None:
            self._told_since.add(passing)

    def begin_anew(self) -> None:
        """Splits of this boot were told again for another reason, as they stood: what is to be put right is others."""
        if self._now is not None and self._now.boot == self._teller.boot:
            self._end()
            self._is_done = False

    def note_reads(self, reads: Reads) -> None:
        """A reader's own clock may tie this boot to an earlier one."""
        self._anchors.update(anchors_in(reads))

    def is_stepped(self, now: Instant, quality: ClockQuality) -> bool:
        """Look at both clocks; whether UTC has been stepped since the last look."""
        is_stepped = self._steady.look(now, quality)
        if is_stepped or not quality.synced:
            self._end()
            self._is_done = False
        return is_stepped

    def step(self, now: Instant, quality: ClockQuality) -> bool:
        """Do one piece; whether there is something to commit. JournalError where the log can't be read."""
        if not self._steady.is_right(now):
            return False
        if self._now is not None and self._epoch != self._journal.epoch:
            self._end()  # the log goes on in another file
            self._is_done = False
        if self._now is None:
            return self._begin(now, quality)
        if self._now.read_page():
            return False
        if batch := self._now.batch(self._told_since):
            for again in batch:
                at = Instant(again.utc_ns, again.mono_ns)
                self._logbook.say(again.body, at)
                if isinstance(again.body, Split):
                    self._put_right(again.body, at)
            self._give(
                PutRight(now, self._now.boot, self._now.offset_ns, [again.passing for again in batch if again.passing])
            )
            return True
        return self._finish(now, self._now, quality)

    def quality_of(self, told: Told, now: Instant, quality: ClockQuality) -> ClockQuality:
        """How good the clock is for a passing: the time of one begun before a step of UTC is not good yet."""
        if told.time_from == "reader":
            return quality
        moved_ns = (now.utc_ns - now.mono_ns) - (told.utc_ns - told.mono_ns)
        return replace(quality, synced=False, error_ms=None) if is_touched(quality, moved_ns, quality) else quality

    def close(self) -> None:
        """Let go of the journal."""
        self._end()

    def _begin(self, now: Instant, quality: ClockQuality) -> bool:
        offset_ns = now.utc_ns - now.mono_ns
        if not self._is_done:
            self._is_done = True
            # From here on, what the gates tell of a passing begun under the wrong clock is right.
            self._give(PutRight(now, self._teller.boot, offset_ns, []))
            self._retell(self._teller.boot, offset_ns, quality)
            return True
        for boot in self._boots_to_tie():
            if (tie := self._tie(boot, offset_ns, quality)) is not None:
                self._earlier.remove(boot)
                self._retell(boot, *tie)
                break
        else:
            self._tried_with = len(self._anchors)
        return False

    def _retell(self, boot: str, offset_ns: int, quality: ClockQuality) -> None:
        self._told_since.clear()
        self._epoch = self._journal.epoch
        self._now = Retelling(self._journal.path, self._teller.identity, boot, offset_ns, quality)

    def _finish(self, now: Instant, done: Retelling, quality: ClockQuality) -> bool:
        self._end()
        if not done.count:
            return False
        notice = self._teller.put_right_notice(done.boot, done.from_seq, done.through_seq, done.moved_ns, now, quality)
        self._logbook.say(notice, now)
        return True

    def _end(self) -> None:
        if self._now is not None:
            self._now.close()
            self._now = None

    def _give(self, given: PutRight) -> None:
        self._lines.give(given)
        self._journal.keep(given)

    # ---- earlier boots -----------------------------------------------------------------------------------

    def _boots_to_tie(self) -> list[str]:
        """Those not yet tied, where a reader has shown its clock since they were last tried."""
        return list(self._earlier) if len(self._anchors) > self._tried_with else []

    def _tie(self, boot: str, offset_ns: int, quality: ClockQuality) -> tuple[int, ClockQuality] | None:
        view = JournalView(self._journal.path)
        try:
            then = last_anchors(view, boot)
        except JournalError:
            return None
        finally:
            view.close()
        ties = [
            linked(then[name], self._anchors[name], offset_ns, quality) for name in then.keys() & self._anchors.keys()
        ]
        good = [tie for tie in ties if tie is not None]
        return min(good, key=lambda tie: tie[1].error_ms or 0.0, default=None)


def _boots_before(journal: SteadyJournal, boot: str) -> list[str]:
    view = JournalView(journal.path)
    boots = [earlier for earlier in view.boots() if earlier != boot]
    view.close()
    return boots
