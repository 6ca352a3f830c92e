"""Questions to a ThingMagic module, by opcode, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from reader.line.protocols.asking import Question, Script, Stuck
from reader.line.protocols.thingmagic.frame import GET_PROGRAM, STREAM, command, words_from_status
from reader.model import NS_PER_S, Reply

ANSWER_NS = NS_PER_S
TRIES = 3
STOPPED = 2  # the option of STREAM's answer

CHECK = "check its power and the cable, and that `baud` is what it is set to"


def question(
    name: str,
    opcode: int,
    data: bytes = b"",
    *,
    bears: Mapping[str, object] | None = None,
    tries: int = TRIES,
    wait_ns: int = ANSWER_NS,
) -> Question:
    """``name`` in words; ``bears``: the fields by which its answer is told from others of the same opcode."""

    def is_answer(reply: Reply) -> bool:
        if reply.fields["opcode"] != opcode:
            return False
        # A refusal bears no fields.
        return bool(status_of(reply)) or (bears or {}).items() <= reply.fields.items()

    return Question(name, command(opcode, data), is_answer, tries, wait_ns)


# A stream left running answers nothing else. Where none runs there may be no answer to this.
STOP = question("stop", STREAM, b"\0\0\2", bears={"option": STOPPED}, tries=1)
PROGRAM = question("its program", GET_PROGRAM)


def status_of(reply: Reply) -> int:
    """0 where all is well."""
    return cast(int, reply.fields["status"])


def ask(asked: Question) -> Script[Reply]:
    """The answer, which may be a refusal; Stuck if there is none."""
    answer = yield asked
    if answer is None:
        when = "at this baud" if asked is PROGRAM else f"when asked for {asked.name}"
        raise Stuck(f"does not answer {when}: {CHECK}", is_unanswered=True)
    return answer


def told(asked: Question) -> Script[Mapping[str, object]]:
    """The fields of the answer, none of them if it is a refusal; Stuck if there is no answer."""
    answer = yield from ask(asked)
    return {} if status_of(answer) else answer.fields


def done(asked: Question) -> Script[None]:
    """It has been told to do something, and has done it; Stuck if not."""
    answer = yield from ask(asked)
    if status := status_of(answer):
        raise Stuck(words_from_status(status))
