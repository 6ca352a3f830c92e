"""What an IPICO or a Trident tells of itself, asked without changing anything in it.

Its statistics (command 0a) are not asked for: asking sets their counters to zero. Sources as in :mod:`.ipico`; the
Trident's commands are from its manual (TimeMachine, "Command port communications").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from reader.line.protocols import Known
from reader.line.protocols.asking import Question, Script
from reader.model import NS_PER_S, ChipRead, Event, Reply

GET_CLOCK = b"ab00000222\r\n"
GET_BANNER = b"ab0000372a\r\n"
GET_MODE = b"ab00ff0995\r\n"
GET_TRIDENT_DATE = b"$GETDATE\r\n"

MODES = ("every read", "trigger", "trigger 2", "events", "events 2", "first and last seen")
# Answers whose own frame tells more than the question's: a question that comes back as an echo proves nothing.
_TELLING = {"clock", "mode", "statistics", "gun", "log", "clock_was_set"}

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
