"""What of a UHFReader can be read and written, as scripts. All of it is kept in its flash.

The answer to 21 tells most of it. The power of each antenna is read by 94 and written by 2F with a byte for each; the
work mode by 77 and 76, or 36 and 35 in the readers before the 288, whose other parameters are put back as they were.
The speed can't be asked for: the one at which it answers is its speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from reader.line.protocols import Known
from reader.line.protocols.asking import Script, Stuck, line_baud, pause
from reader.line.protocols.settings import Setting, Value
from reader.line.protocols.uhfreader.answer import LONG_MODE
from reader.line.protocols.uhfreader.ask import (
    ANSWER_NS,
    GAP_NS,
    SCAN_UNIT_MS,
    ask,
    asked,
    asked_info,
    asked_mode,
    written,
)
from reader.line.protocols.uhfreader.frame import (
    BAUDS,
    INFO,
    MODE,
    POWERS,
    SERIAL,
    SET_ANTENNA_CHECK,
    SET_BAND,
    SET_BAUD,
    SET_MODE,
    SET_MODE_18,
    SET_POWER,
    SET_SCAN_TIME,
    STOP,
    TEMPERATURE,
    bytes_from_band,
    words_from_band,
)


def identify() -> Script[Known]:
    """Who is there; nothing is changed. Stuck where nobody answers."""
    # An inventory under way is ended by 93; where it is not known, or none is on, nothing need come.
    yield from ask("stop", STOP, tries=1, wait_ns=ANSWER_NS // 3)
    reply = yield from ask("its information", INFO, tries=8)
    if reply is None:
        raise Stuck("no answer to who is there: check power, the cable (TX and RX) and the baud", is_unanswered=True)
    info = yield from asked_info()
    if info is None:
        return Known(None, None, says=("it answers, but does not say what it is",))
    serial = yield from asked("its serial number", SERIAL)
    powers = yield from _powers()
    mode = yield from asked_mode(info.kind)
    temperature = yield from asked("its temperature", TEMPERATURE)
    says = [f"power {_shown_power(powers or {1: info.power_dbm})}", f"scan time {info.scan_ms / 1000:g} s"]
    if mode is not None:
        says.append(f"work mode {mode[1]['mode']}")
    if info.antenna_check is not None:
        says.append(f"antenna check {'on' if info.antenna_check else 'off'}")
    if serial and "serial" in serial:
        says.append(f"serial number {serial['serial']}")
    if temperature and "temp_c" in temperature:
        says.append(f"{temperature['temp_c']} °C inside")
    region = words_from_band(*info.band) if info.band else None
    return Known(info.model, info.firmware, tuple(powers or info.ports or (1,)), region, tuple(says))


# ---- one setting after the other ---------------------------------------------------------------------


def _band() -> Script[Value | None]:
    info = yield from asked_info()
    return info.band if info else None


def _put_band(value: Value) -> Script[None]:
    try:
        data = bytes_from_band(*cast(tuple[str, int, int], value))
    except ValueError as error:
        raise Stuck(str(error)) from None
    yield from written("the band", SET_BAND, data)


def _powers() -> Script[dict[int, int] | None]:
    """By port; None where the reader has but one for all."""
    fields = yield from asked("its powers", POWERS)
    powers = cast(list[int], fields.get("powers", [])) if fields else []
    return dict(enumerate(powers, 1)) or None


def _power() -> Script[Value | None]:
    powers = yield from _powers()
    if powers is None:
        info = yield from asked_info()
        powers = dict.fromkeys(info.ports or (1,), info.power_dbm & 0x7F) if info else None
    return powers


def _agrees_power(wanted: Value, found: Value) -> bool:
    powers = cast(Mapping[int, int], found)
    # One that has the same power on all it tells of has it on all the others too.
    others = next(iter(powers.values())) if len(set(powers.values())) == 1 else None
    return all(powers.get(port, others) == dbm for port, dbm in cast(Mapping[int, float], wanted).items())


def _put_power(value: Value) -> Script[None]:
    wanted = {}
    for port, dbm in cast(Mapping[int, float], value).items():
        if dbm != int(dbm) or not 0 <= dbm <= 33:
            raise Stuck(f"{dbm:g} dBm for antenna {port} can't be set: whole dBm from 0 to 33")
        wanted[port] = int(dbm)
    if len(set(wanted.values())) == 1:
        yield from written("the power", SET_POWER, bytes((next(iter(wanted.values())),)))
        return
    powers = yield from _powers()
    if powers is None or not set(wanted) <= set(powers):
        raise Stuck("this reader has one power for all its antennas: give them the same")
    yield from written("the powers", SET_POWER, bytes({**powers, **wanted}.values()))


def _shown_power(value: Value) -> str:
    powers = cast(Mapping[int, float], value)
    if len(set(powers.values())) == 1:
        return f"{next(iter(powers.values())):g} dBm"
    return ", ".join(f"antenna {port} {dbm:g} dBm" for port, dbm in sorted(powers.items()))


def _scan_time() -> Script[Value | None]:
    info = yield from asked_info()
    return info.scan_ms if info else None


def _put_scan_time(value: Value) -> Script[None]:
    ms = cast(int, value)
    if ms % SCAN_UNIT_MS or not 1 <= ms // SCAN_UNIT_MS <= 255:
        raise Stuck(f"{ms} ms can't be set: 100 to 25500 ms in steps of {SCAN_UNIT_MS}")
    yield from written("the scan time", SET_SCAN_TIME, bytes((ms // SCAN_UNIT_MS,)))


def _antenna_check() -> Script[Value | None]:
    info = yield from asked_info()
    return info.antenna_check if info else None


def _put_antenna_check(value: Value) -> Script[None]:
    yield from written("the antenna check", SET_ANTENNA_CHECK, bytes((bool(value),)))


def _work_mode() -> Script[Value | None]:
    info = yield from asked_info()
    mode = yield from asked_mode(info.kind if info else None)
    return mode[1]["mode"] if mode else None


def _put_work_mode(value: Value) -> Script[None]:
    codes = {"answer": 0, "realtime": 1}
    if value not in codes:
        raise Stuck(f"work mode {value} can't be set: answer or realtime")
    code = codes[str(value)]
    info = yield from asked_info()
    mode = yield from asked_mode(info.kind if info else None)
    if mode is None:
        raise Stuck("the reader does not tell its work mode")
    cmd, fields = mode
    if cmd == MODE:
        yield from written("the work mode", SET_MODE, bytes((code,)))
        return
    parameters = bytes.fromhex(cast(str, fields["parameters"]))
    kept = b"" if len(parameters) >= LONG_MODE else parameters[5:10]
    yield from written("the work mode", SET_MODE_18, bytes((code,)) + kept)


def _baud() -> Script[Value | None]:
    """The speed at which it answers, and the line's from now on: found by trying, from what the line has, if known."""
    first = (yield from line_baud()) or 57600
    for baud in (first, *(baud for baud in BAUDS if baud != first)):
        yield from pause(GAP_NS, then_baud=baud)
        if (yield from asked_info(tries=1)) is not None:
            return baud
    raise Stuck("no answer at any speed: check power and the cable", is_unanswered=True)


