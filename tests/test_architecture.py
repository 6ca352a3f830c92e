"""Who may import whom, and what no module may be: read from the source of every module, as it is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from reader.line.protocols import FAMILIES

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "reader").rglob("*.py"))
}

WORDS = "model errors wording clock config passing moment messages"

# A room, and the rooms it may import; its own always. A room is a module or a folder; the longest name counts.
LAW = {
    "model": "",
    "errors": "",
    "wording": "",
    "clock": "model errors",
    "config": "model errors",
    "messages": "model",
    "moment": "model",
    "passing": "model moment",
    "line.protocols": "model errors",
    "line": f"{WORDS} line.protocols",
    "simulator": WORDS,  # nothing of the line's decoders: a mistake in both would hide
    "gate": f"{WORDS} past",
    "past": "",
    "lines": f"{WORDS} gate",
    "telling": WORDS,
    "regate": f"{WORDS} gate lines",
    "journal": WORDS,
    "retelling": f"{WORDS} journal telling",
    "righting": f"{WORDS} gate lines telling journal retelling logbook",
    "logbook": f"{WORDS} telling journal",
    "modes": "model errors wording",
    "moding": f"{WORDS} telling logbook modes journal",
    "report": f"{WORDS} gate lines journal",
    "before": f"{WORDS} journal",
    "recorder": f"{WORDS} line line.protocols gate lines telling journal retelling righting"
    " logbook modes moding report",
    "resume": f"{WORDS} line line.protocols gate lines telling journal recorder report box modes before",
    "uplink": f"{WORDS} journal replies uplink.wire uplink.broker",
    "uplink.wire": f"{WORDS} journal",
    "uplink.broker": f"{WORDS} uplink",
    "box": f"{WORDS} replies",
    "health": f"{WORDS} line line.protocols report uplink uplink.wire box",
    "clocks": f"{WORDS} line",
    "links": f"{WORDS} line line.protocols box health clocks before",
    "replies": "errors",
    "answers": f"{WORDS} links box journal moding replies uplink.wire selftest",
    "copying": f"{WORDS} journal uplink.wire",
    "selftest": f"{WORDS} copying line line.protocols journal uplink uplink.wire uplink.broker box links clocks health",
    "doctor": f"{WORDS} line journal box selftest",
    "signals": "",
    "serving": f"{WORDS} daemon signals",
    "daemon": f"{WORDS} copying links answers gate lines telling journal recorder report resume uplink uplink.wire"
    " box health selftest",
    "schema": f"{WORDS} uplink.wire box",
    "racecontrol": f"{WORDS} uplink.wire uplink.broker",
    "cli": "*",
    "__main__": "cli",
}

# A library of the outside edge, and the one room that may import it; SQLite has two databases, with a room each.
OWNERS = {
    "serial": "line.port",
    "paho": "uplink.broker",
    "gpiozero": "box.panel",
    "sqlite3": "journal racecontrol.store",
    "amqtt": "cli.demo_broker",
    "rich": "cli",
    "typer": "cli",
    "segno": "cli",
}

LINES_LIMIT = 300
REASON = "Over 300 lines"
FORBIDDEN = re.compile(r"utils?|Manager|Helper|Handler|Base")
SILENCED = re.compile(r"#\s*(noqa|type:\s*ignore)")
SILENCED_WITH_REASON = re.compile(r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[a-z-, ]+\])\s+(#|-)\s*\S+")


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a module imports, those inside functions too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield node.lineno, alias.name
            case ast.ImportFrom(module=str(source), names=names, level=0):
                for alias in names:
                    full = f"{source}.{alias.name}"
                    yield node.lineno, full if full in MODULES else source
            case ast.ImportFrom():
                raise AssertionError(f"{module}, line {node.lineno}: imports are written in full here, not relative")


def room_of(module: str) -> str:
    """The room a module of ours belongs to."""
    inside = module.removeprefix("reader").removeprefix(".")
    rooms = [room for room in LAW if is_within(inside, room)]
    assert rooms, f"{module} stands in no room of the law: say in LAW what it may import"
    return max(rooms, key=len)


def is_within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


INSIDE = [module for module in MODULES if module != "reader"]


@pytest.mark.parametrize("module", INSIDE)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    room = room_of(module)
    allowed = {room, *LAW[room].split()}
    broken = [
        f"line {line}: {name}"
        for line, name in imports(module)
        if is_within(name, "reader") and "*" not in allowed and room_of(name) not in allowed
    ]
    assert not broken, f"{module} ({room}) may import {sorted(allowed)}, but: {broken}"


@pytest.mark.parametrize("module", INSIDE)
def test_an_outside_library_has_one_owner(module: str) -> None:
    inside = module.removeprefix("reader.")
    broken = [
        f"line {line}: {name} belongs to {OWNERS[library]}"
        for line, name in imports(module)
        if (library := name.split(".")[0]) in OWNERS
        and not any(is_within(inside, owner) for owner in OWNERS[library].split())
    ]
    assert not broken, f"{module}: {broken}"


@pytest.mark.parametrize("module", ["reader.line.protocols", *(family.module for family in FAMILIES)])
def test_a_protocol_loads_none_of_the_edges(module: str) -> None:
    says = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True).stdout.split()
    assert "reader" in loaded
    assert set(loaded).isdisjoint(OWNERS)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_long_without_a_reason(module: str) -> None:
    text = MODULES[module].read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) <= LINES_LIMIT or REASON in docstring


@pytest.mark.parametrize("module", MODULES)
def test_names_say_what_a_thing_is(module: str) -> None:
    classes = [node.name for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.ClassDef)]
    words = [word for name in classes for word in re.findall("[A-Z]+[a-z]*", name)]
    broken = [word for word in (*words, *module.split(".")) if FORBIDDEN.fullmatch(word)]
    assert not broken


@pytest.mark.parametrize("module", MODULES)
def test_what_silences_a_check_says_why(module: str) -> None:
    with MODULES[module].open("rb") as file:
        comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    broken = [
        f"line {token.start[0]}: {token.string}"
        for token in comments
        if SILENCED.search(token.string) and not SILENCED_WITH_REASON.search(token.string)
    ]
    assert not broken
