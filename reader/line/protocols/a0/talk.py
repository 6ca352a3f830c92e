"""What is said to an A0 reader so that it reports, and what its answers tell of it.

One script that never ends: set up, then ask for one round after the other (:mod:`.poll`), and now and then how it
is. A reader that refuses or leaves out anything but the rounds still records.

Flash is only written for a profile that may. Nothing transmits before the region is known to be one that there is
and that the profile, if there is one, wants; only of a reader that does not tell it is it taken on trust.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing
from reader.line.protocols.a0.allowed import Allowed, Forbidden, allowed
from reader.line.protocols.a0.ask import CHECK, ask, find_baud
from reader.line.protocols.a0.frame import (
    FACTORY_ADDRESS,
    GET_TEMPERATURE,
    GET_VERSION,
    PUBLIC,
    RESET,
)
from reader.line.protocols.a0.poll import Poll
from reader.line.protocols.a0.ports import Heard, health_of
from reader.line.protocols.a0.settings import power_at, settings_at
from reader.line.protocols.asking import Asking, Script, Stuck, pause
from reader.line.protocols.settings import Setting, Wanted, apply
from reader.model import NS_PER_S, ChipRead, Event, Reply

START_OVER_NS = NS_PER_S
NO_REGION_NS = 10 * NS_PER_S
ALIVE_NS = 2 * NS_PER_S
WATCH_NS = 3 * NS_PER_S
ASK_AGAIN_NS = 60 * NS_PER_S  # a reader that only answers its rounds is asked who it is: after the first, and then
HOT_C = 65
SESSION, TARGET = 1, "A"  # as race timers poll these readers
UNKNOWN = Allowed(None, None, "")


class Conversation(Clockless):
    """Sets the reader up, polls it and watches over it; starts over for ever."""

    def __init__(self, wanted: Wanted | None = None) -> None:
        self.standing = Standing(hears=False, word="unknown", says="the port is not open yet")
        self._wanted = wanted
        self._values = {} if wanted is None else wanted.values
        self._heard = Heard()
        self._asking: Asking[None] = Asking(self._live())
        self._poll: Poll | None = None
        self._address: int | None = None
        self._allowed = UNKNOWN
        self._trouble = ""
        self._is_unanswered = False
        self._has_restarted = self._has_been_asked = False
        self._warnings: list[str] = []
        self._temperature_c: int | None = None

    @property
    def baud(self) -> int | None:
        """The speed that the line should have; None: as it was opened."""
        return self._asking.baud

    @property
    def due_ns(self) -> int | None:
        """When :meth:`tick` has something to do."""
        return self._asking.due_ns

    @property
    def antennas(self) -> list[AntennaStanding]:
        """The antennas that are polled, or left out."""
        return [] if self._poll is None else self._poll.antennas

    @property
    def health(self) -> Examined:
        """Its temperature and return loss, asked between rounds, and which antennas its rounds miss."""
        ports = health_of([] if self._poll is None else self._poll.ports)
        return ports._replace(temperature_c=self._temperature_c, region=self._allowed.region)

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """Begin from the top."""
        self._heard = Heard(now_ns)
        self._poll, self._trouble, self._is_unanswered = None, "", False
        self._has_been_asked = False
        self._asking = Asking(self._live(), baud)
        sent = self._asking.begin(now_ns)
        self._judge()
        return sent

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """Take answers; the end of a round brings the next question."""
        self._heard.now_ns = now_ns
        sent = b""
        for event in events:
            if isinstance(event, ChipRead):
                self._heard.read_ns = now_ns
            elif isinstance(event, Reply):
                sent += self._heard_reply(event, now_ns)
        self._judge()
        return sent

    def tick(self, now_ns: int) -> bytes:
        """Ask again, or go on without an answer, if it is time to."""
        self._heard.now_ns = now_ns
        sent = self._asking.tick(now_ns)
        self._judge()
        return sent

    def closing(self) -> bytes:
        """Nothing: a round ends by itself."""
        return b""

    def _heard_reply(self, reply: Reply, now_ns: int) -> bytes:
        question = self._asking.question
        is_answer = question is not None and question.is_answer(reply)
        if not is_answer and self._poll is not None and reply.fields.get("cmd") in (RESET, GET_VERSION):
            self._has_restarted = True
        return self._asking.heard(reply, now_ns)

    # ---- the script ------------------------------------------------------------------------------------

    def _live(self) -> Script[None]:
        pause_ns = 0
        while True:
            if pause_ns:
                yield from pause(pause_ns)
            pause_ns = START_OVER_NS
            try:
                poll = yield from self._set_up()
                yield from self._poll_with(poll)
            except Stuck as stuck:
                self._trouble, self._is_unanswered, self._poll = str(stuck), stuck.is_unanswered, None
                if isinstance(stuck, Forbidden):
                    pause_ns = NO_REGION_NS
            else:
                pause_ns = 0

    def _set_up(self) -> Script[Poll]:
        self._has_restarted = False
        self._address = None
        self._warnings = []
        self._allowed, self._temperature_c = UNKNOWN, None
        if not (yield from self._is_there()):
            if "band" in self._values:
                # It might transmit where the profile does not want it to.
                raise Stuck(f"does not answer at this baud, and its region can't be compared: {CHECK}", True)
            self._trouble, self._is_unanswered = f"does not answer at this baud: {CHECK}", True
            self._warnings.append("does not answer when asked who it is: polled as it is set")
            return self._poll or self._new_poll(None)
        if self._is_unanswered:
            self._trouble, self._is_unanswered = "", False
        yield from self._apply(settings_at(self._at))
        self._allowed = yield from allowed(self._at, self._wanted)
        if self._allowed.warning:
            self._warn(self._allowed.warning)
        poll = self._new_poll(self._allowed.channel)
        yield from poll.find(cast(Sequence[int], self._values.get("antennas", ())))
        return poll

    @property
    def _at(self) -> int:
        return PUBLIC if self._address is None else self._address

    def _is_there(self) -> Script[bool]:
        """Who answers, from which address."""
        is_polled = self._poll is not None
        for address in (PUBLIC,) if is_polled else (PUBLIC, FACTORY_ADDRESS):
            if (yield from self._answers_at(address, tries=1 if is_polled else 2)):
                return True
        if "baud" not in self._values or is_polled:
            return False
        # It may have been given another speed than the line was opened with.
        found = yield from find_baud()
        yield from pause(0, then_baud=found or cast(int, self._values["baud"]))
        return found is not None and (yield from self._answers_at(PUBLIC, tries=2))

    def _answers_at(self, address: int, tries: int) -> Script[bool]:
        answer = yield from ask("its version", GET_VERSION, address=address, tries=tries)
        if answer is not None:
            self._address = cast(int, answer.fields["addr"])
        return answer is not None

    def _apply(self, settings: Sequence[Setting]) -> Script[bool]:
        """Set what the profile wants; whether anything was."""
        if self._wanted is None:
            return False
        try:
            applied = yield from apply(settings, self._wanted)
        except Stuck as stuck:
            self._warn(str(stuck))
            return False
        for wrong in applied.wrong:
            self._warn(wrong)
        changed = {difference.setting.key for difference in applied.changed}
        if changed & {"baud", "link"}:
            # With them it starts anew, and forgets what is volatile.
            yield from self._apply([power_at(self._at)])
        return bool(changed)

    def _warn(self, says: str) -> None:
        if says not in self._warnings:
            self._warnings.append(says)

    def _new_poll(self, channel: int | None) -> Poll:
        session = cast(int, self._values.get("session", SESSION))
        target = cast(str, self._values.get("target", TARGET))
        return Poll(self._heard, self._address, session, target, channel)

    def _poll_with(self, poll: Poll) -> Script[None]:
        """Round after round; returns when the reader is to be set up again."""
        self._poll = poll
        heard = self._heard
        watches = deque(self._watches(poll))
        watched_ns = heard.now_ns
        again_ns = watched_ns + (ASK_AGAIN_NS if self._has_been_asked else 0)
        while not self._has_restarted:
            yield from poll.cycle()
            if poll.has_lost_end and heard.now_ns == heard.round_ns:
                poll.has_lost_end = False
                yield from self._verify()
            if self._address is None:
                if heard.now_ns >= again_ns and (heard.round_ns or 0) >= watched_ns:
                    self._has_been_asked = True
                    return
            elif heard.now_ns - watched_ns >= WATCH_NS:
                watched_ns = heard.now_ns
                watches.rotate(-1)
                yield from watches[0]()
        self._poll, self._trouble = None, "has restarted by itself and is set up again; check its power supply"

    def _watches(self, poll: Poll) -> list[Callable[[], Script[None]]]:
        return [poll.watch, self._verify, self._feel] if "power_dbm" in self._values else [poll.watch, self._feel]

    def _verify(self) -> Script[None]:
        """Whether it still has what it forgets when it restarts."""
        if "power_dbm" in self._values and self._address is not None and (yield from self._apply([power_at(self._at)])):
            says = "had lost its settings and was given them again; check its power supply"
            if self._poll is not None:
                self._poll.faults[says] = self._heard.now_ns

    def _feel(self) -> Script[None]:
        answer = yield from ask("its temperature", GET_TEMPERATURE, address=self._at, tries=1)
        told = None if answer is None else answer.fields.get("temp_c")
        self._temperature_c = told if isinstance(told, int) else None

    # ---- the standing ----------------------------------------------------------------------------------

    def _judge(self) -> None:
        standing = self._standing_now()
        # The same object while nothing changes: who watches it need only look whether it is another.
        if standing != self.standing:
            self.standing = standing

    def _standing_now(self) -> Standing:
        alive_ns, poll = self._heard.alive_ns, self._poll
        is_alive = alive_ns is not None and self._heard.now_ns - alive_ns <= ALIVE_NS
        if poll is not None and not poll.polled:
            return Standing(hears=False, word="fail", says=f"no antenna to listen on: {'; '.join(poll.says())}")
        if poll is not None and is_alive:
            self._trouble, self._is_unanswered = "", False
            return self._polling(poll)
        if is_alive and self._is_unanswered:
            return Standing(hears=True, word="warn", says=f"reports, but {self._trouble}")
        if self._trouble:
            return Standing(hears=False, word="fail", says=self._trouble)
        return Standing(hears=False, word="unknown", says="setting up the reader")

    def _polling(self, poll: Poll) -> Standing:
        numbers = ", ".join(str(port.number) for port in poll.polled if port.number is not None)
        said = [f"polling antenna {numbers}" if numbers else "polling the antenna that is set in it"]
        said += [self._allowed.says] if self._allowed.says else []
        warnings = [*self._warnings, *poll.says()]
        if self._temperature_c is not None and self._temperature_c >= HOT_C:
            warnings.append(f"hot: {HOT_C} °C or more; give it shade and air")
        says = "; ".join([", ".join(said), *warnings])
        return Standing(hears=True, word="warn" if warnings else "ok", says=says)
