"""The power cut at every boundary between two system calls of a run: ``power_cut.py`` says what the disk then holds.

From each such disk the product starts as it would: the journal is opened, the gates go on, and something more is
heard. Then everything that a subscriber may have been told before the cut must be in the log as it was told, every
chip that ``heard`` told of must get its split, and no ``(epoch, seq)`` and no passing's id is used for two things.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from reader.config import Config, load
from reader.errors import JournalDamaged
from reader.journal import Entry, JournalView
from reader.journal.aside import everything_in
from reader.lines import settings_from_config
from reader.model import Identity
from reader.uplink.wire import SEQUENCED, payload
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.fakes.clock import FakeClock
from tests.faults.power_cut import (
    Created,
    Disk,
    Done,
    FolderSynced,
    Renamed,
    Resized,
    Sent,
    Synced,
    Told,
    Uplink,
    Wrote,
    by,
    done_from_strace,
    is_complete,
    newest,
    oldest,
    strace,
)
from tests.faults.strace import needs_strace
from tests.ipico import record
from tests.run import Run
from tests.tally import Tally
from tests.waiting import wait_until

GOES_ON_EVERY = 10  # of so many states one is gone on from; and the first when more messages were told since
INDEX_BYTES = 32_768
CHIPS = 60
NO_DISK = "no disk"  # noted among what was told
BACK_ON_DISK = "the disk takes the journal again"
GUN = datetime(2026, 3, 7, 8, tzinfo=UTC)

# ---- recording ----------------------------------------------------------------------------------------------------


def stand_still(pid: int) -> None:
    """Stop all its threads between two calls: of one that is killed within a write nobody knows whether it was made."""
    os.kill(pid, signal.SIGSTOP)
    seen = 0

    def is_still() -> bool:
        nonlocal seen
        states = [(task / "stat").read_text().rpartition(") ")[2][0] for task in Path(f"/proc/{pid}/task").iterdir()]
        seen = seen + 1 if set(states) <= {"T", "t"} else 0
        return seen > 10  # a thread whose call is being recorded stands still too, for an instant

    wait_until(is_still, what="all threads to stop")


class Index(NamedTuple):
    """The log's index as it once was on its way to the disk; ``chip``: was heard later."""

    chip: str
    data: bytes


class Life(NamedTuple):
    """One run of the daemon: what it was to be, what it did, and states of its log's index."""

    config: Config
    done: list[Done]
    indexes: list[Index]


class Race:
    """A daemon under strace, started as often as wanted on one journal; the road, and who listens."""

    def __init__(self, folder: Path, mosquitto: Mosquitto, line: Line, subscriber: Subscriber) -> None:
        self.folder = folder.resolve()
        self.journal = self.folder / "disk" / "journal.db"
        self.mosquitto = mosquitto
        self.lives: list[Life] = []
        self._line = line
        self._subscriber = subscriber
        self._chips = 0
        self._indexes: list[Index] = []

    @contextmanager
    def life(self, event: str, *further: str, program: Sequence[str] = (COMMAND, "run")) -> Iterator[Daemon]:
        """One run of the daemon; at the end of the block it is killed, if it wasn't stopped there."""
        calls = self.folder / f"calls-{len(self.lives)}.txt"
        daemon = Daemon(self.folder, "", program=[*strace(calls, *further), *program])
        daemon.config.write_text(f"""
            [mat]
            event = "{event}"
            point = "finish"
            id = "mat"
            [[reader]]
            protocol = "ipico"
            port = "{self._line.link}"
            [gate]
            quiet_s = 0.1
            [journal]
            path = "{self.journal}"
            [mqtt]
            port = {self.mosquitto.port}
            [box]
            control = "{daemon.control}"
            """)
        self._indexes = []
        with daemon:
            daemon.wait_for_recording()
            yield daemon
            if daemon.is_running:
                stand_still(daemon.pid)
        wait_until(lambda: is_complete(calls), what="the end of the record")
        done = done_from_strace(calls.read_text(), self.journal.parent, self.mosquitto.port)
        self.lives.append(Life(load(daemon.config), done, self._indexes))

    def cross(self, count: int, *, is_told: bool = True) -> set[str]:
        """So many chips, each with three reads, the next when the last has been heard of (if it is told)."""
        chips = set()
        for _ in range(count):
            self._chips += 1
            chip, at = f"{self._chips:012X}", GUN + timedelta(seconds=self._chips)
            self._note_index(chip)
            for milliseconds in (0, 30, 60):
                self._line.write(record(chip, at + timedelta(milliseconds=milliseconds)))
            chips.add(chip)
            if is_told:
                self.wait_for("/heard", {chip})
        return chips

    def wait_for(self, what: str, chips: set[str]) -> None:
        """Until that was told of each of them."""
        wait_until(
            lambda: chips <= {message(one.payload)["chip"] for one in self._subscriber.on(what)}, 30, f"all of {what}"
        )

    def wait_for_word(self, word: str) -> None:
        """Until a notice says that."""
        notices = self._subscriber
        wait_until(lambda: any(word in message(one.payload)["says"] for one in notices.on("/notice")), 30, word)

    def received(self) -> set[bytes]:
        """All splits, and all that was heard, that came through the broker."""
        return {one.payload for what in ("/split", "/heard") for one in self._subscriber.on(what)}

    def _note_index(self, next_chip: str) -> None:
        index = self.journal.with_name(self.journal.name + "-shm")
        with contextlib.suppress(FileNotFoundError), index.open("rb") as file:
            self._indexes.append(Index(next_chip, file.read(INDEX_BYTES)))


