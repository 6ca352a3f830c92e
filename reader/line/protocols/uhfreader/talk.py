"""What is said to a UHFReader so that it records, for ever.

It is got to know (:mod:`.plan`), then asked for rounds or listened to (:mod:`.poll`). When it falls
silent, or refuses what it did before, all begins anew: a reader that has restarted is set up again.
"""

from __future__ import annotations

from collections.abc import Callable

from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing
from reader.line.protocols.asking import Asking, Script, pause
from reader.line.protocols.settings import Wanted
from reader.line.protocols.uhfreader.frame import BAUDS
from reader.line.protocols.uhfreader.plan import NotTransmitting, Plan, set_up
from reader.line.protocols.uhfreader.poll import ALIVE_NS, Poll
from reader.model import NS_PER_S, ChipRead, Event, Reply

START_OVER_NS = NS_PER_S
REGION_AGAIN_NS = 10 * NS_PER_S
CHECK = "check its power, the cable (TX and RX crossed?) and that `baud` is what it is set to"


class Conversation(Clockless):
    """Sets the reader up, asks it for rounds and watches over it; starts over for ever."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = Standing(hears=False, word="unknown", says="the port is not open yet")
        self.baud: int | None = None
        self._wanted = wanted
        self._asking: Asking[Plan] | None = None
        self._poll: Poll | None = None
        self._trouble = ""
        self._has_answered = False  # anything at all, since the last beginning
        self._pushed_ns: int | None = None
        self._now_ns = 0

    @property
    def due_ns(self) -> int | None:
        """When ``tick`` has something to do."""
        if self._poll is not None:
            return self._poll.due_ns
        return None if self._asking is None else self._asking.due_ns

    @property
    def antennas(self) -> list[AntennaStanding]:
        """The antennas that are asked one by one; nothing where the reader does not tell them apart."""
        return [] if self._poll is None else self._poll.antennas

    @property
    def health(self) -> Examined:
        """Its region, and which antennas its rounds miss."""
        return Examined() if self._poll is None else self._poll.health

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """Begin from the top."""
        self.baud = baud
        self._trouble = ""
        self._pushed_ns = None
        sent = self._begin(0, now_ns)
        self._judge(now_ns)
        return sent

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Take answers and reports."""
        sent = b""
        reads = 0
        for event in events:
            if isinstance(event, ChipRead):
                reads += 1
            elif isinstance(event, Reply):
                self._has_answered = True
                chips = event.fields.get("chips", 0)
                reads -= chips if isinstance(chips, int) else 0
                sent += self._heard_reply(event, now_ns)
        # Chips in a round are counted by the reply behind them: these were pushed.
        if reads > 0:
            self._pushed_ns = now_ns
            if self._poll is not None:
                self._poll.pushed(now_ns)
        self._judge(now_ns)
        return sent

    def tick(self, now_ns: int) -> bytes:
        """Ask again, go on or start over, if it is time to."""
        if self._poll is not None:
            sent = self._poll.tick(now_ns) + self._look_after(now_ns)
        else:
            sent = self._go_on(lambda asking: asking.tick(now_ns), now_ns)
        self._judge(now_ns)
        return sent

    def closing(self) -> bytes:
        """Nothing: a round ends by itself."""
        return b""

    # ---- setting up ----------------------------------------------------------------------------------

    def _begin(self, pause_ns: int, now_ns: int) -> bytes:
        self._poll = None
        self._has_answered = False
        self._asking = Asking(self._script(pause_ns), self.baud)
        return self._go_on(lambda asking: asking.begin(now_ns), now_ns)

    def _script(self, pause_ns: int) -> Script[Plan]:
        if pause_ns:
            yield from pause(pause_ns)
        return (yield from set_up(self._wanted))

    def _go_on(self, step: Callable[[Asking[Plan]], bytes], now_ns: int) -> bytes:
        asking = self._asking
        if asking is None:
            return b""
        try:
            sent = step(asking)
        except NotTransmitting as reason:
            self._trouble = str(reason)
            self.baud = asking.baud or self.baud
            if reason.is_unanswered:
                self._try_another_speed()
            return self._begin(START_OVER_NS if reason.is_unanswered else REGION_AGAIN_NS, now_ns)
        self.baud = asking.baud or self.baud
        if asking.is_done:
            self._asking = None
            self._poll = Poll(asking.result)
            sent += self._poll.begin(now_ns)
        return sent

    # ---- recording -----------------------------------------------------------------------------------

    def _heard_reply(self, reply: Reply, now_ns: int) -> bytes:
        if self._poll is not None:
            return self._poll.heard(reply, now_ns) + self._look_after(now_ns)
        return self._go_on(lambda asking: asking.heard(reply, now_ns), now_ns)

    def _look_after(self, now_ns: int) -> bytes:
        """Begin anew, if the rounds have been lost."""
        poll = self._poll
        if poll is not None and poll.is_told:
            return self._begin(0, now_ns)
        if poll is None or not poll.lost:
            return b""
        if self._has_answered:
            self._trouble = f"{poll.lost}; {CHECK}; it is set up again"
        else:
            self._trouble = f"does not answer: {CHECK}"
            self._try_another_speed()
        return self._begin(START_OVER_NS, now_ns)

    def _try_another_speed(self) -> None:
        """After a change of speed, or where the profile names one, the reader may be at any of them."""
        wanted = None if self._wanted is None else self._wanted.values.get("baud")
        if self.baud is None:
            self.baud = wanted if isinstance(wanted, int) else None
        else:
            bauds = list(BAUDS)
            at = bauds.index(self.baud) if self.baud in bauds else -1
            self.baud = bauds[(at + 1) % len(bauds)]

    # ---- how it stands -------------------------------------------------------------------------------

    def _judge(self, now_ns: int) -> None:
        standing = self._standing_at(now_ns)
        # The same object while nothing changes: who watches it need only look whether it is another.
        if standing != self.standing:
            self.standing = standing

    def _standing_at(self, now_ns: int) -> Standing:
        poll = self._poll
        is_pushing = self._pushed_ns is not None and now_ns - self._pushed_ns <= ALIVE_NS
        if poll is not None and poll.is_alive(now_ns):
            self._trouble = ""
            return _standing_of(poll, now_ns)
        if is_pushing:
            # Then it does transmit, whatever keeps it from being asked to.
            says = self._trouble.removeprefix("not transmitting: ") or "it is being set up"
            return Standing(hears=True, word="warn", says=f"reports by itself; {says}")
        if poll is not None and poll.missing and poll.is_by_antenna:
            ports = ", ".join(map(str, poll.missing))
            says = f"no antenna is connected (asked: {ports}): check the antennas and their cables"
            return Standing(hears=False, word="fail", says=says)
        if self._trouble:
            return Standing(hears=False, word="fail", says=self._trouble)
        return Standing(hears=False, word="unknown", says="setting up the reader")


def _standing_of(poll: Poll, now_ns: int) -> Standing:
    plan = poll.plan
    if plan.listens:
        says = "listening: it reports by itself"
    elif poll.is_by_antenna:
        ports = [port for port in plan.ports if port not in poll.missing]
        says = f"polling, antenna {', '.join(map(str, ports))}"
    else:
        says = "polling"
    if plan.info is not None:
        says = f"{plan.info.model} {says}"
    says = f"{says}; {plan.region}"
    if warnings := poll.warnings(now_ns):
        return Standing(hears=True, word="warn", says="; ".join((says, *warnings)))
    return Standing(hears=True, word="ok", says=says)
