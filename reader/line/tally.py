"""What a reader's thread tells everyone else of it: how it stands, what it heard, and each change of its hearing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reader.clock import Clock
from reader.line.activity import Activity, Heard60s
from reader.line.auto import Place
from reader.line.coverage import Coverage
from reader.line.protocols import AntennaStanding, Conversation, Examined, Standing
from reader.line.reader_clock import ReaderClock, ReaderTime
from reader.line.state import Asked, LinkState, warned
from reader.model import NS_PER_S, ChipRead, Event, Hearing, Hears, Instant, Rejected

LOOK_NS = NS_PER_S
UNHEARD_NS = 10 * NS_PER_S  # no reference chip is silent for so long


class Known(NamedTuple):
    """What else is known of a reader.

    ``told``: what the log said last of its hearing, by antenna (None: all of them). ``reference``: chips fixed to the
    mat; ``is_only_reader``: they can't be another reader's.
    """

    told: Mapping[int | None, Hears] = {}
    reference: frozenset[str] = frozenset()
    is_only_reader: bool = True


class Tally:
    """Of one reader, for its thread. ``hand_on`` takes the changes of its hearing.

    ``listen``: whoever wants to be shown the chip reads besides, in that thread; set and taken away from any.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        reader_clock: ReaderClock,
        asked: Asked | None,
        known: Known,
        hand_on: Callable[[Hearing], None],
    ) -> None:
        self.name = name
        self.standing = Standing(hears=False, word="unknown", says="not opened yet")
        self.talk: Conversation | None = None
        self.bytes_read = 0
        self.listen: Callable[[Sequence[ChipRead]], None] | None = None
        self._clock = clock
        self._reader_clock = reader_clock
        self._asked = asked
        self._known = known
        self._hand_on = hand_on
        self._coverage = Coverage(known.told)
        self._activity = Activity(known.reference)
        self._rejected: dict[str, int] = {}
        self._rejected_bytes = 0
        self._heard: list[Heard60s] = []
        self._antennas: list[AntennaStanding] = []
        self._time: ReaderTime | None = None
        self._health = Examined()
        self._hears_since_ns = 0
        self._look_due_ns = 0
        self._warnings: list[str] = []
        self._deaf: frozenset[int] = frozenset()
        self._has_lost_all = False

    def note(self, events: list[Event], reads: list[ChipRead], at: Instant) -> None:
        """These came, the reads among them; before the reads are handed on."""
        if reads:
            self._activity.note(reads, at.mono_ns)
            if (listen := self.listen) is not None:
                listen(reads)
            if self._has_lost_all:
                self._look(at)  # the reader takes its antennas for lost, and is wrong
        if len(reads) < len(events):
            for event in events:
                if type(event) is Rejected:
                    self._rejected[event.reason] = self._rejected.get(event.reason, 0) + 1
                    self._rejected_bytes += event.size

    def stand(self, standing: Standing, at: Instant, since_ns: int | None = None) -> None:
        """It stands so now; ``since_ns``: since when, where that was before."""
        if standing.hears and not self.standing.hears:
            self._hears_since_ns = at.mono_ns
        self.standing = standing
        self._look(at, since_ns)

    def state(self, family: str | None, baud: int | None, found: Place | None) -> LinkState:
        """How it stands now; once a second it is looked at anew."""
        now_ns = self._clock.mono_ns()
        if now_ns >= self._look_due_ns:
            self._look(self._clock.now())
            self._time = self._reader_clock.state(now_ns)
        asked = self._asked
        wrong_profile = asked.says_of(family) if asked is not None and self.talk is not None else ""
        word, says = warned(self.standing, *self._warnings, self._reader_clock.warning, wrong_profile)
        return LinkState(
            name=self.name,
            word="fail" if self._has_lost_all else word,
            says=says,
            hears=self.standing.hears and not self._has_lost_all,
            family=family,
            baud=baud,
            bytes_read=self.bytes_read,
            rejected=self._rejected,
            rejected_bytes=self._rejected_bytes,
            antennas=self._heard,
            standings=self._antennas,
            deaf=self._deaf,
            progress_ns=now_ns,
            found=found,
            time=self._time,
            health=self._health,
        )

    def _look(self, now: Instant, since_ns: int | None = None) -> None:
        self._look_due_ns = now.mono_ns + LOOK_NS
        self._heard = self._activity.last_minute(now.mono_ns)
        self._antennas = [] if self.talk is None else self.talk.antennas
        self._health = Examined() if self.talk is None else self.talk.health
        for change in self._coverage.look(self.standing, self._antennas, self._heard, now.mono_ns, since_ns):
            began_ns = None if change.since_ns == now.mono_ns else change.since_ns
            hears, is_partial = change.hearing != "down", change.hearing == "partial"
            self._hand_on(Hearing(self.name, now, hears, change.reason, change.antenna, is_partial, began_ns))
        down = self._coverage.down
        self._deaf = frozenset(down)
        self._has_lost_all = self.standing.hears and self._coverage.has_lost_all
        self._warnings = [*down.values(), *self._unheard(now.mono_ns)] if self.standing.hears else []

    def _unheard(self, now_ns: int) -> Iterator[str]:
        """Reference chips that are not heard, where nothing else is either."""
        if now_ns - self._hears_since_ns < UNHEARD_NS:
            return
        heard_ns = {one.antenna: one.last_ns for one in self._heard}
        for chip in sorted(self._known.reference):
            if last := self._activity.references.get(chip):
                antenna, _ = last
                last_ns = heard_ns[antenna]
                where = "this reader" if antenna is None else f"antenna {antenna}"
            elif self._known.is_only_reader:
                last_ns = max(heard_ns.values(), default=0)
                where = "any antenna"
            else:
                continue
            if now_ns - last_ns >= UNHEARD_NS:
                yield f"reference chip {chip} is not heard, nor anything else with {where}: look at it and at its cable"
