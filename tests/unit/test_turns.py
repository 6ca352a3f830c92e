"""Whose turn it is to speak to a reader: the conversation's, an errand's beside it, or an errand's alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import pytest

from reader.errors import ReaderError
from reader.line.errands import Errands
from reader.line.protocols import AntennaStanding, Clockless, Examined, Standing
from reader.line.protocols.asking import Question, Script, Stuck, alone, pause
from reader.line.turns import AWAY, Turns
from reader.model import Event, Reply
from tests.waiting import wait_until

MS = 1_000_000
T = TypeVar("T")
ANSWER = Reply("answer", {}, 1)
ASKED = Question("something", b"?", lambda reply: reply is ANSWER, tries=1, wait_ns=500 * MS)


class Talk(Clockless):
    """A conversation that says what is asked of it, a letter for each, and remembers."""

    def __init__(self) -> None:
        self.standing = Standing(hears=True, word="ok", says="streaming")
        self.baud: int | None = 57600
        self.due_ns: int | None = 20 * MS
        self.antennas = [AntennaStanding(1, "up", None)]
        self.health = Examined(temperature_c=31)
        self.calls: list[str] = []

    def opened(self, now_ns: int, baud: int | None = None) -> bytes:
        self.calls.append(f"opened {baud}")
        return b"o"

    def heard(self, events: list[Event], now_ns: int) -> bytes:
        self.calls.append("heard")
        return b"h"

    def tick(self, now_ns: int) -> bytes:
        self.calls.append("tick")
        return b"t"

    def closing(self) -> bytes:
        return b"c"


class Line:
    """The turns of one line, and somebody who waits for an errand."""

    def __init__(self) -> None:
        self.talk, self.errands = Talk(), Errands()
        self.turns = Turns(self.talk, self.errands)
        self._waiting = ThreadPoolExecutor(1)

    def hand_in(
        self, script: Script[T], limit_s: float = 10.0, is_wanted: Callable[[], bool] = lambda: True
    ) -> Future[T]:
        """Once it waits."""
        handed_in = self.errands._waiting.qsize()
        future = self._waiting.submit(self.errands.run, script, limit_s, is_wanted)
        wait_until(lambda: self.errands._waiting.qsize() > handed_in, what="the errand")
        return future


def question() -> Script[str]:
    answer = yield ASKED
    return "silence" if answer is None else answer.name


def test_one_beside_the_conversation_speaks_between_its_words() -> None:
    line = Line()
    future = line.hand_in(question())
    assert line.turns.tick(10 * MS) == b"t?"
    assert line.turns.standing is line.talk.standing
    assert line.turns.heard([ANSWER], 20 * MS) == b"h"
    assert future.result(1) == "answer"
    assert line.talk.calls == ["tick", "heard"]


def test_one_with_the_line_for_itself_keeps_the_conversation_out_until_its_end() -> None:
    line = Line()
    future = line.hand_in(alone(question()))
    assert line.turns.tick(10 * MS) == b"t"
    assert line.turns.standing is AWAY
    assert line.turns.tick(20 * MS) == b"?"
    assert line.turns.due_ns == 520 * MS
    assert line.turns.ask_clock(20 * MS) == b""
    assert line.turns.heard([Reply("round_end", {}, 1)], 30 * MS) == b""
    assert not future.done()
    # Its end is the conversation's beginning, at the speed that the line has.
    assert line.turns.heard([ANSWER], 40 * MS) == b"o"
    assert future.result(1) == "answer"
    assert line.talk.calls == ["tick", "opened 57600"]
    assert line.turns.standing is line.talk.standing
    assert line.turns.tick(50 * MS) == b"t"
    assert line.turns.health.temperature_c == 31


def test_one_that_gets_stuck_or_is_given_up_gives_the_line_back() -> None:
    def stuck() -> Script[None]:
        yield from pause(0)
        raise Stuck("does not answer")

    line = Line()
    future = line.hand_in(alone(stuck()))
    said = [line.turns.tick(now_ms * MS) for now_ms in range(10, 40, 10)]
    assert said == [b"t", b"", b"o"]
    with pytest.raises(ReaderError, match="does not answer"):
        future.result(1)
    given_up = line.hand_in(alone(pause(60_000 * MS)), 0.05)
    assert line.turns.tick(40 * MS) == b"t"
    with pytest.raises(ReaderError, match="did not answer all"):
        given_up.result(1)
    assert line.turns.tick(50 * MS) == b"o"


def test_one_that_is_not_wanted_any_more_gives_the_line_back_long_before_its_limit() -> None:
    line = Line()
    is_wanted = [True]
    future = line.hand_in(alone(pause(60_000 * MS)), 15.0, lambda: is_wanted[0])
    assert line.turns.tick(10 * MS) == b"t"
    is_wanted[0] = False
    with pytest.raises(ReaderError, match="not wanted any more"):
        future.result(5)
    assert line.turns.tick(20 * MS) == b"o"


def test_two_one_after_the_other_leave_a_turn_to_the_conversation() -> None:
    line = Line()
    first = line.hand_in(alone(question()))
    later = threading.Thread(target=lambda: line.errands.run(alone(question()), 5))
    later.start()
    wait_until(lambda: line.errands._waiting.qsize() == 2, what="both")
    assert [line.turns.tick(now_ms * MS) for now_ms in (10, 20)] == [b"t", b"?"]
    assert line.turns.heard([ANSWER], 30 * MS) == b"o"
    assert first.result(1) == "answer"
    assert [line.turns.tick(now_ms * MS) for now_ms in (40, 50)] == [b"t", b"?"]
    assert line.turns.heard([ANSWER], 60 * MS) == b"o"
    later.join(5)


def test_a_line_that_goes_takes_the_errand_with_it_and_the_next_conversation_is_heard() -> None:
    line = Line()
    future = line.hand_in(alone(question()))
    line.turns.tick(10 * MS)
    line.errands.drop("/dev/ttyUSB0 is gone")
    with pytest.raises(ReaderError, match="is gone"):
        future.result(1)
    again = Turns(Talk(), line.errands)
    assert again.opened(20 * MS) == b"o"
    assert again.heard([ANSWER], 30 * MS) == b"h"