# ---- playing back -------------------------------------------------------------------------------------------------


class Boundary(NamedTuple):
    """A place between two system calls: the disk, what has been told, what the daemon would be started as.

    ``indexes``: the log's index as it was at times before.
    """

    disk: Disk
    told: list[Told]
    config: Config
    indexes: list[bytes]


def boundaries(lives: list[Life]) -> Iterator[Boundary]:
    """Before each call that changes the disk: the same disk a little earlier must hold less."""
    disk, uplink, told = Disk(), Uplink(), list[Told]()
    for life in lives:
        indexes: list[bytes] = []
        to_come = dict(life.indexes)
        for done in life.done:
            if isinstance(done, Sent):
                for one in uplink.take(done):
                    told.append(one)
                    if one.what == "heard" and (index := to_come.pop(message(one.payload)["chip"], None)):
                        indexes.append(index)
            else:
                yield Boundary(disk, told, life.config, indexes)
                disk.do(done)
                if isinstance(done, Synced) and not done.is_done:
                    told.append(Told(NO_DISK, b""))
    yield Boundary(disk, told, lives[-1].config, indexes)


class Found(NamedTuple):
    """What came of a disk after a cut: the log's messages by their identity, and what their names stand for.

    ``clashes``: identities that stand for two things in it; ``says``: what the start said.
    """

    kept: dict[tuple[str, int], bytes]
    names: Names
    clashes: list[str]
    says: list[str]


def go_on(journal: Path, config: Config, box: str, clock: FakeClock, *, hears_more: bool) -> Found:
    """Start as the daemon would, and time a little; what is in the log then, and in those set aside."""
    settings = settings_from_config(config)
    mat = config.mat
    run = Run(journal, clock, settings, Identity(mat.event, mat.point, mat.id, box))
    if hears_more:
        [reader] = settings.line_of_reader
        run.begin_hearing(reader)
        run.hear(("000000000001", -50), ("00000000FFFF", -50), reader=reader)
        run.wait(120)
    kept: dict[tuple[str, int], bytes] = {}
    clashes = []
    with closing(JournalView(journal)) as view:
        for row in view.epochs():
            for entry in view.entries(row.epoch, 0, 1 << 30):
                kept[entry.epoch, entry.seq] = payload(row.identity, entry)
    run.end()
    for path in journal.parent.glob("journal.aside-*.db"):
        with contextlib.suppress(JournalDamaged):
            for old in everything_in(path)[0]:
                for seq, kind, _, _, body in old.rows:
                    entry = Entry(old.epoch, seq, kind, body)  # type: ignore[arg-type] # rows are of objects
                    told = payload(old.identity, entry)
                    if kept.setdefault((old.epoch, entry.seq), told) != told:
                        clashes.append(f"{old.epoch}/{seq} is {told!r} in {path.name} and something else")
    return Found(kept, Names(kept.values()), clashes, run.resumed.says)


