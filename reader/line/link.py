"""One reader: its port, its protocol, and the conversation with it, in a thread of its own.

The thread drains the port, stamps what came, decodes it and answers the reader; what it hands on are chip
reads and whether the reader hears. It decodes here, not with the recorder, because a reader that waits to
be asked again must not wait for a disk. It touches neither disk nor network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from reader.clock import Clock
from reader.config import ReaderSettings
from reader.errors import PortMissing, ReaderError
from reader.line.activity import Activity, Heard60s
from reader.line.auto import Guess, speeds
from reader.line.port import Port, find_ports
from reader.line.protocols import BY_NAME, AntennaStanding, Conversation, Decoder, Standing, load
from reader.model import NS_PER_S, ChipRead, Event, Hearing, Instant, Reads, Rejected

READ_WAIT_S = 0.1
SILENT_S = 0.05  # a line that says nothing for so long has ended what it was saying
REOPEN_S = 0.5
ROOM_WAIT_S = 0.002


class LinkState(NamedTuple):
    """How it stands with one reader, replaced whole; for the status."""

    name: str
    word: Literal["ok", "warn", "fail", "unknown"]
    says: str
    hears: bool
    family: str | None
    baud: int | None
    bytes_read: int
    rejected: dict[str, int]
    antennas: list[Heard60s]
    standings: list[AntennaStanding]
    progress_ns: int


class Link:
    """The thread of one reader. ``hand_on`` takes what it hears; ``has_room`` says whether there is room for more.

    Only a line whose other end waits is held back when there is no room: a real one is always drained.
    """

    def __init__(
        self,
        settings: ReaderSettings,
        clock: Clock,
        hand_on: Callable[[Reads | Hearing], None],
        has_room: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._hand_on = hand_on
        self._has_room = has_room
        self._zone = ZoneInfo(settings.zone)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"port {settings.name}", daemon=True)
        self._standing = Standing(hears=False, word="unknown", says="not opened yet")
        self._heard_last: bool | None = None
        self._family: str | None = None if settings.protocol == "auto" else settings.protocol
        self._baud = settings.baud
        self._tries = 0
        self._bytes = 0
        self._rejected: dict[str, int] = {}
        self._activity = Activity()
        self._antennas: list[Heard60s] = []
        self._standings: list[AntennaStanding] = []
        self._antennas_due_ns = 0
        self._talk: Conversation | None = None
        self.state = self._make_state()

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and end; returns when it has."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    # ---- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._live()
            except ReaderError as error:
                self._stand(Standing(hears=False, word="fail", says=str(error)), self._clock.now())
            except Exception as error:
                says = f"a fault of this program in talking to the reader ({error!r}); it goes on, please report it"
                self._stand(Standing(hears=False, word="fail", says=says), self._clock.now())
            self._stopping.wait(REOPEN_S)

    def _live(self) -> None:
        """Open the port and stay with it until it goes, or until another speed or port is to be tried."""
        name, baud = self._where()
        port = Port(name, baud, self._clock)
        self._baud = baud
        try:
            if self._family is None:
                self._listen_until_known(port)
            else:
                family = load(self._family)
                self._converse(port, family.Decoder(), family.Conversation(), [], None)
        finally:
            port.close()

    def _where(self) -> tuple[str, int]:
        """The port and the speed to try now."""
        names = [self.settings.port] if self.settings.port != "auto" else find_ports()
        if not names:
            raise PortMissing("no serial device is there; plug the reader in")
        bauds = speeds(self.settings.baud) if self.settings.protocol == "auto" else (self._speed_given(),)
        # Once a family has shown itself, "auto" stays with it: after a replug it records again at once.
        name = names[self._tries // len(bauds) % len(names)]
        return name, bauds[self._tries % len(bauds)]

    def _speed_given(self) -> int:
        return self.settings.baud or BY_NAME[self.settings.protocol].baud

    def _listen_until_known(self, port: Port) -> None:
        says = f"{port.name}: listening at {self._baud} baud for a reader of a known family"
        self._stand(Standing(hears=False, word="warn", says=says), self._clock.now())
        guess = Guess(self._clock.mono_ns())
        while not self._stopping.is_set():
            now_ns = self._clock.mono_ns()
            if guess.is_over(now_ns):
                self._tries += 1
                return
            if question := guess.question(now_ns):
                port.write(question)
            chunk = port.read(READ_WAIT_S)
            self.state = self._make_state()
            if chunk is None:
                continue
            self._bytes += len(chunk.data)
            if (known := guess.feed(chunk.data)) is not None:
                family, decoder, events = known
                self._family = family.name
                self._converse(port, decoder, load(family.name).Conversation(), events, chunk.at)
                return

    def _converse(
        self, port: Port, decoder: Decoder, talk: Conversation, events: list[Event], at: Instant | None
    ) -> None:
        """Drain, stamp, decode, answer; until the port goes."""
        self._talk = talk
        now = last = self._clock.now()
        self._send(port, talk, talk.opened(now.mono_ns))
        is_idle = True  # the decoder has been told of the silence
        if at is not None:
            self._take(port, talk, events, at)
        self._stand(talk.standing, now)
        while not self._stopping.is_set():
            wait_s = READ_WAIT_S if is_idle else SILENT_S
            if (due_ns := talk.due_ns) is not None:
                wait_s = min(wait_s, max(0.0, (due_ns - now.mono_ns) / NS_PER_S))
            chunk = port.read(wait_s)
            if chunk is not None:
                is_idle = False
                self._bytes += len(chunk.data)
                last = now = chunk.at
                self._take(port, talk, decoder.feed(chunk.data), now)
            else:
                now = self._clock.now()
                if not is_idle and now.mono_ns - last.mono_ns >= SILENT_S * NS_PER_S:
                    is_idle = True
                    self._take(port, talk, decoder.idle(), last)  # what is let out now came then
            self._send(port, talk, talk.tick(now.mono_ns))
            if talk.standing is not self._standing:
                self._stand(talk.standing, now)
            self.state = self._make_state()
            while port.is_paced and not self._has_room() and not self._stopping.is_set():
                self._stopping.wait(ROOM_WAIT_S)
        self._send(port, talk, talk.closing())
        port.flush()

    def _take(self, port: Port, talk: Conversation, events: list[Event], at: Instant) -> None:
        """Hand on the chip reads of one chunk, count the rest, and answer."""
        if not events:
            return
        reads = [event for event in events if type(event) is ChipRead]
        if reads:
            self._activity.note(reads, at.mono_ns)
        if len(reads) < len(events):
            for event in events:
                if type(event) is Rejected:
                    self._rejected[event.reason] = self._rejected.get(event.reason, 0) + 1
        self._send(port, talk, talk.heard(events, at.mono_ns))
        if talk.standing is not self._standing:
            self._stand(talk.standing, at)  # before the reads: a reader that reports one hears
        if reads:
            self._hand_on(Reads(self.settings.name, at, self._zone_offset_ns(reads[0]), reads))

    def _zone_offset_ns(self, read: ChipRead) -> int:
        if read.reader_ns is None or self.settings.zone == "UTC":
            return 0
        local = datetime.fromtimestamp(read.reader_ns // NS_PER_S, UTC).replace(tzinfo=self._zone)
        offset = local.utcoffset()
        return int(offset.total_seconds()) * NS_PER_S if offset else 0

    def _send(self, port: Port, talk: Conversation, data: bytes) -> None:
        if data:
            port.write(data)
        if talk.baud is not None and talk.baud != self._baud:
            port.flush()  # what was said at the old speed goes out at it
            port.set_baud(talk.baud)
            self._baud = talk.baud

    def _stand(self, standing: Standing, at: Instant) -> None:
        """Note how it stands; a change of hearing is handed on, the first one too."""
        self._standing = standing
        self.state = self._make_state()
        if standing.hears != self._heard_last:
            # A reader that has yet to be spoken to has not ceased to hear: its port has only been opened.
            if self._heard_last is None and not standing.hears and standing.word not in ("fail",):
                return
            self._heard_last = standing.hears
            self._hand_on(Hearing(self.settings.name, at, standing.hears, standing.says))

    def _make_state(self) -> LinkState:
        standing = self._standing
        now_ns = self._clock.mono_ns()
        if now_ns >= self._antennas_due_ns:
            self._antennas_due_ns = now_ns + NS_PER_S
            self._antennas = self._activity.last_minute(now_ns)
            self._standings = self._talk.antennas if self._talk is not None else []
        return LinkState(
            name=self.settings.name,
            word=standing.word,
            says=standing.says,
            hears=standing.hears,
            family=self._family,
            baud=self._baud,
            bytes_read=self._bytes,
            rejected=self._rejected,
            antennas=self._antennas,
            standings=self._standings,
            progress_ns=now_ns,
        )
