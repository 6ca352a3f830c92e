"""What SQLite takes for a good journal and is not: a digit changed in a row, a log that has lost its end."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from reader.errors import JournalDamaged
from reader.journal import Journal
from reader.journal.aside import everything_in
from reader.journal.schema import VERSION
from reader.model import Hearing, Instant
from tests.edges.test_journal import MAT, append, commit, entries, is_whole, opened, written

PAGE_OF_LOG = 24 + 4096


def killed(folder: Path, commits: int) -> tuple[Path, str]:
    """A journal of five entries a commit, as a killed process leaves it: database, log, its index, lock; its epoch."""
    (folder / "live").mkdir()
    journal = Journal.create(folder / "live" / "j.db", MAT)
    for _ in range(commits):
        append(journal, 5)
        journal.keep(Hearing("north", Instant(1, 1), hears=True, reason=""))
        journal.save_gate(b"settings", b"state")
        journal.delivered(journal.epoch, 3)
        commit(journal)
    (folder / "left").mkdir()
    for ending in ("", "-wal", "-shm", ".lock"):
        shutil.copy(journal.path.with_name(f"j.db{ending}"), folder / "left")
    epoch = journal.epoch
    journal.close()
    return folder / "left" / "j.db", epoch


CHANGED = {
    "a body": "UPDATE entry SET body = replace(body, 'n', 'm') WHERE seq = 7",
    "a time": "UPDATE entry SET utc_ns = utc_ns + 1 WHERE seq = 7",
    "whose it is": "UPDATE epoch SET event = 'rase'",
    "what it is bound to": "UPDATE binding SET mat = 'finish-maim'",
    "the cursor": "UPDATE epoch SET delivered_seq = 9",
    "what the gate was given": "UPDATE reads SET inputs = x'90'",
    "the gate": "UPDATE gate SET state = 'stale'",
    "an entry that is gone": "DELETE FROM entry WHERE seq = 7",
}


@pytest.mark.parametrize("changed", CHANGED)
def test_a_change_that_sqlite_does_not_see(changed: str, tmp_path: Path) -> None:
    path, epoch = killed(tmp_path, 2)
    connection = sqlite3.connect(path)
    connection.execute(CHANGED[changed])
    connection.commit()
    connection.close()
    with opened(path) as (journal, says):
        assert "the journal could not be read and was set aside" in says
        assert journal.epoch != epoch
        saved = entries(path, epoch)
        assert is_whole(saved)
        assert {entry.seq for entry in saved} >= {4, 5, 6, 8, 9, 10}, "all that was owed and is as it was written"


def test_a_journal_as_it_was_left_goes_on(tmp_path: Path) -> None:
    path, epoch = killed(tmp_path, 60)
    with opened(path) as (journal, says):
        assert (journal.epoch, journal.last_seq, says) == (epoch, 300, "")


@pytest.mark.parametrize("commits", [3, 20, 40, 60])
def test_a_log_that_has_lost_its_end(commits: int, tmp_path: Path) -> None:
    """Before a checkpoint, and after one: then what is left of the log would hide what the database has."""
    path, epoch = killed(tmp_path, commits)
    os.truncate(path.with_name("j.db-wal"), 32 + 5 * PAGE_OF_LOG)
    with opened(path) as (journal, says):
        assert "pages of its log the first" in says
        assert journal.epoch != epoch, "or an entry that was told would be followed by another of its number"
        assert is_whole(entries(path, epoch))


def test_what_lies_behind_the_end_of_a_log_is_no_loss(tmp_path: Path) -> None:
    """A process killed in the middle of a commit leaves part of it."""
    path, epoch = killed(tmp_path, 3)
    with path.with_name("j.db-wal").open("ab") as log:
        log.write(b"\0" * 5_000)
    with opened(path) as (journal, _):
        assert (journal.epoch, journal.last_seq) == (epoch, 15)


def test_an_index_older_than_the_log_knows_nothing_of_it(tmp_path: Path) -> None:
    path, _ = killed(tmp_path, 3)
    (tmp_path / "again").mkdir()
    later, epoch = killed(tmp_path / "again", 4)
    shutil.copy(path.with_name("j.db-shm"), later.with_name("j.db-shm"))
    with opened(later) as (journal, _):
        assert (journal.epoch, journal.last_seq) == (epoch, 20)


def test_a_journal_of_schema_1_is_taken_on(tmp_path: Path) -> None:
    """Its rows have no checksums, and what is added has."""
    path = tmp_path / "j.db"
    epoch = written(path, 20)
    connection = sqlite3.connect(path)
    for table in ("epoch", "entry", "reads", "gate"):
        connection.execute(f"ALTER TABLE {table} DROP COLUMN crc")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    assert len(everything_in(path)[0][0].rows) == 20
    with opened(path) as (journal, _):
        assert (journal.epoch, journal.last_seq) == (epoch, 20)
        append(journal, 1)
        commit(journal)
        assert journal._execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entry SET utc_ns = 7 WHERE seq = 21")
    connection.commit()
    connection.close()
    with pytest.raises(JournalDamaged, match="an entry is not as it was written"):
        Journal.open(path)
