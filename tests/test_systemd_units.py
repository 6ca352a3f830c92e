"""The units are sound, and what they start is a command that exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.core
import typer.main

from reader.cli import app

UNITS = sorted((Path(__file__).parents[1] / "systemd").glob("*.service"))


def test_there_is_a_unit() -> None:
    assert UNITS


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_unit_starts_is_a_command_that_exists(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    program, name, *arguments = shlex.split(line)
    assert Path(program).name == "timing-mat"
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    group.commands[name].make_context(name, arguments)  # raises where they make no sense


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    # The program need not be installed here for its unit to be right: another one stands in for it.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/timing-mat/bin/timing-mat", "/bin/true"))
    ended = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
