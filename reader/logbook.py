"""What goes into the log: each thing as its body, numbered where it has a number; belongs to the recorder's thread."""

from __future__ import annotations

from reader.journal.steady import SteadyJournal
from reader.messages import Body
from reader.model import ClockQuality, Fired, Hearing, Instant, Marked, Noted
from reader.telling import Teller, encode

NUMBERED = ("coverage", "gun", "marker")


class Logbook:
    """Appends to the journal; what it says stands after the next commit.

    ``quality``: how good the clock is now. ``is_due``: the log is to be committed at once.
    """

    def __init__(self, journal: SteadyJournal, teller: Teller, quality: ClockQuality) -> None:
        self.teller = teller
        self.quality = quality
        self.is_due = False
        self._journal = journal
        self._numbers_by_epoch: dict[str, dict[str, int]] = {}
        self.count_anew()

    def count_anew(self) -> None:
        """The log goes on in another file: its numbers go on from what is there, and from what this epoch has used.

        An entry that the disk refused bears a number of the disk's epoch, and went into memory with it.
        """
        used = self._numbers_by_epoch.get(self._journal.epoch, {})
        self._numbers = {type_: max(used.get(type_, 0), self._journal.count_of(type_)) for type_ in NUMBERED}
        self._numbers_by_epoch[self._journal.epoch] = self._numbers

    def count_of(self, type_: str) -> int:
        """How many of that kind this epoch has, revisions not counted."""
        return self._numbers[type_]

    def say(self, body: Body, at: Instant) -> None:
        """Any entry, of that moment."""
        self._journal.append(str(body.__struct_config__.tag), at.utc_ns, at.mono_ns, encode(body))
        self.is_due = True

    def coverage(self, hearing: Hearing) -> None:
        """A reader, or one antenna of it, began or ceased to hear."""
        self.say(self.teller.coverage(*self._number("coverage"), hearing, self.quality), hearing.at)

    def gun(self, fired: Fired) -> None:
        """A start signal."""
        self.say(self.teller.gun(*self._number("gun"), fired, self.quality), fired.at)

    def marker(self, marked: Marked) -> None:
        """A time without a chip."""
        self.say(self.teller.marker(*self._number("marker"), marked, self.quality), marked.at)

    def notice(self, noted: Noted) -> None:
        """What else must not be forgotten."""
        self.say(self.teller.notice(noted.kind, noted.says, noted.at, self.quality, noted.by), noted.at)

    def _number(self, type_: str) -> tuple[str, int]:
        """``of`` and ``n`` of a new entry that is no passing."""
        self._numbers[type_] += 1
        return f"{self._journal.epoch}-{self._numbers[type_]}", self._numbers[type_]
