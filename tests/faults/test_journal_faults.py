"""A journal that is damaged, in use, another box's or another race's: a start times, and tells what can be read."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reader.box.identity import SERIAL_VARIABLE
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.faults.road import (
    Mat,
    chip_from_number,
    chips_at,
    exported,
    mat_of,
    read_of,
    sequenced_at,
    splits_at,
    told_from_messages,
    used_twice,
)
from tests.tally import Tally
from tests.waiting import wait_until

pytestmark = pytest.mark.long

PLACES = 25  # of each kind of damage
ENDINGS = ("", "-wal", "-shm", ".lock")
SECTOR = 512
PAGE = 4096

# ---- damage ------------------------------------------------------------------------------------------------


def flip(data: bytearray, dice: random.Random) -> bytearray:
    """Single bits, at one place or at many."""
    for _ in range(dice.choice([1, 4, 16])):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def zero(data: bytearray, dice: random.Random) -> bytearray:
    """Some sectors in a row."""
    first = dice.randrange(len(data) // SECTOR) * SECTOR
    data[first : first + SECTOR * dice.choice([1, 8])] = bytes(len(data[first : first + SECTOR]))
    return data


def overwrite(data: bytearray, dice: random.Random) -> bytearray:
    """A sector of another file."""
    first = dice.randrange(len(data) // SECTOR) * SECTOR
    data[first : first + SECTOR] = dice.randbytes(len(data[first : first + SECTOR]))
    return data


def cut(data: bytearray, dice: random.Random) -> bytearray:
    """The end is missing."""
    return data[: dice.randrange(len(data))]


class Left(NamedTuple):
    """What a mat left that was killed while race control was away: the files, and every entry as it was written."""

    folder: Path
    entries: dict[tuple[str, int], dict[str, Any]]
    rows: dict[tuple[str, int], tuple[object, ...]]
    delivered: set[tuple[str, int]]


def leave(folder: Path, mosquitto: Mosquitto) -> Left:
    """Some 300 chips, the first 40 delivered; most of it in the database, the last of it in its log alone."""
    with Mat(folder, "damaged", mosquitto) as mat:
        mat.cross(40)
        mat.wait_until_told()
        mat.daemon.wait_for_delivery()
        mosquitto.kill()
        journal = mat.daemon.journal
        mat.cross_until(lambda: journal.stat().st_size > 50 * PAGE, "a log folded in more than once")
        mat.cross(30)
        wait_until(lambda: mat.daemon.status()["counts"]["splits"] == len(mat.made), what="a split of each in the log")
        mat.daemon.kill()
        delivered = {(one["epoch"], one["seq"]) for one in sequenced_at(mat.subscriber)}
    mosquitto.start()
    kept = folder / "kept"
    kept.mkdir()
    for ending in ENDINGS:
        shutil.copy(folder / f"journal.db{ending}", kept)
    entries = {(entry["epoch"], entry["seq"]): entry for entry in exported(folder / "journal.db")}
    rows = rows_in(folder / "journal.db", entries)
    assert len(rows) == len(entries)
    return Left(kept, entries, rows, delivered)


def rows_in(path: Path, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[object, ...]]:
    """The rows of the log that plain SQLite can read out of a file, one by one."""
    found: dict[tuple[str, int], tuple[object, ...]] = {}
    connection = sqlite3.connect(path)
    for key in wanted:
        with contextlib.suppress(sqlite3.Error):
            row = connection.execute(
                "SELECT entry.* FROM entry JOIN epoch ON entry.epoch = n WHERE epoch.epoch = ? AND seq = ?", key
            ).fetchone()
            if row is not None:
                found[key] = row
    connection.close()
    return found


class Start(NamedTuple):
    """What one start of the daemon told, and the epoch that it goes on in."""

    received: list[dict[str, Any]]
    splits: list[dict[str, Any]]
    epoch: str


def start(folder: Path, mosquitto: Mosquitto, chip: str) -> Start:
    """Until a chip that crosses is told, and all that was owed is delivered."""
    daemon = Daemon(folder, mat_of("damaged", folder / "line", mosquitto.port))
    with Subscriber(mosquitto.port, "timing/damaged/#") as subscriber, Line(folder / "line") as line, daemon:
        daemon.wait_for_recording()
        line.write(read_of(chip))
        wait_until(lambda: chip in chips_at(subscriber), 30, "the chip that crosses now")
        daemon.wait_for_delivery()
        epoch = daemon.status()["epoch"]
    return Start(sequenced_at(subscriber), splits_at(subscriber), epoch)


@pytest.mark.parametrize("damage", [flip, zero, overwrite, cut], ids=lambda damage: damage.__name__)
def test_every_start_with_a_damaged_journal_times_and_tells_what_can_be_read(
    damage: Callable[[bytearray, random.Random], bytearray], tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    left = leave(tmp_path, mosquitto)
    owed = set(left.entries) - left.delivered
    told_before = [entry for entry in left.entries.values() if entry["type"] == "split"]
    lost: set[tuple[str, int]] = set()
    doubled: set[str] = set()
    unreadable = afresh = 0
    for seed in range(PLACES):
        dice = random.Random(f"{damage.__name__} {seed}")
        folder = tmp_path / f"start-{seed}"
        shutil.copytree(left.folder, folder)
        hurt = folder / dice.choice(["journal.db", "journal.db-wal"])
        hurt.write_bytes(damage(bytearray(hurt.read_bytes()), dice))
        rows = rows_in(copied(folder, tmp_path / f"plain-{seed}"), left.rows)
        readable = {key for key, row in rows.items() if row == left.rows[key]}

        started = start(folder, mosquitto, chip_from_number(1_000 + seed))
        assert used_twice([*left.entries.values(), *started.received]) == [], f"seed {seed}: {hurt.name}"
        missing = (owed & readable) - {(one["epoch"], one["seq"]) for one in started.received}
        if missing:
            print(f"seed {seed}, {hurt.name}: {len(missing)} readable entries did not go out, as {min(missing)}")
        lost |= missing
        doubled |= told_from_messages(told_before + started.splits).doubled()
        unreadable += len(owed - readable)
        afresh += started.epoch not in {epoch for epoch, _ in left.entries}
    print(
        f"{afresh} of {PLACES} starts under a new epoch; of {PLACES * len(owed)} entries owed {unreadable} unreadable"
    )
    tally(
        f"journal damaged at a random place: {damage.__name__}",
        times=PLACES,
        passings=PLACES * len(owed),
        lost=len(lost),
        doubled=len(doubled),
        may_lose="entries on the damaged pages",
    )


def copied(folder: Path, to: Path) -> Path:
    """The database and its log, for plain SQLite to look at: it may mend and fold them as it likes."""
    to.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(folder / f"journal.db{ending}", to)
    return to / "journal.db"


# ---- whose it is -------------------------------------------------------------------------------------------


def test_a_second_daemon_on_one_journal_says_so_and_ends_with_5(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    with Mat(tmp_path, "twice", mosquitto) as mat:
        mat.cross(20)
        for _ in range(3):
            second = subprocess.run(
                [COMMAND, "run", "--config", str(mat.daemon.config)], capture_output=True, text=True, timeout=30
            )
            assert second.returncode == 5
            assert f"{mat.daemon.journal}: another timing-mat writes this journal; stop it" in second.stderr
            assert "Traceback" not in second.stderr
            mat.cross(20)
        mat.wait_until_told()
        told = told_from_messages(splits_at(mat.subscriber))
        assert mat.daemon.stop() == 0
    tally(
        "a second daemon on one journal",
        times=3,
        passings=len(mat.made),
        lost=len(told.lost(mat.made)),
        doubled=len(told.doubled()),
    )


def test_a_journal_in_another_box_is_not_sent_from_there_and_nothing_of_it_is_lost(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card of box A, with a backlog, is put into box B, and later back into A."""
    serial = tmp_path / "serial"
    monkeypatch.setenv(SERIAL_VARIABLE, str(serial))
    serial.write_text("box-a")
    with Mat(tmp_path, "moved", mosquitto) as mat:
        mat.cross(20)
        mat.wait_until_told()
        mat.daemon.wait_for_delivery()
        mosquitto.kill()
        mat.cross(30)
        owed = set(list(mat.made)[20:])
        wait_until(lambda: mat.daemon.status()["counts"]["splits"] == len(mat.made), what="a split of each in the log")
        mat.daemon.kill()

        serial.write_text("box-b")
        mosquitto.start()
        mat.daemon.start()
        mat.daemon.wait_for_recording()
        mat.cross(20)
        wait_until(lambda: chips_at(mat.subscriber) >= set(mat.made) - owed, what="what box B heard")
        mat.wait_for("journal", "of another box wait there and are not sent")
        assert chips_at(mat.subscriber) & owed == set()
        assert {split["box"] for split in splits_at(mat.subscriber)} == {"box-a", "box-b"}
        assert mat.daemon.stop() == 0

        serial.write_text("box-a")
        mat.daemon.start()
        mat.daemon.wait_for_recording()
        mat.cross(20)
        mat.wait_until_told()
        received = sequenced_at(mat.subscriber)
        told = told_from_messages(splits_at(mat.subscriber))
        assert mat.daemon.stop() == 0
    assert used_twice(received) == []
    assert {split["box"] for split in splits_at(mat.subscriber) if split["chip"] in owed} == {"box-a"}
    tally(
        "a journal moved to another box, and back",
        times=2,
        passings=len(mat.made),
        lost=len(told.lost(mat.made)),
        doubled=len(told.doubled()),
    )


