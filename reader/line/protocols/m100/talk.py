"""What is said to an M100 so that it reports its reads, and how it stands with it.

It is set up (:mod:`.setup`) and polled (:mod:`.polling`); one who answers no question is polled all the
same. Silence starts all over: a module that has restarted has lost its settings, and says nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable

from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing
from reader.line.protocols.asking import Asking, Script, pause
from reader.line.protocols.m100.frame import BAD_COMMAND, Form, in_form
from reader.line.protocols.m100.polling import ENOUGH, SILENT_NS, Polling
from reader.line.protocols.m100.report import KEEP_ALIVE
from reader.line.protocols.m100.setup import NOBODY, Outcome, set_up
from reader.line.protocols.settings import Wanted
from reader.model import NS_PER_S, ChipRead, Event, Reason, Reply

START_OVER_NS = 1 * NS_PER_S  # not more often
REGION_AGAIN_NS = 10 * NS_PER_S
FAULT_NS = 10 * NS_PER_S

CHECK = "check its power and the cable, and that `baud` is what it is set to"
UNANSWERED = f"does not answer at this baud: {CHECK}"


class Conversation(Clockless):
    """Sets the module up, polls it and watches over it; starts over for ever."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = Standing(hears=False, word="unknown", says="the port is not open yet")
        self.baud: int | None = None
        self._wanted = wanted or NOBODY
        self._asking: Asking[Outcome] | None = None
        self._polling: Polling | None = None
        self._outcome = Outcome(True)
        self._revisit_ms: float | None = None
        self._form: Form | None = None  # that the reader was heard to speak
        self._guess = Form.BB
        self._began_ns = 0
        self._has_asked_again = False  # one who answered no question, once it reported
        self._is_single = False  # the rounds that it knows
        self._round_ns: int | None = None
        self._silent_ns = SILENT_NS
        self._trouble = ""
        self._faults: dict[str, int] = {}  # in words, and when last told

    @property
    def due_ns(self) -> int | None:
        """When the next question, or the next poll, is due."""
        under_way = self._polling or self._asking
        return None if under_way is None else under_way.due_ns

    @property
    def antennas(self) -> list[AntennaStanding]:
        """The only antenna: the module can't tell whether it is connected."""
        return [AntennaStanding(None, "unknown", self._revisit_ms)]

    @property
    def health(self) -> Examined:
        """It tells nothing but its region."""
        return Examined(region=self._outcome.region_told)

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """Begin from the top."""
        self.baud, self._round_ns, self._form, self._revisit_ms = baud, None, None, None
        self._outcome, self._guess, self._trouble = Outcome(True), Form.BB, ""
        self._faults.clear()
        self._has_asked_again = self._is_single = False
        sent = self._begin(0, now_ns)
        self._judge(now_ns)
        return sent

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Take answers, and note the rounds."""
        sent = b""
        reads = empty = 0
        for event in events:
            if isinstance(event, ChipRead):
                reads += 1
            elif isinstance(event, Reply):
                self._form = Form[str(event.fields["form"])]
                if event.name == KEEP_ALIVE:
                    empty += 1
                else:
                    sent += self._heard_reply(event, now_ns)
            elif event.reason is Reason.CHIP_CRC:
                reads += 1
        if reads or empty:
            self._round_ns = now_ns
            if self._polling is not None:
                sent += self._framed(self._polling.heard(reads, empty, now_ns))
                self._revisit_ms = self._polling.revisit_ms or self._revisit_ms
                if not self._outcome.is_answered and not self._has_asked_again:
                    self._has_asked_again, self._is_single = True, self._polling.is_single
                    sent = self._begin(0, now_ns)
        self._judge(now_ns)
        return sent

    def tick(self, now_ns: int) -> bytes:
        """Ask again, poll again or start over, if it is time to."""
        sent = b""
        polling, asking = self._polling, self._asking
        if polling is not None:
            sent = self._framed(polling.tick(now_ns))
            if polling.is_lost:
                sent = self._start_over(polling, now_ns)
        elif asking is not None:
            sent = self._step(asking, lambda: asking.tick(now_ns), now_ns)
        self._judge(now_ns)
        return sent

    def closing(self) -> bytes:
        """Stop the poll: whoever opens the line next gets answers."""
        return self._framed(ENOUGH)

    # ---- the run of things -------------------------------------------------------------------------------

    def _begin(self, pause_ns: int, now_ns: int) -> bytes:
        self._began_ns = now_ns + pause_ns
        self._polling = None
        asking = self._asking = Asking(self._set_up(pause_ns))
        return self._step(asking, lambda: asking.begin(now_ns), now_ns)

    def _set_up(self, pause_ns: int) -> Script[Outcome]:
        if pause_ns:
            yield from pause(pause_ns)
        return (yield from set_up(self._wanted, lambda: self.baud))

    def _step(self, asking: Asking[Outcome], step: Callable[[], bytes], now_ns: int) -> bytes:
        """One step of the setting-up; at its end the poll is begun, or where that must not be, it all again."""
        sent = step()
        if asking.baud is not None:
            self.baud = asking.baud
        if not asking.is_done:
            # Until it was heard to speak, the script says in which form it asks.
            return in_form(sent, self._form) if self._form is not None else sent
        outcome = self._outcome = asking.result
        if outcome.trouble:
            self._trouble = outcome.trouble
            return self._begin(REGION_AGAIN_NS if outcome.is_answered else START_OVER_NS, now_ns)
        self._trouble = "" if outcome.is_answered else UNANSWERED
        self._asking = None
        self._polling = Polling(outcome.q, is_single=self._is_single)
        self._silent_ns = self._polling.silent_ns
        return self._framed(self._polling.begin(now_ns))

    def _start_over(self, polling: Polling, now_ns: int) -> bytes:
        """From the top, but not more often than every ``START_OVER_NS``."""
        self._has_asked_again = self._is_single = False
        if self._outcome.is_answered:
            self._trouble = f"silent: no round for {polling.silent_ns / NS_PER_S:.1f} s; {CHECK}"
        else:
            self._trouble = UNANSWERED
            self._form = None  # another one may be there now
            self._guess = Form.AA if self._guess is Form.BB else Form.BB
        return self._begin(max(0, self._began_ns + START_OVER_NS - now_ns), now_ns)

    def _heard_reply(self, reply: Reply, now_ns: int) -> bytes:
        asking, polling = self._asking, self._polling
        if asking is not None:
            return self._step(asking, lambda: asking.heard(reply, now_ns), now_ns)
        if polling is None:
            return b""
        if reply.name == "stop":
            return self._framed(polling.stopped(now_ns))
        if reply.name == "error":
            if reply.fields["code"] == BAD_COMMAND and (sent := polling.refused(now_ns)):
                return self._framed(sent)
            self._faults[str(reply.fields["says"])] = now_ns
        return b""

    def _framed(self, sent: bytes) -> bytes:
        return in_form(sent, self._form or self._guess)

    # ---- how it stands -----------------------------------------------------------------------------------

    def _judge(self, now_ns: int) -> None:
        standing = self._standing_at(now_ns)
        # The same object while nothing changes: who watches it need only look whether it is another.
        if standing != self.standing:
            self.standing = standing

    def _standing_at(self, now_ns: int) -> Standing:
        outcome = self._outcome
        is_heard = self._round_ns is not None and now_ns - self._round_ns <= self._silent_ns
        self._faults = {words: at for words, at in self._faults.items() if now_ns - at <= FAULT_NS}
        if self._polling is not None and is_heard:
            self._trouble = ""
            says = ", ".join(filter(None, ("polling", outcome.region)))
            if warnings := [*self._faults, *outcome.warnings]:
                return Standing(hears=True, word="warn", says=f"{says}; {'; '.join(warnings)}")
            return Standing(hears=True, word="ok", says=says)
        if is_heard and not outcome.trouble:
            is_answered = self._trouble != UNANSWERED
            says = "was polling already, and is being set up" if is_answered else f"reports, but {UNANSWERED}"
            return Standing(hears=True, word="warn", says=says)
        if self._trouble:
            return Standing(hears=False, word="fail", says="; ".join((self._trouble, *self._faults)))
        return Standing(hears=False, word="unknown", says="setting up the reader")
