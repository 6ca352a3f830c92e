"""What an IPICO or a Trident tells of itself, asked without changing anything in it; and how its clock is set.

Its statistics (command 0a) are not asked for: asking sets their counters to zero. Sources as in :mod:`.ipico`; the
Trident's commands are from its manual (TimeMachine, "Command port communications").

A clock can be told whole seconds only, so when it is told them decides how right it is. What it then shows is the
second told plus a lag, and the same lag each time: half a second for a Lite, all five times that one was captured being
set, whatever its clock showed before. Where the lag turns out to be another, it is told once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from reader.line.protocols import ClockSet, Examined, Known
from reader.line.protocols.asking import Question, Script, Stuck, pause
from reader.model import NS_PER_S, ChipRead, Event, Reply

GET_CLOCK = b"ab00000222\r\n"
GET_BANNER = b"ab0000372a\r\n"
GET_MODE = b"ab00ff0995\r\n"
GET_TRIDENT_DATE = b"$GETDATE\r\n"

MODES = ("every read", "trigger", "trigger 2", "events", "events 2", "first and last seen")
# Answers whose own frame tells more than the question's: a question that comes back as an echo proves nothing.
_TELLING = {"clock", "mode", "statistics", "gun", "log", "clock_was_set"}

READINGS = 5  # of one clock
READING_TRIES = 3
ANSWER_NS = NS_PER_S
LATE_NS = 2 * NS_PER_S  # so long after a question without an answer none comes any more
APPLIED_NS = NS_PER_S  # the manual: at the next rollover
WRONG_NS = NS_PER_S  # off by more it has not been set

_REFUSALS = ("error", "unhandled")
_MODEL = re.compile(r"\(([^()]*\b(?:Super Elite|Elite|Lite)\b[^()]*)\)")
_FIRMWARE = re.compile(r"\bv([0-9][^()]*)")


def identify() -> Script[Known]:
    """Its clock, its banner, and which reads it reports."""
    clock = yield Question("its clock", GET_CLOCK, _answers("clock", "unhandled"))
    if clock is None:
        return Known("IPICO", None, says=("does not answer: known by its reads alone",))
    if clock.name == "unhandled":
        date = yield Question("its date", GET_TRIDENT_DATE, _answers("date"))
        return Known("Trident TimeMachine", None, says=_says_of_clock(date))
    banner = yield Question("its banner", GET_BANNER, _answers("banner", "banner_end"))
    mode = yield Question("its mode", GET_MODE, _answers("mode"))
    text = str(banner.fields["text"]) if banner is not None and banner.name == "banner" else ""
    model, firmware = _MODEL.search(text), _FIRMWARE.search(text)
    return Known(
        f"IPICO {model[1]}" if model else "IPICO",
        " ".join(firmware[1].split()) if firmware else None,
        says=_says_of_clock(clock) + _says_of_mode(mode),
    )


def examine(is_interrupting: bool) -> Script[Examined]:
    """Nothing: neither an IPICO nor a Trident is known to tell of its health, and its statistics are left alone."""
    yield from ()
    says = "it can't be asked for its temperature, its noise or its antenna: pass a chip over the mat"
    return Examined(says=(says,))


def is_proof(events: Sequence[Event]) -> bool:
    """A read, or an answer that only this family gives; a banner is none, nor is a question that comes back."""
    return any(isinstance(event, ChipRead) or (isinstance(event, Reply) and _tells(event)) for event in events)


def _tells(reply: Reply) -> bool:
    if reply.name in _TELLING:
        return bool(reply.fields.get("data")) and not reply.fields.get("is_unchecked")
    return reply.name in ("error", "unhandled") or (reply.name == "date" and reply.fields["reader_ns"] is not None)


def _answers(*names: str) -> Callable[[Reply], bool]:
    """Whether a reply has one of these names, or is a refusal."""
    return lambda reply: reply.name in names or reply.name == "error"


def _says_of_clock(reply: Reply | None) -> tuple[str, ...]:
    if reply is None or reply.name == "error":
        return ()
    reader_ns = reply.fields.get("reader_ns")
    if not isinstance(reader_ns, int):
        return ("its clock is not set",)
    moment = datetime.fromtimestamp(reader_ns // NS_PER_S, UTC)
    return (f"its clock said {moment:%Y-%m-%d %H:%M:%S}.{reader_ns % NS_PER_S // 10_000_000:02d}",)


def _says_of_mode(reply: Reply | None) -> tuple[str, ...]:
    mode = None if reply is None else reply.fields.get("mode")
    if reply is None or not isinstance(mode, int):
        return ()
    named = MODES[mode] if mode < len(MODES) else f"mode {mode}"
    timeout = f", again after {reply.fields['timeout_s']} s" if mode >= 3 else ""
    return (f"reports {named}{timeout}",)


# ---- its clock -------------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """How the clock of one kind of reader is asked for and set.

    ``is_set``: whether a reply says that it was. ``says_so``: whether it is sure to say anything then. ``apart_ns``:
    between two readings, so that they fall differently between two steps of the clock. ``near_ns``: off by so little
    is well set, for the readings say no more. ``lag_ns``: as is to be expected.
    """

    question: bytes
    name: str
    telling: Callable[[datetime], bytes]
    is_set: Callable[[Reply], bool]
    says_so: bool
    step_ns: int
    apart_ns: int
    near_ns: int
    lag_ns: int


def set_clock(now_utc_ns: Callable[[], int], zone_offset_ns: int = 0) -> Script[ClockSet]:
    """Set its clock to the host's, and look what it shows then. Stuck where it doesn't answer, or is still wrong.

    ``now_utc_ns``: the host's clock, UTC. ``zone_offset_ns``: what to add to it, for a reader that keeps local time.
    """

    def now_ns() -> int:
        return now_utc_ns() + zone_offset_ns

    if not 2000 <= datetime.fromtimestamp(now_ns() // NS_PER_S, UTC).year < 2100:
        raise Stuck("the clock of this box is not set: no other can be set by it")
    kind = yield from _kind_of_clock()
    before_ns = yield from _offset(kind, now_ns)
    after_ns, lag_ns = yield from _set_to_second(kind, now_ns, kind.lag_ns)
    if after_ns is None or abs(after_ns) > kind.near_ns:
        after_ns, lag_ns = yield from _set_to_second(kind, now_ns, lag_ns)
    if after_ns is None:
        raise Stuck("its clock was set, and still shows no time: look at its battery")
    if abs(after_ns) > WRONG_NS:
        raise Stuck(f"its clock was set twice, and is still {_words_from_offset(after_ns)}")
    was = "was not set" if before_ns is None else f"was {_words_from_offset(before_ns)}"
    return ClockSet(before_ns, after_ns, f"its clock {was}, and is now {_words_from_offset(after_ns)}")


def _kind_of_clock() -> Script[_Kind]:
    """An IPICO says what its clock shows; a Trident that it doesn't know the question."""
    reply = yield from _reading(GET_CLOCK, lambda reply: _is_clock(reply) or reply.name == "unhandled")
    return _TRIDENT if reply.name == "unhandled" else _IPICO


