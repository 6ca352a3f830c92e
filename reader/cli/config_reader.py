"""The `[[reader]]` tables of a new mat.toml: who is on the lines, and which profile each is to have."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reader.cli.interview import Interview
from reader.cli.probe import lasting, look_at
from reader.errors import ConfigError, PortRefused, ReaderError, UsageError
from reader.line import profile as profiles
from reader.line.auto import has_speeds
from reader.line.port import find_ports
from reader.line.profile.choosing import fitting, laws_of, ports_of
from reader.line.protocols import FAMILIES
from reader.model import Use

LOOK_ON_ALL, LOOK_NOWHERE = "auto", "none"
NO_LAW = "none"
REGION = (
    "under which law does it transmit? The mat never guesses that: another band, or more power than is allowed, is an "
    "offence."
)


class Wish(NamedTuple):
    """What the options say of the readers; None or nothing where they don't."""

    ports: Sequence[str]
    protocol: str | None
    baud: int | None
    region: str | None
    profile: str | None


class _Reader(NamedTuple):
    """A reader that was found, or named. ``baud``: None where its line has no speed, or it is the family's own."""

    port: str
    family: str
    baud: int | None = None
    model: str = ""
    antennas: tuple[int, ...] = ()


def reader_tables(interview: Interview, wish: Wish, use: Use, beside: Path) -> list[dict[str, object]]:
    """One for each reader, at least one. ``beside``: the folder of the file, for profiles that lie there."""
    readers = _named(wish) if wish.protocol is not None else _found(wish)
    tables: list[dict[str, object]] = []
    for number, reader in enumerate(readers, 1):
        table: dict[str, object] = {"name": f"reader-{number}"} if len(readers) > 1 else {}
        table |= {"protocol": reader.family, "port": reader.port}
        if reader.baud is not None:
            table["baud"] = reader.baud
        if name := wish.profile or _profile(interview, reader, wish.region, use, beside):
            table["profile"] = name
        tables.append(table)
    return tables


def _named(wish: Wish) -> list[_Reader]:
    known = [*(family.name for family in FAMILIES), "auto"]
    if wish.protocol not in known:
        raise UsageError(f"--protocol: found {wish.protocol!r}, expected one of: {', '.join(known)}")
    ports = ["auto"] if list(wish.ports) == [LOOK_NOWHERE] else wish.ports
    return [_Reader(_absolute(port), wish.protocol, wish.baud) for port in ports]


def _found(wish: Wish) -> list[_Reader]:
    """Those on the lines; where none is, one that the mat looks for itself.

    ReaderError where a line was named in vain, or where a reader may be on a line that another program holds.
    """
    is_named = not {LOOK_ON_ALL, LOOK_NOWHERE}.intersection(wish.ports)
    names = [_absolute(port) for port in wish.ports] if is_named else find_ports()
    found: list[_Reader] = []
    tried: list[str] = []
    is_refused = False
    for name in names if LOOK_NOWHERE not in wish.ports else ():
        sentences: list[str] = []
        try:
            said = look_at(name, wish.baud, sentences)
        except ReaderError as error:
            said, sentences = None, [str(error)]
            is_refused |= isinstance(error, PortRefused)
        if said is not None:
            found.append(_from_probe(said))
            print(f"found: {found[-1].model or found[-1].family} at {found[-1].port}")
        elif is_named:
            raise ReaderError("\n".join([f"{name}: no reader of a known family; tried:", *sentences]))
        tried += [f"  {name}: {sentence}" for sentence in sentences]
    if is_refused and not found:
        do = "if it is the mat: sudo systemctl stop timing-mat, and again; --port none does not look"
        raise ReaderError("\n".join([f"no reader was found, and a line could not be asked; {do}", *tried]))
    if not found:
        print("\n".join(["no reader was found: the mat looks for one by itself, at every start", *tried]))
        print("when it is plugged in and has power, make this file anew: one that transmits needs its region's profile")
    return found or [_Reader("auto", "auto")]


def _from_probe(said: dict[str, Any]) -> _Reader:
    baud = said["baud"] if has_speeds(said["port"]) else None
    return _Reader(lasting(said["port"]), said["family"], baud, said["model"] or "", tuple(said["antennas"]))


def _absolute(port: str) -> str:
    return port if "://" in port or port == "auto" else str(Path(port).absolute())


def _profile(interview: Interview, reader: _Reader, region: str | None, use: Use, beside: Path) -> str | None:
    """The right profile for a reader; None for none. UsageError where there is none."""
    known = _profiles_of(reader.family, beside)
    who = reader.model or reader.family
    if not known:
        if region is not None:
            print(f"--region {region}: not used, no region can be set in {who}")
        return None
    laws = laws_of(known) | {
        NO_LAW: "none of these: it keeps what is set in it, and does not transmit without a region"
    }
    law = interview.choice("--region", region, f"{who}: {REGION}", laws)
    if law == NO_LAW:
        return None
    found = {loaded.name: loaded for loaded in fitting(known, law, use, reader.antennas)}
    if not found:
        raise UsageError(f"--profile: there is none for {who}, {law} and {use}: write one, or give --region none")
    says = {name: loaded.profile.says for name, loaded in found.items()}
    name = (
        next(iter(found)) if len(found) == 1 else interview.choice("--profile", None, f"{who}: which settings?", says)
    )
    ports = ", ".join(map(str, ports_of(found[name])))
    print(f"profile {name}, for antenna {ports}: look at its cables and gains, timing-mat profile show {name}")
    return name


def _profiles_of(family: str, beside: Path) -> list[profiles.Loaded]:
    """The good ones of a family."""
    found = []
    for place in profiles.list_profiles(beside):
        with contextlib.suppress(ConfigError):
            found.append(profiles.load(place))
    return [loaded for loaded in found if loaded.profile.family == family]
