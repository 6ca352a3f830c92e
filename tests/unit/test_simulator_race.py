"""Races, made and read, and the reads of their crossings."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from reader.errors import UsageError
from reader.model import NS_PER_S
from reader.simulator.faults import FAULTS, READER_FAULTS, Fault, Spoiling, fault_from_text, garbling
from reader.simulator.ipico import chip_from_number, chip_from_text
from reader.simulator.race import Crossing, made_race, race_from_file
from reader.simulator.signal import ANSWER_GAP_NS, Mat, Told, reads_in_order, reads_of

DAY = date(2023, 10, 8)
MIDNIGHT_NS = int(datetime(2023, 10, 8, tzinfo=UTC).timestamp()) * NS_PER_S
CHICAGO = Path(__file__).parents[2].parent / "shared" / "data" / "chicago-2023-crossings.csv.gz"


def race_of(path: Path, text: str, *, spread: bool = True, seed: int = 1) -> list[Crossing]:
    path.write_text(text)
    return race_from_file(path, "finish", DAY, chip_from_number, chip_from_text, seed, spread=spread)


def test_a_made_race_is_in_order_whole_and_the_same_for_a_seed() -> None:
    race = list(made_race(2000, 600, MIDNIGHT_NS, chip_from_number, 7))
    assert race == list(made_race(2000, 600, MIDNIGHT_NS, chip_from_number, 7))
    assert race != list(made_race(2000, 600, MIDNIGHT_NS, chip_from_number, 8))
    assert len({crossing.chip for crossing in race}) == 2000
    assert [crossing.at_ns for crossing in race] == sorted(crossing.at_ns for crossing in race)
    assert race[0].at_ns >= MIDNIGHT_NS
    assert race[-1].at_ns <= MIDNIGHT_NS + 600 * NS_PER_S


def test_a_made_race_has_pairs_hand_in_hand_walkers_and_wheelchairs() -> None:
    race = list(made_race(20_000, 3600, MIDNIGHT_NS, chip_from_number, 7))
    at_once = Counter(crossing.at_ns for crossing in race)
    assert 0.04 < sum(n for n in at_once.values() if n > 1) / len(race) < 0.06
    speeds = [crossing.speed_m_s for crossing in race]
    assert 1.2 <= min(speeds) < 1.3
    assert 8.5 < max(speeds) <= 9.0


def test_a_made_race_is_shaped_like_a_marathon_s_finish() -> None:
    race = list(made_race(20_000, 1000, 0, chip_from_number, 7))
    median_s = race[10_000].at_ns / NS_PER_S
    assert 400 < median_s < 430


def test_the_chicago_finish_is_read_whole() -> None:
    if not CHICAGO.exists():
        pytest.skip(f"the published results are not beside this checkout: {CHICAGO}")
    race = race_from_file(CHICAGO, "finish", DAY, chip_from_number, chip_from_text, 1)
    assert len(race) == 48_000
    assert race[0].at_ns // NS_PER_S == MIDNIGHT_NS // NS_PER_S + 34_237
    assert [crossing.at_ns for crossing in race] == sorted(crossing.at_ns for crossing in race)


def test_whole_seconds_are_spread_within_their_second_and_finer_times_kept(tmp_path: Path) -> None:
    race = race_of(tmp_path / "r.csv", "bib,finish\n1,100\n2,100\n3,\n4,100.25\n")
    assert sorted(crossing.chip for crossing in race) == ["058000000001", "058000000002", "058000000004"]
    assert {crossing.at_ns // NS_PER_S for crossing in race} == {MIDNIGHT_NS // NS_PER_S + 100}
    assert len({crossing.at_ns for crossing in race}) == 3
    assert MIDNIGHT_NS + 100_250_000_000 in {crossing.at_ns for crossing in race}
    kept = race_of(tmp_path / "r.csv", "bib,finish\n1,100\n2,100\n", spread=False)
    assert [crossing.at_ns for crossing in kept] == [MIDNIGHT_NS + 100 * NS_PER_S] * 2


def test_dates_and_chip_codes_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "r.csv.gz"
    text = "chip,finish\n058000123b32,2023-10-08T10:57:06.5-05:00\n058000123B33,2023-10-08T15:57:06.25Z\n"
    path.write_bytes(gzip.compress(text.encode()))
    race = race_from_file(path, "finish", DAY, chip_from_number, chip_from_text, 1)
    noon_ns = MIDNIGHT_NS + (15 * 3600 + 57 * 60 + 6) * NS_PER_S
    assert [(c.chip, c.at_ns - noon_ns) for c in race] == [
        ("058000123B33", 250_000_000),
        ("058000123B32", 500_000_000),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bib,half\n1,5\n", "no column 'finish'; it has: bib, half"),
        ("name,finish\nA,5\n", "expected a column 'chip', 'runner' or 'bib'"),
        ("bib,finish\n1,5\n2,soon\n", "line 3, column 'finish': 'soon' is not a time"),
        ("bib,finish\n1,-5\n", "line 2, column 'finish': '-5'"),
        ("bib,finish\n1,NaN\n", "line 2, column 'finish': 'NaN'"),
        ("bib,finish\nA7,5\n", "line 2, column 'bib': 'A7'"),
        ("chip,finish\n0580,5\n", "line 2, column 'chip': '0580': expected twelve hex digits"),
        ("bib,finish\n1,5,6\n", "line 2: 3 columns; expected 2"),
        ("bib,finish\n1,\n", "column 'finish' has no times"),
        ("", "no column 'finish'; it has: nothing"),
    ],
)
def test_a_bad_file_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        race_of(tmp_path / "bad.csv", text)
    assert says in str(refused.value)
    assert "bad.csv" in str(refused.value)


@pytest.mark.parametrize("name", ["missing.csv", "broken.csv.gz"])
def test_a_file_that_can_t_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(b"bib,finish\n1,5\n")[:-10])
    with pytest.raises(UsageError, match=f"{name} can't be read"):
        race_from_file(tmp_path / name, "finish", DAY, chip_from_number, chip_from_text, 1)


@pytest.mark.parametrize(("speed_m_s", "heard_s"), [(1.2, 1.66), (9.0, 0.22), (0.1, 3.0)])
def test_reads_rise_and_fall_over_the_way_through_the_lobe(speed_m_s: float, heard_s: float) -> None:
    crossing = Crossing("058000000001", MIDNIGHT_NS, speed_m_s)
    reads = list(reads_of(Told(crossing), Mat(), random.Random(3)))
    assert len(reads) == 12
    assert 0.8 * heard_s < (reads[-1].at_ns - reads[0].at_ns) / NS_PER_S < heard_s
    strongest = max(reads, key=lambda read: read.rssi_dbm)
    assert abs(strongest.at_ns - crossing.at_ns) / NS_PER_S < heard_s / 4
    assert strongest.rssi_dbm - max(reads[0].rssi_dbm, reads[-1].rssi_dbm) >= 6
    assert all(-75 <= read.rssi_dbm <= -45 for read in reads)


def test_a_chip_answers_at_most_once_in_ten_milliseconds() -> None:
    crossing = Crossing("058000000001", MIDNIGHT_NS, 9.0)
    times = [read.at_ns for read in reads_of(Told(crossing), Mat(reads=58), random.Random(3))]
    assert len(times) == 22
    assert all(later - earlier >= ANSWER_GAP_NS for earlier, later in pairwise(times))


def test_reads_of_all_crossings_come_in_order_and_none_is_missing() -> None:
    race = [Told(crossing) for crossing in made_race(500, 30, MIDNIGHT_NS, chip_from_number, 7)]
    said = list(reads_in_order(race, Mat(antennas=4), random.Random(3)))
    assert len(said) == 6000
    assert [at for at, _ in said] == sorted(at for at, _ in said)
    assert all(at == read.at_ns for at, read in said)
    assert {read.antenna for _, read in said} == {1, 2, 3, 4}


def test_late_and_repeated_reads_are_still_said_in_order_of_saying() -> None:
    race = [Told(crossing) for crossing in made_race(200, 30, MIDNIGHT_NS, chip_from_number, 7)]
    said = list(reads_in_order(race, Mat(disorder_s=2.0, repeats=0.1), random.Random(3)))
    assert [at for at, _ in said] == sorted(at for at, _ in said)
    assert len({id(read) for _, read in said}) == 2400
    assert 2400 * 1.05 < len(said) < 2400 * 1.15
    assert sum(told.still_to_say for told in race) == len(said)
    first = [read.at_ns for _, read in said]
    assert first != sorted(first)


def test_faults_are_named_with_their_second() -> None:
    assert (fault_from_text("unplug@30").name, fault_from_text("unplug@30").at_s) == ("unplug", 30.0)
    assert fault_from_text("garbage").at_s == 0
    assert fault_from_text("bad-cable=2@5", antennas=2) == Fault("bad-cable", 5.0, 2)
    assert fault_from_text("antenna-off").antenna == 1
    for text in ("flood", "unplug@soon", "unplug@-1", "unplug@nan"):
        with pytest.raises(UsageError) as refused:
            fault_from_text(text)
        assert all(name in str(refused.value) for name in FAULTS)


@pytest.mark.parametrize("text", ["bad-cable=3", "bad-cable=0", "deaf=x", "antenna-off=@3", "hot=1", "unplug=2@4"])
def test_an_antenna_that_there_is_not_and_a_fault_of_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--fault {text}: "):
        fault_from_text(text, antennas=2)


def test_faults_that_a_reader_can_t_have_are_refused_with_those_it_can() -> None:
    assert fault_from_text("hot@3").name == "hot"
    assert fault_from_text("reboot", {"reboot"}).name == "reboot"
    with pytest.raises(UsageError) as refused:
        fault_from_text("hot@3", {"reboot", "antenna-off"})
    listed = {line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:]}
    assert listed == {*FAULTS, "reboot", "antenna-off"}
    assert "hot" in READER_FAULTS


def test_spoiling_changes_about_as_much_as_it_says_and_no_line_end() -> None:
    frame = bytes(range(0x30, 0x54)) + b"\r\n"
    for kind, share in (("bad-checksum", 0.01), ("half-frame", 0.01), ("bad-bytes", 1 - 0.99**36)):
        spoiling = Spoiling(random.Random(4))
        assert spoiling.read(frame) == frame
        spoiling.begin(kind)
        said = [spoiling.read(frame) for _ in range(5000)]
        spoilt = [one for one in said if one != frame]
        assert 0.7 * share < len(spoilt) / len(said) < 1.3 * share
        is_whole = kind != "half-frame"
        assert all((len(one) == 38 and one.endswith(b"\r\n")) is is_whole for one in spoilt)
    assert spoiling.read(b"") == b""


def test_garbling_is_the_same_for_a_seed_and_leaves_hardly_a_byte() -> None:
    every = bytes(range(256))
    garbled = every.translate(garbling(1))
    assert garbled == every.translate(garbling(1)) != every.translate(garbling(2))
    assert sum(a == b for a, b in zip(every, garbled, strict=True)) < 8
