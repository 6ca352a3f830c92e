"""Faults of the disk, made in the system calls of a running process by strace."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until

SYNC = "fdatasync"  # what SQLite syncs its files by
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="faults of the disk need `strace`")


@contextmanager
def injected(pid: int, fault: str, log: Path, *, call: str = SYNC, path: Path | None = None) -> Iterator[Path]:
    """``fault`` in that system call of any thread of ``pid``, as after ``-e inject=CALL:``; its log, growing.

    ``path``: of calls upon that file alone.
    """
    only = ["-P", str(path)] if path is not None else []
    command = ["strace", "-f", "-p", str(pid), "-o", str(log), *only, "-e", f"trace={call}"]
    said = log.with_suffix(".said")
    with said.open("wb") as stderr:
        process = subprocess.Popen([*command, "-e", f"inject={call}:{fault}"], stderr=stderr)
    try:
        wait_until(lambda: "attached" in said.read_text(), 10, f"strace ({said.read_text()})")
        yield log
    finally:
        process.terminate()
        process.wait(20)


def injections(log: Path) -> int:
    """How often the fault was made."""
    return log.read_text().count("(INJECTED)") + log.read_text().count("(DELAYED)")
