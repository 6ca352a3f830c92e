"""`timing-mat regate`: reads through the gate again, as the command is typed."""

from __future__ import annotations

import json
import random
import subprocess
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from reader.lines import LinesSettings
from tests.daemon import COMMAND
from tests.fakes.clock import UTC_NS, FakeClock
from tests.mat.measure import bias
from tests.mat.model import Crossing, Mat, Wear
from tests.run import RULES, Run, told

MS = 1_000_000


def regate(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "regate", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60, check=False
    )


def splits_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def race(run: Run, rng: random.Random, crossings: int) -> None:
    """Chips that cross, come back, stay, and are heard late."""
    for _ in range(crossings):
        chip = f"{rng.randrange(40):04X}"
        error_us = rng.choice((None, None, 3_300))  # of a reader whose own clock is disciplined
        for _ in range(rng.randint(1, 6)):
            run.hear((chip, rng.randint(-70, -45)), ago_s=rng.choice((0, 0, 0, 1.5)), error_us=error_us)
            run.wait(rng.choice((0.05, 0.3, 1.0, 4.0)))
        run.wait(rng.choice((0.1, 5, 30)))


@pytest.mark.parametrize("pick", ["best", "first", "last"])
def test_by_the_runs_own_rules_it_gives_what_was_told(pick: str, tmp_path: Path) -> None:
    """Through a restart, and through a clock put right."""
    settings = LinesSettings({"north": "main"}, {"main": replace(RULES, pick=pick)})
    rng, clock = random.Random(4), FakeClock(synced=False)
    run = Run(tmp_path / "j.db", clock, settings)
    run.begin_hearing()
    race(run, rng, 60)
    path = run.die()
    clock.go(3)
    run = Run(path, clock, settings)
    run.begin_hearing()
    clock.step(3600)
    clock.synced, clock.error_ms = True, 2.5
    race(run, rng, 60)
    for _ in range(20):
        run.take()
    clock.synced = False
    run.wait(1)  # seen
    race(run, rng, 5)
    run.hear(("FFFF", -50))  # not told yet: its passing is open
    run.end()
    highest = told(path).last_revisions()
    assert len(highest) > 60
    assert {split.revised_for for split in told(path).splits} >= {"clock"}
    found = splits_of(regate(path))
    assert {split["passing"] for split in found} == set(highest)
    assert {split["clock"]["error_ms"] for split in found} == {None, 2.5, 5.8}
    for split in found:
        was = highest[split["passing"]]
        for name in ("rev", "time", "first", "best", "last", "reads", "nth", "chip", "lingering", "left", "loiter"):
            assert split[name] == getattr(was, name), (split["passing"], name)
        for name in ("time_from", "spread_ms", "reader_error_ms", "time_error_ms"):
            assert split[name] == getattr(was, name), (split["passing"], name)
        assert split["clock"] == msgspec.to_builtins(was.clock)
        assert (split["time_error_ms"] is None) is (was.clock.error_ms is None)
        assert split["epoch"] == split["passing"].rpartition("-")[0]


