"""The second copy: what is whole in a file, where there is a stick, and what comes back of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.copying.files import AppendedFile
from reader.copying.lines import encode, reads_in
from reader.copying.reading import Copied
from reader.copying.sticks import NoPlace, place_for, usb_mounts
from reader.journal.view import KeptInputs
from reader.model import NS_PER_S, ChipRead, Instant, Reads


def line(number: int, key: str = "seq", text: str = "") -> bytes:
    return json.dumps({key: number, "text": text}).encode() + b"\n"


def reopen(path: Path, *, is_several: bool) -> tuple[int, bytes]:
    with AppendedFile(path, is_several=is_several) as file:
        return file.last, path.read_bytes()


def test_an_empty_file_has_nothing(tmp_path: Path) -> None:
    assert reopen(tmp_path / "folder" / "a.jsonl", is_several=False) == (0, b"")


@given(whole=st.integers(0, 30), torn=st.binary(max_size=40), size=st.integers(0, 9_000))
def test_a_torn_end_is_cut_off(tmp_path_factory: pytest.TempPathFactory, whole: int, torn: bytes, size: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "a.jsonl"
    lines = b"".join(line(number, text="x" * size) for number in range(1, whole + 1))
    path.write_bytes(lines + torn.replace(b"\n", b""))
    assert reopen(path, is_several=False) == (whole, lines)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 40_000))
def test_a_row_of_reads_that_may_not_be_whole_is_written_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int], size: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.reads.jsonl"
    of_row = [line(number, "n", "x" * size) * count for number, count in enumerate(rows, 1)]
    path.write_bytes(b"".join(of_row))
    assert reopen(path, is_several=True) == (len(rows) - 1, b"".join(of_row[:-1]))


def test_what_a_power_cut_left_of_zeros_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(1) + line(2) + bytes(5_000) + b"\n")
    assert reopen(path, is_several=False) == (2, line(1) + line(2))


MOUNTS = r"""
/dev/root / ext4 rw,noatime 0 0
/dev/sdb1 /media/RACE\040STICK vfat rw,nosuid 0 0
/dev/sda1 /media/a exfat rw,nosuid 0 0
/dev/sdc1 /media/locked vfat ro,nosuid 0 0
tmpfs /run tmpfs rw,nosuid 0 0
""".strip()


def test_a_stick_is_a_usb_disk_that_may_be_written() -> None:
    assert usb_mounts(MOUNTS, lambda device: device.startswith("/dev/sd")) == [
        Path("/media/RACE STICK"),
        Path("/media/a"),
    ]
    assert usb_mounts(MOUNTS, lambda device: device == "/dev/sda1") == [Path("/media/a")]


def test_a_folder_on_the_journals_own_disk_is_no_second_copy(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir()
    with pytest.raises(NoPlace, match="own disk"):
        place_for(str(tmp_path / "stick"), tmp_path / "journal.db")
    with pytest.raises(NoPlace, match="no such folder"):
        place_for(str(tmp_path / "pulled"), tmp_path / "journal.db")


def test_reads_that_were_given_together_are_not_one(tmp_path: Path) -> None:
    at = Instant(1_700_000_000 * NS_PER_S, 90 * NS_PER_S)
    reads = [
        Reads("north", at, 0, [ChipRead(chip, 1, -50, None, None, 0)], [at.mono_ns - ago_ns], "disciplined", 50)
        for ago_ns, chip in enumerate(("A1", "A1", "B2"))
    ]
    copied = [
        b"".join(encode(read) + b"\n" for read in reads_in(KeptInputs(n, "boot", True, [*reads]), {})) for n in (3, 9)
    ]
    for name, lines in zip(("one", "again, of another file"), copied, strict=True):
        (tmp_path / f"{name}.reads.jsonl").write_bytes(lines)
    assert [read.chip for read in Copied(tmp_path).reads()] == ["A1", "A1", "B2"]


def test_read_back_nothing_comes_twice_and_what_is_torn_is_counted(tmp_path: Path) -> None:
    entry = {"type": "split", "epoch": "e", "seq": 1}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "e.jsonl").write_text(json.dumps(entry) + "\n" + json.dumps(entry | {"seq": 2}) + "\n")
    (tmp_path / "e.jsonl").write_text(json.dumps(entry) + '\n{"type": "sp')
    copied = Copied(tmp_path)
    assert [one["seq"] for one in copied.entries()] == [1, 2]
    assert copied.torn == 1
