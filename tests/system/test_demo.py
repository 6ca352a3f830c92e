"""The demo as people run it: it counts itself, ends in order, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from reader.cli.demo import count_from_chips
from reader.line.protocols import BY_NAME
from tests.daemon import COMMAND
from tests.waiting import free_port, wait_until

LAST_LINE = re.compile(r"(\d+) crossings, (\d+) splits, 0 lost, 0 doubled")


@contextmanager
def demo(folder: Path, *arguments: str, output: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """It runs with ``folder`` for its temporary files; afterwards neither files nor processes of it are left."""
    process = subprocess.Popen(
        [COMMAND, "demo", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "TERM": "xterm"},
    )
    children: list[psutil.Process] = []
    try:
        children = wait_until(lambda: parts_of(process), what="broker and daemon")
        yield process
        process.wait(60)
    finally:
        process.kill()
        process.communicate()
    assert [child for child in children if child.is_running()] == []
    assert list(folder.iterdir()) == []


def parts_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The broker and the daemon, in this order, once both are there."""
    children = psutil.Process(process.pid).children() if process.poll() is None else []
    return children if len(children) == 2 else []


@pytest.mark.parametrize(
    "family",
    [pytest.param(family, marks=[pytest.mark.long] if family != "ipico" else []) for family in BY_NAME],
)
def test_after_its_duration_every_crossing_has_one_split(tmp_path: Path, family: str) -> None:
    with demo(tmp_path, "--duration", "2", "--runners", "20", "--protocol", family) as process:
        out, err = process.communicate(timeout=60)
    last = LAST_LINE.fullmatch(out.splitlines()[-1])
    assert last is not None, out + err
    assert last.groups() == ("20", "20")
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_until_it_is_told_to_stop_and_then_it_counts_what_was_played(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path, "--runners", "200000") as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(5)]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    last = LAST_LINE.fullmatch((seen[-1] + out).splitlines()[-1])
    assert last is not None, out + err
    assert last[1] == last[2]
    assert int(last[1]) >= len(seen) - 1
    assert process.returncode == 0


@pytest.mark.parametrize(("place", "name"), [(0, "broker"), (1, "daemon")])
def test_a_part_that_dies_is_named_with_its_last_words(tmp_path: Path, place: int, name: str) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        parts_of(process)[place].kill()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out
    assert f"the {name} has ended by itself" in err
    assert f"The {name} wrote last:" in err
    assert "Traceback" not in err


def test_on_a_terminal_it_shows_a_table_that_lives(tmp_path: Path) -> None:
    terminal, other = pty.openpty()
    with demo(tmp_path, "--duration", "1", "--runners", "3", output=other) as process:
        os.close(other)
        shown = b""
        while piece := read(terminal):
            shown += piece
    os.close(terminal)
    assert b"demo/finish/mat" in shown
    assert shown.splitlines()[-1].endswith(b"3 crossings, 3 splits, 0 lost, 0 doubled")
    assert process.returncode == 0


def test_a_taken_port_is_an_error_in_words() -> None:
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        ended = subprocess.run([COMMAND, "demo", "--port", str(port)], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert f"--port {port}" in ended.stderr


def test_what_is_missing_and_what_is_too_much_do_not_cancel_out() -> None:
    count = count_from_chips(["A", "B", "B", "C"], ["A", "A", "B", "D"])
    assert str(count) == "4 crossings, 4 splits, 2 lost, 2 doubled"


def read(terminal: int) -> bytes:
    """What the terminal shows next; nothing once the last program has left it."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
