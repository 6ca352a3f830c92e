"""The file that explains itself: every key there is, and each can be set by taking one sign away."""

from __future__ import annotations

import re
import tomllib
from typing import get_args

import pytest

from reader.config import GATE_BY_USE, loads
from reader.config.annotated import KEYS, TABLES, annotated
from reader.model import Use
from tests.test_docs import README
from tests.test_docs import TABLES as TABLES_THERE_ARE

GIVEN = {
    "mat": {"event": "chicago-2023", "point": "finish", "id": "finish-main"},
    "reader": [{"protocol": "ipico", "port": "/dev/ttyUSB0"}],
}
UNSET = re.compile(r"^#([a-z_]+) = .*$")
# A key that may not stand alone, and what it needs beside it.
COMPANIONS = {
    "password_file": 'username = "mat"',
    "key_file": 'cert_file = "mat.pem"',
}


def test_every_key_there_is_is_explained_and_no_other() -> None:
    there_are = {f"{heading.strip('[]')}.{key}" for heading, keys in TABLES_THERE_ARE.items() for key in keys}
    assert set(KEYS) == there_are
    assert set(TABLES) == {heading.strip("[]") for heading in TABLES_THERE_ARE}


def test_every_key_stands_there_set_or_not() -> None:
    found: set[str] = set()
    table = ""
    for line in annotated(GIVEN).splitlines():
        if heading := re.fullmatch(r"\[\[?(\w+)\]\]?", line):
            table = heading[1]
        elif key := re.match(r"#?([a-z_]+) = ", line):
            assert f"{table}.{key[1]}" not in found
            found.add(f"{table}.{key[1]}")
    assert found == set(KEYS)


def test_what_is_not_set_is_as_if_it_did_not_stand_there() -> None:
    text = annotated(GIVEN)
    assert tomllib.loads(text) == GIVEN | {name: {} for name in TABLES if name not in GIVEN}


UNSET_LINES = [number for number, line in enumerate(annotated(GIVEN).splitlines()) if UNSET.match(line)]


@pytest.mark.parametrize("number", UNSET_LINES, ids=lambda n: annotated(GIVEN).splitlines()[n][1:].split(" ")[0])
def test_a_key_is_set_by_taking_its_sign_away(number: int) -> None:
    lines = annotated(GIVEN).splitlines()
    lines[number] = lines[number][1:]
    key = lines[number].split(" ")[0]
    lines.insert(number, COMPANIONS.get(key, ""))
    given = loads("\n".join(lines), "mat.toml").given
    assert any(one.endswith(f".{key}") for one in given)


@pytest.mark.parametrize("use", get_args(Use))
def test_the_gate_shown_is_that_of_the_use(use: Use) -> None:
    given = GIVEN | {"mat": GIVEN["mat"] | {"use": use}}  # type: ignore[operator] # a table, not the list
    shown = re.sub(r"(?m)^#(pick|quiet_s|dead_time_s|linger_s|heard) =", r"\1 =", annotated(given))
    assert loads(shown, "mat.toml").gate == GATE_BY_USE[use]


def test_text_is_written_so_that_it_is_read_back() -> None:
    given = GIVEN | {"mat": {"event": "a", "point": "b", "id": "c", "label": 'Zürich "7" \\ back'}}
    assert loads(annotated(given), "mat.toml").mat.label == 'Zürich "7" \\ back'


def test_the_pins_shown_are_those_of_the_wiring_in_the_readme() -> None:
    wired = re.findall(r"(?m)^([a-z_]+) = (\d+)$", README.partition("\n[panel]\nready_led")[2].partition("```")[0])
    assert len(wired) >= 7
    assert wired == [(key, str(KEYS[f"panel.{key}"].example)) for key, _ in wired]
