"""The journal on real files: what stands, what is kept when the disk refuses, what is saved of a damaged one."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from reader.errors import DiskFull, DiskRefused, JournalInUse
from reader.journal import Entry, Journal, JournalView
from reader.journal.aside import set_aside
from reader.lines import Lines
from reader.model import Identity
from reader.resume import open_journal

MAT = Identity("race", "finish", "finish-main", "box-1")
PAGE_BYTES = 4_096
NOBODY = 65_534


def body_of(seq: int) -> bytes:
    return b'{"n":%d,"filler":"%s"}' % (seq, b"x" * (seq % 200))


def append(journal: Journal, count: int) -> None:
    for _ in range(count):
        seq = journal.last_seq + 1
        assert journal.append("split", seq, seq, body_of(seq)) == seq


def commit(journal: Journal) -> None:
    journal.commit("boot-a", True, 0)


@contextlib.contextmanager
def viewing(path: Path) -> Iterator[JournalView]:
    view = JournalView(path)
    try:
        yield view
    finally:
        view.close()


def entries(path: Path, epoch: str) -> list[Entry]:
    with viewing(path) as view:
        return view.entries(epoch, 0, 1 << 20)


def written(path: Path, count: int, identity: Identity = MAT, delivered: int = 0) -> str:
    """A journal with that many entries, closed; its epoch."""
    journal = Journal.create(path, identity)
    append(journal, count)
    journal.delivered(journal.epoch, delivered)
    commit(journal)
    epoch: str = journal.epoch
    journal.close()
    return epoch


def owing_nothing(journal: Journal, lines: Lines) -> None:
    """What an `end` is for where there were no gates."""


@contextlib.contextmanager
def opened(path: Path, identity: Identity = MAT) -> Iterator[tuple[Journal, str]]:
    """As a start of the daemon opens it; with all that it says."""
    journal, says = open_journal(path, identity, owing_nothing)
    try:
        yield journal, " ".join(says)
    finally:
        journal.close()


def is_whole(found: list[Entry]) -> bool:
    return all(entry.body == body_of(entry.seq) for entry in found) and len({entry.seq for entry in found}) == len(
        found
    )


# ---- what stands -------------------------------------------------------------------------------------------


def test_nothing_is_seen_before_its_commit(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.db", MAT)
    with viewing(journal.path) as view:
        append(journal, 3)
        assert view.entries(journal.epoch, 0, 10) == []
        commit(journal)
        assert [entry.seq for entry in view.entries(journal.epoch, 0, 10)] == [1, 2, 3]
    journal.close()


def test_the_connection_that_writes_syncs_every_commit(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.db", MAT)
    for _ in range(2):
        full = 2
        assert journal._execute("PRAGMA synchronous").fetchone() == (full,)
        assert journal._execute("PRAGMA journal_mode").fetchone() == ("wal",)
        journal.close()
        journal = Journal.open(tmp_path / "j.db")
    journal.close()


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal.create(path, MAT)
    with pytest.raises(JournalInUse, match=r"j\.db: another timing-mat writes this journal"):
        Journal.open(path)
    with pytest.raises(JournalInUse):
        open_journal(path, MAT, owing_nothing)
    journal.close()
    Journal.open(path).close()


def test_what_could_not_be_begun_is_begun_when_the_disk_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.mkdir()  # SQLite can't open it
    with pytest.raises(DiskRefused):
        Journal.create(path, MAT)
    path.rmdir()
    Journal.create(path, MAT).close()


def test_delivery_never_goes_back(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "j.db", MAT)
    append(journal, 5)
    for seq in (4, 2):
        journal.delivered(journal.epoch, seq)
        assert journal.has_cursor_to_write
        commit(journal)
        with viewing(journal.path) as view:
            assert view.epochs()[-1].delivered_seq == 4
    journal.close()


@pytest.mark.parametrize("how", ["running", "killed", "closed", "closed under a view"])
def test_a_view_reads_a_journal_whose_writer_is(how: str, tmp_path: Path) -> None:
    """Killed: the files as they lie there, with the log that was never folded in."""
    journal = Journal.create(tmp_path / "j.db", MAT)
    append(journal, 20)
    commit(journal)
    path = journal.path
    keeps_open = journal.view() if how == "closed under a view" else None
    if how.startswith("closed"):
        journal.close()
    if keeps_open:
        keeps_open.close()
    if how == "killed":
        path = copied(path, tmp_path / "copy")
    found = entries(path, journal.epoch)
    assert len(found) == 20
    assert is_whole(found)
    if not how.startswith("closed"):
        journal.close()


def test_a_view_of_a_closed_journal_needs_no_right_to_write() -> None:
    """The page runs under another user, who can't make the log's index beside the file."""
    with tempfile.TemporaryDirectory() as name:
        folder, is_root = Path(name), os.geteuid() == 0
        epoch = written(folder / "j.db", 20)
        folder.chmod(0o555)
        if is_root:
            os.seteuid(NOBODY)
        try:
            assert len(entries(folder / "j.db", epoch)) == 20
        finally:
            if is_root:
                os.seteuid(0)
            folder.chmod(0o755)


def copied(path: Path, folder: Path) -> Path:
    """What a killed process leaves: the database and its log, without the index in shared memory."""
    folder.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(path.with_name(path.name + ending), folder)
    return folder / path.name


# ---- a disk that refuses -----------------------------------------------------------------------------------

REFUSED = """
import resource, sys
from pathlib import Path
from reader.errors import DiskRefused
from reader.journal import Journal
from tests.edges.test_journal import append, commit, MAT

