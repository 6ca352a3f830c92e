"""A disk that stalls, refuses, fills up, wears out, or was never there: timing goes on, and all of it is written down.

The faults are real where the kernel has them (a small tmpfs, an ext4 that finds an error in itself), and made in
the daemon's own system calls by `strace` where it has not.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from reader.clock import utc_ns_from_rfc3339
from tests.broker import Mosquitto
from tests.faults.disks import Card, fill, mounted_tmpfs
from tests.faults.road import Mat, kept_beside, sequenced_at, splits_at, told_from_messages, used_twice
from tests.faults.strace import injected, injections, needs_strace
from tests.tally import Tally
from tests.waiting import wait_until

pytestmark = pytest.mark.long

STALL_S = 5.0
LATE_MS = 250.0  # a busy machine may read a line so late; a stamp that waited for the disk is late by seconds


def count(tally: Tally, fault: str, times: int, mat: Mat) -> list[dict[str, object]]:
    """A row for what was made on that mat; every entry ever told is on the disk as it was told. The splits."""
    mat.wait_until_told()
    mat.daemon.wait_for_delivery()
    assert mat.daemon.stop() == 0
    received, kept = sequenced_at(mat.subscriber), kept_beside(mat.daemon.journal)
    assert used_twice(received + kept) == []
    assert {(one["epoch"], one["seq"]) for one in received} <= {(one["epoch"], one["seq"]) for one in kept}
    at_race_control = told_from_messages(splits_at(mat.subscriber))
    on_disk = told_from_messages(entry for entry in kept if entry["type"] == "split")
    tally(
        fault,
        times=times,
        passings=len(mat.made),
        lost=len(at_race_control.lost(mat.made) | on_disk.lost(mat.made)),
        doubled=len(at_race_control.doubled()),
    )
    return splits_at(mat.subscriber)


def not_durable(splits: list[dict[str, object]]) -> set[object]:
    """Epochs that were told as not on a disk."""
    return {split["epoch"] for split in splits if split.get("durable") is False}


@needs_strace
def test_a_sync_that_takes_5_s_moves_no_stamp(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    stalls = 3
    with Mat(tmp_path, "stalls", mosquitto) as mat:
        for number in range(stalls):
            fault = f"delay_enter={int(STALL_S * 1e6)}:when=1"
            with injected(mat.daemon.pid, fault, tmp_path / f"strace-{number}") as log:
                began_s = time.monotonic()
                mat.cross(40, every_s=0.1)
                mat.wait_until_told()
                assert time.monotonic() - began_s > STALL_S
            assert injections(log) == 1
        splits = count(tally, "a sync takes 5 s", stalls, mat)
        assert mat.daemon.output.read_text().count("storage: fail: the disk of") == stalls  # and it is said
    assert {split["epoch"] for split in splits} == {splits[0]["epoch"]}
    late_ms = sorted((utc_ns_from_rfc3339(str(one["time"])) - mat.made[str(one["chip"])]) / 1e6 for one in splits)
    print(f"stamps are late by {late_ms[len(late_ms) // 2]:.1f} ms (median), {late_ms[-1]:.1f} ms at most")
    assert late_ms[0] > -1
    assert late_ms[-1] < LATE_MS


@needs_strace
def test_a_commit_whose_sync_fails_goes_on_in_a_fresh_file(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    """EIO on the N-th sync after some moment: the kernel has forgotten the pages, and calls the next sync good."""
    nths = (1, 2, 3, 5, 8)
    with Mat(tmp_path, "eio", mosquitto) as mat:
        for nth in nths:
            mat.cross(3)
            with injected(mat.daemon.pid, f"error=EIO:when={nth}", tmp_path / f"strace-{nth}") as log:
                for _ in range(nth + 1):
                    mat.cross()
                    mat.wait_until_told()
                mat.wait_for("journal", "the log goes on in memory")
            assert injections(log) == 1
            mat.wait_for("storage", "ok:")
            mat.cross(3)
            mat.wait_until_told()
        count(tally, "EIO on the N-th sync of a commit", len(nths), mat)
        received = sequenced_at(mat.subscriber)
    assert len(not_durable(received)) == len(nths)
    assert len({one["epoch"] for one in received}) == 2 * len(nths) + 1


@needs_strace
def test_a_checkpoint_whose_sync_fails_is_made_again(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    """SQLite does not count on what it folds in until that is synced: the log still has it, and it is written again."""
    with Mat(tmp_path, "checkpoints", mosquitto) as mat:
        with injected(mat.daemon.pid, "error=EIO:when=1..3", tmp_path / "strace", path=mat.daemon.journal) as log:
            mat.cross_until(lambda: injections(log) == 3, "three failed checkpoints")
        mat.cross(60)
        splits = count(tally, "EIO on the sync of a checkpoint", injections(log), mat)
    assert not_durable(splits) == set()
    assert len({split["epoch"] for split in splits}) == 1


def test_a_disk_that_fills_up_twice(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    """First the ballast is thrown out, and nobody at race control sees anything of it; then memory has to do."""
    with mounted_tmpfs(tmp_path / "disk", 64) as disk, Mat(tmp_path, "full", mosquitto, disk / "journal.db") as mat:
        ballast, filling = disk / "journal.db.ballast", disk / "filling"
        wait_until(ballast.exists, what="the ballast")
        mat.cross(10)
        mat.wait_until_told()
        fill(filling)
        mat.cross_until(lambda: not ballast.exists(), "the ballast thrown out")
        mat.wait_for("storage", "fail: the disk of")
        mat.wait_for("storage", "the log uses its last reserve; free some now")
        mat.cross(20)
        mat.wait_until_told()
        assert not_durable(splits_at(mat.subscriber)) == set()
        assert any("the ballast was thrown out" in one.get("says", "") for one in sequenced_at(mat.subscriber))

        def is_in_memory() -> bool:
            fill(filling)
            return bool(not_durable(splits_at(mat.subscriber)))

        mat.cross_until(is_in_memory, "memory alone")
        mat.wait_for("journal", "the log goes on in memory")
        assert mat.daemon.status()["recording"]
        mat.cross(20)
        mat.wait_until_told()

        filling.unlink()
        mat.wait_for("storage", "ok:")
        mat.cross_until(ballast.exists, "the ballast made anew")
        splits = count(tally, "the disk full (ENOSPC), with ballast", 2, mat)
    assert len(not_durable(splits)) == 1
    assert len({split["epoch"] for split in splits}) == 2


def test_a_disk_too_small_for_ballast_fills_up(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    with mounted_tmpfs(tmp_path / "disk", 4) as disk, Mat(tmp_path, "small", mosquitto, disk / "journal.db") as mat:
        filling = disk / "filling"
        mat.cross(20)
        mat.wait_until_told()
        fill(filling)
        mat.cross_until(lambda: not_durable(splits_at(mat.subscriber)), "memory alone")
        mat.wait_for("journal", "the log goes on in memory")
        mat.cross(20)
        mat.wait_until_told()
        filling.unlink()  # the end of the run comes first, or the next try: either writes it down
        splits = count(tally, "the disk full (ENOSPC), without", 1, mat)
    assert len(not_durable(splits)) == 1
    assert len({split["epoch"] for split in splits}) == 2


def test_a_card_that_turns_read_only_and_is_mended(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    """ext4 finds an error in itself and lets nobody write; race control has all meanwhile, told as not durable."""
    with Card(tmp_path / "card", tmp_path / "image") as card:
        with Mat(tmp_path, "card", mosquitto, card.folder / "journal.db") as mat:
            mat.cross(20)
            mat.wait_until_told()
            card.fail()
            mat.cross(20)
            mat.wait_until_told()
            mat.wait_for("journal", "the log goes on in memory")
            wait_until(lambda: not_durable(splits_at(mat.subscriber)), what="a split that is not durable")
            card.put_back()
            mat.wait_for("storage", "ok:")
            mat.cross(20)
            splits = count(tally, "the disk turns read-only, and back", 1, mat)
        assert len(not_durable(splits)) == 1
        assert len({split["epoch"] for split in splits}) == 3, "after a failed write it goes on in a fresh file"


def test_no_disk_from_the_start_a_kill_in_between_and_a_disk_at_last(
    tmp_path: Path, mosquitto: Mosquitto, tally: Tally
) -> None:
    with mounted_tmpfs(tmp_path / "disk", 64) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with Mat(tmp_path, "dead", mosquitto, disk / "journal.db") as mat:
            mat.cross(20)
            mat.wait_until_told()
            mat.daemon.kill()
            mat.daemon.start()
            mat.wait_for("journal", "the log goes on in memory")
            mat.daemon.wait_for_recording()
            mat.cross(20)
            mat.wait_until_told()
            assert not mat.daemon.journal.exists()
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            mat.wait_for("storage", "ok:")
            mat.cross(20)
            splits = count(tally, "no disk from the start, a kill -9, then a disk", 1, mat)
        assert len(not_durable(splits)) == 1
        assert len({split["epoch"] for split in splits}) == 2