class Names:
    """What each name in messages stands for: a passing's id for a chip, a gun's, marker's or coverage's for one entry.

    One revision of a passing may be two entries: told without a disk, and again when the power took that along.
    """

    def __init__(self, bodies: Iterable[bytes]) -> None:
        self.of: dict[tuple[object, ...], object] = {}
        self.clashes: list[str] = []
        for one in map(message, bodies):
            if "passing" in one:
                self._note(("passing", one["passing"]), one["chip"])
            elif "of" in one:
                self._note((one["type"], one["of"], one["rev"]), (one["epoch"], one["seq"]))

    def _note(self, name: tuple[object, ...], meaning: object) -> None:
        if self.of.setdefault(name, meaning) != meaning:
            self.clashes.append(f"{name} is {self.of[name]} and {meaning}")


class Result(NamedTuple):
    """Over all states of a recording: messages told that were lost, or whose identity was used for something else."""

    boundaries: int
    states: int
    gone_on: int
    told: int
    passings: int
    lost: list[str]
    doubled: list[str]
    refused: list[str]

    def __str__(self) -> str:
        first = "; ".join([*self.lost[:3], *self.doubled[:3], *self.refused[:3]])
        return (
            f"{self.states} states of the disk at {self.boundaries} boundaries, {self.gone_on} gone on with; of"
            f" {self.told} messages told ({self.passings} passings) {len(self.lost)} lost, {len(self.doubled)} used"
            f" twice; {len(self.refused)} states not started from. {first}"
        )


def play_back(lives: list[Life], dice: random.Random, memory: Path, *, random_parts: int = 3) -> Result:
    """At every boundary what is there if nothing, all, and ``random_parts`` times a part of it reached the disk."""
    result = Result(0, 0, 0, 0, 0, [], [], [])
    seen: set[bytes] = set()
    count = states = gone_on = told_then = 0
    told: list[Told] = []
    for boundary in boundaries(lives):
        count, told = count + 1, boundary.told
        expected = Expected(told)
        for choose in (oldest, newest, *(by(dice) for _ in range(random_parts))):
            files = boundary.disk.after_cut(choose)
            if boundary.indexes and "journal.db-wal" in files and choose is not oldest:
                files["journal.db-shm"] = dice.choice(boundary.indexes)
            digest = digest_of(files, len(told))
            if digest in seen:
                continue
            seen.add(digest)
            states += 1
            # Without a disk much is told between two boundaries, and it is there that a name may be used again.
            hears_more = states % GOES_ON_EVERY == 0 or len(told) > told_then + GOES_ON_EVERY
            if hears_more:
                gone_on, told_then = gone_on + 1, len(told)
            where = f"boundary {count}, state {states}"
            with disk_of(files, memory) as journal:
                clock = FakeClock("the next boot", utc_ns=time.time_ns(), synced=states % 2 == 0)
                try:
                    found = go_on(journal, boundary.config, expected.box, clock, hears_more=hears_more)
                except Exception as error:  # whatever it is: a box that doesn't start times nobody
                    result.refused.append(f"{where}: {error!r}")
                    continue
            result.lost.extend(f"{where}: {one} {found.says}" for one in expected.lost(found, hears_more=hears_more))
            result.doubled.extend(f"{where}: {one}" for one in expected.doubled(found))
    passings = len({message(one.payload)["passing"] for one in told if one.what == "split"})
    return result._replace(boundaries=count, states=states, gone_on=gone_on, told=len(told), passings=passings)


