"""Messages against the schemas that `timing-mat schema` writes, by a library that knows nothing of the program."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from reader import schema


@cache
def validator(name: str) -> Draft202012Validator:
    """Of that message alone, from a document of its own."""
    return Draft202012Validator(schema.one(name))


def faults(name: str, message: Any) -> list[str]:
    """What is wrong with it, with the place."""
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(message)]


def check(messages: Iterable[tuple[str, bytes]]) -> dict[str, int]:
    """All these, by topic and payload: how many there were of each kind. AssertionError names the first wrong one."""
    counted: dict[str, int] = {}
    for topic, payload in messages:
        name = topic.split("/")[4]
        found = faults(name, json.loads(payload))
        assert not found, f"{topic}: {found} in {payload.decode()}"
        counted[name] = counted.get(name, 0) + 1
    return counted
