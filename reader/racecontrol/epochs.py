"""What is known of each epoch, what is missing of it, and whom to ask for it, when. Pure.

A gap that nothing has filled for two seconds is asked for: nearly always what is missing is on its way. One question at
a time goes to a mat, for 5,000 entries at most. How it ends decides when the next one goes:

==========================================  ====================================================================
it ended with                               then
==========================================  ====================================================================
its last page, and something came           at once, for what is still missing
its last page, all pages there, nothing     the mat does not have it: lost, asked for again in ten minutes
its last page, not all pages, nothing       after a pause
a refusal                                   after a pause; the fifth in a row: lost, as above
silence for ten seconds                     after a pause
==========================================  ====================================================================

A pause is 2 s, and each one in a row twice as long, to a minute. Lost is what the mat's own words make so; it stays a
hole, is never acknowledged, and is whole again when it comes after all (from a copy, or a card put back).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from reader.model import NS_PER_S, Identity
from reader.racecontrol.seen import Run, Seen

ASK_AFTER_NS = 2 * NS_PER_S
SILENCE_NS = 10 * NS_PER_S
PAUSE_NS = 2 * NS_PER_S
LONGEST_PAUSE_NS = 60 * NS_PER_S
LOST_AGAIN_NS = 600 * NS_PER_S
REFUSALS = 5
MOST_SEQS = 5_000
SPARE_SEQS = 100  # so many that are here already are asked for too, rather than two questions

Mat = tuple[str, str]  # point, mat


class Epoch:
    """One epoch. ``stored_through``: on our disk without a gap; ``last_seq``: the highest that is known to exist."""

    def __init__(self, name: str, identity: Identity) -> None:
        self.name = name
        self.identity = identity
        self.seen = Seen()
        self.stored_through = 0
        self.last_seq = 0
        self.lost: dict[Run, str] = {}
        self.is_lost_wanted = False  # ask for what is lost too, once
        self.ask_at_ns = 0
        self.pause_ns = PAUSE_NS
        self.refusals = 0

    @property
    def mat(self) -> Mat:
        """Where its entries are told."""
        return self.identity.point, self.identity.mat

    @property
    def missing(self) -> int:
        """How many entries have not come, the lost ones too."""
        return self.seen.missing(self.last_seq)

    @property
    def missing_unlost(self) -> int:
        """How many of them the mat has not been found to lack."""
        return self.missing - sum(end - start + 1 for start, end in self.lost)

    def add(self, seq: int, now_ns: int, *, is_asked_for: bool = False) -> bool:
        """An entry has come; False if it had before."""
        was_whole = self.seen.through == self.last_seq
        before = self.seen.through
        if not self.seen.add(seq):
            return False
        self.last_seq = max(self.last_seq, seq)
        if was_whole or (self.seen.through > before and not is_asked_for):
            self.ask_at_ns = max(self.ask_at_ns, now_ns + ASK_AFTER_NS)
        if self.lost:
            self._find(seq)
        return True

    def exists_through(self, seq: int, now_ns: int) -> None:
        """The mat says that it has told so many."""
        if seq > self.last_seq:
            if self.seen.through == self.last_seq:
                self.ask_at_ns = max(self.ask_at_ns, now_ns + ASK_AFTER_NS)
            self.last_seq = seq

    def wanted(self, now_ns: int) -> Run | None:
        """What is to be asked for now, if anything."""
        if self.seen.through == self.last_seq or now_ns < self.ask_at_ns:
            return None
        first = last = 0
        for start, end in self.seen.holes(self.last_seq) if self.is_lost_wanted else self._not_lost():
            if first and (start - last - 1 > SPARE_SEQS or start - first >= MOST_SEQS):
                break
            first = first or start
            last = min(end, first + MOST_SEQS - 1)
        return (first, last) if first else None

    def lose(self, run: Run, why: str) -> None:
        """The mat does not have what is missing there."""
        first, last = run
        self.is_lost_wanted = False
        self.lost = {(start, end): says for (start, end), says in self.lost.items() if end < first or start > last}
        for start, end in self.seen.holes(min(last, self.last_seq)):
            if end >= first:
                self.lost[max(start, first), end] = why

    def _not_lost(self) -> Iterator[Run]:
        lost = sorted(self.lost)
        for start, end in self.seen.holes(self.last_seq):
            for lost_start, lost_end in lost:
                if lost_end < start or lost_start > end:
                    continue
                if start < lost_start:
                    yield start, lost_start - 1
                start = lost_end + 1
            if start <= end:
                yield start, end

    def _find(self, seq: int) -> None:
        """It was lost, and here it is."""
        for (start, end), why in list(self.lost.items()):
            if start <= seq <= end:
                del self.lost[start, end]
                if start < seq:
                    self.lost[start, seq - 1] = why
                if seq < end:
                    self.lost[seq + 1, end] = why


class Question:
    """A rewind that was asked for, at ``home``: the mat's topics. ``pages``: which have come."""

    def __init__(self, home: Mat, epoch: Epoch, run: Run, now_ns: int) -> None:
        self.id = secrets.token_hex(8)
        self.home = home
        self.epoch = epoch
        self.run = run
        self.heard_ns = now_ns
        self.pages: set[int] = set()
        self.has_brought = False


