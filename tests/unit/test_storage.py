"""The disk under the journal, in a word."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from reader.box.storage import look_at_storage


@pytest.mark.parametrize(("full_pct", "word"), [(10, "ok"), (79, "ok"), (80, "warn"), (96, "warn"), (98, "fail")])
def test_eighty_per_cent_full_is_a_warning(
    full_pct: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(f_blocks=1000, f_bavail=1000 - 10 * full_pct, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    part = look_at_storage(tmp_path / "journal.db", "")
    assert part.word == word
    assert f"{full_pct}% full" in part.says


def test_what_the_disk_refused_is_said_first(tmp_path: Path) -> None:
    part = look_at_storage(tmp_path / "journal.db", "it is read-only")
    assert (part.word, part.says) == ("fail", "it is read-only")


def test_a_disk_that_does_not_answer_is_said_and_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "statvfs")
    part = look_at_storage(tmp_path / "journal.db", "", waits_ns=7_900_000_000)
    assert part.word == "fail"
    assert "has not answered for 7 s: what is heard waits in memory" in part.says


def test_a_log_that_lives_on_the_ballast_is_a_failure_however_large_the_disk(tmp_path: Path) -> None:
    part = look_at_storage(tmp_path / "journal.db", "", is_on_ballast=True)
    assert part.word == "fail"
    assert part.says.endswith("it ran full, and the log uses its last reserve; free some now")