class Expected:
    """What must be found after a cut, by what was told before it.

    What was told while there was no disk is owed from when the disk takes the journal again.
    """

    def __init__(self, told: list[Told]) -> None:
        self.box = ""
        self._entries: dict[tuple[str, int], bytes] = {}
        self._owed: set[tuple[str, int]] = set()
        self._heard: set[str] = set()
        owed_later: set[tuple[str, int]] = set()
        heard_later: set[str] = set()
        has_disk = True
        for what, body in told:
            if what == NO_DISK:
                has_disk = False
            if what not in (*SEQUENCED, "heard"):
                continue
            one = message(body)
            self.box = one["box"]
            if what == "heard":
                (self._heard if has_disk else heard_later).add(one["passing"])
                continue
            key = (one["epoch"], one["seq"])
            self._entries[key] = body
            (self._owed if one.get("durable", True) else owed_later).add(key)
            if what == "split" and not has_disk:
                self._heard.discard(one["passing"])  # its split has come
            if what == "notice" and BACK_ON_DISK in one["says"]:
                has_disk = True
                self._owed |= owed_later
                self._heard |= heard_later
        self._names = Names(body for what, body in told if what in (*SEQUENCED, "heard"))

    def lost(self, found: Found, *, hears_more: bool) -> list[str]:
        """Entries that are no longer there; with ``hears_more`` chips that were heard and have no split too."""
        lost = [f"{epoch}/{seq} is gone" for epoch, seq in self._owed - set(found.kept)]
        if hears_more:
            lost += [f"{one} was heard, has no split" for one in self._heard if ("passing", one) not in found.names.of]
        return lost

    def doubled(self, found: Found) -> list[str]:
        """Identities of entries and passings that stand for something else than they did."""
        return [
            *found.clashes,
            *found.names.clashes,
            *(
                f"{key} was {body!r}, is {found.kept[key]!r}"
                for key, body in self._entries.items()
                if found.kept.get(key, body) != body
            ),
            *(
                f"{name} was {meaning}, is {found.names.of[name]}"
                for name, meaning in self._names.of.items()
                if found.names.of.get(name, meaning) != meaning
            ),
        ]


@contextmanager
def disk_of(files: dict[str, bytes], memory: Path) -> Iterator[Path]:
    """A folder with these files; the path of the journal in it."""
    folder = memory / "disk"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    yield folder / "journal.db"
    shutil.rmtree(folder)


def digest_of(files: dict[str, bytes], told: int) -> bytes:
    """The same for the same state of which the same is expected."""
    digest = hashlib.sha256(b"%d" % told)
    for name, data in sorted(files.items()):
        digest.update(b"%s %d " % (name.encode(), len(data)))
        digest.update(data)
    return digest.digest()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where a state is made in no time; on a disk it is only slower."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def race(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Race]:
    """A road and a listener, without a daemon yet."""
    with Line(tmp_path / "line") as line, Subscriber(mosquitto.port, "timing/#") as subscriber:
        yield Race(tmp_path, mosquitto, line, subscriber)


# ---- the tests ----------------------------------------------------------------------------------------------------


@needs_strace
@pytest.mark.long
def test_a_power_cut_at_any_moment_loses_nothing_told_and_uses_no_identity_twice(
    race: Race, memory: Path, tally: Tally
) -> None:
    """Fresh start, checkpoints; `kill -9` with a backlog undelivered, and another event: set aside, taken over."""
    with race.life("saturday"):
        race.wait_for("/split", race.cross(CHIPS))
        race.mosquitto.kill()
        race.cross(5, is_told=False)
    race.mosquitto.start()
    with race.life("sunday") as daemon:
        race.wait_for("/split", race.cross(10))
        daemon.wait_for_delivery()
        assert daemon.stop() == 0
    *_, last = boundaries(race.lives)
    assert race.received() <= {one.payload for one in last.told}, "not all that was told was recorded"
    done = [one for life in race.lives for one in life.done]
    assert done.count(Synced("journal.db", is_done=True)) > 3, "too few checkpoints"
    assert Renamed("journal.db", "journal.aside-001-other.db") in done
    result = play_back(race.lives, random.Random(1), memory)
    print(result)
    assert not result.refused, result
    tally(
        "power cut", times=result.states, passings=result.passings, lost=len(result.lost), doubled=len(result.doubled)
    )


