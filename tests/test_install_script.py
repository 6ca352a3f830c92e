"""The scripts that make a machine a mat: sound shell, and no file of systemd/ forgotten. tests/systemd/ runs them."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[1] / "systemd"
INSTALL = SYSTEMD / "install"
SCRIPTS = [INSTALL, SYSTEMD / "card"]
README = (SYSTEMD.parent / "README.md").read_text()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(INSTALL), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_is_sound_shell(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    assert "set -eu -o pipefail" in script.read_text()
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    assert (
        subprocess.run(
            [str(Path(sys.executable).with_name("shellcheck")), str(script)], capture_output=True, text=True
        ).stdout
        == ""
    )


def test_its_help_names_every_option_and_so_does_the_readme() -> None:
    said = run("--help")
    assert said.returncode == 0
    known = set(
        re.findall(
            r"(?<![\w-])--[a-z-]+(?=[ ,:)]|$)", INSTALL.read_text().partition("read_options() {")[2].partition("\n}")[0]
        )
    )
    assert set(re.findall(r"--[a-z-]+", said.stdout)) == known
    section = README.partition("### Installing it on a box")[2].partition("\n### ")[0]
    assert known - {"--help"} <= set(re.findall(r"--[a-z-]+", section))


@pytest.mark.parametrize("arguments", [("--wheel", "x"), ("--wheels",), ("now",)])
def test_what_it_does_not_know_changes_nothing(arguments: tuple[str, ...]) -> None:
    said = run(*arguments)
    assert said.returncode == 2
    assert said.stderr.startswith("install: ")


def test_every_file_of_systemd_has_its_place() -> None:
    patterns = re.findall(r"(?m)^(\S+) +/\S+ +\d{3}$", INSTALL.read_text())
    files = [str(path.relative_to(SYSTEMD)) for path in SYSTEMD.rglob("*") if path.is_file()]
    assert [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in patterns)] == []
    assert {"install", "card", "*.service"} <= set(patterns)