def test_another_race_is_not_held_back_by_the_backlog_of_the_last(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    with Mat(tmp_path, "saturday", mosquitto) as mat, Subscriber(mosquitto.port, "timing/sunday/#") as sunday:
        mosquitto.kill()
        mat.cross(300)
        wait_until(lambda: mat.daemon.status()["counts"]["splits"] == 300, what="a split of each in the log")
        assert mat.daemon.stop() == 0
        old = set(mat.made)

        config = mat.daemon.config
        config.write_text(config.read_text().replace("saturday", "sunday"))
        mosquitto.start()
        mat.daemon.start()
        mat.daemon.wait_for_recording()
        mat.cross(20)
        new = set(mat.made) - old
        wait_until(lambda: chips_at(sunday) >= new, 30, "the new race's splits")
        wait_until(lambda: chips_at(mat.subscriber) >= old, 30, "the old race's splits")
        mat.daemon.wait_for_delivery()
        assert mat.daemon.stop() == 0
        first_new = next(one for one in sunday.on("/split") if message(one.payload)["chip"] in new)
        last_old = mat.subscriber.on("/split")[-1]
    assert (chips_at(sunday), chips_at(mat.subscriber)) == (new, old)
    assert {(split["event"]) for split in splits_at(mat.subscriber)} == {"saturday"}
    print(f"the new race's first split came {(last_old.at_s - first_new.at_s) * 1e3:.0f} ms before the old one's last")
    told = told_from_messages(splits_at(sunday) + splits_at(mat.subscriber))
    tally(
        "another event, with a backlog of the last",
        times=1,
        passings=len(mat.made),
        lost=len(told.lost(mat.made)),
        doubled=len(told.doubled()),
    )
