"""Whose turn it is to speak to a reader: its conversation's, or an errand's that has the line for itself.

Two who ask at once get each other's answers: a polled reader tells the end of a round, or that it has changed its
antenna, to both. So an errand that disturbs has the line for itself (:func:`.protocols.asking.alone`). The conversation
hears nothing meanwhile; then it begins from the top, because it can't know what was said: the reader is set up again
and reports within what that takes.
"""

from __future__ import annotations

from reader.line.errands import Errands
from reader.line.protocols import AntennaStanding, ClockSaid, Conversation, Examined, Standing
from reader.model import Event

AWAY = Standing(
    hears=False, word="unknown", says="does not report while it is examined, and is set up again afterwards"
)


class Turns:
    """A :class:`Conversation` that lets errands speak too."""

    def __init__(self, talk: Conversation, errands: Errands) -> None:
        self._talk = talk
        self._errands = errands
        self._is_away = False
        self._baud: int | None = None  # of the line, for the conversation that begins anew

    @property
    def standing(self) -> Standing:
        """The conversation's, but while it is kept out."""
        return AWAY if self._is_away else self._talk.standing

    @property
    def baud(self) -> int | None:
        """The speed that the line should have."""
        return self._talk.baud

    @property
    def clock_said(self) -> ClockSaid | None:
        """What the conversation was told last."""
        return self._talk.clock_said

    @property
    def antennas(self) -> list[AntennaStanding]:
        """As the conversation knows them."""
        return self._talk.antennas

    @property
    def health(self) -> Examined:
        """As the conversation was told."""
        return self._talk.health

    @property
    def due_ns(self) -> int | None:
        """When :meth:`tick` has something to do, for either of them."""
        due_ns = [self._errands.due_ns, None if self._is_away else self._talk.due_ns]
        return min((at_ns for at_ns in due_ns if at_ns is not None), default=None)

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        """The conversation begins."""
        self._is_away = False
        return self._talk.opened(now_ns, baud)

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        """The answers to both; reads are no answer, and are handed on whoever speaks."""
        said = b"" if self._is_away else self._talk.heard(events, now_ns)
        return said + self._go_on(events, now_ns)

    def tick(self, now_ns: int) -> bytes:
        """What is due."""
        said = b"" if self._is_away else self._talk.tick(now_ns)
        return said + self._go_on([], now_ns)

    def ask_clock(self, now_ns: int) -> bytes:
        """The conversation asks, unless it is kept out."""
        return b"" if self._is_away else self._talk.ask_clock(now_ns)

    def closing(self) -> bytes:
        """The reader is left in peace."""
        return self._talk.closing()

    def _go_on(self, events: list[Event], now_ns: int) -> bytes:
        said = self._errands.step(events, now_ns)
        if self._errands.is_alone:
            self._is_away = True
        elif self._is_away:
            said += self.opened(now_ns, self._talk.baud)
        return said
