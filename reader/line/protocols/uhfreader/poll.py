"""One round after the other on a UHFReader, one antenna after the other; or listening, if it reports by itself.

The next round is asked for the moment the last one's end comes, or when it should have come: an end can be lost.
"""

from __future__ import annotations

from typing import Literal, cast

from reader.line.protocols import AntennaStanding, Examined
from reader.line.protocols.rounds import Rounds
from reader.line.protocols.uhfreader.ask import GAP_NS, MS_NS
from reader.line.protocols.uhfreader.frame import (
    BAD_ANTENNA,
    BAD_COMMAND,
    BAD_LENGTH,
    BAD_PARAMETER,
    FULL,
    INFO,
    INVENTORY,
    UNKNOWN,
    command,
    words_from_band,
    words_from_status,
)
from reader.line.protocols.uhfreader.plan import FULL as FULL_FORM
from reader.line.protocols.uhfreader.plan import Plan
from reader.model import NS_PER_S, Reply

SCAN, SAFE_SCAN = 1, 3  # in 100 ms: the shortest there is, and the shortest that the makers allow
SLACK_NS = 400 * MS_NS
PUSHING_TYPES = (0x86,)  # in their work mode of that name they refuse to be asked
PART_NS = 500 * MS_NS  # from one part of an answer to the next; the longest takes 270 ms at 9600 baud
UNKNOWN_SCAN_MS = 2000  # what readers leave the factory with
LATE_MS = 300
MOST_MISSED = 5
MISSING_AGAIN_NS = 5 * NS_PER_S
ALL_MISSING_AGAIN_NS = 1 * NS_PER_S
PUSHES_NS = 3 * NS_PER_S  # so long after a push no round is asked for
LIFE_NS = 2 * NS_PER_S
ALIVE_NS = 5 * NS_PER_S
FAULT_NS = 10 * NS_PER_S
INFO_AGAIN_NS = 5 * NS_PER_S
INFO_NS = 100 * MS_NS


