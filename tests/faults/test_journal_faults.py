"""A journal that is damaged, in use, another box's or another race's: a start times, and tells what can be read."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reader.box.identity import SERIAL_VARIABLE
from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.faults.conftest import Tally
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
from tests.waiting import wait_until

pytestmark = pytest.mark.long

PLACES = 25  # of each kind of damage
ENDINGS = ("", "-wal", "-shm")
SECTOR = 512

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
    delivered: set[tuple[str, int]]


def leave(folder: Path, mosquitto: Mosquitto) -> Left:
    """Of 200 chips, the first 40 delivered; most of it in the database, the last of it in its log alone."""
    with Mat(folder, "damaged", mosquitto) as mat:
        mat.cross(40)
        mat.wait_until_told()
        mat.daemon.wait_for_delivery()
        mosquitto.kill()
        mat.cross(160)
        wait_until(lambda: mat.daemon.status()["counts"]["splits"] == len(mat.made), what="a split of each in the log")
        mat.daemon.kill()
        delivered = {(one["epoch"], one["seq"]) for one in sequenced_at(mat.subscriber)}
    mosquitto.start()
    kept = folder / "kept"
    kept.mkdir()
    for ending in ENDINGS:
        shutil.copy(folder / f"journal.db{ending}", kept)
    entries = {(entry["epoch"], entry["seq"]): entry for entry in exported(folder / "journal.db")}
    assert (kept / "journal.db-wal").stat().st_size > 4 * 4096
    return Left(kept, entries, delivered)


def readable(path: Path, left: Left) -> set[tuple[str, int]]:
    """Entries that plain SQLite can read out of a file one by one, and that are as they were written."""
    found = set()
    connection = sqlite3.connect(path)
    for epoch, seq in left.entries:
        try:
            rows = connection.execute(
                "SELECT body FROM entry JOIN epoch ON entry.epoch = n WHERE epoch.epoch = ? AND seq = ?", (epoch, seq)
            ).fetchall()
            bodies = [json.loads(body) for (body,) in rows]
        except (sqlite3.Error, ValueError, TypeError):
            continue
        if bodies and bodies[0].items() <= left.entries[epoch, seq].items():
            found.add((epoch, seq))
    connection.close()
    return found


@pytest.mark.parametrize("damage", [flip, zero, overwrite, cut], ids=lambda damage: damage.__name__)
def test_every_start_with_a_damaged_journal_times_and_tells_what_can_be_read(
    damage: Callable[[bytearray, random.Random], bytearray], tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    left = leave(tmp_path, mosquitto)
    lost: set[tuple[str, int]] = set()
    doubled: set[str] = set()
    unreadable = owed = starts_afresh = 0
    for seed in range(PLACES):
        dice = random.Random(f"{damage.__name__} {seed}")
        folder = tmp_path / f"start-{seed}"
        shutil.copytree(left.folder, folder)
        hurt = folder / dice.choice(["journal.db", "journal.db-wal"])
        hurt.write_bytes(damage(bytearray(hurt.read_bytes()), dice))
        plain = tmp_path / f"plain-{seed}"
        plain.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(folder / f"journal.db{ending}", plain)
        there = readable(plain / "journal.db", left)

        fresh = chip_from_number(1_000 + seed)
        daemon = Daemon(folder, mat_of("damaged", folder / "line", mosquitto.port))
        with Subscriber(mosquitto.port, "timing/damaged/#") as subscriber, Line(folder / "line") as line, daemon:
            daemon.wait_for_recording()
            line.write(read_of(fresh))
            wait_until(lambda fresh=fresh, subscriber=subscriber: fresh in chips_at(subscriber), 30, "the fresh chip")  # type: ignore[misc] # mypy takes a default for an argument
            daemon.wait_for_delivery()
            starts_afresh += daemon.status()["epoch"] not in {epoch for epoch, _ in left.entries}
        received = sequenced_at(subscriber)
        assert used_twice([*left.entries.values(), *received]) == [], f"seed {seed}: {hurt.name}"
        wanted = set(left.entries) - left.delivered
        owed += len(wanted)
        unreadable += len(wanted - there)
        missing = (wanted & there) - {(one["epoch"], one["seq"]) for one in received}
        if missing:
            print(f"seed {seed}, {hurt.name}: {len(missing)} readable entries did not go out, as {min(missing)}")
        lost |= missing
        told = told_from_messages([*(e for e in left.entries.values() if e["type"] == "split"), *splits_at(subscriber)])
        doubled |= told.doubled()
    print(f"{starts_afresh} of {PLACES} starts under a new epoch; of {owed} entries owed {unreadable} were unreadable")
    tally(
        f"journal damaged at a random place: {damage.__name__}",
        times=PLACES,
        passings=owed,
        lost=len(lost),
        doubled=len(doubled),
        may_lose="what lay on the damaged pages",
    )


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
