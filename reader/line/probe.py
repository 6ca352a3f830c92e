"""Which family is on an unknown line, and at which speed: sans-IO, times are monotonic nanoseconds, passed in.

First it only listens, at the speeds of readers that talk by themselves; then it asks, one family at one speed after
the other, the likeliest first, while the decoders of all families listen. A family is known when its own module says
that what it decoded is proof. No question writes anything in any reader.

A question is garbage to the readers of the other families, and may look to them like the beginning of something long:
UHFReader has no sync byte. So each is asked out of a silence (``SETTLE_NS``), in which a reader gives up what it
waited for; and asked a second time, since one that reads lines has the garbage before it in the first.
"""

from __future__ import annotations

from typing import NamedTuple

from reader.line.probe_steps import NS_PER_MS, SETTLE_NS, Step, steps_from, steps_without_speeds
from reader.line.protocols import FAMILIES, Decoder, Family, load
from reader.model import Event, Rejected

AGAIN_NS = 110 * NS_PER_MS
SILENT_NS = 50 * NS_PER_MS  # a line that says nothing for so long has ended what it was saying
KEPT = 256  # events of a family that is not known yet


class Found(NamedTuple):
    """A family that has shown itself, its decoder (bytes may be pending in it), and all it decoded, by when it came."""

    family: Family
    baud: int
    decoder: Decoder
    heard: list[tuple[int, list[Event]]]


class _Ear:
    """One family's decoder on the line."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.decoder = load(family.name).Decoder()
        self.heard: list[tuple[int, list[Event]]] = []
        self._count = 0

    def take(self, events: list[Event], now_ns: int) -> bool:
        """Whether this family is known now."""
        if not events:
            return False
        self.heard.append((now_ns, events))
        self._count += len(events)
        if self._count > KEPT:
            self._forget()
        if all(isinstance(event, Rejected) for event in events):
            return False
        return load(self.family.name).is_proof([event for _, some in self.heard for event in some])

    def _forget(self) -> None:
        """Rejected bytes of another family or speed are of no more use."""
        good: list[tuple[int, list[Event]]] = [
            (at_ns, [event for event in some if not isinstance(event, Rejected)]) for at_ns, some in self.heard
        ]
        self.heard = [(at_ns, some) for at_ns, some in good if some][-KEPT:]
        self._count = sum(len(some) for _, some in self.heard)


class _Tally:
    """What was done at one speed, and what came."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bytes = 0
        self.echoes = 0
        self.refused = ""

    def says(self) -> str:
        if self.refused:
            return self.refused
        asked = f"asked {', '.join(dict.fromkeys(self.asked))}" if self.asked else "listened"
        echo = "; what was sent came back (TX and RX joined?)" if self.echoes else ""
        if not self.bytes:
            return f"{asked}; {'nothing else came' if echo else 'nothing came'}{echo}"
        return f"{asked}; {self.bytes} bytes, none of a known family (garbage: wrong speed?){echo}"


