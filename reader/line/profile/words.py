"""A profile as TOML, with its units; as what a family's scripts want; and back from what a reader told."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from reader.config.reading import Reading
from reader.line.profile.agreement import disagreements
from reader.line.profile.schema import KINDS, A0Profile, Antenna, M100Profile, Profile, UhfReaderProfile

# What stands beside a key in a file that is written here.
UNITS = {
    "family": "which readers this is for",
    "use": "what the mat is for",
    "max_eirp_dbm": "dBm of EIRP, a limit of one's own",
    "model": "a part of its name",
    "firmware": "the oldest that will do",
    "region": "by the maker's name; must be that of the country",
    "first_channel": "of the maker's table",
    "last_channel": "of the maker's table",
    "link": "the maker's link profile",
    "return_loss_threshold_db": "dB; below it an antenna counts as missing; 0: not looked at",
    "session": "of Gen2",
    "target": "of Gen2",
    "q": "slots of a round, as a power of 2",
    "encoding": "of the chips' answers: Miller 2, 4, 8 or FM0",
    "blf_khz": "kHz, link frequency of the chips' answers",
    "every_read": "report every read, not only the first of a chip",
    "temperature_reports": "tell the module's temperature while it reads",
    "antenna_reports": "tell the antennas while it reads",
    "hopping": "change channels by itself",
    "scan_time_ms": "ms, the longest that a round may take",
    "antenna_check": "look for the antenna before transmitting",
    "work_mode": "answer: asked for each round; realtime: reports by itself",
    "baud": "bits a second",
    "port": "as printed on the reader",
    "power_dbm": "dBm at the reader's port",
    "cable_loss_db": "dB",
    "gain_dbi": "dBi",
}


def wanted(profile: Profile) -> dict[str, object]:
    """The values by key, as the scripts of the profile's family know them; see :class:`~.settings.Wanted`."""
    skipped = {"family", "says", "use", "max_eirp_dbm", "model", "firmware"}
    skipped |= {"antennas", "region", "first_channel", "last_channel"}
    values: dict[str, object] = {}
    if isinstance(profile, A0Profile | UhfReaderProfile):
        if profile.region is not None:
            values["band"] = (profile.region, profile.first_channel, profile.last_channel)
    elif profile.region is not None:
        values["region"] = profile.region
    antennas = sorted(profile.antennas, key=lambda antenna: antenna.port)
    values["antennas"] = tuple(antenna.port for antenna in antennas)
    values["power_dbm"] = {antenna.port: antenna.power_dbm for antenna in antennas}
    if isinstance(profile, M100Profile):
        skipped |= {"session", "target", "q"}
        if profile.session is not None:
            values["query"] = (profile.session, profile.target, profile.q)
    for name in profile.__struct_fields__:
        value = getattr(profile, name)
        if name not in skipped and value is not None:
            values[name] = value
    return values


def profile_from_values(
    family: str,
    values: Mapping[str, object],
    says: str,
    ports: Iterable[int] = (),
    like: Profile | None = None,
    on_start: Collection[str] = (),
    every_port: bool = False,
) -> tuple[Profile, list[str]]:
    """A profile of what a reader told, and in sentences what of it is not from the reader or can't be said.

    ``values``: as :func:`wanted` names them, those that are known. ``ports``: the antennas of the reader, for where it
    tells none that it uses. ``like``: a profile of the same family that the rest is taken from: losses, gains, and
    the keys ``on_start``, which no reader keeps. ``every_port``: all that have a power, where it is not told which are
    used. ValueError, in words, where there is not enough for a profile.
    """
    notes: list[str] = []
    found: dict[str, object] = {"family": family, "says": says}
    found |= _told(family, values, notes)
    if like is not None:
        found |= _untold(like, on_start, found)
    found["antenna"] = _antennas(
        values, _ports(values, () if every_port else ports, None if every_port else like), like, notes
    )
    kind = KINDS[family]
    for _ in found.copy():
        reading = Reading(Path(), {})
        draft = reading.table(kind, found)
        problems = reading.problems + list(disagreements(draft, family))
        if not problems:
            return draft, notes
        for problem in problems:
            key = problem.split(":")[0].split("[")[0]
            if key in ("family", "says", "antenna"):
                raise ValueError(f"a profile can't say what the reader has: {problem}")
            if found.pop(key, None) is not None:
                notes.append(f"left out: {problem}")
    raise ValueError(f"a profile can't say what the reader has: {'; '.join(problems)}")


def text_from_profile(profile: Profile, notes: Iterable[str] = ()) -> str:
    """The file: every key with its unit; ``notes`` at its head."""
    lines = [f"# {note}" for note in notes]
    lines += [""] if lines else []
    for name in profile.__struct_fields__:
        value = getattr(profile, name)
        if name != "antennas" and value is not None:
            lines.append(_line(name, value))
    for antenna in profile.antennas:
        lines += ["", "[[antenna]]", *(_line(name, getattr(antenna, name)) for name in antenna.__struct_fields__)]
    return "\n".join(lines) + "\n"


def _told(family: str, values: Mapping[str, object], notes: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    known = {field.encode_name for field in msgspec.structs.fields(KINDS[family])}
    for key, value in values.items():
        match key, value:
            case ("band", (region, first, last)):
                found |= {"region": region, "first_channel": first, "last_channel": last}
            case ("query", (session, target, q)):
                found |= {"session": session, "target": target, "q": q}
            case ("antennas" | "power_dbm", _):
                pass
            case _ if key in known:
                found[key] = value
            case _:
                notes.append(f"left out: {key}: {value}, which no profile says")
    return found


def _untold(like: Profile, on_start: Collection[str], found: Mapping[str, object]) -> dict[str, object]:
    """Of ``like``, what no reader keeps: how reads are asked for, and what the mat and the profile are for."""
    keys = {*on_start, "use", "max_eirp_dbm", "model", "firmware"} - {"antennas"}
    more = {key: getattr(like, key) for key in keys if key not in found}
    return {key: value for key, value in more.items() if value is not None}


def _ports(values: Mapping[str, object], ports: Iterable[int], like: Profile | None) -> tuple[int, ...]:
    """The antennas that are used, as far as it is known; nothing for all that have a power."""
    told = values.get("antennas")
    if isinstance(told, tuple) and told:
        return told
    return tuple(ports) if like is None else tuple(antenna.port for antenna in like.antennas)


def _antennas(
    values: Mapping[str, object], ports: tuple[int, ...], like: Profile | None, notes: list[str]
) -> list[dict[str, object]]:
    powers = values.get("power_dbm")
    if not isinstance(powers, dict) or not powers:
        raise ValueError("the reader does not tell its power, and a profile must say it")
    used = tuple(port for port in ports if port in powers) or tuple(powers)
    known = {} if like is None else {antenna.port: antenna for antenna in like.antennas}
    tables: list[dict[str, object]] = []
    for port in used:
        antenna = known.get(port)
        if antenna is None:
            notes.append(
                f"antenna {port}: the loss and the gain are not told by any reader: put right what stands here"
            )
            antenna = Antenna(port=port, power_dbm=0.0, gain_dbi=6.0)
        tables.append(
            {
                "port": port,
                "power_dbm": powers[port],
                "cable_loss_db": antenna.cable_loss_db,
                "gain_dbi": antenna.gain_dbi,
            }
        )
    return tables


def _line(name: str, value: object) -> str:
    unit = UNITS.get(name)
    return f"{name} = {_toml(value)}" + (f"  # {unit}" if unit else "")


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON string is a TOML string but for DEL, which no line of text here holds.
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)
