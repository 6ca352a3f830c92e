"""Tables to structs, and every mistake in them at once.

Each value is converted singly, so that one mistake hides no other; what a key expects stands beside its
field in `settings`, and nothing here knows any key.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

Struct = TypeVar("Struct", bound=msgspec.Struct)
NOTHING: Mapping[str, str] = MappingProxyType({})


class Reading:
    """One file being read. ``problems``: sentences, each beginning with the full key; ``given``: the keys found.

    ``folder``: what relative paths are relative to. ``defaults``: by full key, where a default depends on
    another key. ``elsewhere``: by full key, in words, where what people write there belongs.
    """

    def __init__(self, folder: Path, defaults: dict[str, object], elsewhere: Mapping[str, str] = NOTHING) -> None:
        self.problems: list[str] = []
        self.given: set[str] = set()
        self._folder = folder
        self._defaults = defaults
        self._elsewhere = elsewhere

    def table(self, kind: type[Struct], found: dict[str, object], key: str = "") -> Struct:
        """A struct of what was found; a value that is missing or wrong is None in it, and is in ``problems``."""
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name in found:
            if name not in fields and _join(key, name) in self._elsewhere:
                self.problems.append(f"{_join(key, name)}: {self._elsewhere[_join(key, name)]}")
            elif name not in fields:
                what = "table" if isinstance(found[name], dict) else "key"
                says = _nearest(name, [known for known in fields if known not in found], list(fields))
                self.problems.append(f"{_join(key, name)}: there is no such {what}; {says}")
        values: dict[str, object] = {}
        for name, field in fields.items():
            full = _join(key, name)
            if name in found:
                self.given.add(full)
                values[field.name] = self._value(field.type, found[name], full)
            elif full in self._defaults:
                values[field.name] = self._defaults[full]
            elif _is_table(field.type):
                values[field.name] = self._value(field.type, {}, full)
            elif field.required:
                self.problems.append(f"{full}: missing; expected {_expected(field.type)}")
                values[field.name] = None
        return kind(**values)

    def _value(self, kind: Any, found: object, key: str) -> object:
        bare = _bare(kind)
        before = len(self.problems)
        if _is_table(kind):
            if isinstance(found, dict):
                return self.table(bare, found, key)
            self.problems.append(f"{key}: found {_shown(found)}, expected a table")
            return None
        if get_origin(bare) is tuple and isinstance(found, list):
            item = get_args(bare)[0]
            found = [self._value(item, one, f"{key}[{place}]") for place, one in enumerate(found)]
        if len(self.problems) == before:
            try:
                return msgspec.convert(found, kind, dec_hook=self._path)
            except msgspec.ValidationError:
                self.problems.append(f"{key}: found {_shown(found)}, expected {_expected(kind)}")
        return tuple(found) if isinstance(found, list) else None

    def _path(self, kind: type, found: object) -> Path:
        if not (isinstance(found, str) and found and found.isprintable()):
            raise ValueError(f"not the path of a file: {kind}")
        return self._folder / found


def _nearest(name: str, missing: list[str], names: list[str]) -> str:
    """The right name, as a question: rather one that is missing than one that is there besides."""
    near = [
        *difflib.get_close_matches(name.lower(), missing, n=1),
        *difflib.get_close_matches(name.lower(), names, n=1),
    ]
    return f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(names)}"


def _join(key: str, name: str) -> str:
    """The full key of a name in a table, quoted where TOML would quote it."""
    bare = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _shown(name)
    return f"{key}.{bare}" if key else bare


def _bare(kind: Any) -> Any:
    """The type without ``| None`` and ``Annotated``: TOML has no null, so None can't be found."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    return kind.__origin__ if get_origin(kind) is Annotated else kind


def _is_table(kind: Any) -> bool:
    bare = _bare(kind)
    return isinstance(bare, type) and issubclass(bare, msgspec.Struct)


def _expected(kind: Any) -> str:
    """What a value of this type looks like, in words."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    for note in getattr(kind, "__metadata__", ()):
        if note.description:
            return str(note.description)
    if get_origin(kind) is Literal:
        *first, last = (f'"{choice}"' for choice in get_args(kind))
        return f"{', '.join(first)} or {last}" if first else last
    return {bool: "true or false"}[kind]


def _shown(found: object) -> str:
    """What was found, as it stands in the file if it is short."""
    match found:
        case bool():
            return "true" if found else "false"
        case str():
            text = json.dumps(found, ensure_ascii=not found.isprintable())
            return text if len(text) <= 60 else f'{text[:58]}…"'
        case dict():
            return "a table"
        case list():
            return f"a list of {len(found)}"
        case int() if found.bit_length() > 64:  # beyond what str() takes, perhaps
            return "a number of more than 64 bits"
        case _:
            return str(found)
