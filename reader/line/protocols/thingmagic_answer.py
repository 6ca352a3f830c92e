"""What a ThingMagic module's answers to commands carry, by opcode."""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from

from reader.line.protocols.thingmagic_frame import (
    BOOT,
    GET_ANTENNAS,
    GET_PROGRAM,
    GET_REGION,
    GET_VERSION,
    STREAM,
)


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
    option = data[0]
    if option == 1:
        return {"option": option, "tx": data[1], "rx": data[2]}
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


def _tag_buffer(data: bytes) -> dict[str, object]:
    return {"meta": data[:2].hex(), "tags": data[3], "data": data[4:].hex()}


_ANSWERS: dict[int, Callable[[bytes], dict[str, object]]] = {
    GET_VERSION: _version,
    BOOT: _version,
    GET_PROGRAM: _program,
    STREAM: lambda data: {"option": data[0]},
    GET_ANTENNAS: _antennas,
    0x62: _power,
    0x63: lambda data: {"protocol": unpack_from(">H", data)[0]},
    0x64: _power,
    GET_REGION: lambda data: {"region": data[-1]},
    0x68: lambda data: {"mode": data[0]},
    0x6A: _config,
    0x6B: _gen2,
    0x70: _protocols,
    0x71: lambda data: {"regions": list(data)},
    0x72: lambda data: {"temp_c": int.from_bytes(data[:1], signed=True)},
    0x29: _tag_buffer,
}
