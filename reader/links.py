"""All readers of the mat: a link for each, what its profile asks of it, and where it was last found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from reader.before import Told
from reader.box.found import Found, FoundFile
from reader.box.status import LineUse, ReaderFacts
from reader.clock import Clock
from reader.clocks import Clocks, clocks_from
from reader.config import Config, ReaderSettings
from reader.errors import ConfigError, ReaderError, UsageError
from reader.health import reader_from_link
from reader.line.auto import Place
from reader.line.link import Link
from reader.line.profile import of_reader
from reader.line.protocols import BY_NAME, load
from reader.line.protocols.asking import Script
from reader.line.reader_clock import utc_offset_ns
from reader.line.state import Asked, LinkState
from reader.line.tally import Known
from reader.model import NS_PER_S, ChipRead, Hearing, Reads

T = TypeVar("T")

SET_LIMIT_S = 20.0


class Links:
    """``hand_on`` takes what they hear; ``has_room`` says whether there is room for more.

    ``told``: what the log said last of their hearing. ``trouble``: which profiles can't be used, and why; their
    readers are then taken as they are.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        hand_on: Callable[[Reads | Hearing], None],
        has_room: Callable[[], bool],
        told: Told,
    ) -> None:
        self.trouble = ""
        reference = frozenset(config.chips.reference)
        self._clock = clock
        self._source = config.source
        self._found = FoundFile()
        self._links = [
            Link(
                reader,
                clock,
                hand_on,
                has_room,
                self._last_place_of(reader.name),
                self._asked_of(reader),
                Known(told.get(reader.name, {}), reference, is_only_reader=len(config.readers) == 1),
            )
            for reader in config.readers
        ]
        self._line_use = {reader.name: LineUse() for reader in config.readers}

    def start(self) -> None:
        """Start their threads."""
        for link in self._links:
            link.start()

    def stop(self) -> None:
        """Close all lines; returns when they are closed."""
        for link in self._links:
            link.stop()

    def look(self, now_ns: int) -> list[ReaderFacts]:
        """How it stands with each."""
        states = [link.state for link in self._links]
        return [
            reader_from_link(state, self._line_use[state.name].pct(state.bytes_read, state.baud, now_ns))
            for state in states
        ]

    def state(self, reader: str) -> LinkState:
        """How it stands with one, by its name; KeyError."""
        return self._of(reader).state

    def run(self, reader: str, script: Script[T], limit_s: float, is_wanted: Callable[[], bool] = lambda: True) -> T:
        """What a script that is said to that reader returns. ReaderError where it does not go along in time.

        ``is_wanted`` is asked meanwhile: the reader is left in peace as soon as it says no.
        """
        return self._of(reader).errands.run(script, limit_s, is_wanted)

    @contextmanager
    def listening(self, reader: str, listen: Callable[[Sequence[ChipRead]], None]) -> Iterator[None]:
        """Its chip reads are shown to ``listen`` too, in the port's thread: it must be quick."""
        link = self._of(reader)
        link.listen(listen)
        try:
            yield
        finally:
            link.listen(None)

    def clocks(self) -> Clocks:
        """How the clocks stand, the host's and the readers'."""
        states = [link.state for link in self._links]
        configured = {link.settings.name: link.settings.time_from for link in self._links}
        return clocks_from(self._clock.now(), self._clock.quality(), states, configured)

    def set_clocks(self, reader: str | None) -> list[str]:
        """Set those that can be set, or one by its name, to this box's UTC; what was done. Takes some seconds.

        UsageError for a name that there is not; ReaderError where it can't be done.
        """
        names = [link.settings.name for link in self._links]
        if reader is not None and reader not in names:
            raise UsageError(f"reader: found {reader!r}, expected one of: {', '.join(names)}")
        chosen = [
            (link, family)
            for link in self._links
            if reader in (None, link.settings.name) and (family := link.state.family) and BY_NAME[family].has_date
        ]
        if not chosen:
            raise ReaderError("no reader here has a clock with a date: there is none to set")
        if not self._clock.quality().synced:
            raise ReaderError("this box's own clock is not good: set that first, or give it a network or GPS")
        return [f"{link.settings.name}: {self._set_clock(link, family)}" for link, family in chosen]

    def _set_clock(self, link: Link, family: str) -> str:
        def now_utc_ns() -> int:
            return self._clock.now().utc_ns

        local = datetime.fromtimestamp(now_utc_ns() // NS_PER_S, ZoneInfo(link.settings.zone))
        script = load(family).set_clock(now_utc_ns, utc_offset_ns(local))
        return link.errands.run(script, SET_LIMIT_S).says

    def is_stuck(self, now_ns: int, limit_ns: int) -> bool:
        """Whether one has made no progress for so long."""
        return any(now_ns - link.state.progress_ns > limit_ns for link in self._links)

    def note_found(self) -> None:
        """Readers that were looked for are looked for there first the next time; the port threads touch no disk."""
        for link in self._links:
            if (place := link.state.found) is not None:
                self._found.note(link.settings.name, Found(*place))

    def _of(self, reader: str) -> Link:
        return {link.settings.name: link for link in self._links}[reader]

    def _last_place_of(self, reader: str) -> Place | None:
        found = self._found.get(reader)
        return None if found is None else Place(found.port, found.family, found.baud)

    def _asked_of(self, reader: ReaderSettings) -> Asked | None:
        if reader.apply_profile == "never":
            return None
        try:
            loaded = of_reader(reader, self._source)
        except ConfigError as error:
            says = f"the profile of reader {reader.name} is not used: {error}"
            self.trouble = f"{self.trouble}; {says}" if self.trouble else says
            return None
        if loaded is None:
            return None
        return Asked(loaded.profile.family, loaded.wanted(with_flash=reader.apply_profile == "all"))