journal = Journal.create(Path(sys.argv[1]), MAT)
append(journal, 1)
commit(journal)
size = Path(sys.argv[1] + "-wal").stat().st_size
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
append(journal, 300)
for room in (0, 4_096, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
    try:
        commit(journal)
    except DiskRefused:
        append(journal, 1)
    else:
        sys.exit("the disk should have refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
commit(journal)
commit(journal)
append(journal, 1)
commit(journal)
print(journal.epoch)
"""


def test_a_commit_that_the_disk_refuses_keeps_everything_and_a_later_one_writes_it_once(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    ran = subprocess.run([sys.executable, "-c", REFUSED, path], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = entries(path, ran.stdout.strip())
    assert [entry.seq for entry in found] == list(range(1, 306))
    assert is_whole(found)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4_096)


def test_a_full_disk_is_named_and_what_it_refused_is_written_when_there_is_room(tiny_disk: Path) -> None:
    journal = Journal.create(tiny_disk / "j.db", MAT)
    append(journal, 1)
    commit(journal)
    ballast = tiny_disk / "ballast"
    fill(ballast)
    append(journal, 300)
    for _ in range(2):
        with pytest.raises(DiskFull, match="the disk is full"):
            commit(journal)
    assert [entry.seq for entry in entries(journal.path, journal.epoch)] == [1]
    ballast.unlink()
    commit(journal)
    found = entries(journal.path, journal.epoch)
    assert [entry.seq for entry in found] == list(range(1, 302))
    assert is_whole(found)
    journal.close()


# ---- damaged files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["zero-length", "garbage", "a directory", "another database"])
def test_what_is_no_journal_is_set_aside_and_a_fresh_one_begun(what: str, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    if what == "zero-length":
        path.touch()
    elif what == "garbage":
        path.write_bytes(random.Random(7).randbytes(20_000))
    elif what == "a directory":
        path.mkdir()
    else:
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE diary (day TEXT)")
        other.close()
    with opened(path) as (journal, says):
        append(journal, 1)
        commit(journal)
        assert "set aside as j.aside-001-damaged.db" in says
        assert (tmp_path / "j.aside-001-damaged.db").exists()
    with opened(path) as (again, says):
        assert (again.epoch, again.last_seq, says) == (journal.epoch, 1, "")


@pytest.mark.parametrize("seed", range(6))
def test_of_a_truncated_journal_what_can_be_read_is_saved(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = written(path, 600)
    size = path.stat().st_size
    os.truncate(path, random.Random(seed).randrange(size // 2, size - PAGE_BYTES))
    with opened(path) as (journal, says):
        assert journal.epoch != epoch
        found = entries(path, epoch)
        assert is_whole(found)
        assert len(found) > 0, says
        assert f"{len(found)} entries of j.aside-001-damaged.db were taken over; some of it can't be read" in says


@pytest.mark.parametrize("seed", range(6))
def test_of_a_journal_with_pages_overwritten_what_can_be_read_is_saved(seed: int, tmp_path: Path) -> None:
    """The pages of the tables themselves are spared, for without them there is nothing to go by."""
    path = tmp_path / "j.db"
    epoch = written(path, 1_500)
    dice = random.Random(seed)
    leaves = pages_of_entries(path)
    hurt = dice.sample(leaves, 3)
    with path.open("r+b") as file:
        for page in hurt:
            file.seek((page - 1) * PAGE_BYTES)
            file.write(dice.randbytes(PAGE_BYTES))
    with opened(path) as (_, says):
        found = entries(path, epoch)
        assert is_whole(found)
        # Each page holds some thirty entries: those of the others are all there.
        assert 1_500 > len(found) >= 1_500 - 3 * 60, says
        assert f"{len(found)} entries of j.aside-001-damaged.db were taken over" in says


def pages_of_entries(path: Path) -> list[int]:
    """The numbers of the leaf pages of the table of entries: the kind of b-tree page 10 (fileformat2, 1.6)."""
    data = path.read_bytes()
    return [place // PAGE_BYTES + 1 for place in range(PAGE_BYTES, len(data), PAGE_BYTES) if data[place] == 10]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_overwritten_a_start_records_again(seed: int, tmp_path: Path) -> None:
    """Never a traceback, never an entry that was not written, and never an identity told twice."""
    path = tmp_path / "j.db"
    epoch = written(path, 200)
    dice = random.Random(seed)
    with path.open("r+b") as file:
        for _ in range(dice.randrange(1, 4)):
            file.seek(dice.randrange(path.stat().st_size))
            file.write(dice.randbytes(dice.choice([1, 16, 512, PAGE_BYTES])))
    with opened(path) as (journal, _):
        if journal.epoch == epoch:
            assert journal.last_seq == 200  # the damage fell where nothing is
        append(journal, 1)
        commit(journal)


def test_a_newer_programs_journal_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = written(path, 5)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with opened(path) as (journal, says):
        assert "written by a newer timing-mat (schema 99, this one knows 2)" in says
        assert journal.epoch != epoch
        assert [entry.seq for entry in entries(path, epoch)] == [1, 2, 3, 4, 5]


# ---- another race, another box -----------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [{"event": "next"}, {"point": "10k"}, {"mat": "finish-backup"}])
def test_another_races_journal_is_set_aside_and_its_undelivered_go_along(
    changed: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "j.db"
    epoch = written(path, 8, delivered=5)
    now = msgspec.structs.replace(MAT, **changed)
    with opened(path, now) as (journal, says):
        assert (journal.identity, journal.last_seq) == (now, 0)
        assert "the journal was of race/finish/finish-main on box box-1" in says
        assert "3 entries of j.aside-001-other.db were taken over" in says
        with viewing(path) as view:
            old, new = view.epochs()
            assert (old.epoch, old.identity, old.delivered_seq, old.is_current) == (epoch, MAT, 5, False)
            assert (new.epoch, new.identity, new.is_current) == (journal.epoch, now, True)
        assert [entry.seq for entry in entries(path, epoch)] == [6, 7, 8]
        assert is_whole(entries(path, epoch))
    with opened(path, now) as (again, says):
        assert (again.epoch, says) == (journal.epoch, "")
        assert len(entries(path, epoch)) == 3


def test_another_boxs_entries_are_not_sent_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = written(path, 8, delivered=5)
    with opened(path, msgspec.structs.replace(MAT, box="box-2")) as (journal, says):
        assert "0 entries of j.aside-001-other.db were taken over; 3 of another box wait there and are not sent" in says
        with viewing(path) as view:
            assert [row.epoch for row in view.epochs()] == [journal.epoch]
        assert entries(path, epoch) == []


def test_a_second_change_of_race_takes_along_what_the_first_had_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = written(path, 4)
    for event in ("second", "third"):
        with opened(path, msgspec.structs.replace(MAT, event=event)):
            assert [entry.seq for entry in entries(path, epoch)] == [1, 2, 3, 4]


@pytest.mark.parametrize("died", ["before the fresh one was begun", "before anything was taken over"])
def test_a_death_between_setting_aside_and_taking_over_is_healed_at_the_next_start(died: str, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = written(path, 4)
    set_aside(path, "other")
    now = msgspec.structs.replace(MAT, event="next")
    if died == "before anything was taken over":
        Journal.create(path, now).close()
    with opened(path, now) as (_, says):
        assert [entry.seq for entry in entries(path, epoch)] == [1, 2, 3, 4]
        assert "4 entries of j.aside-001-other.db were taken over" in says


def killed(path: Path, count: int) -> str:
    """A journal with that many entries in its log, whose writer was killed: the files as they lie there; its epoch."""
    journal = Journal.create(path, MAT)
    append(journal, count)
    commit(journal)
    epoch: str = journal.epoch
    left = [
        (file, file.read_bytes()) for ending in ("", "-wal", "-shm") if (file := path.with_name(path.name + ending))
    ]
    journal.close()
    for file, data in left:
        file.write_bytes(data)
    return epoch


def test_a_power_cut_in_the_middle_of_setting_aside_parts_no_journal_from_its_log(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = killed(path, 4)
    # The log has its new name, the database has not.
    path.with_name("j.db-wal").rename(tmp_path / "j.aside-001-failed.db-wal")
    with opened(path) as (journal, says):
        assert journal.epoch != epoch
        assert "4 entries of j.aside-001-failed.db were taken over" in says
        assert is_whole(entries(path, epoch))


def test_the_index_of_an_earlier_log_found_after_a_power_cut_proves_nothing(tmp_path: Path) -> None:
    """Nothing syncs the index: what is found of it may be of any earlier moment."""
    path = tmp_path / "j.db"
    epoch = killed(path, 200)
    earlier = path.with_name("j.db-shm").read_bytes()
    with opened(path):
        pass  # folded in: the next log is another
    with opened(path) as (journal, _):
        append(journal, 1)
        commit(journal)
        left = {name: (tmp_path / name).read_bytes() for name in ("j.db", "j.db-wal")}
    for name, data in left.items():
        (tmp_path / name).write_bytes(data)
    path.with_name("j.db-shm").write_bytes(earlier)
    with opened(path) as (journal, says):
        assert (journal.epoch, says) == (epoch, "")
        assert [entry.seq for entry in entries(path, epoch)] == list(range(1, 202))


def test_a_log_that_lost_its_end_is_known_by_its_index(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    epoch = killed(path, 200)
    os.truncate(path.with_name("j.db-wal"), 32 + 2 * (24 + PAGE_BYTES))
    with opened(path) as (journal, says):
        assert journal.epoch != epoch
        assert "pages of its log" in says or "could not be read" in says
