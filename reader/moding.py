"""The recorder's part that carries out what mode the mat is in: asked for, ended by itself, told again; its thread's.

Who asks waits for the answer until the notice of it is committed: a change of mode that nobody can prove is none.
"""

from __future__ import annotations

from concurrent.futures import Future

import msgspec
from msgspec.structs import replace

from reader.errors import UsageError
from reader.logbook import Logbook
from reader.messages import Split
from reader.model import Instant, Mode, Noted, NoticeKind
from reader.modes import CROWD_NS, Change, Modes
from reader.passing import Opened


class AskedMode(msgspec.Struct, frozen=True):
    """Somebody asks for a mode. ``answer``: its sentence, or the refusal."""

    mode: Mode
    by: str
    answer: Future[str] = msgspec.field(default_factory=Future)


class AskedLeave(msgspec.Struct, frozen=True):
    """Somebody asks whether this mat may become another one, as ``says`` tells."""

    says: str
    by: str
    answer: Future[str] = msgspec.field(default_factory=Future)


class Moding:
    """Belongs to the recorder; what it says goes into its log."""

    def __init__(self, modes: Modes, logbook: Logbook) -> None:
        self._modes = modes
        self._logbook = logbook
        self._tested: dict[str, tuple[Instant, Instant, Split]] = {}
        self._opened_in_test: set[str] = set()
        self._was_race = False
        self._answers: list[tuple[Future[str], str]] = []

    @property
    def due_ns(self) -> int | None:
        """When the mode ends by itself, monotonic."""
        return self._modes.due_ns

    def ask(self, asked: AskedMode | AskedLeave, now: Instant, *, has_crossings: bool) -> None:
        """Do it or refuse it. ``has_crossings``: whether this epoch has any."""
        try:
            if isinstance(asked, AskedMode):
                self._carry_out(self._modes.ask(asked.mode, now.mono_ns), now, asked.by)
                self._answers.append((asked.answer, f"the mat is in mode {asked.mode}"))
                return
        except UsageError as error:
            asked.answer.set_exception(error)
            return
        if has_crossings and self._modes.mode == "race":
            says = "assign: chips have crossed here in this race; release the mat first, if it is over here"
            asked.answer.set_exception(UsageError(says))
            return
        self._logbook.notice(Noted(now, "config", asked.says, asked.by))
        self._answers.append((asked.answer, asked.says))

    def note_opened(self, opened: Opened, now: Instant) -> None:
        """A passing has opened."""
        self._carry_out(self._modes.crossed(opened.chip, now.mono_ns), now)
        if self._modes.mode == "test":
            self._opened_in_test.add(opened.passing)

    def note_fired(self, now: Instant) -> None:
        """There was a gun."""
        self._carry_out(self._modes.fired(), now)

    def tick(self, now: Instant) -> None:
        """Time has passed."""
        self._carry_out(self._modes.tick(now.mono_ns), now)

    def in_its_mode(self, split: Split) -> Split:
        """What opened before the test is none of it: left out as a test, its revision would take the crossing away."""
        if split.mode == "test" and split.passing not in self._opened_in_test:
            return replace(split, mode="race")
        return split

    def note_put_right(self, split: Split, at: Instant) -> None:
        """The clock was put right, and this was told again for it: from here on this is its highest revision."""
        if split.passing in self._tested:
            self._tested[split.passing] = (self._tested[split.passing][0], at, split)

    def note_told(self, split: Split, at: Instant, now: Instant) -> None:
        """A split was told: one of a test may have to be told again."""
        if split.mode == "test":
            self._tested[split.passing] = (now, at, split)
        elif self._tested:
            self._tested.pop(split.passing, None)

    def tell_again(self, now: Instant) -> list[str]:
        """If what was a test was the race: its splits of the last minute again, in race; whose passings they are.

        After all else that was told with them: their revisions are then the highest.
        """
        if not self._was_race:
            return []
        self._was_race = False
        tested, self._tested = self._tested, {}
        again = [(at, split) for told, at, split in tested.values() if told.mono_ns >= now.mono_ns - CROWD_NS]
        for at, split in again:
            self._logbook.say(replace(split, mode="race", rev=split.rev + 1, revised_for="mode"), at)
        return [split.passing for _, split in again]

    def note_committed(self) -> None:
        """What was said is on the disk: those who asked are answered."""
        answers, self._answers = self._answers, []
        for answer, says in answers:
            answer.set_result(says)

    def new_epoch(self) -> None:
        """The log goes on in another file."""
        self._modes.new_epoch(has_gun=self._logbook.count_of("gun") > 0)

    def _carry_out(self, change: Change | None, now: Instant, by: str = "") -> None:
        if change is None:
            return
        self._logbook.teller.mode = change.mode
        kind: NoticeKind = "released" if change.mode == "released" else "mode"
        self._logbook.notice(Noted(now, kind, f"mode {change.mode}: {change.says}", by))
        self._was_race |= change.was_race
        if change.mode != "test":
            self._opened_in_test.clear()
        if change.mode == "test":  # perhaps asked for again: of the one that goes on, the last minute may be the race
            self._tested = {key: one for key, one in self._tested.items() if one[0].mono_ns >= now.mono_ns - CROWD_NS}
        elif not change.was_race:
            self._tested.clear()
