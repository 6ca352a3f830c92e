"""A disk that fills up: timing goes on in memory, and what it told meanwhile is written down afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import COMMAND, Daemon, Line, message
from tests.waiting import wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def record_of(chip: int, second: int) -> bytes:
    """One IPICO record, by hand."""
    body = f"aa00{chip:012x}0001260307{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}00"
    return f"{body}{sum(body[2:].encode()) & 0xFF:02x}\r\n".encode()


def test_a_full_disk_stops_nothing_and_loses_nothing(small_disk: Path, tmp_path: Path, mosquitto: Mosquitto) -> None:
    text = f"""
        [mat]
        event = "full"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "ipico"
        port = "{tmp_path}/line"
        [gate]
        quiet_s = 0.1
        [mqtt]
        port = {mosquitto.port}
        [journal]
        path = "{small_disk}/journal.db"
        [box]
        control = "{tmp_path}/control.sock"
    """
    daemon = Daemon(tmp_path, "")
    daemon.config.write_text(text)
    ballast = small_disk / "ballast"
    with Line(tmp_path / "line") as line, Subscriber(mosquitto.port, "timing/full/#") as subscriber, daemon:
        daemon.wait_for_recording()

        def cross(chips: range) -> None:
            for chip in chips:
                line.write(record_of(chip, chip))
            wait_until(lambda: len({chip_of(one.payload) for one in subscriber.on("/split")}) >= chips.stop, 20)

        cross(range(20))
        fill(ballast)
        wait_until(lambda: daemon.status()["parts"]["storage"]["word"] == "fail", what="the full disk to be said")
        cross(range(20, 60))
        wait_until(lambda: "memory" in daemon.status()["parts"]["journal"]["says"], 20, "the journal in memory")
        assert daemon.status()["recording"]
        ballast.unlink()
        wait_until(lambda: daemon.status()["parts"]["storage"]["word"] == "ok", 20, "the disk to be used again")
        cross(range(60, 80))
        daemon.wait_for_delivery()
        assert daemon.stop() == 0
        splits = [message(one.payload) for one in subscriber.on("/split")]

    epochs = {split["epoch"] for split in splits}
    assert len(epochs) == 2
    not_durable = {split["epoch"] for split in splits if split.get("durable") is False}
    assert len(not_durable) == 1
    for epoch in epochs:
        seqs = {split["seq"] for split in splits if split["epoch"] == epoch}
        assert len(seqs) == len({split["passing"] for split in splits if split["epoch"] == epoch})
    exported = subprocess.run(
        [COMMAND, "export", "passings", "--journal", str(small_disk / "journal.db"), "--format", "jsonl"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert {chip_of(row) for row in exported.stdout.splitlines()} == {f"{chip:012X}" for chip in range(80)}


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def chip_of(payload: bytes) -> str:
    chip: str = message(payload)["chip"]
    return chip
