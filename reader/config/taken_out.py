"""Secrets that a crew wrote into `mat.toml` on the boot partition, taken out of its text; pure.

::

    [mqtt]                                [mqtt]
    username = "finish-main"              username = "finish-main"
    password = "korrekt"  # of 2023   →   password_file = "mqtt-password"  # of 2023

Every other byte stays: comments, the ends of lines, a BOM. What comes out is read again, and has to say the same as
what went in but for the secret; a text for which that can't be had is left as it is.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple


class Secret(NamedTuple):
    """Where one may stand, which key names its file instead, and the file's name."""

    table: str
    key: str
    file_key: str
    file: str


SECRETS = (Secret("mqtt", "password", "password_file", "mqtt-password"), Secret("web", "pin", "pin_file", "web-pin"))


class TakenOut(NamedTuple):
    """The text without its secrets; these by the name of their file; and in words what could not be taken out."""

    data: bytes
    secrets: dict[str, str]
    problems: list[str]


def taken_out(data: bytes) -> TakenOut:
    """``data``: a whole `mat.toml`. ValueError, UnicodeDecodeError among them, if it is no TOML."""
    secrets: dict[str, str] = {}
    problems: list[str] = []
    for secret in SECRETS:
        found = _parsed(data).get(secret.table)
        if not isinstance(found, dict) or secret.key not in found:
            continue
        value, name = found[secret.key], f"[{secret.table}] {secret.key}"
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not (isinstance(value, str) and value and value.isprintable()):
            problems.append(f'{name}: expected a line of text in quotes, as in {secret.key} = "…"')
            continue
        without = _without(data, secret, value)
        if without is None:
            problems.append(f'{name}: expected on a line of its own below [{secret.table}], as in {secret.key} = "…"')
            continue
        data = without
        secrets[_parsed(data)[secret.table][secret.file_key]] = value
    return TakenOut(data, secrets, problems)


def _without(data: bytes, secret: Secret, value: str) -> bytes | None:
    """The text with the secret's line changed; None if none of its lines can be that one."""
    expected = _parsed(data)
    table = expected[secret.table]
    del table[secret.key]
    instead = b"" if secret.file_key in table else f'{secret.file_key} = "{secret.file}"'.encode()
    table.setdefault(secret.file_key, secret.file)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", str(table[secret.file_key])):
        return None  # a file somewhere else is named besides: which of the two is meant?
    line = re.compile(
        rb"""^([ \t]*)["']?%b["']?[ \t]*=[ \t]*("(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*'|[0-9_]+)""" % secret.key.encode(),
        re.MULTILINE,
    )
    for place in line.finditer(data):
        changed = data[: place.start()] + place[1] + instead + data[place.end() :]
        try:
            if _parsed(changed) == expected:
                return changed
        except ValueError:
            continue
    return None


def _parsed(data: bytes) -> dict[str, Any]:
    # Line ends as they come from any laptop; a BOM is no part of the text.
    return tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
