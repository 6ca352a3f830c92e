"""Runners over a mat while something goes wrong: who crossed, when that was said on the line, and who was told.

Each chip crosses once. What was made is noted here, as it is written to the line; what came of it is read from
what race control received and from what the journal exports. Neither shares code with the daemon.
"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.ipico import record
from tests.waiting import wait_until

CHICAGO = Path(__file__).parents[2].parent / "shared" / "data" / "chicago-2023-crossings.csv.gz"
needs_chicago = pytest.mark.skipif(not CHICAGO.exists(), reason="the crossings are not here: ../shared/data")
SEQUENCED = ("/split", "/coverage", "/notice", "/gun", "/marker")


def chip_from_number(number: int) -> str:
    """As IPICO has it: 12 hex digits."""
    return f"{number:012X}"


def read_of(chip: str) -> bytes:
    """One read of it now. The reader's own date is of no matter with ``time_from = "host"``."""
    return record(chip, datetime.now(UTC))


def mat_of(event: str, line: Path, port: int, *, gate: str = "") -> str:
    """A finish mat with one IPICO reader, timed by arrival; ``gate``: lines of its ``[gate]``."""
    return f"""
        [mat]
        event = "{event}"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{line}"
        time_from = "host"
        [gate]
        {gate or "quiet_s = 0.1"}
        [mqtt]
        port = {port}
    """


def chicago_at(point: str) -> list[tuple[int, float]]:
    """Runners and race seconds, in order, of all who have a time there; those of one second are spread over it."""
    with gzip.open(CHICAGO, "rt", newline="") as file:
        found = sorted((int(row[point]), int(row["runner"])) for row in csv.DictReader(file) if row[point])
    in_second = Counter(second for second, _ in found)
    before: Counter[int] = Counter()
    spread = []
    for second, runner in found:
        spread.append((runner, second + before[second] / in_second[second]))
        before[second] += 1
    return spread


class Said(NamedTuple):
    """Between which moments all reads of one chip were put on the line; monotonic seconds."""

    first_s: float
    last_s: float


class Road:
    """Plays crossings on a line at their pace, in a thread; the runners wait for nobody.

    ``crossings``: chip and second from the start, in order. Each is ``reads`` reads, ``READ_EVERY_S`` apart. What
    is said while nobody has the line open is lost, as on a real one. ``said``: chips of whom a whole read went
    out to an open line.
    """

    READ_EVERY_S = 0.05

    def __init__(self, line: Line, crossings: Sequence[tuple[str, float]], reads: int = 2) -> None:
        self.said: dict[str, Said] = {}
        self._line = line
        self._reads = sorted((at_s + n * self.READ_EVERY_S, chip) for chip, at_s in crossings for n in range(reads))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="road")

    def __enter__(self) -> Road:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def wait(self, limit_s: float) -> None:
        """Until the last has crossed."""
        wait_until(lambda: not self._thread.is_alive(), limit_s, "the last runner")

    def _run(self) -> None:
        begun_s = time.monotonic()
        for at_s, chip in self._reads:
            if self._stopping.wait(max(0.0, begun_s + at_s - time.monotonic())):
                return
            now_s = time.monotonic()
            if self._line.is_open and self._line.offer(read_of(chip)):
                self.said[chip] = Said(self.said.get(chip, Said(now_s, now_s)).first_s, now_s)