@needs_strace
@pytest.mark.long
def test_a_power_cut_about_a_failed_sync_loses_nothing_told_as_durable(race: Race, memory: Path, tally: Tally) -> None:
    """The log goes on in memory, the file is set aside, a fresh one begun, and what was in memory written into it."""
    with race.life("sunday", "--inject=fdatasync:error=EIO:when=60"):
        race.wait_for("/split", race.cross(80))
        race.wait_for_word(BACK_ON_DISK)
        race.wait_for("/split", race.cross(10))
    result = play_back(race.lives, random.Random(2), memory)
    print(result)
    assert not result.refused, result
    tally(
        "power cut about a failed sync",
        times=result.states,
        passings=result.passings,
        lost=len(result.lost),
        doubled=len(result.doubled),
        may_lose="what was told as not durable",
    )


@needs_strace
@pytest.mark.long
def test_these_tests_see_what_a_journal_that_does_not_sync_loses(race: Race, memory: Path) -> None:
    """The same daemon, with ``synchronous=NORMAL``: a cut loses what was told."""
    with race.life("sunday", program=[sys.executable, "-c", NOT_SYNCED, "run"]):
        race.wait_for("/split", race.cross(10))
    result = play_back(race.lives, random.Random(3), memory, random_parts=0)
    print(result)
    assert not result.refused, result
    assert len(result.lost) > 50, result


NOT_SYNCED = """
import reader.journal.writer as writer
from reader.cli import main
connect = writer.connect_writing
def without_sync(path):
    connection = connect(path)
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
writer.connect_writing = without_sync
main()
"""


# ---- the disk's own -----------------------------------------------------------------------------------------------


def after_cuts(*done: Done) -> set[tuple[tuple[str, bytes], ...]]:
    """All that 200 random cuts leave."""
    disk = Disk()
    for one in done:
        disk.do(one)
    dice = random.Random(4)
    return {tuple(sorted(disk.after_cut(by(dice)).items())) for _ in range(200)}


NAMED = (Created("a"), FolderSynced())
OLD, NEW, NEWER = b"o" * 512, b"n" * 512, b"N" * 512


def test_sectors_are_torn_each_for_itself_until_a_sync_that_worked() -> None:
    wrote = (*NAMED, Wrote("a", 0, OLD + OLD), Synced("a", is_done=True), Wrote("a", 0, NEW + NEW))
    torn = {(("a", one + other),) for one in (OLD, NEW) for other in (OLD, NEW)}
    assert after_cuts(*wrote) == torn
    assert after_cuts(*wrote, Synced("a", is_done=True)) == {(("a", NEW + NEW),)}
    # A sync that failed: the next one leaves those pages out, but for what was written since.
    failed = (*wrote, Synced("a", is_done=False))
    assert after_cuts(*failed, Synced("a", is_done=True)) == torn
    again = after_cuts(*failed, Wrote("a", 512, NEWER), Synced("a", is_done=True))
    assert again == {(("a", one + NEWER),) for one in (OLD, NEW)}


def test_a_file_may_have_any_size_it_had_since_the_sync_and_zeros_where_nothing_was_written() -> None:
    wrote = (*NAMED, Wrote("a", 0, OLD), Synced("a", is_done=True))
    assert after_cuts(*wrote, Wrote("a", 512, NEW)) == {(("a", OLD),), (("a", OLD + bytes(512)),), (("a", OLD + NEW),)}
    cut = after_cuts(*wrote, Resized("a", 0), Wrote("a", 0, b"n"), Synced("a", is_done=True))
    assert cut == {(("a", b"n"),)}
    grown = after_cuts(*wrote, Resized("a", 0), Resized("a", 512), Synced("a", is_done=True))
    assert grown == {(("a", bytes(512)),)}


def test_names_are_certain_after_a_sync_of_the_folder_and_before_it_in_their_order() -> None:
    named = (Created("a"), Created("b"), Renamed("a", "c"))
    empty = b""
    nothing: tuple[tuple[str, bytes], ...] = ()
    assert after_cuts(*named) == {nothing, (("a", empty),), (("a", empty), ("b", empty)), (("b", empty), ("c", empty))}
    assert after_cuts(*named, FolderSynced()) == {(("b", empty), ("c", empty))}
