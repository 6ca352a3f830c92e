"""What is said to a ThingMagic module so that it streams its reads, and what its answers tell of it.

The setting-up is a script (:mod:`.setup`); here stands what watches over it and over the stream, and
starts over, for ever.
"""

from __future__ import annotations

from typing import cast

from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing, State
from reader.line.protocols.asking import Asking, Stuck
from reader.line.protocols.rounds import Rounds
from reader.line.protocols.settings import Wanted
from reader.line.protocols.thingmagic.ask import CHECK, status_of
from reader.line.protocols.thingmagic.frame import (
    HIGH_RETURN_LOSS,
    NO_ANTENNA,
    RF_NOT_ON,
    TOO_HOT,
    words_from_status,
)
from reader.line.protocols.thingmagic.report import STREAMED
from reader.line.protocols.thingmagic.setup import Notes, set_up
from reader.model import NS_PER_S, ChipRead, Event, Reason, Reply

START_OVER_NS = 2 * NS_PER_S  # not more often
SILENT_NS = 5 * NS_PER_S // 2  # a keep-alive comes every second
FAULT_NS = 10 * NS_PER_S
WEAKENING = {TOO_HOT, NO_ANTENNA, HIGH_RETURN_LOSS}  # faults with which it hears less than it should
HOT_C = 60  # of the module itself; from some 80 it transmits less