def _set_to_second(kind: _Kind, now_ns: Callable[[], int], lag_ns: int) -> Script[tuple[int | None, int]]:
    """Tell it the second at which it will be right with this lag; by how much it is off then, and its true lag."""
    yield from pause((lag_ns - now_ns()) % NS_PER_S)
    told_ns = now_ns()
    # The nearest: the pause may have ended a little late, and the host's clock have been set in it.
    second = (told_ns - lag_ns + NS_PER_S // 2) // NS_PER_S
    telling = kind.telling(datetime.fromtimestamp(second, UTC))
    answer = yield Question(
        "to set its clock", telling, lambda reply: kind.is_set(reply) or reply.name in _REFUSALS, 1, ANSWER_NS
    )
    if answer is None and kind.says_so:
        raise Stuck("does not answer when its clock is to be set", is_unanswered=True)
    if answer is not None and answer.name in _REFUSALS:
        raise Stuck(f"refuses to have its clock set: {answer.fields['says']}")
    yield from pause(APPLIED_NS)
    off_ns = yield from _offset(kind, now_ns)
    return off_ns, lag_ns if off_ns is None else told_ns + off_ns - second * NS_PER_S


def _offset(kind: _Kind, now_ns: Callable[[], int]) -> Script[int | None]:
    """Its clock less the host's; None if it shows no time.

    Each reading sets bounds: what it shows is the beginning of a step, and was so between asking and answer.
    """
    least_ns: list[int] = []
    most_ns: list[int] = []
    for _ in range(READINGS):
        asked_ns = now_ns()
        reply = yield from _reading(kind.question, lambda reply: reply.name == kind.name and _is_clock(reply))
        came_ns, shown_ns = now_ns(), reply.fields["reader_ns"]
        if not isinstance(shown_ns, int):
            return None
        least_ns.append(shown_ns - came_ns)
        most_ns.append(shown_ns + kind.step_ns - asked_ns)
        yield from pause(kind.apart_ns)
    return (max(least_ns) + min(most_ns)) // 2


def _reading(question: bytes, is_answer: Callable[[Reply], bool]) -> Script[Reply]:
    """The answer to a question about its clock, asked again if there is none."""
    refusal: Reply | None = None
    for _ in range(READING_TRIES):
        reply = yield Question(
            "its clock", question, lambda reply: is_answer(reply) or reply.name == "error", 1, ANSWER_NS
        )
        if reply is not None and reply.name != "error":
            return reply
        refusal = reply or refusal
        # An answer that is only late must not be taken for one to the next question.
        yield from pause(LATE_NS)
    if refusal is not None:
        raise Stuck(f"refuses to say what its clock shows: {refusal.fields['says']}")
    raise Stuck("does not say what its clock shows: look at its power and its cable", is_unanswered=True)


def _is_clock(reply: Reply) -> bool:
    """Whether it says what a clock shows, if only that it shows no time; a question that comes back does not."""
    return "reader_ns" in reply.fields and reply.name in ("clock", "date")


def _words_from_offset(offset_ns: int) -> str:
    return f"{abs(offset_ns) / NS_PER_S:.3f} s {'behind' if offset_ns < 0 else 'ahead'}"


def _ipico_telling(moment: datetime) -> bytes:
    """``ab 00 07 01 yy mm dd DW hh mm ss LL``, in BCD; DW from Sunday, 00."""
    summed = f"000701{moment:%y%m%d}{moment.isoweekday() % 7:02d}{moment:%H%M%S}"
    return f"ab{summed}{sum(summed.encode()) & 0xFF:02x}\r\n".encode()


def _trident_telling(moment: datetime) -> bytes:
    return f"$SETDATE:{moment:%y%m%d%H%M%S}\r\n".encode()


_IPICO = _Kind(
    GET_CLOCK,
    "clock",
    _ipico_telling,
    lambda reply: reply.name == "set_clock" and not reply.fields["data"],  # with data it is the command that comes back
    says_so=True,
    step_ns=NS_PER_S // 100,
    apart_ns=37 * NS_PER_S // 1000,
    near_ns=NS_PER_S // 100,
    lag_ns=NS_PER_S // 2,
)
_TRIDENT = _Kind(
    GET_TRIDENT_DATE,
    "date",
    _trident_telling,
    lambda reply: reply.name == "date",
    says_so=False,  # the manual does not tell
    step_ns=NS_PER_S,
    apart_ns=NS_PER_S // 5,
    near_ns=NS_PER_S // 5,
    lag_ns=0,
)
