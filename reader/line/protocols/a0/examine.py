"""How an A0 reader and its antennas are, asked of it.

::

    7B   SIGN, degrees C            63   the return loss in dB under which an antenna counts as missing, 0: none does;
                                         by V2.2 but 0 or 1, off or on
    7E   CHANNEL -> return loss in dB of the work antenna (74 sets it, 75 tells it); the reader transmits for it

What it answers while a round is on comes after the round's end, in the place of the answer to another question. So it
is only asked while nobody asks it for rounds; between them the conversation asks it by itself (:mod:`.talk`). Two
channels of one antenna differ by some dB: the worst of its band counts.
"""

from __future__ import annotations

from typing import cast

from reader.line.protocols import Examined
from reader.line.protocols.a0.ask import CHECK, ask, code_of
from reader.line.protocols.a0.band import band_from, is_possible, words_from_band
from reader.line.protocols.a0.frame import (
    ANTENNA_MISSING,
    GET_ANTENNA,
    GET_DETECTOR,
    GET_REGION,
    GET_RETURN_LOSS,
    GET_TEMPERATURE,
    GET_VERSION,
    NO_RETURN_LOSS,
    SET_ANTENNA,
    words_from_code,
)
from reader.line.protocols.a0.poll import LEAST_LOSS_DB
from reader.line.protocols.a0.settings import ports_found
from reader.line.protocols.asking import Script, Stuck, alone
from reader.model import Reply

ON = 1  # the antenna detection of older readers

POLLED = "it is not asked while it is polled: its temperature and antennas are looked at between the rounds"


def examine(is_interrupting: bool) -> Script[Examined]:
    """How it is; nobody may ask it for rounds meanwhile."""
    if not is_interrupting:
        return Examined(says=(POLLED,))
    return (yield from alone(_examine()))


def _examine() -> Script[Examined]:
    # A round that is on is not interrupted by a question, so there is time for one.
    if (yield from ask("its version", GET_VERSION, tries=4)) is None:
        raise Stuck(f"does not answer: {CHECK}", is_unanswered=True)
    says: list[str] = ["it can't measure its noise"]
    temperature = _told("its temperature", "temp_c", (yield from ask("its temperature", GET_TEMPERATURE)), says)
    least_db = _told("antenna detection", "return_loss_threshold_db", (yield from _detector()), says)
    answer = yield from ask("its region", GET_REGION)
    band = band_from(answer)
    losses_db: dict[int, int] = {}
    if band is None:
        says.append(f"its region: {_why_not(answer)}; return loss is not measured without one")
    elif not is_possible(band):
        says.append(f"no region is set that there is ({words_from_band(band)}): return loss is not measured")
    elif band[0] == "user":
        says.append("its band is the user's own: return loss is not measured")
    else:
        _, first, last = band
        losses_db = yield from _losses(sorted({first, (first + last) // 2, last}), says)
    if least_db == ON:
        least_db = LEAST_LOSS_DB
    if least_db == 0:
        says.append("its antenna detection is off: it would transmit into nothing")
    return Examined(
        temperature,
        {},
        {port: loss_db >= least_db for port, loss_db in losses_db.items()} if least_db else {},
        {port: float(loss_db) for port, loss_db in losses_db.items()},
        words_from_band(band) if band is not None and is_possible(band) else None,
        tuple(says),
    )


def _detector() -> Script[Reply | None]:
    return (yield from ask("antenna detection", GET_DETECTOR))


def _losses(channels: list[int], says: list[str]) -> Script[dict[int, int]]:
    """The least return loss of each port; the antenna that was set is set again."""
    now = yield from ask("its antenna", GET_ANTENNA)
    losses_db: dict[int, int] = {}
    for port in (yield from ports_found()):
        # Told twice it is at the port already: the answer counts for nothing.
        yield from ask(f"antenna {port}", SET_ANTENNA, bytes((port - 1,)))
        for channel in channels:
            answer = yield from ask("return loss", GET_RETURN_LOSS, bytes((channel,)))
            loss_db = _loss(answer)
            if loss_db is None:
                says.append(f"return loss of antenna {port}: {_why_not(answer)}")
                break
            losses_db[port] = min(loss_db, losses_db.get(port, loss_db))
        if answer is None:
            break  # the others will not be answered either
    set_before = None if now is None else now.fields.get("antenna")
    if isinstance(set_before, int):
        yield from ask(f"antenna {set_before + 1}", SET_ANTENNA, bytes((set_before,)))
    if not losses_db and not any("return loss" in one for one in says):
        says.append("return loss: it does not take another antenna")
    return losses_db


def _loss(answer: Reply | None) -> int | None:
    """In dB; 0 where it can't be measured for the antenna's sake, None where it is not told."""
    if code_of(answer) in (NO_RETURN_LOSS, ANTENNA_MISSING):
        return 0
    return None if answer is None else cast("int | None", answer.fields.get("return_loss_db"))


def _told(name: str, field: str, answer: Reply | None, says: list[str]) -> int | None:
    """That field; None where it is not told, which is said."""
    value = None if answer is None else answer.fields.get(field)
    if not isinstance(value, int):
        says.append(f"{name}: {_why_not(answer)}")
        return None
    return value


def _why_not(answer: Reply | None) -> str:
    code = code_of(answer)
    if answer is None:
        return "no answer"
    return "refused" if code is None else f"refused, {words_from_code(code)}"
