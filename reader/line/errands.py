"""Errands: scripts that others have run on a reader's line while the mat goes on listening to it.

Whoever wants something of the reader (set its clock, test it) hands in a script from any thread and waits; the port
thread says what it says between two chunks, and shows it every answer besides the conversation. One that has the line
for itself (:func:`.asking.alone`) is not spoken into by the conversation (:mod:`.turns`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from reader.errors import ReaderError
from reader.line.protocols.asking import ALONE, Asking, Script, Stuck
from reader.model import Event, Reply

T = TypeVar("T")

LOOK_S = 0.2  # so often it is asked whether an errand is still wanted


class _Errand:
    def __init__(self, script: Script[Any]) -> None:
        self.asking: Asking[Any] = Asking(script)
        self.is_begun = False
        self.is_alone = False
        self.is_given_up = False
        self.trouble = ""
        self.done = threading.Event()


class Errands:
    """One after the other, in the order in which they were handed in."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[_Errand] = queue.SimpleQueue()
        self._now: _Errand | None = None

    def run(self, script: Script[T], limit_s: float, is_wanted: Callable[[], bool] = lambda: True) -> T:
        """From any other thread: what the script returns. ReaderError where the reader does not go along in time.

        One that is not wanted any more is left unfinished: the line is the conversation's again at its next word.
        """
        errand = _Errand(script)
        self._waiting.put(errand)
        left_s = limit_s
        while not errand.done.wait(min(LOOK_S, left_s)):
            left_s -= LOOK_S
            errand.is_given_up = left_s <= 0 or not is_wanted()
            if left_s <= 0:
                what = "the reader did not answer all that it was asked" if errand.is_begun else "its line was not free"
                raise ReaderError(f"{what} within {limit_s:g} s: look at its cable and its power")
            if errand.is_given_up:
                raise ReaderError("the reader was not asked to the end: what it was asked for is not wanted any more")
        if errand.trouble:
            raise ReaderError(errand.trouble)
        return cast(T, errand.asking.result)

    def step(self, events: Sequence[Event], now_ns: int) -> bytes:
        """The port thread: these came; what to send."""
        if self._now is not None and self._now.is_given_up:
            self._now = None  # nobody waits for it any more
        errand = self._now or self._next()
        if errand is None:
            return b""
        try:
            sent = self._go_on(errand, events, now_ns)
        except Stuck as stuck:
            errand.trouble = str(stuck)
            sent = b""
        except Exception as error:  # of the script: the conversation must not end by it
            errand.trouble = f"a fault of this program in asking the reader ({error!r}); please report it"
            sent = b""
        if errand.trouble or errand.asking.is_done:
            errand.done.set()
            self._now = None
        return sent

    @property
    def is_alone(self) -> bool:
        """Whether the one under way has the line for itself."""
        return self._now is not None and self._now.is_alone

    @property
    def due_ns(self) -> int | None:
        """When :meth:`step` has something to do though nothing comes."""
        return None if self._now is None else self._now.asking.due_ns

    def drop(self, says: str) -> None:
        """The line is gone: whoever waits is told so."""
        while (errand := self._now or self._next()) is not None:
            errand.trouble = says
            errand.done.set()
            self._now = None

    def _next(self) -> _Errand | None:
        while True:
            try:
                errand = self._waiting.get_nowait()
            except queue.Empty:
                return None
            if not errand.is_given_up:
                self._now = errand
                return errand

    def _go_on(self, errand: _Errand, events: Sequence[Event], now_ns: int) -> bytes:
        if not errand.is_begun:
            errand.is_begun = True
            sent = errand.asking.begin(now_ns)
            errand.is_alone = errand.asking.question is ALONE
            return sent
        sent = b""
        for event in events:
            if isinstance(event, Reply) and not errand.asking.is_done:
                sent += errand.asking.heard(event, now_ns)
        return sent if errand.asking.is_done else sent + errand.asking.tick(now_ns)
