"""Entries again, from real journals: the one in use, those set aside beside it, damaged ones."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from reader.errors import UsageError
from reader.journal.aside import files_aside
from reader.journal.rewind import LIMIT, PAGE_BYTES, PAGE_ENTRIES, Rewind, Wanted
from reader.model import NS_PER_S, Identity
from tests.fakes.clock import UTC_NS, FakeClock
from tests.run import MAT, Run


def race(path: Path, clock: FakeClock, chips: int, identity: Identity = MAT) -> str:
    """A run in which so many crossed; its epoch."""
    run = Run(path, clock, identity=identity)
    run.begin_hearing()
    for number in range(chips):
        run.hear((f"{number:04X}", -50))
        run.wait(1)
    run.wait(60)
    epoch = run.recorder.journal.epoch
    run.end()
    return epoch


def rewind(path: Path, wanted: Wanted) -> list[tuple[str, str, int]]:
    """What comes: of which event, epoch, seq; and no page is too large."""
    found = Rewind([path, *files_aside(path)], wanted)
    try:
        read = [found.read(page) for page in found.pages]
    finally:
        found.close()
    assert all(len(page) <= PAGE_ENTRIES and sum(place.size for place in page) <= PAGE_BYTES for page in found.pages)
    return [(whose.event, entry.epoch, entry.seq) for page in read for whose, entry in page]


def test_of_all_journals_in_the_order_in_which_they_were(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    clock = FakeClock()
    first = race(path, clock, 30)
    clock.go(3600)
    between_ns = clock.now().utc_ns
    clock.go(1)
    second = race(path, clock, 5, replace(MAT, event="another"))
    everything = rewind(path, Wanted())
    assert [(event, epoch) for event, epoch, _ in dict.fromkeys((e, p, 0) for e, p, _ in everything)] == [
        ("race", first),
        ("another", second),
    ]
    for epoch in (first, second):
        seqs = [seq for _, its, seq in everything if its == epoch]
        assert seqs == list(range(1, len(seqs) + 1))
    assert {epoch for _, epoch, _ in rewind(path, Wanted(since_utc_ns=between_ns))} == {second}
    assert {epoch for _, epoch, _ in rewind(path, Wanted(until_utc_ns=between_ns))} == {first}
    assert [seq for _, _, seq in rewind(path, Wanted(epoch=first, from_seq=4, through_seq=9))] == list(range(4, 10))
    assert {epoch for _, epoch, _ in rewind(path, Wanted(chip="0003"))} == {first, second}
    assert rewind(path, Wanted(epoch=second, from_seq=10_000)) == []
    assert rewind(path, Wanted(until_utc_ns=UTC_NS - NS_PER_S)) == []


def test_an_epoch_that_nobody_has_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    epoch = race(path, FakeClock(), 1)
    with pytest.raises(UsageError, match=f"nowhere.*{epoch}"):
        rewind(path, Wanted(epoch="nowhere"))


def test_what_is_too_much_is_refused_with_the_way_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    epoch = race(path, FakeClock(), 40)
    monkeypatch.setattr("reader.journal.rewind.LIMIT", 20)
    with pytest.raises(UsageError, match="ask in parts, as in from_seq 1, through_seq 20"):
        rewind(path, Wanted(epoch=epoch))
    assert len(rewind(path, Wanted(epoch=epoch, from_seq=1, through_seq=20))) == 20
    assert LIMIT == 20_000


@pytest.mark.parametrize("damage", [b"", b"no journal at all" * 400])
def test_a_file_set_aside_that_can_not_be_read_hides_nothing_else(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal.db"
    epoch = race(path, FakeClock(), 3)
    (tmp_path / "journal.aside-001-damaged.db").write_bytes(damage)
    assert {its for _, its, _ in rewind(path, Wanted())} == {epoch}


def set_one_aside(path: Path, clock: FakeClock, damage: str) -> str:
    """A race that was delivered, set aside for another and then damaged; its epoch."""
    run = Run(path, clock)
    run.begin_hearing()
    for number in range(5):
        run.hear((f"{number:04X}", -50))
        run.wait(1)
    run.wait(60)
    epoch = run.recorder.journal.epoch
    run.recorder.journal.delivered(epoch, run.recorder.journal.last_seq)
    run.wait(10)
    run.end()
    race(path, clock, 3, replace(MAT, event="another"))
    [aside] = files_aside(path)
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute(damage).rowcount > 0
        connection.commit()
    return epoch


def test_what_is_not_as_it_was_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    damage = "UPDATE entry SET body = CAST(replace(body, '\"nth\":1', '\"nth\":7') AS BLOB) WHERE seq = 4"
    epoch = set_one_aside(path, FakeClock(), damage)
    seqs = [seq for _, _, seq in rewind(path, Wanted(epoch=epoch))]
    assert seqs == [1, 2, 3, *range(5, len(seqs) + 2)]


def test_a_number_that_can_not_be_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    epoch = set_one_aside(path, FakeClock(), f"UPDATE entry SET seq = {1 << 60} WHERE seq = 4")
    began_s = time.monotonic()
    assert 4 not in [seq for _, _, seq in rewind(path, Wanted(epoch=epoch))]
    assert time.monotonic() - began_s < 10
