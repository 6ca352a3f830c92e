"""`timing-mat collect` as a process, and mats that tell it things."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.broker import Subscriber
from tests.daemon import COMMAND
from tests.fakes.mat import FakeMat, Log, Message, dropping
from tests.waiting import wait_until

EVENT = "chicago-2023"


class Collect:
    """The command on ``db``, or ``folder/race.db``; ``output`` is the file of what it says."""

    def __init__(self, folder: Path, port: int, *arguments: object, db: Path | None = None) -> None:
        self.db = db or folder / "race.db"
        self.output = folder / "collect.txt"
        self._arguments = ["--port", port, "--event", EVENT, "--db", self.db, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Collect:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def said(self) -> str:
        """All that it has said so far."""
        return self.output.read_text()

    def start(self) -> None:
        """Begin, with nothing said yet."""
        with self.output.open("wb") as output:
            command = [COMMAND, "collect", *map(str, self._arguments)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def stop(self) -> int:
        """Ctrl-C, once it is at work; the exit code."""
        assert self._process is not None
        wait_until(lambda: "passings of" in self.said, what="a line of it")
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(20)
        self._process = None
        return code

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def rows(self, query: str) -> list[Any]:
        """From its database, while it runs or not; none while there is no database."""
        if not self.db.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.db)) as connection:
            connection.execute("PRAGMA query_only=ON")
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # its tables are still to be made

    def count(self, table: str) -> int:
        rows = self.rows(f"SELECT count(*) FROM {table}")
        return rows[0][0] if rows else 0

    def through(self, epoch: str) -> int:
        """Through which seq all of that epoch stands in the database."""
        stands = {seq for (seq,) in self.rows(f"SELECT seq FROM entry WHERE epoch = '{epoch}'")}
        return next(seq for seq in itertools.count(1) if seq not in stands) - 1


class Race:
    """Mats that tell, all at once, in a thread: dropping one in twenty, some again, revisions in disorder."""

    def __init__(self, mats: list[FakeMat], splits: int, dice: random.Random) -> None:
        self._mats = mats
        self._messages = {mat: dropping(self._told(mat.log, splits, dice), 20) for mat in mats}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Race:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def _told(self, log: Log, splits: int, dice: random.Random) -> Iterator[Message]:
        for first in range(1, splits + 1, 8):
            together = [log.split(number, at_s=number) for number in range(first, min(first + 8, splits + 1))]
            together += [
                log.split(number, at_s=number + 0.4, rev=2)
                for number in range(first, first + len(together))
                if dice.random() < 0.3
            ]
            together.append(log.entries[dice.randint(1, log.last_seq)])
            dice.shuffle(together)
            yield from together

    def _run(self) -> None:
        for number, messages in enumerate(itertools.zip_longest(*self._messages.values())):
            for mat, message in zip(self._messages, messages, strict=True):
                if message:
                    mat.say(message["type"], message, wait=False)
            if number % 50 == 0:
                for mat in self._mats:
                    mat.status()
                if self._ending.wait(0.3):
                    return
        for mat in self._mats:
            mat.status()


def acked(listener: Subscriber) -> dict[str, int]:
    """Through which seq, by epoch, as last acknowledged by rc1."""
    acks: dict[str, int] = {}
    for ack in listener.on("ack/rc1"):
        acks |= json.loads(ack.payload)["acks"]
    return acks