class Conversation(Clockless):
    """Sets the module up, starts the stream and watches over it; starts over for ever."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = Standing(hears=False, word="unknown", says="the port is not open yet")
        self._wanted = wanted
        self._notes = Notes()
        self._asking: Asking[None] = Asking(set_up(wanted, self._notes, 0))
        self._began_ns = self._started_ns = 0
        self._streamed_ns: int | None = None
        self._trouble = ""
        self._is_unanswered = False
        self._faults: dict[int, int] = {}  # the status, and when last told
        self._temperature_c: int | None = None
        self._rounds = Rounds()
        self._antenna: int | None = None  # whose turn it is
        self._connected: dict[int, bool] = {}  # as told by the stream, or shown by a read

    @property
    def baud(self) -> int | None:
        """The speed that the line should have now; None: as it was opened."""
        return self._asking.baud

    @property
    def due_ns(self) -> int | None:
        """When a question is asked again, or the next."""
        return self._asking.due_ns

    @property
    def antennas(self) -> list[AntennaStanding]:
        """The ports that are searched."""
        found = self._notes.found
        states: dict[int, State] = {port: "up" if port in found.detected else "missing" for port in found.ports}
        if not found.detected:
            # Some modules can't detect any.
            states = dict.fromkeys(states, "unknown")
        states |= {
            port: "up" if is_there else "missing" for port, is_there in self._connected.items() if port in states
        }
        if len(states) == 1:
            # Of several it can't be told which one is meant.
            port = next(iter(states))
            if HIGH_RETURN_LOSS in self._faults:
                states[port] = "bad"
            if NO_ANTENNA in self._faults:
                states[port] = "missing"
        return [AntennaStanding(port, states[port], self._rounds.revisit_ms(port)) for port in sorted(states)]

    @property
    def health(self) -> Examined:
        """What the stream has told, and the setting-up before it."""
        connected = {port: state == "up" for port, state, _, _ in self.antennas if port and state in ("up", "missing")}
        return Examined(self._temperature_c, connected=connected, region=self._notes.region)

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """Begin from the top."""
        self._trouble, self._is_unanswered = "", False
        self._streamed_ns = None
        sent = self._begin(0, now_ns, baud)
        self._judge(now_ns)
        return sent

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Take answers, and note that the stream is alive."""
        sent = b""
        for event in events:
            if isinstance(event, ChipRead):
                self._streamed_ns = now_ns
                self._notes.heard += 1
                if event.antenna is not None and event.antenna != self._antenna:
                    self._turn(event.antenna, now_ns)
            elif isinstance(event, Reply):
                self._notes.heard += 1
                sent += self._heard_reply(event, now_ns)
            elif event.reason is Reason.CHIP_CRC:
                self._streamed_ns = now_ns
                self._notes.heard += 1
        self._judge(now_ns)
        return sent

    def tick(self, now_ns: int) -> bytes:
        """Ask again, go on or start over, if it is time to."""
        sent = b""
        if not self._asking.is_done:
            try:
                sent = self._asking.tick(now_ns)
            except Stuck as stuck:
                sent = self._give_up(stuck, now_ns)
            self._note_start(now_ns)
        else:
            silent_ns = now_ns - max(self._started_ns, self._streamed_ns or 0)
            if silent_ns > SILENT_NS:
                self._trouble = f"silent: no keep-alive for {silent_ns / NS_PER_S:.1f} s; {CHECK}"
                sent = self._start_over(now_ns)
        self._judge(now_ns)
        return sent

    def closing(self) -> bytes:
        """Let it stream: it goes on at once when the mat is back."""
        return b""

    def _begin(self, pause_ns: int, now_ns: int, baud: int | None) -> bytes:
        self._began_ns = now_ns + pause_ns
        heard = self._notes.heard
        self._notes = Notes()
        self._notes.heard = heard
        self._faults, self._temperature_c, self._connected = {}, None, {}
        self._asking = Asking(set_up(self._wanted, self._notes, pause_ns), baud)
        return self._asking.begin(now_ns)

    def _start_over(self, now_ns: int) -> bytes:
        """From the top: at once, but not more often than every ``START_OVER_NS``."""
        if now_ns < self._began_ns:
            return b""  # it is waiting to begin already
        return self._begin(max(0, self._began_ns + START_OVER_NS - now_ns), now_ns, self.baud)

    def _give_up(self, stuck: Stuck, now_ns: int) -> bytes:
        self._trouble, self._is_unanswered = str(stuck), stuck.is_unanswered
        return self._start_over(now_ns)

    def _heard_reply(self, reply: Reply, now_ns: int) -> bytes:
        asked, status = self._asking.question, status_of(reply)
        is_answer = asked is not None and asked.is_answer(reply)
        if is_answer and self._is_unanswered:
            self._trouble, self._is_unanswered = "", False
        # To the stop anything may be answered: it begins a setting-up, which is what the two cases here ask for.
        is_stopping = asked is not None and asked.name == "stop"
        if status == RF_NOT_ON and not is_stopping:
            return self._restart(f"{words_from_status(status)}: it is set up again", now_ns)
        if reply.name == "boot" and not is_answer and not is_stopping:
            return self._restart("has restarted by itself and is set up again; check its power supply", now_ns)
        if is_answer:
            try:
                return self._asking.heard(reply, now_ns)
            except Stuck as stuck:
                return self._give_up(stuck, now_ns)
            finally:
                self._note_start(now_ns)
        if reply.name in STREAMED:
            self._streamed_ns = now_ns
            self._heard_of_itself(reply, status, now_ns)
        return b""

    def _heard_of_itself(self, reply: Reply, status: int, now_ns: int) -> None:
        """What the module tells of itself while it streams."""
        said = reply.fields
        if reply.name == "fault":
            self._faults[status] = now_ns
        if "temp_c" in said:
            self._temperature_c = cast(int, said["temp_c"])
        if "connected" in said:
            self._connected = {port: bool(there) for port, there in cast("dict[int, int]", said["connected"]).items()}
        if "ant_rx" in said and said["ant_rx"] != self._antenna:
            self._rounds.begin(cast(int, said["ant_rx"]), now_ns)
            self._antenna = cast(int, said["ant_rx"])

    def _turn(self, antenna: int, now_ns: int) -> None:
        """A read came from another antenna than the last."""
        self._antenna = antenna
        self._connected[antenna] = True
        self._rounds.begin(antenna, now_ns)

    def _note_start(self, now_ns: int) -> None:
        if self._asking.is_done:
            self._started_ns = now_ns
            self._trouble = self._trouble or self._notes.trouble

    def _restart(self, trouble: str, now_ns: int) -> bytes:
        self._trouble, self._is_unanswered = trouble, False
        self._streamed_ns = None
        return self._start_over(now_ns)

    def _judge(self, now_ns: int) -> None:
        standing = self._standing_at(now_ns)
        # The same object while nothing changes: who watches it need only look whether it is another.
        if standing != self.standing:
            self.standing = standing

    def _standing_at(self, now_ns: int) -> Standing:
        notes = self._notes
        if not self._asking.is_done and notes.trouble:
            self._trouble, self._is_unanswered = notes.trouble, False
        is_heard = self._streamed_ns is not None and now_ns - self._streamed_ns <= SILENT_NS
        if self._asking.is_done and is_heard:
            self._trouble, self._is_unanswered = "", False
            self._faults = {status: at for status, at in self._faults.items() if now_ns - at <= FAULT_NS}
            says = f"streaming, antenna {', '.join(map(str, notes.found.ports))}; region {notes.found.region}"
            warnings = [*map(words_from_status, self._faults), *self._heat(), *notes.warnings]
            if warnings:
                is_weak = bool(WEAKENING & self._faults.keys())
                return Standing(hears=True, word="warn", says=f"{says}; {'; '.join(warnings)}", is_weak=is_weak)
            return Standing(hears=True, word="ok", says=says)
        if self._is_unanswered and is_heard:
            says = f"reports, but {self._trouble}; it goes on as it was set before"
            return Standing(hears=True, word="warn", says=says)
        if self._trouble:
            return Standing(hears=False, word="fail", says=self._trouble)
        if is_heard:
            return Standing(hears=True, word="warn", says="was streaming already, and is being set up")
        return Standing(hears=False, word="unknown", says="setting up the reader")

    def _heat(self) -> list[str]:
        if self._temperature_c is None or self._temperature_c <= HOT_C:
            return []
        return [f"{self._temperature_c} degrees C hot: give it shade and air, or it will transmit less"]
