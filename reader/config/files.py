"""Finding `mat.toml` and reading it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from reader.config.agreement import FACTORY_BAUD, disagreements
from reader.config.credentials import credential
from reader.config.reading import Reading
from reader.config.settings import GATE_BY_USE, Config, GateSettings, MatSettings, ReaderSettings, Tables
from reader.config.taken_out import SECRETS, Secret
from reader.errors import ConfigError

VARIABLE = "TIMING_MAT_CONFIG"
PLACES = (Path("/boot/firmware/timing-mat.toml"), Path("/etc/timing-mat/mat.toml"))


def find(asked: Path | None = None) -> Path:
    """The file to read: the one asked for, else the variable's, else the first of the places that is there.

    Raises ConfigError, naming all places, if there is none.
    """
    if asked is not None:
        return asked
    if named := os.environ.get(VARIABLE):
        if not _is_there(Path(named)):
            raise ConfigError(named, [f"the file does not exist (looked for there because ${VARIABLE} says so)"])
        return Path(named)
    for place in PLACES:
        if _is_there(place):
            return place
    problem = (
        f"no configuration found: --config was not given, ${VARIABLE} is not set, "
        f"and there is no {' and no '.join(map(str, PLACES))}; write one of these (`timing-mat demo` needs none)"
    )
    raise ConfigError("mat.toml", [problem])


def load(path: Path) -> Config:
    """The configuration in a file. ConfigError says every mistake in it at once."""
    return loads(read_text(path), str(path))


def loads(text: str, source: str) -> Config:
    """The configuration in a text. ``source``: the file it stood in, whose folder relative paths start from."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [_syntax_problem(str(error), text)]) from error
    except (ValueError, RecursionError) as error:
        # tomllib lets these through for a number of thousands of digits, and for thousands of brackets.
        raise ConfigError(source, ["the file holds a number too long or lists too deep to be read"]) from error
    gate = _gate_of(found)
    reading = Reading(
        Path(source).absolute().parent,
        {f"gate.{field}": getattr(gate, field) for field in gate.__struct_fields__},
        {f"{secret.table}.{secret.key}": _of_secret(secret) for secret in SECRETS},
    )
    tables = reading.table(Tables, found)
    problems = reading.problems + list(disagreements(tables, reading.given))
    if problems:
        raise ConfigError(source, problems)
    return Config(
        **msgspec.structs.asdict(_handed_over(_settled(tables), found)),
        source=source,
        given=frozenset(reading.given),
    )


def unconfigured() -> Config:
    """What a mat goes on with when there is no good file: it finds its reader by itself, and records."""
    return Config(
        mat=MatSettings(event="unconfigured", point="unknown", id="mat"),
        readers=(ReaderSettings(protocol="auto", port="auto"),),
        gate=GATE_BY_USE["finish"],
        source="no configuration",
    )


def read_text(path: Path) -> str:
    """The text of a file people write: UTF-8, a BOM is fine. ConfigError says why it can't be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(str(path), ["the file does not exist"]) from error
    except IsADirectoryError as error:
        raise ConfigError(str(path), ["the file is a folder, expected a file"]) from error
    except OSError as error:
        raise ConfigError(str(path), [f"the file can't be read: {error.strerror}"]) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"line {line}: found byte 0x{data[error.start]:02x}, expected UTF-8: save the file as UTF-8"
        raise ConfigError(str(path), [found]) from error


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it will say what is wrong
    return True


def _of_secret(secret: Secret) -> str:
    """Others can read this file, so a secret is not used here."""
    return (
        f"a secret can't stand here, where others can read it; write it into /etc/timing-mat/credentials/{secret.file} "
        f'and here {secret.file_key} = "{secret.file}". On the boot partition that is done at each start of the box'
    )


def _gate_of(found: dict[str, object]) -> GateSettings:
    match found:
        case {"mat": {"use": str(use)}} if use in GATE_BY_USE:
            return GATE_BY_USE[use]
    return GATE_BY_USE["finish"]


def _settled(tables: Tables) -> Tables:
    """With each reader's baud and with chips in upper case."""
    readers = tuple(
        msgspec.structs.replace(reader, baud=reader.baud or FACTORY_BAUD.get(reader.protocol))
        for reader in tables.readers
    )
    chips = msgspec.structs.replace(
        tables.chips,
        sweep=tuple(chip.upper() for chip in tables.chips.sweep),
        reference=tuple(chip.upper() for chip in tables.chips.reference),
    )
    return msgspec.structs.replace(tables, readers=readers, chips=chips)


def _handed_over(tables: Tables, found: dict[str, Any]) -> Tables:
    """With the place of each ``…_file`` that systemd has handed over, as it was named in the file."""
    for table in ("mqtt", "web"):
        places = {
            key: place
            for key, name in found.get(table, {}).items()
            if key.endswith("_file") and (place := credential(name))
        }
        changed = msgspec.structs.replace(getattr(tables, table), **places)
        tables = msgspec.structs.replace(tables, **{table: changed})
    return tables


def _syntax_problem(says: str, text: str) -> str:
    """What tomllib says, with the place first and the line itself."""
    lines = text.split("\n")
    what, _, place = says.rpartition(" (at ")
    numbers = re.fullmatch(r"line (\d+), column (\d+)\)", place)
    line, column = (int(numbers[1]), int(numbers[2])) if numbers else (len(lines), len(lines[-1]) + 1)
    hint = " (text stands in quotes, and a decimal point is a point)" if what == "Invalid value" else ""
    found = "".join(letter if letter.isprintable() else "?" for letter in lines[line - 1].strip()[:120])
    return f"line {line}, column {column}: {what[:1].lower()}{what[1:]}{hint}; the line: {found}"