class Probe:
    """One search on one line. Call ``begin``, then ``tick`` whenever ``due_ns`` is reached, and ``feed`` what comes.

    ``baud``: the speed that the line should have now; looked at after every call. ``found``: once somebody has shown
    itself. ``is_over``: everything has been tried. ``first_baud``: the speed that was named, tried before all others.
    ``has_speeds``: False for a line whose speed means nothing, as a TCP connection: each family is asked once.
    """

    def __init__(self, first_baud: int | None = None, *, has_speeds: bool = True) -> None:
        self._steps = steps_from(first_baud) if has_speeds else steps_without_speeds()
        self._at = -1
        self._began_ns = self._heard_ns = 0
        self._ask_ns: int | None = None
        self._is_settled = self._is_asked = self._is_answered = False
        self._is_idle = True
        self._ears: list[_Ear] = []
        self._heard_baud = 0  # that of what the ears hear
        self._echo = self._withheld = b""
        self._tallies: dict[int, _Tally] = {}
        self.baud = self._steps[0].baud
        self.is_over = False
        self.found: Found | None = None

    @property
    def lasts_ns(self) -> int:
        """How long it takes until everything has been tried."""
        return sum(step.lasts_ns for step in self._steps)

    @property
    def says(self) -> str:
        """What is being done: ``9600 baud: asking for ipico``."""
        family = self._steps[max(self._at, 0)].family
        return f"{self.baud} baud: {f'asking for {family.name}' if family else 'listening'}"

    @property
    def tried(self) -> list[str]:
        """A sentence for each speed that was tried: what was done and what came."""
        return [f"{baud} baud: {tally.says()}" for baud, tally in self._tallies.items()]

    @property
    def due_ns(self) -> int:
        """When ``tick`` has something to do."""
        step = self._steps[self._at]
        due_ns = self._began_ns + (step.lasts_ns if self._is_settled else SETTLE_NS)
        if self._ask_ns is not None:
            due_ns = min(due_ns, self._ask_ns)
        return due_ns if self._is_idle else min(due_ns, self._heard_ns + SILENT_NS)

    def begin(self, now_ns: int) -> None:
        """The line has been opened, at ``baud``."""
        self._go_on(now_ns)
        self._is_settled = True  # nothing was said at another speed
        self._listen_at(self.baud)

    def feed(self, data: bytes, now_ns: int) -> None:
        """These bytes came."""
        self._is_idle, self._heard_ns = False, now_ns
        if data := self._without_echo(data):
            self._hear(data, now_ns)

    def tick(self, now_ns: int) -> bytes:
        """Time has passed: what to send."""
        if self.found or self.is_over:
            return b""
        if not self._is_idle and now_ns - self._heard_ns >= SILENT_NS and self._let_out():
            return b""
        step = self._steps[self._at]
        if not self._is_settled and now_ns >= self._began_ns + SETTLE_NS:
            self._is_settled = True
            self._listen_at(step.baud)
            self._ask_ns = None if step.family is None else now_ns + step.clearing_ns
            if step.cleared:
                return step.cleared
        if self._ask_ns is not None and now_ns >= self._ask_ns:
            return self._ask(step, now_ns)
        if now_ns >= self._began_ns + step.lasts_ns:
            self._go_on(now_ns)
        return b""

    def refuse(self, says: str, now_ns: int) -> None:
        """The line can't have this speed: the next one."""
        refused = self.baud
        self._tallies.setdefault(refused, _Tally()).refused = says
        while not self.is_over and self.baud == refused:
            self._go_on(now_ns)

    def _go_on(self, now_ns: int) -> None:
        self._give_up_echo()
        if self._at + 1 == len(self._steps):
            self.is_over = True
            return
        self._at += 1
        self._began_ns, self._ask_ns = now_ns, None
        self._is_settled = self._is_asked = False
        self.baud = self._steps[self._at].baud

    def _listen_at(self, baud: int) -> None:
        self._tallies.setdefault(baud, _Tally())
        if baud != self._heard_baud:
            self._heard_baud = baud
            self._ears = [_Ear(family) for family in FAMILIES]

    def _ask(self, step: Step, now_ns: int) -> bytes:
        """A first time; and once more, unless something is being said."""
        self._ask_ns = None if self._is_asked else now_ns + AGAIN_NS
        if step.family is None or (self._is_asked and self._is_answered):
            return b""
        self._is_asked, self._is_answered = True, False
        self._tallies[step.baud].asked.append(step.family.name)
        self._give_up_echo()
        self._echo = step.family.question
        return self._echo

    # ---- what comes ----------------------------------------------------------------------------------

    def _hear(self, data: bytes, now_ns: int) -> None:
        self._is_answered = True
        if tally := self._tallies.get(self._heard_baud):
            tally.bytes += len(data)
        for ear in self._ears_in_turn():
            self._judge(ear, ear.decoder.feed(data), now_ns)

    def _let_out(self) -> bool:
        """The line has fallen silent: whether somebody is known by what waited for more."""
        self._is_idle = True
        self._give_up_echo()
        for ear in self._ears_in_turn():
            self._judge(ear, ear.decoder.idle(), self._heard_ns)
        return self.found is not None

    def _judge(self, ear: _Ear, events: list[Event], now_ns: int) -> None:
        has_shown_itself = ear.take(events, now_ns)
        # On a busy line what comes just after a change of speed is clean, and says nothing of either.
        if has_shown_itself and self.found is None and self.baud == self._heard_baud:
            self.found = Found(ear.family, self.baud, ear.decoder, ear.heard)

    def _ears_in_turn(self) -> list[_Ear]:
        """The family that was asked first: it is believed before another whose frames look alike."""
        asked = self._steps[self._at].family
        return sorted(self._ears, key=lambda ear: ear.family is not asked)

    def _without_echo(self, data: bytes) -> bytes:
        """What of it is not our own question come back: its echo could pass for an answer."""
        if not self._echo:
            return data
        came, self._withheld = self._withheld + data, b""
        if len(came) < len(self._echo) and self._echo.startswith(came):
            self._withheld = came
            return b""
        if came.startswith(self._echo):
            self._tallies[self._heard_baud].echoes += 1
            came = came[len(self._echo) :]
        self._echo = b""
        return came

    def _give_up_echo(self) -> None:
        withheld, self._echo, self._withheld = self._withheld, b"", b""
        if withheld:
            self._hear(withheld, self._heard_ns)