class Mat:
    """A finish mat: its line, its daemon and race control, for chips that cross one after the other.

    ``made``: when each chip was put on the line, UTC in nanoseconds.
    """

    def __init__(self, folder: Path, event: str, mosquitto: Mosquitto, journal: Path | None = None) -> None:
        self.made: dict[str, int] = {}
        self.line = Line(folder / "line")
        self.subscriber = Subscriber(mosquitto.port, f"timing/{event}/#")
        self.daemon = Daemon(folder, mat_of(event, folder / "line", mosquitto.port))
        if journal is not None:
            config = self.daemon.config
            config.write_text(config.read_text().replace(str(self.daemon.journal), str(journal)))
            self.daemon.journal = journal
        self._parts = ExitStack()
        self._pace = threading.Event()  # never set
        self._in_memory = f"timing-mat-{event}-*"

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            parts.callback(self._forget)
            for part in (self.line, self.subscriber, self.daemon):
                parts.enter_context(part)
            self.daemon.wait_for_recording()
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def _forget(self) -> None:
        """What a daemon that was killed without a disk leaves is the next one's to tell, but not the next test's."""
        for left in Path("/dev/shm").glob(self._in_memory):
            left.unlink()

    def cross(self, count: int = 1, *, every_s: float = 0.0) -> None:
        """So many chips that have not crossed before, one read each."""
        for _ in range(count):
            chip = chip_from_number(len(self.made) + 1)
            self.made[chip] = time.time_ns()
            self.line.write(read_of(chip))
            self._pace.wait(every_s)

    def cross_until(self, condition: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
        """Chips that have not crossed before, one by one, until it is so."""

        def is_so() -> bool:
            self.cross()
            return bool(condition())

        wait_until(is_so, limit_s, what)

    def wait_until_heard(self) -> None:
        """Until the last that crossed was heard of: all that was written to the line before is read and committed."""
        last = next(reversed(self.made))
        wait_until(lambda: last in {message(one.payload)["chip"] for one in self.subscriber.on("/heard")[-5:]})

    def wait_until_told(self, limit_s: float = 30.0) -> None:
        """Until race control has a split of every chip that has crossed."""
        wait_until(lambda: chips_at(self.subscriber) >= set(self.made), limit_s, "a split of every chip")

    def wait_for(self, part: str, says: str, limit_s: float = 30.0) -> None:
        """Until that part of the status has that in its word or sentence."""

        def is_said() -> bool:
            found = self.daemon.status()["parts"][part]
            return says in f"{found['word']}: {found['says']}"

        wait_until(is_said, limit_s, f"{part} to say {says!r}")


class Told(NamedTuple):
    """What became of passings: chips by passing."""

    chips: dict[str, str]

    def lost(self, made: Iterable[str]) -> set[str]:
        """Chips that crossed and have no passing."""
        return set(made) - set(self.chips.values())

    def doubled(self) -> set[str]:
        """Chips with more than one passing, though each crossed once."""
        return {chip for chip, count in Counter(self.chips.values()).items() if count > 1}


def told_from_messages(splits: Iterable[dict[str, Any]]) -> Told:
    """By the splits as race control has them, whatever their revisions."""
    return Told({split["passing"]: split["chip"] for split in splits})


def splits_at(subscriber: Subscriber) -> list[dict[str, Any]]:
    """All splits received, in order."""
    return [message(one.payload) for one in subscriber.on("/split")]


def chips_at(subscriber: Subscriber) -> set[str]:
    """Whose splits were received."""
    return {split["chip"] for split in splits_at(subscriber)}


def sequenced_at(subscriber: Subscriber) -> list[dict[str, Any]]:
    """All that has a ``seq``, as received."""
    return [message(one.payload) for kind in SEQUENCED for one in subscriber.on(kind)]


def used_twice(messages: Iterable[dict[str, Any]]) -> list[str]:
    """Each ``(epoch, seq)`` that stood for two different things, and in what they differ."""
    first: dict[tuple[str, int], dict[str, Any]] = {}
    found = []
    for one in messages:
        other = first.setdefault((one["epoch"], one["seq"]), one)
        if other != one:
            differ = {key: (other.get(key), one.get(key)) for key in other | one if other.get(key) != one.get(key)}
            found.append(f"{one['epoch']} {one['seq']}: {differ}")
    return found


def exported(journal: Path, what: str = "entries") -> list[dict[str, Any]]:
    """What the journal holds, by the program's own export."""
    ran = subprocess.run(
        [COMMAND, "export", what, "--journal", str(journal), "--format", "jsonl"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, f"{journal}: {ran.stderr}"
    return [json.loads(line) for line in ran.stdout.splitlines()]


def kept_beside(journal: Path) -> list[dict[str, Any]]:
    """All entries of the journal and of those set aside for it."""
    files = [journal, *journal.parent.glob(f"{journal.stem}.aside-*{journal.suffix}")]
    return [entry for file in files for entry in exported(file)]
