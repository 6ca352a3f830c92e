"""What a ThingMagic module tells of itself: in its stream (a status report), or asked (opcode 6C).

::

    FLAGS, then for each of them FLAG LEN DATA[LEN]; flags 7 bits a byte, bit 80: more follow

    0001 (TX, ms u32)...   0040 (TX, RX, dBm s8)...   0080 kHz u24   0100 degrees C s8   0200 TX RX
    0400 protocol u8       0800 (port, 1 = there)...  4000 mV s16

Source: MercuryAPI, ``TMR_fillReaderStats`` in ``serial_reader_l3.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import error, iter_unpack, unpack

RF_ON_TIME, NOISE, FREQUENCY, TEMPERATURE = 0x0001, 0x0040, 0x0080, 0x0100
ANTENNA, PROTOCOL, CONNECTED, VOLTAGE = 0x0200, 0x0400, 0x0800, 0x4000


def fields_from_statistics(data: bytes) -> dict[str, object]:
    """The fields of a whole report; IndexError where it is too short for its form."""
    said: dict[str, object] = {}
    _, at = bits_from(data, 0)
    while at < len(data):
        flag, at = bits_from(data, at)
        value = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        try:
            said |= _FIELDS[flag](value)
        except (KeyError, error, IndexError):
            said[f"flag_{flag:04x}"] = value.hex()
    return said


def bits_from(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, highest first, while bit 80 is set; and where they end. IndexError."""
    bits = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        bits = bits << 7 | data[at] & 0x7F
    return bits, at + 1


def _antenna(value: bytes) -> dict[str, object]:
    transmits, receives = unpack("BB", value)
    return {"ant_tx": transmits, "ant_rx": receives}


def _noise(value: bytes) -> dict[str, object]:
    return {"noise_dbm": {transmits: dbm for transmits, _, dbm in iter_unpack("BBb", value)}}


_FIELDS: dict[int, Callable[[bytes], dict[str, object]]] = {
    RF_ON_TIME: lambda value: {"rf_on_ms": dict(iter_unpack(">BI", value))},
    NOISE: _noise,
    FREQUENCY: lambda value: {"freq_khz": int.from_bytes(value)},
    TEMPERATURE: lambda value: {"temp_c": int.from_bytes(value, signed=True)},
    ANTENNA: _antenna,
    PROTOCOL: lambda value: {"protocol": value[0]},
    CONNECTED: lambda value: {"connected": dict(iter_unpack("BB", value))},
    VOLTAGE: lambda value: {"supply_mv": unpack(">h", value)[0]},
}
