"""Race, test, released: which mode the mat is in, and when it ends by itself; pure, time comes in as an argument.

::

    from       to         when
    any        test       asked for; refused within 30 minutes of a crossing in race, and after a gun of this epoch,
                          unless released; asked for again in test, its 15 minutes begin again
    test       race       after 15 minutes; 20 chips within a minute, or a gun: the crossings of the last minute are
                          told again, in race; a restart; asked for
    any        released   asked for, by somebody with a name
    released   race       a crossing of a chip that is no sweep; after 2 hours; a restart; asked for

Test mode can't be forgotten, and a race can't be mistaken for a test.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from reader.errors import UsageError
from reader.model import NS_PER_S, Mode
from reader.wording import counted

TEST_NS = 15 * 60 * NS_PER_S
RELEASED_NS = 2 * 3600 * NS_PER_S
RACED_NS = 30 * 60 * NS_PER_S  # after a crossing in race, nobody tests
CROWD = 20  # chips within CROWD_NS are a race
CROWD_NS = 60 * NS_PER_S


class Change(NamedTuple):
    """The mode is another now, and why; ``was_race``: what was told as a test within ``CROWD_NS`` was none."""

    mode: Mode
    says: str
    was_race: bool = False


class Modes:
    """``sweep``: chips that end no release. ``raced_ns``: the last crossing in race, monotonic, or None.

    ``has_gun``: whether this epoch has a gun.
    """

    def __init__(self, sweep: frozenset[str], raced_ns: int | None, *, has_gun: bool) -> None:
        self.mode: Mode = "race"
        self._sweep = sweep
        self._raced_ns = raced_ns
        self._has_gun = has_gun
        self._ends_ns: int | None = None
        self._crossed: deque[tuple[int, str]] = deque()

    @property
    def due_ns(self) -> int | None:
        """When the mode ends by itself, if it does."""
        return self._ends_ns

    def ask(self, mode: Mode, now_ns: int) -> Change:
        """Change it, as asked. UsageError, in words, where that can't be."""
        if mode == "test":
            if self.mode == "race":
                self._refuse_test(now_ns)
            return self._become("test", "until told otherwise, for 15 minutes at most", now_ns + TEST_NS)
        if mode == "released":
            return self._become("released", "the mat may be rolled up", now_ns + RELEASED_NS)
        return self._become("race", "as asked")

    def crossed(self, chip: str, now_ns: int) -> Change | None:
        """A passing of that chip has opened."""
        if self.mode == "race":
            self._raced_ns = now_ns
            return None
        if self.mode == "released":
            if chip in self._sweep:
                return None
            self._raced_ns = now_ns
            return self._become("race", f"the release is over: chip {chip} has crossed")
        self._crossed.append((now_ns, chip))
        while self._crossed[0][0] < now_ns - CROWD_NS:
            self._crossed.popleft()
        if len({chip for _, chip in self._crossed}) < CROWD:
            return None
        self._raced_ns = now_ns
        return self._become("race", f"the test is over: {CROWD} chips crossed within a minute", was_race=True)

    def fired(self) -> Change | None:
        """There was a gun."""
        self._has_gun = True
        if self.mode != "test":
            return None
        return self._become("race", "the test is over: there was a gun", was_race=True)

    def tick(self, now_ns: int) -> Change | None:
        """Time has passed."""
        if self._ends_ns is None or now_ns < self._ends_ns:
            return None
        if self.mode == "test":
            return self._become("race", "the test is over: its 15 minutes are")
        return self._become("race", "the release is over: its 2 hours are")

    def new_epoch(self, *, has_gun: bool) -> None:
        """The log goes on in another epoch, which has a gun already or has none."""
        self._has_gun = has_gun

    def _refuse_test(self, now_ns: int) -> None:
        if self._has_gun:
            raise UsageError("mode: no test after a gun of this race; if the race is over here, release the mat first")
        if self._raced_ns is not None and now_ns - self._raced_ns < RACED_NS:
            ago_min = (now_ns - self._raced_ns) // (60 * NS_PER_S)
            raise UsageError(
                f"mode: no test within 30 minutes of a crossing, and one was {counted(ago_min, 'minute')} ago; "
                "if the race is over here, release the mat first"
            )

    def _become(self, mode: Mode, says: str, ends_ns: int | None = None, *, was_race: bool = False) -> Change:
        if mode != self.mode:  # to ask for a test again forgets nothing of it
            self._crossed.clear()
        self.mode = mode
        self._ends_ns = ends_ns
        return Change(mode, says, was_race)