def _put_baud(value: Value) -> Script[None]:
    baud = cast(int, value)
    if baud not in BAUDS:
        raise Stuck(f"{baud} baud can't be set: {', '.join(map(str, BAUDS))}")
    old = cast(int, (yield from _baud()))
    refused = ""
    try:
        yield from written("the speed", SET_BAUD, bytes((BAUDS[baud],)), then_baud=baud)
    except Stuck as stuck:
        # Without an answer it may have been taken all the same.
        refused = "" if stuck.is_unanswered else str(stuck)
    if not refused:
        yield from pause(5 * GAP_NS)
        if (yield from asked_info(tries=4)) is not None:
            return
        refused = f"no answer at {baud} baud: back to {old} baud"
    yield from pause(GAP_NS, then_baud=old)
    raise Stuck(refused)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "band",
        "region",
        True,
        _band,
        _put_band,
        agrees=lambda wanted, found: list(cast(tuple[object, ...], wanted)) == list(cast(tuple[object, ...], found)),
        shown=lambda value: words_from_band(*cast(tuple[str, int, int], value)),
    ),
    Setting("power_dbm", "power", True, _power, _put_power, _agrees_power, _shown_power),
    Setting("scan_time_ms", "scan time", True, _scan_time, _put_scan_time, shown=lambda value: f"{value} ms"),
    Setting("antenna_check", "antenna check", True, _antenna_check, _put_antenna_check),
    Setting("work_mode", "work mode", True, _work_mode, _put_work_mode),
    Setting("baud", "speed", True, _baud, _put_baud, shown=lambda value: f"{value} baud"),
)
