"""A configuration as a list of keys and values, to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from reader.config.settings import Config


class Row(NamedTuple):
    """A setting: its full key, its value as text, and whether it stood in the file."""

    key: str
    value: str
    is_given: bool


def rows(config: Config) -> Iterator[Row]:
    """All that is set, in the order of the file's tables; what is not in force is left out."""
    unused = {"source", "given"} | ({"mqtt.host", "mqtt.port"} if config.mqtt.hosts else set())
    for key, value in _values(config, ""):
        if key not in unused:
            yield Row(key, value, key in config.given)


def _values(table: msgspec.Struct, above: str) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        key = f"{above}{field.encode_name}"
        match value:
            case None | ():
                continue
            case msgspec.Struct():
                yield from _values(value, f"{key}.")
            case (msgspec.Struct(), *_):
                for place, one in enumerate(value):
                    yield from _values(one, f"{key}[{place}].")
            case tuple():
                yield key, ", ".join(value)
            case bool():
                yield key, "true" if value else "false"
            case _:
                yield key, str(value)
