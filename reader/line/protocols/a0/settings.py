"""What of an A0 reader can be read and written, and who it says it is.

The values are a profile's: "band" is ``(region, first channel, last channel)``, "power_dbm" dBm by port from 1, "link"
one of D0 to D3, "return_loss_threshold_db" dB (0: antennas are not watched), "baud" bits a second. Of all these only
the power is volatile here: it is written with the command that leaves the flash alone (66), which knows one power for
all ports. A reader whose own manual has it also takes one for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from reader.line.protocols import Known
from reader.line.protocols.a0.ask import CHECK, ask, find_baud, put, put_baud, told, wait_for
from reader.line.protocols.a0.band import Band, band_from, is_possible, words_from_band
from reader.line.protocols.a0.frame import (
    GET_ANTENNA,
    GET_DETECTOR,
    GET_IDENTIFIER,
    GET_LINK,
    GET_POWER,
    GET_REGION,
    GET_TEMPERATURE,
    GET_VERSION,
    PUBLIC,
    REGIONS,
    SET_ANTENNA,
    SET_DETECTOR,
    SET_LINK,
    SET_REGION,
    SET_TEMPORARY_POWER,
)
from reader.line.protocols.asking import Script, Stuck
from reader.line.protocols.settings import Setting, Value

ON_START = frozenset({"antennas", "session", "target"})

MOST_DBM = 33


def settings_at(address: int = PUBLIC) -> tuple[Setting, ...]:
    """All settings of the reader at that address, in the order in which they are to be written."""
    return (
        Setting(
            "band",
            "region and channels",
            True,
            partial(_band, address),
            partial(_put_band, address),
            lambda wanted, found: tuple(cast(Band, wanted)) == found,
            words_from_band,
        ),
        power_at(address),
        Setting(
            "link",
            "radio link",
            True,
            partial(told, address, GET_LINK, "its radio link", "link"),
            partial(_put_link, address),
        ),
        Setting(
            "return_loss_threshold_db",
            "antenna detection",
            True,
            partial(told, address, GET_DETECTOR, "its antenna detection", "return_loss_threshold_db"),
            partial(_put_threshold, address),
            shown=lambda value: f"return loss under {value} dB" if value else "off",
        ),
        Setting("baud", "speed", True, partial(find_baud, address), partial(put_baud, address), shown="{} baud".format),
    )


def power_at(address: int = PUBLIC) -> Setting:
    """The power, which is the one volatile setting."""
    return Setting(
        "power_dbm",
        "power",
        False,
        partial(_powers, address),
        partial(_put_power, address),
        _is_power,
        _words_from_power,
    )


def identify() -> Script[Known]:
    """Who is there. Stuck if nobody answers; nothing is changed: the antenna is put back."""
    # A round that somebody left running is not interrupted by a question, so there is time for one.
    version = yield from ask("its version", GET_VERSION, tries=4)
    if version is None:
        raise Stuck(f"does not answer: {CHECK}", is_unanswered=True)
    band = band_from((yield from ask("its region", GET_REGION)))
    says = []
    temperature = yield from ask("its temperature", GET_TEMPERATURE)
    if temperature and "temp_c" in temperature.fields:
        says.append(f"{temperature.fields['temp_c']} °C")
    powers = cast("dict[int, float] | None", (yield from _powers(PUBLIC)))
    if powers:
        says.append(f"power {_words_from_power(powers)}")
    identifier = (yield from told(PUBLIC, GET_IDENTIFIER, "its identifier", "identifier")) or ""
    if str(identifier).strip("0f"):
        says.append(f"identifier {identifier}")
    if band is not None and not is_possible(band):
        says.append("no region is set, or none that there is: it will not be made to transmit")
    ports = yield from ports_found()
    region = None if band is None else words_from_band(band)
    firmware = version.fields.get("version")
    return Known(None, None if firmware is None else str(firmware), ports, region, tuple(says))


def ports_found() -> Script[tuple[int, ...]]:
    """The ports that it takes for its antenna, from 1; nothing where the one now in use can't be put back."""
    now = yield from told(PUBLIC, GET_ANTENNA, "its antenna", "antenna")
    if not isinstance(now, int):
        return ()
    ports = []
    for index in range(8):
        yield from ask(f"antenna {index + 1}", SET_ANTENNA, bytes((index,)))
        # Some take any number and stay where they are.
        if (yield from told(PUBLIC, GET_ANTENNA, "its antenna", "antenna")) != index:
            break
        ports.append(index + 1)
    yield from ask(f"antenna {now + 1}", SET_ANTENNA, bytes((now,)))
    return tuple(ports)


def _band(address: int) -> Script[Value | None]:
    return band_from((yield from ask("its region", GET_REGION, address=address)))


def _put_band(address: int, value: Value) -> Script[None]:
    name, first, last = cast(Band, value)
    if not is_possible((name, first, last)) or name not in REGIONS:
        raise Stuck(f"no band that can be written: {value}")
    yield from put(address, "its region", SET_REGION, bytes((REGIONS[name], first, last)))


def _put_link(address: int, value: Value) -> Script[None]:
    yield from put(address, "its radio link", SET_LINK, bytes.fromhex(str(value)))
    yield from wait_for(address)


def _put_threshold(address: int, value: Value) -> Script[None]:
    yield from put(address, "its antenna detection", SET_DETECTOR, bytes((cast(int, value),)))


# ---- power ----------------------------------------------------------------------------------------------


def _powers(address: int) -> Script[Value | None]:
    """The dBm by port; of a reader that tells one for all of them that of port 1."""
    powers = yield from told(address, GET_POWER, "its power", "power_dbm")
    return None if powers is None else {port: float(dbm) for port, dbm in enumerate(cast(Sequence[int], powers), 1)}


def _is_power(wanted: Value, found: Value) -> bool:
    powers = cast(Mapping[int, float], found)
    sole = next(iter(powers.values())) if len(powers) == 1 else None
    return all(powers.get(port, sole) == dbm for port, dbm in cast(Mapping[int, float], wanted).items())


def _words_from_power(value: Value) -> str:
    powers = cast(Mapping[int, float], value)
    if len(set(powers.values())) == 1:
        return f"{next(iter(powers.values())):g} dBm"
    return ", ".join(f"{dbm:g} dBm at port {port}" for port, dbm in powers.items())


def _put_power(address: int, value: Value) -> Script[None]:
    wanted = cast(Mapping[int, float], value)
    if not all(dbm == int(dbm) and 0 <= dbm <= MOST_DBM for dbm in wanted.values()):
        raise Stuck(f"this reader takes whole dBm, 0 to {MOST_DBM}")
    levels = {int(dbm) for dbm in wanted.values()}
    if len(levels) == 1:
        yield from put(address, "its power", SET_TEMPORARY_POWER, bytes(levels))
        return
    found = cast("dict[int, float] | None", (yield from _powers(address))) or {}
    ports = 8 if max(*wanted, *found) > 4 else 4
    sent = bytes(int(wanted.get(port, found.get(port, min(levels)))) for port in range(1, ports + 1))
    try:
        yield from put(address, "its power", SET_TEMPORARY_POWER, sent)
    except Stuck as stuck:
        if stuck.is_unanswered:
            raise
        says = f"{stuck}; without writing its flash it has one power for all its ports: give all the same"
        raise Stuck(says) from stuck


SETTINGS = settings_at()
