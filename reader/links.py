"""All readers of the mat: a link for each, what its profile asks of it, and where it was last found."""

from __future__ import annotations

from collections.abc import Callable

from reader.box.found import Found, FoundFile
from reader.box.status import LineUse, ReaderFacts
from reader.clock import Clock
from reader.config import Config, ReaderSettings
from reader.errors import ConfigError
from reader.health import reader_from_link
from reader.line.auto import Place
from reader.line.link import Asked, Link
from reader.line.profile import of_reader
from reader.model import Hearing, Reads


class Links:
    """``hand_on`` takes what they hear; ``has_room`` says whether there is room for more.

    ``trouble``: which profile can't be used, and why; the reader is then taken as it is.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        hand_on: Callable[[Reads | Hearing], None],
        has_room: Callable[[], bool],
    ) -> None:
        self.trouble = ""
        self._source = config.source
        self._found = FoundFile()
        self._links = [
            Link(reader, clock, hand_on, has_room, self._last_place_of(reader.name), self._asked_of(reader))
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

    def is_stuck(self, now_ns: int, limit_ns: int) -> bool:
        """Whether one has made no progress for so long."""
        return any(now_ns - link.state.progress_ns > limit_ns for link in self._links)

    def note_found(self) -> None:
        """Readers that were looked for are looked for there first the next time; the port threads touch no disk."""
        for link in self._links:
            if (place := link.state.found) is not None:
                self._found.note(link.settings.name, Found(*place))

    def _last_place_of(self, reader: str) -> Place | None:
        found = self._found.get(reader)
        return None if found is None else Place(found.port, found.family, found.baud)

    def _asked_of(self, reader: ReaderSettings) -> Asked | None:
        if reader.apply_profile == "never":
            return None
        try:
            loaded = of_reader(reader, self._source)
        except ConfigError as error:
            self.trouble = f"the profile of reader {reader.name} is not used: {error}"
            return None
        if loaded is None:
            return None
        return Asked(loaded.profile.family, loaded.wanted(with_flash=reader.apply_profile == "all"))
