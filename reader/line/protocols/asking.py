"""Questions to a reader, one after the other, sans-IO.

What is to be asked is a *script*: a generator that reads from top to bottom, yields a :class:`Question` and is sent
the answer, or None if there was none. Around it stands what is the same for every question, :class:`Asking`: send,
match, ask again, give up. The same scripts are run by the daemon's conversations and by the commands of a technician.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Generic, NamedTuple, TypeAlias, TypeVar, cast

from reader.model import NS_PER_S, Reply

T = TypeVar("T")


class Question(NamedTuple):
    """One question. ``name``: in words, as in "its region". ``sent``: nothing for a pause of ``wait_ns``.

    ``is_answer``: whether a reply answers it, a refusal included. ``then_baud``: the speed of the line from the
    answer on (or, where none is expected, from the sending on), for a reader that has been told to change it.
    """

    name: str
    sent: bytes
    is_answer: Callable[[Reply], bool] = lambda _: False
    tries: int = 2
    wait_ns: int = NS_PER_S // 2
    then_baud: int | None = None


Script: TypeAlias = Generator[Question, Reply | None, T]


class Stuck(Exception):
    """A script can't go on, and why: a sentence for people. ``is_unanswered``: because nothing came back."""

    def __init__(self, says: str, is_unanswered: bool = False) -> None:
        super().__init__(says)
        self.is_unanswered = is_unanswered


# Answered at once by :class:`Asking` itself; nothing is sent.
_SPEED = Question("the speed of the line", b"", tries=1, wait_ns=0)
# Who runs a script beside a conversation keeps that silent from here to the script's end.
ALONE = Question("the line for itself", b"", tries=1, wait_ns=0)


def line_baud() -> Script[int | None]:
    """The speed of the line now; None: as it was opened, and that is not known."""
    answer = yield _SPEED
    return None if answer is None else cast(int | None, answer.fields["baud"])


def pause(wait_ns: int, then_baud: int | None = None) -> Script[None]:
    """Nothing is said for so long."""
    yield Question("pause", b"", tries=1, wait_ns=wait_ns, then_baud=then_baud)


def alone(script: Script[T]) -> Script[T]:
    """The same with the line for itself: a conversation there is silent meanwhile, and begins anew at its end."""
    yield ALONE
    return (yield from script)


class Asking(Generic[T]):
    """A script under way. Times are monotonic nanoseconds, passed in; :class:`Stuck` comes out of every method.

    ``baud``: the speed that the line should have now; None: as it was opened. Given, where it is known at the start.
    """

    def __init__(self, script: Script[T], baud: int | None = None) -> None:
        self._script = script
        self._question: Question | None = None
        self._asked_ns = 0
        self._tries = 0
        self._result: list[T] = []
        self.baud = baud

    @property
    def is_done(self) -> bool:
        """Whether the script has come to its end."""
        return bool(self._result)

    @property
    def result(self) -> T:
        """What the script returned; IndexError before its end."""
        return self._result[0]

    @property
    def question(self) -> Question | None:
        """What is being asked now."""
        return self._question

    @property
    def due_ns(self) -> int | None:
        """When :meth:`tick` has something to do; None when all is said."""
        return None if self._question is None else self._asked_ns + self._question.wait_ns

    def begin(self, now_ns: int) -> bytes:
        """The first question."""
        return self._go_on(None, now_ns)

    def heard(self, reply: Reply, now_ns: int) -> bytes:
        """The next question, if this answers the last."""
        if self._question is None or not self._question.is_answer(reply):
            return b""
        return self._go_on(reply, now_ns)

    def tick(self, now_ns: int) -> bytes:
        """The same question again, or the next one, if there has been no answer for too long."""
        question, due_ns = self._question, self.due_ns
        if question is None or due_ns is None or now_ns < due_ns:
            return b""
        if self._tries < question.tries:
            return self._ask(question, self._tries + 1, now_ns)
        return self._go_on(None, now_ns)

    def _go_on(self, answer: Reply | None, now_ns: int) -> bytes:
        asked, self._question = self._question, None
        if asked is not None and asked.then_baud is not None:
            self.baud = asked.then_baud
        try:
            question = self._script.send(answer)
            while question is _SPEED:
                question = self._script.send(Reply("speed", {"baud": self.baud}, 0))
        except StopIteration as end:
            self._result.append(end.value)
            return b""
        return self._ask(question, 1, now_ns)

    def _ask(self, question: Question, tries: int, now_ns: int) -> bytes:
        self._question, self._tries, self._asked_ns = question, tries, now_ns
        return question.sent
