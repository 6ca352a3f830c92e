"""Questions to an A0 reader: one command and its answer, and its speed, which can only be found by trying."""

from __future__ import annotations

from typing import cast

from reader.line.protocols.a0.frame import BAUDS, GET_VERSION, OK, PUBLIC, SET_BAUD, command, words_from_code
from reader.line.protocols.asking import Question, Script, Stuck, line_baud, pause
from reader.line.protocols.settings import Value
from reader.model import NS_PER_S, Reply

ANSWER_NS = NS_PER_S // 4
FLASH_NS = NS_PER_S  # writing it takes its time
RESTART_NS = NS_PER_S  # after a change of the speed or of the link the reader may start anew
CHECK = "check its power and the cable, and that `baud` is what it is set to"


def ask(
    name: str, number: int, data: bytes = b"", address: int = PUBLIC, tries: int = 2, wait_ns: int = ANSWER_NS
) -> Script[Reply | None]:
    """The answer to one command, a refusal included; None if there was none."""
    sent = command(number, data, address)
    answer = yield Question(name, sent, lambda reply: reply.fields.get("cmd") == number, tries, wait_ns)
    return answer


def code_of(answer: Reply | None) -> int | None:
    """The code of an answer that is nothing but a code; None for any other."""
    return None if answer is None else cast("int | None", answer.fields.get("code"))


def told(address: int, number: int, name: str, field: str) -> Script[Value | None]:
    """One field of the answer to a command without data; None if it is not told."""
    answer = yield from ask(name, number, address=address)
    return None if answer is None else answer.fields.get(field)


def put(address: int, name: str, number: int, data: bytes, wait_ns: int = FLASH_NS) -> Script[None]:
    """Tell it something; Stuck, with its words, if it refuses or does not answer. ``name`` as in "its region"."""
    answer = yield from ask(name, number, data, address, wait_ns=wait_ns)
    if answer is None:
        raise Stuck(f"does not answer when told {name}: {CHECK}", is_unanswered=True)
    code = code_of(answer)
    if code != OK:
        raise Stuck("refused" if code is None else f"refused: {words_from_code(code)}")


def is_there(address: int, tries: int = 1) -> Script[bool]:
    """Whether it answers."""
    return (yield from ask("its version", GET_VERSION, address=address, tries=tries)) is not None


def wait_for(address: int) -> Script[None]:
    """It may be starting anew: until it answers again; Stuck if it does not."""
    if not (yield from is_there(address, tries=RESTART_NS // ANSWER_NS)):
        raise Stuck(f"has not come back after a change: {CHECK}", is_unanswered=True)


def find_baud(address: int = PUBLIC) -> Script[int | None]:
    """The speed at which it answers: it can't be asked for it, but tried; the line is left at that speed."""
    now = yield from line_baud()
    likeliest = sorted(BAUDS, key=lambda baud: baud != now)  # at the head the one the line has, if that is known
    for _ in range(2):
        for baud in likeliest:
            if baud != now:
                yield from pause(0, then_baud=baud)
            if (yield from is_there(address)):
                return baud
            now = None
    return None


def put_baud(address: int, value: Value) -> Script[None]:
    """Another speed, which it keeps in its flash; Stuck, and the line as it was, if it does not answer there."""
    baud = cast(int, value)
    if baud not in BAUDS:
        raise Stuck(f"this reader has {', '.join(map(str, BAUDS))} baud")
    before = yield from find_baud(address)
    # Once only: if but its answer was lost, it is at the new speed already.
    answer = yield from ask("its speed", SET_BAUD, bytes((BAUDS[baud],)), address, tries=1, wait_ns=FLASH_NS)
    if answer is not None and (code := code_of(answer)) != OK:
        raise Stuck("refused" if code is None else f"refused: {words_from_code(code)}")
    yield from pause(RESTART_NS // 5, then_baud=baud)
    if (yield from is_there(address, tries=2 * RESTART_NS // ANSWER_NS)):
        return
    yield from pause(0, then_baud=before)
    raise Stuck(
        f"does not answer at {baud} baud; back at {before}", is_unanswered=not (yield from is_there(address, 2))
    )
