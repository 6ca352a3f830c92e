"""The read power of a ThingMagic module: one for all ports, and one of its own for each port that has it."""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack
from typing import NamedTuple, cast

from reader.line.protocols.asking import Script, Stuck
from reader.line.protocols.settings import Value
from reader.line.protocols.thingmagic.ask import ask, question, status_of, told
from reader.line.protocols.thingmagic.frame import (
    GET_ANTENNAS,
    GET_READ_POWER,
    GET_VERSION,
    POWER_TOO_HIGH,
    POWER_TOO_LOW,
    SET_ANTENNAS,
    SET_READ_POWER,
    words_from_status,
)

NEAR_DBM = 0.051  # some modules round to tenths
_BY_PORT = b"\4"
_NONE = -32768
# Of these, 0 is a power; of all others it says that the port has none of its own.
_WITH_ZERO_DBM = {0x20, 0x30, 0x38}


class _Port(NamedTuple):
    read_cdbm: int
    write_cdbm: int
    settle_us: int


def ask_power() -> Script[Value | None]:
    """DBm by port; None where it does not tell."""
    ports = yield from _by_port()
    for_all = (yield from told(question("its read power", GET_READ_POWER, b"\0", bears={"option": 0}))).get(
        "power_cdbm"
    )
    if not ports:
        detected = (yield from told(question("its antennas", GET_ANTENNAS, b"\5", bears={"option": 5}))).get("ports")
        ports = dict.fromkeys(cast(dict[int, int], detected) or (1,), _Port(_NONE, _NONE, 0))
    nothing = yield from _nothing(ports)
    powers = {port: for_all if own.read_cdbm in nothing else own.read_cdbm for port, own in ports.items()}
    return {port: cast(int, cdbm) / 100 for port, cdbm in powers.items() if cdbm is not None} or None


def put_power(value: Value) -> Script[None]:
    """The ports that are not in ``value`` keep what they have, but where all are set at once."""
    wanted = {port: round(dbm * 100) for port, dbm in cast(Mapping[int, float], value).items()}
    ports = yield from _by_port()
    nothing = yield from _nothing(ports)
    has_own = any(own.read_cdbm not in nothing for own in ports.values())
    if len(set(wanted.values())) == 1 and not has_own:
        opcode, data = SET_READ_POWER, pack(">h", *set(wanted.values()))
    elif ports:
        for port, cdbm in wanted.items():
            ports[port] = ports.get(port, _Port(0, 0, 0))._replace(read_cdbm=cdbm)
        opcode, data = SET_ANTENNAS, _BY_PORT + b"".join(pack(">BhhH", port, *own) for port, own in ports.items())
    else:
        raise Stuck("has one power for all ports: give all antennas the same in the profile")
    answer = yield from ask(question("its read power", opcode, data))
    if status := status_of(answer):
        raise Stuck(words_from_status(status) + (yield from _limits(status)))


def agrees_power(wanted: Value, found: Value) -> bool:
    """Whether every port that is wanted has its power."""
    powers = cast(Mapping[int, float], found)
    return all(
        port in powers and abs(powers[port] - dbm) < NEAR_DBM for port, dbm in cast(Mapping[int, float], wanted).items()
    )


def shown_power(value: Value) -> str:
    """``30.0 dBm``, or ``1: 30.0, 2: 27.0 dBm``."""
    powers = cast(Mapping[int, float], value)
    if len(set(powers.values())) == 1:
        return f"{next(iter(powers.values())):.1f} dBm"
    return f"{', '.join(f'{port}: {dbm:.1f}' for port, dbm in sorted(powers.items()))} dBm"


def _by_port() -> Script[dict[int, _Port]]:
    said = yield from told(question("the power of each port", GET_ANTENNAS, _BY_PORT, bears={"option": 4}))
    ports = cast(Mapping[int, Mapping[str, int]], said.get("ports", {}))
    return {port: _Port(**own) for port, own in ports.items()}


def _nothing(ports: Mapping[int, _Port]) -> Script[set[int]]:
    """What says that a port has no power of its own: the model decides."""
    if all(own.read_cdbm for own in ports.values()):
        return {_NONE}
    hardware = str((yield from told(question("its version", GET_VERSION))).get("hardware", ""))
    return {_NONE} if int(hardware[:2] or "0", 16) in _WITH_ZERO_DBM else {_NONE, 0}


def _limits(status: int) -> Script[str]:
    if status not in (POWER_TOO_HIGH, POWER_TOO_LOW):
        return ""
    said = yield from told(question("its limits of power", GET_READ_POWER, b"\1", bears={"option": 1}))
    if "max_cdbm" not in said:
        return ""
    return f"; it can have {cast(int, said['min_cdbm']) / 100:g} to {cast(int, said['max_cdbm']) / 100:g} dBm"
