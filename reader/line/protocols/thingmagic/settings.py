"""The settings of a ThingMagic module: none outlives its power. A module says neither its speed nor, as many, its list.

::

    67 / 97                                   region u8
    61 04 / 91 04 (PORT READ WRITE SETTLE)... powers of each port in hundredths of a dBm s16, settling in us u16
    62 00 / 92 READ                           power of all ports that have none of their own
    6B 05 KEY / 9B 05 KEY VALUE               Gen2: 00 session, 01 target, 02 encoding, 10 link frequency, 12 Q
    6A 01 0C / 9A 01 0C VALUE                 the read filter, which keeps back repeats
    61 02 / 91 02 (TX RX)...                  the search list
    06 BAUD u32                               answered at the old speed; the module wakes up at 115200

Source: MercuryAPI, ``serial_reader.c`` and ``serial_reader_l3.c``. Not in a module's table: 0 in most modules, -32768
in the M6e Micro, Nano and M7e, which can transmit 0 dBm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from reader.line.protocols.asking import Question, Script, Stuck
from reader.line.protocols.settings import Setting, Value
from reader.line.protocols.thingmagic.ask import done, question, told
from reader.line.protocols.thingmagic.frame import (
    GET_ANTENNAS,
    GET_CONFIG,
    GET_GEN2,
    GET_REGION,
    SET_ANTENNAS,
    SET_CONFIG,
    SET_GEN2,
    SET_REGION,
)
from reader.line.protocols.thingmagic.power import agrees_power, ask_power, put_power, shown_power
from reader.line.protocols.thingmagic.speed import ask_baud, put_baud

ON_START = frozenset({"temperature_reports", "antenna_reports"})

# In the order of their numbers: the first is 1.
REGIONS = "na eu kr in jp prc eu2 eu3 kr2 prc2 au nz na2 na3 is my id ph tw mo ru sg jp2 jp3 vn th ar hk bd eu4".split()
_REGION_FROM_NUMBER = {0: "none", **dict(enumerate(REGIONS, 1)), 0x1F: "universal", 0xFF: "open"}
DETECT = question("antenna detection", GET_ANTENNAS, b"\5", bears={"option": 5})
REGION = question("its region", GET_REGION)
READ_FILTER = b"\x01\x0c"

SEARCH_LIST = b"\2"


def region_from_number(number: object) -> str:
    """As in a profile, for those a profile can have."""
    return _REGION_FROM_NUMBER.get(cast(int, number), f"number {number}")


def list_antennas(name: str, ports: tuple[int, ...]) -> Question:
    """Search on these ports."""
    return question(name, SET_ANTENNAS, SEARCH_LIST + bytes(port for port in ports for _ in ("transmit", "receive")))


def _ask_region() -> Script[Value | None]:
    region = (yield from told(REGION)).get("region")
    return None if region is None else region_from_number(region)


def _put_region(value: Value) -> Script[None]:
    if value not in REGIONS:
        raise Stuck(f"this family has no region {value}")
    yield from done(question("its region", SET_REGION, bytes((REGIONS.index(value) + 1,))))


def _ask_antennas() -> Script[Value | None]:
    # Few modules know this question, and some may keep silent.
    answer = yield question("its search list", GET_ANTENNAS, SEARCH_LIST, bears={"option": 2}, tries=2)
    pairs = None if answer is None else answer.fields.get("list")
    return tuple(sorted({transmits for transmits, _ in pairs})) if isinstance(pairs, list) and pairs else None


def _put_antennas(value: Value) -> Script[None]:
    yield from done(list_antennas("its search list", cast(tuple[int, ...], value)))


def _ask_every_read() -> Script[Value | None]:
    filtered = (yield from told(question("its read filter", GET_CONFIG, READ_FILTER, bears={"key": 0x0C}))).get("value")
    return None if filtered is None else not filtered


def _put_every_read(value: Value) -> Script[None]:
    yield from done(question("its read filter", SET_CONFIG, READ_FILTER + bytes((not value,))))


def _gen2(key: str, name: str, number: int, wire: Mapping[Value, str], shown: Callable[[Value], str] = str) -> Setting:
    """A setting of Gen2; ``wire``: its values in hex."""
    value_from_wire = {text: value for value, text in wire.items()}
    head = bytes((0x05, number))

    def ask() -> Script[Value | None]:
        said = yield from told(question(f"its {name}", GET_GEN2, head, bears={"parameter": number}))
        return value_from_wire.get(cast(str, said.get("value")))

    def put(value: Value) -> Script[None]:
        if value not in wire:
            raise Stuck(f"this family has no {name} {value}")
        yield from done(question(f"its {name}", SET_GEN2, head + bytes.fromhex(wire[value])))

    return Setting(key, name, is_in_flash=False, ask=ask, put=put, shown=shown)


SETTINGS: tuple[Setting, ...] = (
    Setting("region", "region", is_in_flash=False, ask=_ask_region, put=_put_region),
    Setting(
        "power_dbm",
        "read power",
        is_in_flash=False,
        ask=ask_power,
        put=put_power,
        agrees=agrees_power,
        shown=shown_power,
    ),
    _gen2("session", "session", 0x00, {number: f"{number:02x}" for number in range(4)}, lambda value: f"S{value}"),
    _gen2("target", "target", 0x01, {"A": "0100", "B": "0101", "AB": "0000", "BA": "0001"}),
    _gen2("encoding", "encoding", 0x02, {"FM0": "00", "M2": "01", "M4": "02", "M8": "03"}),
    _gen2("blf_khz", "link frequency", 0x10, {250: "00", 320: "02", 640: "04"}, lambda value: f"{value} kHz"),
    _gen2("q", "Q", 0x12, {"dynamic": "00", **{str(number): f"01{number:02x}" for number in range(16)}}),
    Setting(
        "every_read",
        "reporting of every read",
        is_in_flash=False,
        ask=_ask_every_read,
        put=_put_every_read,
        shown=lambda value: "on" if value else "off",
    ),
    Setting(
        "antennas",
        "search list",
        is_in_flash=False,
        ask=_ask_antennas,
        put=_put_antennas,
        agrees=lambda wanted, found: set(cast(tuple[int, ...], wanted)) == set(cast(tuple[int, ...], found)),
        shown=lambda value: f"antenna {', '.join(map(str, cast(tuple[int, ...], value)))}",
    ),
    Setting("baud", "speed of the line", is_in_flash=False, ask=ask_baud, put=put_baud, shown=lambda v: f"{v} baud"),
)
BY_KEY = {setting.key: setting for setting in SETTINGS}
