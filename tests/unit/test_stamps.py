"""When each read of a chunk came, held against a wire whose bytes leave one after the other."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.line.port import set_latency_timer
from reader.line.stamps import stamps
from reader.model import ChipRead, Event, Reason, Rejected, Reply

BAUD = 10_000  # a byte a millisecond
MS = 1_000_000


def read(size: int) -> ChipRead:
    return ChipRead("A1", None, None, None, None, size)


def test_what_came_before_other_bytes_came_earlier_by_them() -> None:
    events: list[Event] = [read(40), Reply("keep_alive", {}, 10), read(20), Rejected(Reason.GARBAGE, b"xx")]
    assert stamps(events, 5, 1_000 * MS, 0, BAUD) == [(1_000 - 5 - 2 - 20 - 10) * MS, (1_000 - 5 - 2) * MS]


def test_never_before_the_chunk_before() -> None:
    assert stamps([read(40), read(40)], 0, 1_000 * MS, 980 * MS, BAUD) == [980 * MS, 1_000 * MS]


@given(st.lists(st.integers(8, 60), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_a_stamp_is_the_moment_at_which_the_last_byte_left_the_wire(sizes: list[int], rng: random.Random) -> None:
    """Bytes leave without a pause, chunks are cut anywhere, and handed over as soon as their last byte is there."""
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    cuts = sorted({rng.randint(1, ends[-1]) for _ in range(rng.randint(0, 20))} | {ends[-1]})
    found: list[int] = []
    previous = done = 0
    for cut in cuts:
        complete = [size for size, end in zip(sizes, ends, strict=True) if done < end <= cut]
        pending = cut - max((end for end in ends if end <= cut), default=0)
        found += stamps([read(size) for size in complete], pending, cut * MS, previous * MS, BAUD)
        previous = done = cut
    assert found == [end * MS for end in ends]
    assert all(one <= other for one, other in pairwise(found))


def test_an_adapters_timer_is_set_where_there_is_one(tmp_path: Path) -> None:
    timer = tmp_path / "ttyUSB7" / "device" / "latency_timer"
    timer.parent.mkdir(parents=True)
    timer.write_text("16\n")
    set_latency_timer("/dev/ttyUSB7", tmp_path)
    assert timer.read_text() == "1"
    set_latency_timer("/dev/ttyAMA0", tmp_path)
    assert not (tmp_path / "ttyAMA0").exists()


@pytest.mark.parametrize("baud", [9600, 921_600])
def test_the_speed_of_the_line_counts(baud: int) -> None:
    [first, last] = stamps([read(38), read(38)], 0, 10**12, 0, baud)
    assert last - first == 38 * 10 * 10**9 // baud
