"""Processes of their own around one line, so that no interpreter lock is shared with what is measured.

:class:`Pacer` plays the reader: records at a known rate, and when each was written. :class:`BareReader` only reads
and stamps: what this machine lets a Python process have. :class:`Busy` takes all cores.

A UART doesn't wait for a core, so the pacer asks for real-time priority; without the right to it (not root), what it
was held up between noting the time and writing counts, on both sides.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import select
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.benchmarks.mat import record_of
from tests.daemon import Line

_SPAWN = multiprocessing.get_context("spawn")
LIMIT_S = 30.0  # for a process to begin or to end


class Child:
    """A process that runs ``work`` with one end of a pipe; ended with the block, whatever happens."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=work, args=(theirs, *arguments), daemon=True)

    def __enter__(self) -> Child:
        self._process.start()
        try:
            assert self.take() == "ready"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process.pid is not None
        return self._process.pid

    def go(self) -> None:
        """Let it begin."""
        self._pipe.send("go")

    def take(self, limit_s: float = LIMIT_S) -> Any:
        """What it says next."""
        assert self._pipe.poll(limit_s), f"{self._process.name} said nothing for {limit_s} s"
        return self._pipe.recv()

    def _end(self) -> None:
        self._process.kill()
        self._process.join(LIMIT_S)
        self._pipe.close()


def pacer(link: Path, reads_a_second: int, count: int) -> Child:
    """Makes a line; told to go, writes that many records to it and says when each was written, monotonic ns."""
    return Child(_pace, link, reads_a_second, count)


def bare_reader(link: Path, count: int) -> Child:
    """Reads that many records from the line, and says when each came, monotonic ns."""
    return Child(_read, link, count)


class Busy:
    """So many processes that never rest, at the priority of this one.

    ``others``: how many cores all else on the machine took while it was looked at, what is measured included.
    """

    def __init__(self, cores: int) -> None:
        self.others: list[float] = []
        self._children = [Child(_spin) for _ in range(cores)]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Busy:
        with contextlib.ExitStack() as stack:
            for child in self._children:
                stack.enter_context(child)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the machine meanwhile."""
        before_s, began_s = self._others_s(), time.monotonic()
        yield
        self.others.append((self._others_s() - before_s) / (time.monotonic() - began_s))

    def _others_s(self) -> float:
        all_cores = psutil.cpu_times()
        mine = [psutil.Process(child.pid).cpu_times() for child in self._children]
        return float(sum(all_cores) - all_cores.idle - all_cores.iowait - sum([own.user + own.system for own in mine]))


def _pace(pipe: Connection, link: Path, reads_a_second: int, count: int) -> None:
    gc.disable()
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    records = [record_of(number) for number in range(count)]
    written_ns = []
    with Line(link) as line:
        pipe.send("ready")
        pipe.recv()
        began_ns = time.monotonic_ns()
        for number, record in enumerate(records):
            wait_ns = began_ns + number * 1_000_000_000 // reads_a_second - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            before_ns = time.monotonic_ns()
            line.send(record)
            written_ns.append(before_ns)
        pipe.send(written_ns)
        pipe.recv()  # to end is to unplug


def _read(pipe: Connection, link: Path, count: int) -> None:
    gc.disable()
    size = len(record_of(0))
    came_ns: list[int] = []
    taken = 0
    fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    pipe.send("ready")
    while taken < count * size:
        if not select.select([fd], [], [], 0.1)[0]:
            continue
        data = os.read(fd, 4096)
        at_ns = time.monotonic_ns()
        taken += len(data)
        came_ns.extend([at_ns] * (taken // size - len(came_ns)))  # whole by now
    pipe.send(came_ns)
    pipe.recv()


def _spin(pipe: Connection) -> None:
    pipe.send("ready")
    while True:
        pass
