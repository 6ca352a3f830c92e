"""`timing-mat export`: what a spreadsheet gets of the journal."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

from reader.model import ChipRead, Reads
from tests.daemon import COMMAND
from tests.fakes.clock import FakeClock
from tests.run import Run

MS = 1_000_000


def rows(path: Path, what: str) -> list[dict[str, str]]:
    done = subprocess.run(
        [COMMAND, "export", what, "--journal", path], capture_output=True, text=True, timeout=60, check=True
    )
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_a_split_bears_how_good_its_clock_was_and_what_it_was_revised_for(tmp_path: Path) -> None:
    clock = FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    run.hear(("A1", -50))
    run.wait(10)
    [before] = rows(tmp_path / "j.db", "passings")
    assert [before[f"clock_{name}"] for name in ("synced", "source", "error_ms")] == ["False", "unset", ""]
    clock.synced = True
    clock.error_ms = 2.5
    for _ in range(5):
        run.wait(31)
    [after] = rows(tmp_path / "j.db", "passings")
    assert [after[f"clock_{name}"] for name in ("synced", "source", "error_ms")] == ["True", "ntp", "2.5"]
    assert (after["rev"], after["revised_for"]) == ("2", "clock")
    run.end()


def test_a_read_bears_its_own_time_and_whose_it_is(tmp_path: Path) -> None:
    clock = FakeClock()
    run = Run(tmp_path / "j.db", clock)
    at = clock.now()
    reads = [ChipRead("A1", None, None, None, None, 38), ChipRead("B2", None, None, None, None, 38)]
    run.take(Reads("north", at, 0, reads, [at.mono_ns - 40 * MS, at.mono_ns], "disciplined", 5_000))
    run.take(Reads("north", at, 0, reads[:1]))
    run.end()
    found = [
        (row["chip"], row["utc"][17:], row["time_from"], row["error_us"]) for row in rows(tmp_path / "j.db", "reads")
    ]
    assert found == [
        ("A1", "19.960000Z", "disciplined", "5000"),
        ("B2", "20.000000Z", "disciplined", "5000"),
        ("A1", "20.000000Z", "host", "0"),
    ]
