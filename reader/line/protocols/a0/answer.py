"""What an A0 reader's answers to commands carry, by command."""

from __future__ import annotations

from collections.abc import Callable

from fastcrc.crc16 import genibus

from reader.line.protocols.a0.frame import (
    ANTENNA_MISSING,
    BUFFERED_INVENTORY,
    BUFFERS,
    COUNT_BUFFER,
    GET_ANTENNA,
    GET_DETECTOR,
    GET_IDENTIFIER,
    GET_LINK,
    GET_MATCH,
    GET_POWER,
    GET_REGION,
    GET_RETURN_LOSS,
    GET_TEMPERATURE,
    GET_VERSION,
    LAST_ANTENNA,
    LAST_CHANNEL,
    MEMORY,
    READ_GPIO,
    REGION_NAMES,
    USER_REGION,
    dbm_from_rssi,
    mhz_from_channel,
)


class Senseless(Exception):
    """A frame whose content does not add up."""


def fields_from_answer(number: int, data: bytes) -> dict[str, object] | None:
    """What the answer to a question carries; None if it is a code, Senseless where it does not add up."""
    if len(data) > 1:
        return _ANSWERS[number](data)
    # Values and codes share the byte; where both are possible it is a value, for these questions seldom fail.
    value = data[0]
    match number:
        case _ if number == GET_POWER and value <= 33:
            return {"power_dbm": [value]}
        case _ if number == GET_DETECTOR and value < 0x30:
            return {"return_loss_threshold_db": value}
        case _ if number == GET_RETURN_LOSS and value < 0x40 and value != ANTENNA_MISSING:
            return {"return_loss_db": value}
        case _ if number == GET_ANTENNA and value <= LAST_ANTENNA:
            return {"antenna": value}
        case _ if number == GET_LINK and 0xD0 <= value <= 0xDF:
            return {"link": f"{value:02X}"}
        case _ if number == GET_MATCH and value <= 1:
            return {"is_matching": value == 0}
        case 0x6D if value <= 1:
            return {"group": value}
        case 0x8E if value in (0x00, 0x8D):
            return {"is_on": value != 0}
    return None


def _version(data: bytes) -> dict[str, object]:
    said: dict[str, object] = {"major": data[0], "minor": data[1], "version": f"{data[0]}.{data[1]}"}
    return said | ({"more": data[2:].hex()} if data[2:] else {})


def _region(data: bytes) -> dict[str, object]:
    region = data[0]
    said: dict[str, object] = {"region": region, "band": REGION_NAMES.get(region, f"{region:02X}")}
    if len(data) == 6:
        if region != USER_REGION:
            raise Senseless
        step_khz, channels, first_khz = data[1] * 10, data[2], int.from_bytes(data[3:])
        return said | {"step_khz": step_khz, "channels": channels, "first_khz": first_khz}
    said |= {"first_channel": data[1], "last_channel": data[2]}
    if max(data[1:]) <= LAST_CHANNEL:
        said |= {"first_mhz": mhz_from_channel(data[1]), "last_mhz": mhz_from_channel(data[2])}
    return said


def _temperature(data: bytes) -> dict[str, object]:
    # V2.2 prints it the other way round; a reader beside its maker's own display settled it.
    if data[0] > 1:
        raise Senseless
    return {"sign": data[0], "temp_c": data[1] if data[0] else -data[1]}


def _buffered(data: bytes) -> dict[str, object]:
    return {
        "antenna": data[0],
        "tags": int.from_bytes(data[1:3]),
        "read_rate": int.from_bytes(data[3:5]),
        "total": int.from_bytes(data[5:]),
    }


def _record(data: bytes) -> dict[str, object]:
    """TAGS(2) SIZE PC(2) EPC... CRC(2) [MEMORY...] and three bytes more; ``size`` counts from PC."""
    if len(data) < 10 or len(data) != data[2] + 6:
        raise Senseless
    body, end = data[3:-3], 2 + 2 * (data[3] >> 3)
    if end + 2 > len(body):
        raise Senseless
    crc = body[end : end + 2]
    said: dict[str, object] = {
        "tags": int.from_bytes(data[:2]),
        "pc": body[:2].hex(),
        "epc": body[2:end].hex(),
        "tag_crc": crc.hex(),
        "tag_crc_ok": genibus(body[:end]) == int.from_bytes(crc),
    }
    return said | ({"data": body[end + 2 :].hex()} if body[end + 2 :] else {})


def _memory(data: bytes) -> dict[str, object]:
    # Behind the record of a read the size of what was read, of any other a code; then channel and antenna, and a count.
    return _record(data) | {"antenna": data[-2] & 0x03, "count": data[-1]}


def _from_buffer(data: bytes) -> dict[str, object]:
    said = _record(data)
    rssi = data[-3] & 0x7F
    return said | {
        "rssi_raw": rssi,
        "rssi_dbm": dbm_from_rssi(rssi),
        "antenna": data[-2] & 0x03 | (data[-3] & 0x80) >> 5,
        "count": data[-1],
    }


def _match(data: bytes) -> dict[str, object]:
    if data[0] or len(data) != data[1] + 2:
        raise Senseless
    return {"is_matching": True, "epc": data[2:].hex()}


_ANSWERS: dict[int, Callable[[bytes], dict[str, object]]] = {
    READ_GPIO: lambda data: {"gpio": list(data)},
    GET_IDENTIFIER: lambda data: {"identifier": data.hex()},
    GET_VERSION: _version,
    GET_POWER: lambda data: {"power_dbm": list(data)},
    GET_REGION: _region,
    GET_TEMPERATURE: _temperature,
    BUFFERED_INVENTORY: _buffered,
    COUNT_BUFFER: lambda data: {"tags": int.from_bytes(data)},
    GET_MATCH: _match,
    0x98: lambda data: {"mask": data.hex()},
    **dict.fromkeys(MEMORY, _memory),
    **dict.fromkeys(BUFFERS, _from_buffer),
}
