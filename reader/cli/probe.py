"""`timing-mat probe`: what reader is on this line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reader.clock import SystemClock
from reader.errors import PortMissing, ReaderError
from reader.line.auto import has_speeds, probe_port
from reader.line.desk import Desk
from reader.line.port import Port, find_ports
from reader.line.probe import Found, Probe
from reader.line.protocols import Known, load
from reader.model import Chunk

CHECK = """check:
  the reader has power, and for a box: it has started (give it half a minute)
  the cable: TX to RX and RX to TX; RS-232 and 3.3 V levels are not the same line
  no other program has the line: a daemon of this mat, a maker's tool
  a reader that only talks when a chip is there: hold one to its antenna, and try again"""


def probe(
    port: Annotated[str, typer.Argument(help="The device or URL, as `port` in mat.toml; auto: all that there are.")],
    baud: Annotated[
        int | None, typer.Option(min=1, help="Try this speed before all others.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as a JSON object, for programs.")] = False,
) -> None:
    """Find out what reader is on a line, and at which speed; nothing is changed in it. Under 15 s a port.

    Stop the daemon first: a line has one program. Exit code 4 if nothing is found; then what was tried is said.

    Example: timing-mat probe /dev/ttyUSB0
    """
    ports = find_ports() if port == "auto" else [port if "://" in port else str(Path(port).absolute())]
    if not ports:
        raise PortMissing("no serial device is there; plug the reader in")
    tried: dict[str, list[str]] = {}
    for name in ports:
        try:
            said = look_at(name, baud, tried.setdefault(name, []))
        except ReaderError as error:
            if len(ports) == 1:
                raise
            tried[name].append(str(error))
            continue
        if said is not None:
            print(json.dumps(said)) if as_json else _show(said)
            return
    if as_json:
        print(json.dumps({"port": port, "family": None, "tried": tried}))
    lines = [f"  {name}: {sentence}" for name, sentences in tried.items() for sentence in sentences]
    raise ReaderError("\n".join(["found no reader of a known family; tried:", *lines, CHECK]))


def look_at(name: str, baud: int | None, tried: list[str]) -> dict[str, object] | None:
    """What is on one port; None for nothing, and ``tried`` says what was tried. ReaderError where it can't be asked."""
    clock = SystemClock()
    search = Probe(baud, has_speeds=has_speeds(name))
    port = Port(name, search.baud, clock)
    try:
        with Console(stderr=True, highlight=False, markup=False).status("") as status:
            says = ""

            def goes_on(_: Chunk | None) -> bool:
                nonlocal says
                if says != search.says:
                    says = search.says
                    status.update(Text(f"{name}: {says}"))
                    if not sys.stderr.isatty():
                        print(f"{name}: {says}", file=sys.stderr, flush=True)
                return True

            found = probe_port(port, search, clock, goes_on)
            if found is None:
                tried += search.tried
                return None
            status.update(Text(f"{name}: {found.family.name} at {found.baud} baud; asking who it is"))
            return _said(port, found, *_known(port, found, clock))
    finally:
        port.close()


def _known(port: Port, found: Found, clock: SystemClock) -> tuple[Known, str]:
    """Who it says it is, and what was in the way of asking."""
    try:
        return Desk(port, found.decoder, clock).run(load(found.family.name).identify()), ""
    except ReaderError as error:
        return Known(None, None), f"does not say who it is: {error}"


def _said(port: Port, found: Found, known: Known, trouble: str) -> dict[str, object]:
    table = f'[[reader]]\nprotocol = "{found.family.name}"\nport = {json.dumps(lasting(port.name))}\n'
    return {
        "port": port.name,
        "family": found.family.name,
        "model": known.model,
        "firmware": known.firmware,
        "baud": found.baud,
        "antennas": list(known.antennas),
        "region": known.region,
        "says": [*known.says, *([trouble] if trouble else [])],
        "toml": table + (f"baud = {found.baud}\n" if has_speeds(port.name) else ""),
    }


def lasting(name: str) -> str:
    """The name of the same device that survives a replug, if it has one."""
    if "://" in name:
        return name
    same = [one for one in find_ports() if os.path.realpath(one) == os.path.realpath(name)]
    return same[0] if same and same[0].startswith("/dev/serial/") else name


def _show(said: dict[str, object]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    antennas, says = said["antennas"], said["says"]
    assert isinstance(antennas, list)  # noqa: S101 - as made above
    assert isinstance(says, list)  # noqa: S101 - likewise
    for key in ("family", "model", "firmware", "baud", "antennas", "region"):
        value = ", ".join(map(str, antennas)) if key == "antennas" else said[key]
        table.add_row(key, Text("not told" if value in (None, "") else str(value), overflow="fold"))
    for sentence in says:
        table.add_row("", Text(sentence, overflow="fold"))
    Console(highlight=False, markup=False).print(table)
    print(f"\nfor mat.toml:\n\n{said['toml']}", end="")
