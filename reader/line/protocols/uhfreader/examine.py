"""How a UHFReader and its antennas are, asked of it.

::

    92                       -> SIGN (1 plus), degrees C
    91  KHZ[4] ANTENNA       -> return loss in dB, the antenna from 0; the reader transmits for it

Both are in the manual of the 288MP (V1.14) and in the makers' SDK, which waits 600 ms for either; older readers refuse
them. A question has to wait for the end of a round, and its answer would come in the place of another: so it is only
asked while nobody asks for rounds. Whether an antenna is connected it tells in its rounds, or by refusing 91.
"""

from __future__ import annotations

from reader.line.protocols import Examined
from reader.line.protocols.asking import Script, Stuck, alone
from reader.line.protocols.uhfreader.ask import ANSWER_NS, Info, ask, asked, asked_info
from reader.line.protocols.uhfreader.frame import (
    BAD_ANTENNA,
    BANDS,
    INFO,
    POWERS,
    RETURN_LOSS,
    STOP,
    TEMPERATURE,
    words_from_band,
    words_from_status,
)
from reader.line.protocols.uhfreader.talk import CHECK
from reader.model import Reply

MEASURE_NS = 2 * ANSWER_NS
LAST_ROUND_TRIES = 4

POLLED = "it is not asked while it is polled: which antennas are connected its rounds tell"


def examine(is_interrupting: bool) -> Script[Examined]:
    """How it is; nobody may ask it for rounds meanwhile."""
    if not is_interrupting:
        return Examined(says=(POLLED,))
    return (yield from alone(_examine()))


def _examine() -> Script[Examined]:
    yield from ask("stop", STOP, tries=1, wait_ns=ANSWER_NS // 3)
    # A round that goes on has to end before it answers.
    if (yield from ask("its information", INFO, tries=LAST_ROUND_TRIES)) is None:
        raise Stuck(f"does not answer: {CHECK}", is_unanswered=True)
    info = yield from asked_info()
    says = ["it can't measure its noise"]
    if info is None:
        return Examined(says=(*says, "it does not say what it is, nor its region"))
    temperature = yield from ask("its temperature", TEMPERATURE)
    temp_c = _field(temperature, "temp_c")
    if temp_c is None:
        says.append(f"its temperature: {_why_not(temperature)}")
    if info.antenna_check is False:
        says.append("its antenna check is off: it would transmit into nothing")
    connected: dict[int, bool] = {}
    losses_db: dict[int, float] = {}
    if info.band is None:
        says.append("no region is set: return loss is not measured")
    else:
        yield from _measure(info, connected, losses_db, says)
    region = None if info.band is None else words_from_band(*info.band)
    return Examined(temp_c, {}, connected, losses_db, region, tuple(says))


def _measure(info: Info, connected: dict[int, bool], losses_db: dict[int, float], says: list[str]) -> Script[None]:
    """The least return loss of each port at both ends and in the middle of the band."""
    powers = yield from asked("its powers", POWERS)
    told = [] if powers is None else powers.get("powers", [])
    count = len(told) if isinstance(told, list) else 0
    for port in range(1, count + 1) or info.ports or (1,):
        for khz in _frequencies_khz(info):
            data = khz.to_bytes(4) + bytes((port - 1,))
            answer = yield from ask("return loss", RETURN_LOSS, data, tries=1, wait_ns=MEASURE_NS)
            loss_db = _field(answer, "return_loss_db")
            if loss_db is None:
                if answer is not None and answer.fields.get("status") == BAD_ANTENNA:
                    connected[port] = False
                    break
                says.append(f"return loss: {_why_not(answer)}")
                return
            losses_db[port] = min(float(loss_db), losses_db.get(port, float(loss_db)))


def _frequencies_khz(info: Info) -> list[int]:
    if info.band is None:
        return []
    name, first, last = info.band
    band = BANDS[name]
    return sorted({band.first_khz + band.step_khz * channel for channel in (first, (first + last) // 2, last)})


def _field(answer: Reply | None, name: str) -> int | None:
    value = None if answer is None or answer.name == "error" else answer.fields.get(name)
    return value if isinstance(value, int) else None


def _why_not(answer: Reply | None) -> str:
    if answer is None:
        return "no answer"
    status = answer.fields.get("status")
    return f"refused, {words_from_status(status)}" if answer.name == "error" and isinstance(status, int) else "not told"