def test_by_another_rule_it_gives_other_splits_under_names_of_their_own(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.error_ms = 30.0
    run = Run(tmp_path / "j.db", clock)
    run.begin_hearing()
    for _ in range(3):
        run.hear(("A1", -60))
        run.wait(10)
    run.end()
    [own] = splits_of(regate(tmp_path / "j.db"))
    assert own["lingering"]
    assert own["time_error_ms"] > own["spread_ms"]
    others = splits_of(regate(tmp_path / "j.db", "--dead-time-s", "5", "--pick", "first"))
    assert [(split["passing"], split["nth"], split["pick"]) for split in others] == [
        ("regate-1", 1, "first"),
        ("regate-2", 2, "first"),
        ("regate-3", 3, "first"),
    ]
    # What clock they had is not known: the error is that of the reads alone.
    assert all(split["time_error_ms"] == split["spread_ms"] > 0 for split in others)
    assert {split["clock"]["error_ms"] for split in others} == {None}


def line(chip: str, t_ms: int, rssi_dbm: int | None = -60, **more: int) -> str:
    return json.dumps({"chip": chip, "utc_ns": UTC_NS + t_ms * MS, "antenna": 1, "rssi_dbm": rssi_dbm, **more}) + "\n"


def test_lines_of_json_are_gated_too() -> None:
    text = line("a1", 0, -60) + line("A1", 100, -50) + line("A1", 300, -50) + line("B2", 300) + line("A1", 30_000)
    found = splits_of(regate("-", text=text))
    assert [(split["chip"], split["reads"], split["nth"]) for split in found] == [
        ("A1", 3, 1),
        ("B2", 1, 1),
        ("A1", 1, 2),
    ]
    # Two of weight 1 at 100 and 300 ms, one of a tenth at 0: 400 / 2.1.
    assert found[0]["best"] == "2023-11-14T22:13:20.190476Z"
    assert found[0]["first"] == "2023-11-14T22:13:20.000000Z"
    assert all(split["time_error_ms"] == split["spread_ms"] > 0 for split in found)


def test_a_read_that_arrived_late_keeps_its_time() -> None:
    text = line("A1", 5_000) + line("B2", 4_000, at_ns=UTC_NS + 9_000 * MS) + line("B2", 4_200)
    found = splits_of(regate("-", "--pick", "first", text=text))
    assert [(split["chip"], split["time"][17:]) for split in found] == [("A1", "25.000000Z"), ("B2", "24.000000Z")]


def test_a_disciplined_clock_may_put_a_read_a_little_behind_its_arrival() -> None:
    text = line("A1", 1_003, at_ns=UTC_NS + 1_000 * MS) + line("A1", 1_050, at_ns=UTC_NS + 1_052 * MS)
    [split] = splits_of(regate("-", "--pick", "last", text=text))
    assert (split["first"][17:], split["last"][17:]) == ("21.003000Z", "21.050000Z")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("{}", "line 2: Object missing required field `chip`"),
        ("no", "line 2: "),
        ('{"chip": "XY", "utc_ns": 1}', "line 2: Expected `str` matching regex"),
        (
            line("B2", 9, at_ns=UTC_NS - 1).strip(),
            f"line 2: found at_ns {UTC_NS - 1}, expected none before the line above",
        ),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_written(wrong: str, says: str, tmp_path: Path) -> None:
    done = regate("-", "--out", tmp_path / "out", text=line("A1", 0) + wrong + "\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_only_one_chip_and_into_a_file(tmp_path: Path) -> None:
    done = regate("-", "--chip", "b2", "--out", tmp_path / "out", text=line("A1", 0) + line("B2", 10))
    assert done.stdout == f"1 split written to {tmp_path / 'out'}\n"
    assert json.loads((tmp_path / "out").read_text())["chip"] == "B2"


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    assert regate(tmp_path / "nothing.db").returncode == 1
    assert "found a folder, expected one file" in regate(tmp_path).stderr
    assert regate("-", "--dead-time-s", "0").returncode == 2


# ---- the model of a mat, through the whole command -------------------------------------------------------------


@pytest.mark.parametrize("wear", ["bib", "shoe"])
def test_of_a_field_the_error_told_holds_nineteen_times_in_twenty(wear: Wear, tmp_path: Path) -> None:
    """The constant bias of the mat taken off; 300 crossings leave some room for chance."""
    dice, crossings, begin_ms, lines = random.Random(f"7 {wear}"), 300, 10_000, list[tuple[float, str]]()
    for n in range(crossings):
        for read in Crossing(Mat(), wear, dice).reads(dice):
            t_ms = round(begin_ms * n + read.t_s * 1000)
            more = {"chip": f"{n:04X}", "antenna": read.antenna, "rssi_dbm": read.rssi_dbm}
            lines.append((t_ms, json.dumps({"utc_ns": UTC_NS + t_ms * MS} | more)))
    (tmp_path / "reads.jsonl").write_text("\n".join(text for _, text in sorted(lines)))
    begin_s = UTC_NS / 1e9
    late_ms: list[float] = []
    claimed_ms: list[float] = []
    for split in splits_of(regate(tmp_path / "reads.jsonl")):
        if split["nth"] == 1:
            over_s = begin_s + begin_ms / 1000 * int(split["chip"], 16)
            late_ms.append((datetime.fromisoformat(split["time"]).timestamp() - over_s) * 1000)
            claimed_ms.append(split["time_error_ms"])
    assert len(late_ms) > 0.97 * crossings
    held = fmean(abs(late - bias(late_ms)) <= claimed for late, claimed in zip(late_ms, claimed_ms, strict=True))
    assert 0.90 <= held <= 0.99
    # And it claims no less than it knows: half of it would not hold.
    assert (
        fmean(abs(late - bias(late_ms)) <= claimed / 2 for late, claimed in zip(late_ms, claimed_ms, strict=True)) < 0.9
    )
