"""What a ThingMagic module's answers to commands carry, by opcode."""

from __future__ import annotations

from collections.abc import Callable
from struct import calcsize, iter_unpack, unpack_from

from reader.line.protocols.thingmagic.frame import (
    BOOT,
    GET_ANTENNAS,
    GET_BUFFER,
    GET_CONFIG,
    GET_GEN2,
    GET_PROGRAM,
    GET_READ_POWER,
    GET_REGION,
    GET_STATISTICS,
    GET_TEMPERATURE,
    GET_VERSION,
    STREAM,
)
from reader.line.protocols.thingmagic.statistics import fields_from_statistics

# The powers of each port, by option of GET_ANTENNAS: without and with the settling time.
_POWERS = {3: ">Bhh", 4: ">BhhH"}


def fields_from_answer(opcode: int, data: bytes) -> dict[str, object]:
    """The fields in ``data``, which is not empty; struct.error or IndexError where it is too short for its form."""
    known = _ANSWERS.get(opcode)
    return known(data) if known else {"data": data.hex()}


def _version(data: bytes) -> dict[str, object]:
    names = ("bootloader", "hardware", "fw_date", "fw_version", "protocols_mask")
    return {name: part.hex() for name, part in zip(names, unpack_from("4s4s4s4s4s", data), strict=True)}


def _program(data: bytes) -> dict[str, object]:
    return {"program": data[0], "is_bootloader": data[0] & 0x03 == 1}


def _antennas(data: bytes) -> dict[str, object]:
    if len(data) == 2:
        return {"tx": data[0], "rx": data[1]}  # the only form without an option
    option = data[0]
    if option == 1:
        return {"option": option, "tx": data[1], "rx": data[2]}
    if option == 2:
        return {"option": option, "list": [list(pair) for pair in zip(data[1::2], data[2::2], strict=False)]}
    if form := _POWERS.get(option):
        whole = len(data) - 1 - (len(data) - 1) % calcsize(form)
        names = ("read_cdbm", "write_cdbm", "settle_us")[: option - 1]
        records = iter_unpack(form, data[1 : 1 + whole])
        return {"option": option, "ports": {port: dict(zip(names, values, strict=True)) for port, *values in records}}
    pairs = dict(zip(data[1::2], data[2::2], strict=False))
    if option == 5:
        return {"option": option, "ports": pairs}
    if option == 6:
        return {"option": option, "return_loss_db": pairs}
    return {"option": option, "data": data[1:].hex()}


def _power(data: bytes) -> dict[str, object]:
    names = ("power_cdbm", "max_cdbm", "min_cdbm") if data[0] else ("power_cdbm",)
    return {"option": data[0], **dict(zip(names, unpack_from(f">{len(names)}h", data, 1), strict=True))}


def _protocols(data: bytes) -> dict[str, object]:
    return {"protocols": list(unpack_from(f">{len(data) // 2}H", data))}


def _config(data: bytes) -> dict[str, object]:
    return {"key": data[1], "value": int.from_bytes(data[2:])}


def _gen2(data: bytes) -> dict[str, object]:
    return {"protocol": data[0], "parameter": data[1], "value": data[2:].hex()}


def _region(data: bytes) -> dict[str, object]:
    # Asked for more than the region, it tells: option, region, key, value.
    return {"region": data[1] if len(data) > 2 else data[-1]}


def _statistics(data: bytes) -> dict[str, object]:
    said: dict[str, object] = {"option": data[0]}
    try:
        return said | fields_from_statistics(data[1:])
    except IndexError:
        return said | {"data": data[1:].hex()}


def _tag_buffer(data: bytes) -> dict[str, object]:
    return {"meta": data[:2].hex(), "tags": data[3], "data": data[4:].hex()}


_ANSWERS: dict[int, Callable[[bytes], dict[str, object]]] = {
    GET_VERSION: _version,
    BOOT: _version,
    GET_PROGRAM: _program,
    STREAM: lambda data: {"option": data[0]},
    GET_ANTENNAS: _antennas,
    GET_READ_POWER: _power,
    0x63: lambda data: {"protocol": unpack_from(">H", data)[0]},
    0x64: _power,
    GET_REGION: _region,
    0x68: lambda data: {"mode": data[0]},
    GET_CONFIG: _config,
    GET_GEN2: _gen2,
    GET_STATISTICS: _statistics,
    0x70: _protocols,
    0x71: lambda data: {"regions": list(data)},
    GET_TEMPERATURE: lambda data: {"temp_c": int.from_bytes(data[:1], signed=True)},
    GET_BUFFER: _tag_buffer,
}