class Poll:
    """The rounds of one reader, sans-IO.

    ``lost``: why it has to be set up again; nothing while it goes well. ``is_told``: a reader that did not say who it
    is, and with it its region, does so now, and has to be set up properly.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lost = ""
        self.is_told = False
        self._forms = list(plan.forms)
        self._scan = SCAN
        self._slowest_ns = 0
        self._rounds = Rounds()
        self._missing: dict[int, int] = {}  # the ports, and when each was tried last
        self._up: set[int] = set()
        self._turn = 0
        self._port = plan.ports[0]
        self._is_on = False  # a question is out
        self._has_ended = False  # this form has ended a round
        self._missed = 0
        self._began_ns = self._sent_ns = 0
        self._due_ns = self._info_due_ns = 0
        self._ended_ns: int | None = None
        self._pushed_ns: int | None = None
        self._faults: dict[str, int] = {}

    @property
    def due_ns(self) -> int:
        """When :meth:`tick` has something to do."""
        return self._due_ns

    @property
    def is_by_antenna(self) -> bool:
        """Whether the question names an antenna."""
        return self._forms[0] == FULL_FORM and not self.plan.listens

    @property
    def antennas(self) -> list[AntennaStanding]:
        """How it stands with each port; nothing where they are not told apart."""
        if not self.is_by_antenna:
            return []
        return [AntennaStanding(port, self._state(port), self._rounds.revisit_ms(port)) for port in self.plan.ports]

    @property
    def health(self) -> Examined:
        """Which antennas its rounds miss, and its region."""
        states = {port: self._state(port) for port in self.plan.ports} if self.is_by_antenna else {}
        band = None if self.plan.info is None else self.plan.info.band
        return Examined(
            connected={port: state == "up" for port, state in states.items() if state != "unknown"},
            region=None if band is None else words_from_band(*band),
        )

    @property
    def missing(self) -> list[int]:
        """The ports at which there is no antenna."""
        return sorted(self._missing)

    def is_alive(self, now_ns: int) -> bool:
        """Whether it hears: rounds end, or it reports."""
        if self._pushed_ns is not None and now_ns - self._pushed_ns <= ALIVE_NS:
            return True
        if self._ended_ns is None:
            return False
        return now_ns - self._ended_ns <= max(NS_PER_S, ALIVE_NS if self.plan.listens else 3 * self._patience_ns)

    def warnings(self, now_ns: int) -> list[str]:
        """What is not as it should be, a few words each."""
        says = list(self.plan.warnings)
        if self.is_by_antenna and self._missing:
            says.append(f"antenna {', '.join(map(str, self.missing))} is not connected")
        info = self.plan.info
        late_ms = info.scan_ms if info else self._slowest_ns // MS_NS
        if not self.is_by_antenna and not self.plan.listens and late_ms > LATE_MS:
            says.append(
                f"answers up to {late_ms / 1000:g} s late: its scan time is {late_ms / 1000:g} s; "
                "`timing-mat profile apply` shortens it (scan_time_ms)"
            )
        self._faults = {words: at for words, at in self._faults.items() if now_ns - at <= FAULT_NS}
        return [*says, *self._faults]

    def begin(self, now_ns: int) -> bytes:
        """The first question."""
        self._began_ns = now_ns
        self._info_due_ns = now_ns
        self._due_ns = now_ns + GAP_NS  # the set-up has just had an answer
        return b""

    def pushed(self, now_ns: int) -> None:
        """A chip was reported without having been asked for."""
        self._pushed_ns = now_ns
        self._missed = 0

    def heard(self, reply: Reply, now_ns: int) -> bytes:
        """Take an answer; the next question, if a round has ended."""
        cmd, status = reply.fields.get("cmd"), cast(int, reply.fields.get("status", 0))
        if reply.name == "keep_alive":
            self._ended_ns, self._missed = now_ns, 0
        elif self.plan.listens:
            if cmd == INFO:
                self._ended_ns, self._missed = now_ns, 0
        elif reply.name == "info" and self.plan.info is None:
            self.is_told = True
        elif reply.name == "round_part" and self._is_on:
            self._ended_ns, self._missed = now_ns, 0
            self._due_ns = now_ns + min(self._patience_ns, PART_NS)
        elif reply.name == "round_end":
            return self._ended(status, now_ns)
        elif reply.name == "error" and (cmd == INVENTORY or (cmd == UNKNOWN and self._is_on)):
            return self._refused(status, now_ns)
        return b""

    def tick(self, now_ns: int) -> bytes:
        """The next question, if it is time for it."""
        if now_ns < self._due_ns:
            return b""
        if self.plan.listens:
            return self._look_for_life(now_ns)
        if self._is_on:
            self._is_on = False
            self._missed += 1
            if self._missed >= MOST_MISSED:
                silent_s = (now_ns - max(self._began_ns, self._ended_ns or 0)) / NS_PER_S
                self.lost = f"silent: no round has ended for {silent_s:.1f} s"
                return b""
            if not self._has_ended and self._missed % 2 == 0:
                self._forms.append(self._forms.pop(0))
        return self._ask(now_ns)

    # ---- rounds --------------------------------------------------------------------------------------

    @property
    def _patience_ns(self) -> int:
        """How long the end of a round is waited for."""
        if self._forms[0] == FULL_FORM:
            scan_ns = self._scan * 100 * MS_NS
        else:
            scan_ns = (self.plan.info.scan_ms if self.plan.info else UNKNOWN_SCAN_MS) * MS_NS
        return max(scan_ns, self._slowest_ns) + SLACK_NS

    def _state(self, port: int) -> Literal["up", "missing", "unknown"]:
        return "missing" if port in self._missing else "up" if port in self._up else "unknown"

    def _ended(self, status: int, now_ns: int) -> bytes:
        if self._is_on:
            lasted_ns = now_ns - self._sent_ns
            if lasted_ns > NS_PER_S and self._scan < SAFE_SCAN:
                self._scan = SAFE_SCAN  # what is less than allowed may be taken for nothing at all
            self._slowest_ns = min(max(self._slowest_ns, lasted_ns), 30 * NS_PER_S)
        self._missing.pop(self._port, None)
        self._up.add(self._port)
        self._has_ended, self._missed, self._ended_ns = True, 0, now_ns
        if status == FULL:
            self._faults[words_from_status(status)] = now_ns
        return self._next(now_ns)

    def _refused(self, status: int, now_ns: int) -> bytes:
        self._missed = 0
        if status == BAD_ANTENNA or (status == BAD_PARAMETER and self._has_ended and self.is_by_antenna):
            self._missing[self._port] = now_ns
            self._up.discard(self._port)
        elif status == BAD_PARAMETER and self.is_by_antenna and self._scan < SAFE_SCAN:
            self._scan = SAFE_SCAN
        elif status in (BAD_LENGTH, BAD_COMMAND, BAD_PARAMETER):
            self._forms.pop(0)
            if not self._forms:
                self._forms = list(self.plan.forms)
                if self.plan.info is not None and self.plan.info.kind in PUSHING_TYPES:
                    return self._only_listen(now_ns)
                self.lost = f"refuses to be asked for chips: {words_from_status(status)}"
                return b""
        else:
            self._faults[words_from_status(status)] = now_ns
        return self._next(now_ns)

    def _next(self, now_ns: int) -> bytes:
        """The next question, now or when the gap is over."""
        self._is_on = False
        if now_ns < self._sent_ns + GAP_NS:
            self._due_ns = self._sent_ns + GAP_NS
            return b""
        return self._ask(now_ns)

    def _ask(self, now_ns: int) -> bytes:
        if self._pushed_ns is not None and now_ns < self._pushed_ns + PUSHES_NS:
            self._due_ns = self._pushed_ns + PUSHES_NS
            return b""
        if self.plan.info is None and self._has_ended and now_ns >= self._info_due_ns:
            self._info_due_ns = now_ns + INFO_AGAIN_NS
            self._sent_ns, self._due_ns = now_ns, now_ns + INFO_NS
            return command(INFO)
        port = self._choose(now_ns)
        if port is None:
            self._due_ns = min(self._missing.values()) + ALL_MISSING_AGAIN_NS
            return b""
        if port in self._missing:
            self._missing[port] = now_ns
        else:
            self._rounds.begin(port, now_ns)
        self._port, self._is_on, self._sent_ns = port, True, now_ns
        self._due_ns = now_ns + self._patience_ns
        return self.plan.inventory.question(self._forms[0], port, self._scan)

    def _choose(self, now_ns: int) -> int | None:
        """The next port: one that was missing and is due again, or the next in turn; None for a pause."""
        ports = self.plan.ports if self.is_by_antenna else self.plan.ports[:1]
        there = [port for port in ports if port not in self._missing]
        again_ns = MISSING_AGAIN_NS if there else ALL_MISSING_AGAIN_NS
        for port in ports:
            if port in self._missing and now_ns - self._missing[port] >= again_ns:
                return port
        if not there:
            return None
        self._turn += 1
        return there[self._turn % len(there)]

    # ---- listening -----------------------------------------------------------------------------------

    def _only_listen(self, now_ns: int) -> bytes:
        """One who says who it is and is not to be asked for chips reports them by itself."""
        self.plan = self.plan._replace(listens=True)
        self._is_on = False
        self._ended_ns, self._due_ns = now_ns, now_ns + LIFE_NS
        return b""

    def _look_for_life(self, now_ns: int) -> bytes:
        last_ns = max(self._began_ns, self._ended_ns or 0, self._pushed_ns or 0)
        if now_ns - last_ns > ALIVE_NS:
            self.lost = f"silent: it was to report by itself, and has said nothing for {ALIVE_NS // NS_PER_S} s"
            return b""
        self._due_ns = now_ns + LIFE_NS
        return command(INFO)
