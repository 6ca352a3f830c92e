"""One reader: its port, its protocol, and the conversation with it, in a thread of its own.

The thread drains the port, stamps what came, decodes it and answers the reader; what it hands on are chip
reads and whether the reader hears. It decodes here, not with the recorder, because a reader that waits to
be asked again must not wait for a disk. It touches neither disk nor network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from reader.clock import Clock
from reader.config import ReaderSettings
from reader.errors import PortMissing, ReaderError
from reader.line.auto import Place, Proof, Search, has_speeds, heard_since, probe_port
from reader.line.errands import Errands
from reader.line.port import Port, find_ports
from reader.line.probe import Probe
from reader.line.protocols import BY_NAME, Conversation, Decoder, Standing, load
from reader.line.reader_clock import ReaderClock
from reader.line.stamps import BITS_A_BYTE, stamps
from reader.line.state import Asked
from reader.line.tally import Known, Tally
from reader.line.turns import Turns
from reader.model import NS_PER_S, ChipRead, Chunk, Event, Hearing, Instant, Reads

READ_WAIT_S = 0.1
SILENT_S = 0.05  # a line that says nothing for so long has ended what it was saying
REOPEN_S = 0.5
ROOM_WAIT_S = 0.002


class Link:
    """The thread of one reader. ``hand_on`` takes what it hears; ``has_room`` says whether there is room for more.

    Only a line whose other end waits is held back when there is no room: a real one is always drained.
    ``last_found``: where a reader that is looked for was when last seen.
    """

    def __init__(
        self,
        settings: ReaderSettings,
        clock: Clock,
        hand_on: Callable[[Reads | Hearing], None],
        has_room: Callable[[], bool],
        last_found: Place | None = None,
        asked: Asked | None = None,
        known: Known = Known(),  # noqa: B008 - a value that never changes
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._hand_on = hand_on
        self._has_room = has_room
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"port {settings.name}", daemon=True)
        self._family: str | None = None if settings.protocol == "auto" else settings.protocol
        self._baud = settings.baud
        self._asked = asked
        self._search = Search(settings, last_found)
        self._found: Place | None = None
        self._missed = ""
        self._reader_clock = ReaderClock(settings)
        self._tally = Tally(settings.name, clock, self._reader_clock, asked, known, hand_on)
        self.errands = Errands()
        self._show()

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def listen(self, listen: Callable[[Sequence[ChipRead]], None] | None) -> None:
        """Show the chip reads to this too, in the port's thread; None: to nobody any more."""
        self._tally.listen = listen

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
                self.errands.drop(str(error))
            except Exception as error:
                says = f"a fault of this program in talking to the reader ({error!r}); it goes on, please report it"
                self._stand(Standing(hears=False, word="fail", says=says), self._clock.now())
                self.errands.drop(says)
            self._stopping.wait(REOPEN_S)
        self.errands.drop("the line was closed before the reader had answered")

    def _live(self) -> None:
        """Open the port and stay with it until it goes, or until the reader is to be looked for elsewhere."""
        ports = self._ports()
        if not ports:
            raise PortMissing("no serial device is there; plug the reader in")
        turn = self._search.next(ports)
        probe = Probe(turn.baud, has_speeds=has_speeds(turn.port)) if turn.family is None else None
        self._tally.talk = None
        self._family, self._baud = turn.family, turn.baud if probe is None else probe.baud
        try:
            port = Port(turn.port, self._baud or 0, self._clock)
        except ReaderError:
            if self.settings.port == "auto":
                self._search.missed()  # another program's, perhaps: the next one
            raise
        try:
            if probe is not None:
                self._look_for_family(port, probe)
            elif turn.family is not None:
                decoder, talk = load(turn.family).Decoder(), self._conversation(turn.family)
                self._converse(port, decoder, talk, [], has_to_show=turn.has_to_show)
        finally:
            port.close()
            for given in self._reader_clock.finish(self._clock.now()):
                self._hand_on(given)

    def _ports(self) -> list[str]:
        return find_ports() if self.settings.port == "auto" else [self.settings.port]

    def _look_for_family(self, port: Port, probe: Probe) -> None:
        says = f"{port.name}: looking for a reader of a known family, at {probe.baud} baud and others{self._missed}"
        self._stand(Standing(hears=False, word="warn", says=says), self._clock.now())
        next_look_ns = self._clock.mono_ns() + NS_PER_S

        def goes_on(chunk: Chunk | None) -> bool:
            nonlocal next_look_ns
            self._tally.bytes_read += len(chunk.data) if chunk is not None else 0
            self._baud = probe.baud
            self._show()
            if self._clock.mono_ns() >= next_look_ns:
                next_look_ns += NS_PER_S
                if self._search.is_back(self._ports()):
                    return False
            return not self._stopping.is_set()

        found = probe_port(port, probe, self._clock, goes_on)
        if found is None:
            if probe.is_over:
                self._missed = "; found nothing so far: look at its power and its cable"
                self._search.missed()
            return
        now = self._clock.now()
        self._family, self._baud, self._missed = found.family.name, found.baud, ""
        self._note_found(port)
        talk = self._conversation(found.family.name)
        self._converse(port, found.decoder, talk, heard_since(found, now), has_to_show=False)

    def _conversation(self, family: str) -> Conversation:
        asked = self._asked
        wanted = asked.wanted if asked is not None and asked.family == family else None
        return Turns(load(family).Conversation(wanted), self.errands)

    def _note_found(self, port: Port) -> None:
        if self._family is not None and self._baud is not None:
            self._found = Place(port.name, self._family, self._baud)
            self._search.found(self._found)

    def _converse(
        self,
        port: Port,
        decoder: Decoder,
        talk: Conversation,
        heard: list[tuple[list[Event], Instant]],
        *,
        has_to_show: bool,
    ) -> None:
        """Drain, stamp, decode, answer; until the port goes, or no reader shows itself that has to."""
        self._tally.talk = talk
        if self._family is not None:
            self._reader_clock.begin(BY_NAME[self._family])
        now = last = self._clock.now()
        opening = talk.opened(now.mono_ns)
        self._send(port, talk, opening)
        is_idle = True  # the decoder has been told of the silence
        for events, at in heard:
            self._take(port, talk, events, at, [])
        proof = (
            Proof(BY_NAME[self._family], now.mono_ns, is_silent=not opening) if has_to_show and self._family else None
        )
        self._stand(talk.standing, now)
        while not self._stopping.is_set():
            wait_s = READ_WAIT_S if is_idle else SILENT_S
            if (due_ns := talk.due_ns) is not None:
                wait_s = min(wait_s, max(0.0, (due_ns - now.mono_ns) / NS_PER_S))
            chunk = port.read(wait_s)
            if chunk is not None:
                is_idle = False
                self._tally.bytes_read += len(chunk.data)
                now, before_ns = chunk.at, last.mono_ns
                last, events = now, decoder.feed(chunk.data)
                baud = self._baud if port.is_uart else None
                came = stamps(events, decoder.pending, now.mono_ns, before_ns, baud) if baud else []
                self._take(port, talk, events, now, came)
            else:
                now, events = self._clock.now(), []
                if not is_idle and now.mono_ns - last.mono_ns >= SILENT_S * NS_PER_S:
                    is_idle = True
                    events = decoder.idle()
                    self._take(port, talk, events, last, [])  # what is let out now came then
            self._send(port, talk, talk.tick(now.mono_ns) + self._look_at_clock(talk, now))
            if proof is not None:
                if proof.take(events):
                    self._note_found(port)
                    proof = None
                elif proof.is_late(now.mono_ns):
                    self._search.missed()
                    break
                else:
                    self._send(port, talk, proof.question(now.mono_ns))
            if talk.standing is not self._tally.standing:
                self._stand(talk.standing, now, last.mono_ns)  # if nothing came: silent since then
            self._show()
            while port.is_paced and not self._has_room() and not self._stopping.is_set():
                self._stopping.wait(ROOM_WAIT_S)
        self._send(port, talk, talk.closing())
        port.flush()

    def _take(self, port: Port, talk: Conversation, events: list[Event], at: Instant, came: list[int]) -> None:
        """Hand on the chip reads of one chunk, count the rest, answer. ``came``: when each read did, if not then."""
        if not events:
            return
        reads = [event for event in events if type(event) is ChipRead]
        self._tally.note(events, reads, at)
        self._send(port, talk, talk.heard(events, at.mono_ns))
        if talk.standing is not self._tally.standing:
            self._stand(talk.standing, at)  # before the reads: a reader that reports one hears
        if reads:
            byte_ns = BITS_A_BYTE * NS_PER_S // self._baud if port.is_uart and self._baud else 0
            for given in self._reader_clock.stamp(reads, at, came, byte_ns):
                self._hand_on(given)

    def _look_at_clock(self, talk: Conversation, now: Instant) -> bytes:
        """Hand on what had to wait for a word on the reader's clock; where there is none yet, what to send for one."""
        clock = self._reader_clock
        clock.listen(talk.clock_said)
        for given in clock.settle(now):
            self._hand_on(given)
        return talk.ask_clock(now.mono_ns) if clock.is_in_doubt else b""

    def _send(self, port: Port, talk: Conversation, data: bytes) -> None:
        if data:
            port.write(data)
        if talk.baud is not None and talk.baud != self._baud:
            port.flush()  # what was said at the old speed goes out at it
            port.set_baud(talk.baud)
            self._baud = talk.baud
            if self._found is not None:
                self._note_found(port)

    def _stand(self, standing: Standing, at: Instant, since_ns: int | None = None) -> None:
        """It stands so now, since then: a change of hearing is handed on."""
        self._tally.stand(standing, at, None if standing.hears else since_ns)
        self._show()

    def _show(self) -> None:
        self.state = self._tally.state(self._family, self._baud, self._found)
