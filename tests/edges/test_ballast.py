"""The file that takes up room until the log needs it, on real file systems."""

from __future__ import annotations

from pathlib import Path

from reader.journal import Journal
from reader.journal.ballast import BALLAST_BYTES, Ballast
from reader.journal.steady import SteadyJournal
from reader.model import NS_PER_S
from tests.edges.test_journal import MAT, append, body_of, entries
from tests.faults.disks import fill, mounted_tmpfs

BLOCK = 512  # of st_blocks


def test_it_takes_up_real_room_and_gives_it_back(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "j.db")
    ballast.load()
    assert ballast.path.stat().st_blocks * BLOCK >= BALLAST_BYTES
    assert ballast.throw_out()
    assert ballast.is_thrown_out
    assert not ballast.path.exists()
    assert not ballast.throw_out(), "there is nothing left to throw out"
    ballast.load()
    assert (ballast.path.exists(), ballast.is_thrown_out) == (True, False)


def test_a_disk_that_is_gone_is_no_error(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "gone" / "j.db")
    ballast.load()
    ballast.make_room()
    assert not ballast.throw_out()


def test_it_is_not_made_where_there_is_not_plenty(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "disk", 24) as disk:
        ballast = Ballast(disk / "j.db")
        ballast.load()
        assert not ballast.path.exists()


def test_before_a_journal_is_opened_on_a_full_disk_there_is_room(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "disk", 64) as disk:
        ballast = Ballast(disk / "j.db")
        ballast.load()
        ballast.make_room()
        assert ballast.path.exists(), "nothing needs the room yet"
        fill(disk / "filling")
        ballast.make_room()
        assert ballast.is_thrown_out
        Journal.create(disk / "j.db", MAT).close()


def test_the_commit_that_finds_the_disk_full_is_made_in_its_room(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "disk", 64) as disk:
        path = disk / "j.db"
        journal = SteadyJournal(path, MAT, Journal.create(path, MAT), [], ballast=Ballast(path))
        assert journal.commit("boot-a", True, 0, 0) == ""
        fill(disk / "filling")
        epoch = journal.epoch
        for seq in range(1, 301):
            journal.append("split", seq, seq, body_of(seq))
        assert "the ballast was thrown out" in journal.commit("boot-a", True, 0, NS_PER_S)
        assert (journal.epoch, journal.is_durable, journal.is_on_ballast) == (epoch, True, True)
        assert len(entries(path, epoch)) == 300
        (disk / "filling").unlink()
        journal.commit("boot-a", True, 0, 60 * NS_PER_S)
        assert not journal.is_on_ballast
        journal.close()


def test_without_ballast_a_full_disk_is_left_for_memory(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "disk", 4) as disk:
        path = disk / "j.db"
        disk_journal = Journal.create(path, MAT)
        journal = SteadyJournal(path, MAT, disk_journal, [tmp_path / "memory.db"])
        fill(disk / "filling")
        append(disk_journal, 300)
        assert "in memory only" in journal.commit("boot-a", True, 0, 0)
        assert not journal.is_durable
        journal.close()
