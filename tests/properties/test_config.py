"""Whatever stands in the file, it is read or refused in words."""

from __future__ import annotations

import datetime
import re
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reader.config import loads
from reader.config.settings import Tables
from reader.errors import ConfigError


def _names(kind: Any) -> set[str]:
    """The keys of a table and of all tables in it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return {field.encode_name for field in fields}.union(*(_names(field.type) for field in fields))
    return set().union(*map(_names, get_args(kind)))


def _toml(value: object) -> str:
    """An inline TOML value; an encoder of its own, for the standard library has none."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{_toml(name)} = {_toml(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
        case datetime.datetime():
            return value.isoformat()
        case _:
            return str(value)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaves = (
    st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.datetimes()
    | st.sampled_from(
        ["auto", "start", "ipico", "reader", "rc1:1883", "05A0", "/dev/ttyUSB0", "UTC", "America", "../x"]
    )
)
keys = st.sampled_from(sorted(_names(Tables)))
tables: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | texts, inner, max_size=6),
    max_leaves=25,
)


near = st.dictionaries(keys, leaves, max_size=12)
nearly_right = st.dictionaries(keys, near | st.lists(near, max_size=3), max_size=9)


@given(st.dictionaries(keys | texts, tables, max_size=6) | nearly_right)
@example({"reader": [{"zone": "America"}, {"zone": "../x"}, {"zone": ""}, {"zone": "a\0b"}]})
@example({"gate": {"quiet_s": 10**400}})
@example({"mqtt": {"hosts": [[], {}], "port": True}})
def test_any_tables_are_read_or_refused_by_key(found: dict[str, Any]) -> None:
    text = "".join(f"{_toml(name)} = {_toml(value)}\n" for name, value in found.items())
    try:
        loads(text, "mat.toml")
    except ConfigError as error:
        for problem in error.problems:
            assert re.match(r'([a-z_0-9-]+|"|\.|\[\d+\])+', problem, re.IGNORECASE), problem
            assert ": " in problem
            assert "\n" not in problem


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    # Without the tables that must be there, no text is a configuration.
    with pytest.raises(ConfigError):
        loads(text, "mat.toml")
