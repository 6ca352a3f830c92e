"""The configuration as somebody else may see it: what is set, or what is wrong, and neither secrets nor comments.

A file of which nothing can be made is shown by those of its lines that are a key of ours with a plain value: of the
others nobody knows what they are.
"""

from __future__ import annotations

import contextlib
import re
import stat
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from reader.box.state_folder import state_folder
from reader.config import Config, find, load
from reader.config.credentials import ON_THE_BOX
from reader.config.files import PLACES, read_text
from reader.config.rows import rows
from reader.config.settings import Tables
from reader.doctor.masking import is_secret_name, secrets_in_urls, secrets_named_in
from reader.errors import ConfigError

SECRET_BYTES = 65_536
HOLD_A_SECRET = ("password_file", "pin_file")
NAME_A_SECRET = (*HOLD_A_SECRET, "key_file")

_COPY = re.compile(r"# last good copy of: (.+)")  # cli/last_good.py
_PLAIN = re.compile(r"\s*([a-z_]+)\s*=\s*(\"[^\"\\]*\"|'[^']*'|[\d.+-]+|true|false)\s*(#.*)?")
_HEADING = re.compile(r"\s*(\[{1,2}[a-z]+\]{1,2})\s*(#.*)?")


class Written(NamedTuple):
    """``path``: None where there is no file; ``config``: None where it is not good, ``problems`` say why."""

    path: Path | None
    text: str
    config: Config | None
    problems: list[str]


def look(asked: Path | None, look_at_files: Callable[[Config], object]) -> Written:
    """The file that would be used. ``look_at_files``: raises ConfigError where one that it names is not good."""
    path, text = None, ""
    try:
        path = find(asked)
        text = read_text(path)
        config = load(path)
    except ConfigError as error:
        return Written(path, text, None, error.problems)
    try:
        look_at_files(config)
    except ConfigError as error:
        return Written(path, text, config, [f"{error.source}: {problem}" for problem in error.problems])
    return Written(path, text, config, [])


# ---- what must not be seen -------------------------------------------------------------------------------


class Secrets(NamedTuple):
    """``words``: each of them. ``unread``: files that hold one and can't be read by who asks."""

    words: frozenset[str]
    unread: tuple[Path, ...]


def secrets_of(asked: Path | None, credentials: Path = ON_THE_BOX) -> Secrets:
    """Of the file that is used, of those that are or were beside it, and all that the service is handed."""
    words: set[str] = set()
    unread: set[Path] = set()
    try:
        for path in credentials.iterdir():
            words.update(_lines(path))
    except FileNotFoundError:
        pass  # not every box has such a folder
    except OSError as error:
        unread.add(Path(error.filename))
    try:
        used = [find(asked)]
    except ConfigError:
        used = []
    for path in dict.fromkeys([*used, *PLACES, state_folder() / "mat.last-good.toml"]):
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        stood = _COPY.match(text)
        words.update(secrets_named_in(text), secrets_in_urls(text))
        for key, value in _values(text):
            if is_secret_name(key):
                words.add(value)
            elif key in NAME_A_SECRET:
                try:
                    words.update(
                        _held(key, value, [(Path(stood[1]) if stood else path).absolute().parent, credentials])
                    )
                except OSError as error:
                    unread.add(Path(error.filename))
    return Secrets(frozenset(words), tuple(sorted(unread)))


def _held(key: str, value: str, folders: list[Path]) -> list[str]:
    """What is secret of a key that names a file in one of these. OSError if the file can't be read."""
    place = _place(value, folders)
    if place is None:
        return [value]  # no such file: it may be the secret itself, written where the name of its file should stand
    return _lines(place) if key in HOLD_A_SECRET else []


def _lines(path: Path) -> list[str]:
    """What a file holds, but for the headings of a PEM."""
    with path.open("rb") as file:
        lines = file.read(SECRET_BYTES).decode("utf-8", "replace").splitlines()
    return [line for line in lines if not line.startswith("-----")]


def _values(text: str) -> Iterator[tuple[str, str]]:
    """Each key with its value as text; line by line where the file is no TOML."""
    try:
        found: object = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    except (ValueError, RecursionError):
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals:
                yield key.strip(), value.partition("#")[0].strip().strip("\"'")
        return
    yield from _values_in("", found)


def _values_in(key: str, found: object) -> Iterator[tuple[str, str]]:
    match found:
        case dict():
            for name, value in found.items():
                yield from _values_in(name, value)
        case list():
            for value in found:
                yield from _values_in(key, value)
        case _:
            yield key, str(found)


def _place(name: str, folders: list[Path]) -> Path | None:
    """The file that a value names; None if there is none."""
    for place in [folder / name for folder in folders]:
        with contextlib.suppress(OSError, ValueError):
            if stat.S_ISREG(place.stat().st_mode):
                return place
    return None


# ---- what may be seen ------------------------------------------------------------------------------------


def shown(written: Written) -> str:
    """What is set and where, or what is wrong."""
    lines = [f"The file: {written.path or 'none'}"]
    lines += [f"  {_seen(path)}" for path in dict.fromkeys([*([written.path] if written.path else []), *PLACES])]
    lines += ["", "config check: it is fine" if not written.problems else "config check:"]
    # Without the colon behind a key: what comes behind that of a secret is masked.
    lines += [f"  {_without_the_line(problem).replace(': ', '  ', 1)}" for problem in written.problems]
    if written.config is not None:
        settings = rows(written.config)
        lines += ["", *(f"{row.key} = {row.value}{'' if row.is_given else '  (default)'}" for row in settings)]
    elif written.text:
        lines += ["", *_lines_of_ours(written.text)]
    return "\n".join(lines)


def _seen(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    changed = datetime.fromtimestamp(found.st_mtime, UTC)
    whose = f"{stat.filemode(found.st_mode)} user {found.st_uid}"
    return f"{path}: {found.st_size} bytes, {whose}, changed {changed:%F %T} UTC"


def _without_the_line(problem: str) -> str:
    """A mistake of syntax is told with its line: who knows what stands there."""
    says, marker, _ = problem.partition("the line: ")
    return f"{says}{marker}(not shown)" if marker else problem


def _lines_of_ours(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if heading := _HEADING.fullmatch(line):
            yield f"{number}: {heading[1]}"
        elif (plain := _PLAIN.fullmatch(line)) and plain[1] in KEYS:
            yield f"{number}: {plain[1]} = {plain[2]}"
        else:
            yield f"{number}: (not shown)"


def _keys(kind: object) -> Iterator[str]:
    """All keys that there are in the tables of the file."""
    match kind:
        case msgspec.inspect.StructType():
            for field in kind.fields:
                yield field.encode_name
                yield from _keys(field.type)
        case msgspec.inspect.Metadata():
            yield from _keys(kind.type)
        case msgspec.inspect.VarTupleType():
            yield from _keys(kind.item_type)
        case msgspec.inspect.UnionType():
            for one in kind.types:
                yield from _keys(one)


KEYS = frozenset(_keys(msgspec.inspect.type_info(Tables)))
