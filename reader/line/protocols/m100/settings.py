"""What of an M100 can be read and written; who it is; and how it is asked, one question of a script at a time.

Nothing here is kept by the module without power: each setting is written again at every start. Its answers do not say
to which command an error belongs, so an error that can be a refusal answers whatever was asked last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from reader.line.protocols import Known
from reader.line.protocols.asking import Question, Script, Stuck, pause
from reader.line.protocols.m100.frame import (
    HOPPING,
    INFO,
    POWER,
    QUERY,
    REFUSALS,
    REGION,
    SET_BAUD,
    SET_POWER,
    SET_QUERY,
    SET_REGION,
    STOP,
    Form,
    command,
)
from reader.line.protocols.m100.report import REGIONS
from reader.line.protocols.settings import Setting, Value
from reader.model import NS_PER_S, Reply

BAUDS = (115200, 9600, 19200, 38400, 57600)
WAIT_NS = NS_PER_S // 4
SWITCH_NS = NS_PER_S // 10  # what a change of speed takes: it is not answered
ANTENNA = 1  # the only one
HARDWARE, SOFTWARE, MAKER = 0, 1, 2

# DR=8, M=1 (FM0), a pilot tone: all that the module can; no selection: every chip answers.
_QUERY = 0x1000
_ON, _OFF = b"\xff", b"\x00"
_CODES = {name: code for code, (name, _) in REGIONS.items()}


def question(
    name: str, code: int, data: bytes = b"", tries: int = 2, wait_ns: int = WAIT_NS, form: Form = Form.BB
) -> Question:
    """One command, and what answers it, a refusal included."""

    def is_answer(reply: Reply) -> bool:
        if reply.name == "error":
            return reply.fields["code"] in REFUSALS
        return reply.fields["cmd"] == code and (code != INFO or reply.fields["which"] == data[0])

    return Question(name, command(code, data, form), is_answer, tries, wait_ns)


def asked(name: str, code: int, data: bytes = b"", tries: int = 2) -> Script[Reply | None]:
    """The answer to one command, a refusal included; None if there was none, in either form of the frames."""
    answer = yield question(name, code, data, tries)
    if answer is None:
        answer = yield question(name, code, data, 1, form=Form.AA)
    return answer


def said_in(answer: Reply | None, field: str) -> object:
    """That field of an answer; None without one, or of a refusal."""
    return None if answer is None or answer.name == "error" else answer.fields.get(field)


def switch(baud: int) -> Script[None]:
    """The line has that speed from now on; nothing may be said together with the change."""
    yield from pause(0, then_baud=baud)
    yield from pause(0)


def speed_found(first: Iterable[int] = ()) -> Script[int | None]:
    """The speed at which the reader answers, tried from ``first`` on; the line is left at it, None: at none."""
    for baud in dict.fromkeys((*first, *BAUDS)):
        yield from switch(baud)
        if (yield from asked("who it is", INFO, bytes((HARDWARE,)), tries=1)) is not None:
            return baud
    return None


def identify() -> Script[Known]:
    """Who is there; a poll left running is stopped first. Stuck if nothing at all is answered."""
    stopped = yield from asked("to stop", STOP)
    texts = []
    for which in (HARDWARE, SOFTWARE, MAKER):
        answer = yield from asked("who it is", INFO, bytes((which,)))
        if which == HARDWARE and answer is None and stopped is None:
            raise Stuck("does not answer: check its power and the cable, and the baud", is_unanswered=True)
        texts.append(cast(str | None, said_in(answer, "text")))
    code = cast(int | None, said_in((yield from asked("its region", REGION)), "region"))
    says = [f"maker {texts[MAKER]}"] if texts[MAKER] else []
    for setting in (_POWER, _AIR):
        value = yield from setting.ask()
        if value is not None:
            says.append(f"{setting.name} {setting.shown(value)}")
    region = None if code is None else words_from_region(code)
    return Known(texts[HARDWARE], texts[SOFTWARE], (ANTENNA,), region, tuple(says))


def words_from_region(code: int) -> str:
    """``US 902-928 MHz``; ``unknown (5)``."""
    return REGIONS[code][1] if code in REGIONS else f"unknown ({code})"


def _put(name: str, code: int, data: bytes) -> Script[None]:
    """Write, and be told that it was done; Stuck otherwise."""
    answer = yield from asked(name, code, data)
    if answer is None:
        raise Stuck(f"does not answer when told {name}", is_unanswered=True)
    if answer.name == "error":
        raise Stuck(f"refused: {answer.fields['says']}")
    if not answer.fields.get("ok"):
        raise Stuck("refused, it does not say why")


# ---- region ------------------------------------------------------------------------------------------------


def _ask_region() -> Script[Value | None]:
    return said_in((yield from asked("its region", REGION)), "name")


def _put_region(value: Value) -> Script[None]:
    if value not in _CODES:
        raise Stuck(f"not a region of this reader; it knows {', '.join(_CODES)}")
    yield from _put("its region", SET_REGION, bytes((_CODES[value],)))


# ---- power -------------------------------------------------------------------------------------------------


def _power_of(value: Value) -> float | None:
    powers = cast(dict[int | str, float], value)
    return powers.get(ANTENNA, powers.get(str(ANTENNA)))


def _ask_power() -> Script[Value | None]:
    cdbm = said_in((yield from asked("its power", POWER)), "power_cdbm")
    return None if cdbm is None else {ANTENNA: cast(int, cdbm) / 100}


def _put_power(value: Value) -> Script[None]:
    power_dbm = _power_of(value)
    if power_dbm is None:
        raise Stuck("no power is given for antenna 1, the only one of this reader")
    cdbm = round(power_dbm * 100)
    if not 0 <= cdbm <= 0x7FFF:
        raise Stuck("not a power that can be told to this reader: 0 to 327 dBm")
    yield from _put("its power", SET_POWER, cdbm.to_bytes(2))


def _is_same_power(wanted: Value, found: Value) -> bool:
    one, other = _power_of(wanted), _power_of(found)
    return one is not None and other is not None and round(one * 100) == round(other * 100)


def _shown_power(value: Value) -> str:
    power_dbm = _power_of(value)
    return "none for antenna 1" if power_dbm is None else f"{power_dbm:.2f} dBm"


# ---- session, target, Q ------------------------------------------------------------------------------------


def _ask_query() -> Script[Value | None]:
    answer = yield from asked("its query", QUERY)
    if said_in(answer, "query") is None:
        return None
    return said_in(answer, "session"), said_in(answer, "target"), said_in(answer, "q")


def _put_query(value: Value) -> Script[None]:
    session, target, q = cast(tuple[int, str, int], value)
    if not (0 <= session <= 3 and target in ("A", "B") and 0 <= q <= 15):
        raise Stuck("not a query of this reader: session 0 to 3, target A or B, Q 0 to 15")
    word = _QUERY | session << 8 | (target == "B") << 7 | q << 3
    yield from _put("its query", SET_QUERY, word.to_bytes(2))


def _is_same_query(wanted: Value, found: Value) -> bool:
    return list(cast(tuple[object, ...], wanted)) == list(cast(tuple[object, ...], found))


def _shown_query(value: Value) -> str:
    session, target, q = cast(tuple[int, str, int], value)
    return f"session S{session}, target {target}, Q {q}"


# ---- hopping, speed ----------------------------------------------------------------------------------------


def _ask_nothing() -> Script[Value | None]:
    """The reader does not tell."""
    yield from pause(0)
    return None


def _put_hopping(value: Value) -> Script[None]:
    yield from _put("its hopping", HOPPING, _ON if value else _OFF)


def _put_baud(value: Value) -> Script[None]:
    """Not answered by the module: that it was done shows at the new speed alone."""
    baud = cast(int, value)
    if baud not in BAUDS:
        raise Stuck(f"not a speed of this reader; it knows {', '.join(map(str, sorted(BAUDS)))}")

    def is_refusal(reply: Reply) -> bool:
        return reply.name == "error" and reply.fields["code"] in REFUSALS

    old: int | None = None
    refusal: Reply | None = None
    for form in Form:
        sent = command(SET_BAUD, (baud // 100).to_bytes(2), form)
        refusal = (yield Question("its speed", sent, is_refusal, 1, SWITCH_NS, then_baud=baud)) or refusal
        yield from pause(SWITCH_NS)
        # At the new speed if it was done, and back at the old one if not.
        old = yield from speed_found((baud,))
        if old == baud:
            return
    if old is None:
        raise Stuck(f"does not answer any more, told to speak at {baud} baud", is_unanswered=True)
    says = f": {refusal.fields['says']}" if refusal is not None else ""
    raise Stuck(f"it stays at {old} baud{says}")


def _shown_on(value: Value) -> str:
    return "on" if value else "off"


def _setting(
    key: str,
    name: str,
    ask: Callable[[], Script[Value | None]],
    put: Callable[[Value], Script[None]],
    agrees: Callable[[Value, Value], bool],
    shown: Callable[[Value], str],
) -> Setting:
    return Setting(key, name, is_in_flash=False, ask=ask, put=put, agrees=agrees, shown=shown)


_POWER = _setting("power_dbm", "power", _ask_power, _put_power, _is_same_power, _shown_power)
_AIR = _setting("query", "query", _ask_query, _put_query, _is_same_query, _shown_query)

SETTINGS = (
    Setting("region", "region", False, _ask_region, _put_region),
    _POWER,
    _AIR,
    Setting("hopping", "hopping", False, _ask_nothing, _put_hopping, shown=_shown_on),
    Setting("baud", "speed in baud", False, speed_found, _put_baud),
)
# The antennas a profile names: there is one, and nothing to be set for it.
ON_START = frozenset({"antennas"})
