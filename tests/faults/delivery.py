"""What became of a race at race control, whatever the network and the broker did meanwhile: lost, doubled, in order."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.broker import Subscriber
from tests.daemon import COMMAND, Daemon, message
from tests.faults.road import Road, Told, chip_from_number, told_from_messages, used_twice
from tests.waiting import wait_until

PER_S = 20.0


def runners(for_s: float, per_s: float = PER_S) -> list[tuple[str, float]]:
    """Chip and second of one after the other, at an even pace: passings are made all the time."""
    return [(chip_from_number(n + 1), n / per_s) for n in range(int(for_s * per_s))]


def pass_time(for_s: float) -> None:
    """So long: what a fault lasts is its own measure."""
    end_s = time.monotonic() + for_s
    wait_until(lambda: time.monotonic() >= end_s, for_s + 5, "the end of the fault")


def word(daemon: Daemon) -> tuple[str, str]:
    """What the status says of the broker: the word, and the sentence."""
    part = daemon.status()["parts"]["broker"]
    return part["word"], part["says"]


def wait_for_word(daemon: Daemon, wanted: str, says: str = "", limit_s: float = 15.0) -> float:
    """Until the status says so of the broker; how long that took, in seconds."""
    begun_s = time.monotonic()

    def is_said() -> bool:
        found, sentence = word(daemon)
        return found == wanted and says in sentence

    try:
        wait_until(is_said, limit_s)
    except AssertionError:
        raise AssertionError(f"wanted within {limit_s} s: {wanted}, …{says}…; found: {word(daemon)}") from None
    return time.monotonic() - begun_s


class Received(NamedTuple):
    """All that has a ``seq``, in order of arrival, doubles included."""

    messages: list[dict[str, Any]]

    def seqs(self, epoch: str) -> list[int]:
        """Of an epoch, each once, in the order in which they first came."""
        return list(dict.fromkeys(one["seq"] for one in self.messages if one["epoch"] == epoch))

    def lost(self, road: Road) -> int:
        """How many crossed and have no split here."""
        return len(self._told.lost(road.said))

    def doubled(self) -> int:
        """How many have two passings, or stand for two things."""
        return len(self._told.doubled()) + len(used_twice(self.messages))

    @property
    def _told(self) -> Told:
        return told_from_messages(one for one in self.messages if one["type"] == "split")


def race_ended(
    daemon: Daemon, road: Road, received: Callable[[], Received], limit_s: float = 60.0, *, in_order: bool = True
) -> Received:
    """What race control has once each who crossed has a split and all is delivered: without a gap, and in order.

    ``in_order`` False: where single messages were refused, and those after them were not.
    """
    status = all_delivered(daemon, road, limit_s)
    epoch, last_seq = status["epoch"], status["last_seq"]
    wait_until(lambda: len(received().seqs(epoch)) >= last_seq, 20, "all entries at race control")
    end = received()
    seqs = end.seqs(epoch) if in_order else sorted(end.seqs(epoch))
    assert seqs == list(range(1, len(seqs) + 1))
    assert faults_of_ours(daemon) == []
    return end


def faults_of_ours(daemon: Daemon) -> list[str]:
    """What the daemon printed of mistakes of its own."""
    signs = ("Traceback", "stumbled", "internal error", "a fault of this program")
    return [line for line in daemon.output.read_text().splitlines() if any(sign in line for sign in signs)]


def all_delivered(daemon: Daemon, road: Road, limit_s: float = 60.0) -> dict[str, Any]:
    """The status once each who crossed has a split, and the mat takes all of it for delivered."""
    wait_until(lambda: daemon.status()["counts"]["splits"] >= len(road.said), 20, "a split for everyone")
    daemon.wait_for_delivery(limit_s)
    return daemon.status()


def received_from(payloads: Iterable[bytes]) -> Received:
    """Of all messages, those that have a ``seq``."""
    decoded = (message(payload) for payload in payloads if payload)
    return Received([one for one in decoded if "seq" in one])


def received_by(subscriber: Subscriber) -> Received:
    """What has come there so far."""
    return received_from(one.payload for one in list(subscriber.received))


class Collect:
    """`timing-mat collect` as a process of its own, its database in ``folder``; it can be frozen and go on."""

    def __init__(self, folder: Path, port: int, event: str) -> None:
        self.output = folder / "collect.txt"
        self._db = folder / "collect.db"
        self._command = [COMMAND, "collect", "--port", str(port), "--event", event, "--db", str(self._db)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Collect:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)
        wait_until(self._db.exists, 20, "the collector's database")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait(20)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes nothing in meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def wait_for(self, epoch: str, last_seq: int, limit_s: float = 60.0) -> Received:
        """Until it has stored all of an epoch; what it has then."""

        def stored() -> int:
            count: int = self._ask("SELECT count(*) FROM entry WHERE epoch = ? AND seq <= ?", epoch, last_seq)[0][0]
            return count

        wait_until(lambda: stored() >= last_seq, limit_s, f"all {last_seq} entries in {self._db}")
        return Received([message(body.encode()) for (body,) in self._ask("SELECT body FROM entry ORDER BY epoch, seq")])

    def crossings(self) -> list[str]:
        """The chip of each crossing."""
        return [chip for (chip,) in self._ask("SELECT chip FROM crossing ORDER BY n")]

    def _ask(self, query: str, *values: str | int) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._db}?mode=ro", uri=True)) as db:
            return db.execute(query, values).fetchall()