class Questions:
    """Those that wait for their answers: one to a mat."""

    def __init__(self) -> None:
        self._by_home: dict[Mat, Question] = {}
        self._lost_again_at_ns: dict[str, int] = {}

    def due(self, epochs: Iterable[tuple[Epoch, Mat]], now_ns: int) -> list[Question]:
        """What is to be asked now, of these epochs and at these mats; each waits for its answer from now on."""
        for question in [one for one in self._by_home.values() if now_ns - one.heard_ns >= SILENCE_NS]:
            self._end(question, now_ns, is_fruitless=not question.has_brought)
        asked = []
        for epoch, home in epochs:
            if epoch.lost and now_ns >= self._lost_again_at_ns.setdefault(epoch.name, now_ns + LOST_AGAIN_NS):
                del self._lost_again_at_ns[epoch.name]
                epoch.is_lost_wanted = True
            if home not in self._by_home and (run := epoch.wanted(now_ns)):
                self._by_home[home] = Question(home, epoch, run, now_ns)
                asked.append(self._by_home[home])
        return asked

    def unasked(self, question: Question) -> None:
        """It could not be said after all."""
        self._by_home.pop(question.home, None)

    def forget(self) -> None:
        """The connection has gone, and the answers with it."""
        self._by_home.clear()

    def find(self, its_id: str | None) -> Question | None:
        """The question with that id, while it waits."""
        return next((one for one in self._by_home.values() if one.id == its_id), None)

    def refused(self, question: Question, why: str, now_ns: int) -> None:
        """The mat won't."""
        question.epoch.refusals += 1
        if question.epoch.refusals >= REFUSALS:
            self._lose(question, why, now_ns)
        self._end(question, now_ns, is_fruitless=True)

    def answered(self, question: Question, page: int, pages: int, now_ns: int) -> None:
        """A page has come, and what was on it has been taken in."""
        question.heard_ns = now_ns
        question.pages.add(page)
        if question.has_brought:
            question.epoch.refusals = 0
        if page < pages:
            return  # pages come in order: behind the last there is none
        if not question.has_brought and len(question.pages) == pages:
            self._lose(question, "the mat has no such entry", now_ns)
        self._end(question, now_ns, is_fruitless=not question.has_brought)

    def _lose(self, question: Question, why: str, now_ns: int) -> None:
        question.epoch.lose(question.run, why)
        question.epoch.refusals = 0
        question.epoch.pause_ns = PAUSE_NS
        self._lost_again_at_ns[question.epoch.name] = now_ns + LOST_AGAIN_NS

    def _end(self, question: Question, now_ns: int, *, is_fruitless: bool) -> None:
        self._by_home.pop(question.home, None)
        epoch = question.epoch
        if is_fruitless:
            epoch.ask_at_ns = now_ns + epoch.pause_ns
            epoch.pause_ns = min(2 * epoch.pause_ns, LONGEST_PAUSE_NS)
        else:
            epoch.ask_at_ns = now_ns
            epoch.pause_ns = PAUSE_NS
