"""What each pick rule costs a read, in the gate alone, against a plain loop that keeps first and last by chip.

The loop knows no rules: no dead time, no repeats, nothing told; it is what any program must do with the same reads.
Both are given the same chunks, in turn, in CPU of this process; the gate as the recorder has it: hear, advance, take.
"""

from __future__ import annotations

import gc
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from reader.gate import Gate
from reader.model import NS_PER_S, ChipRead, Instant, Pick, Reads
from reader.passing import Rules
from tests.benchmarks.mat import READS
from tests.benchmarks.rows import Row

CROSSINGS = 83_334  # a million reads
READS_A_SECOND = 300  # 25 chips are over the mat at once, their reads mixed
CHUNK_READS = 8
READ_EVERY_NS = 80_000_000
NEAR_DBM, FAR_DBM = -45, -75
BEGAN = Instant(1_772_884_800 * NS_PER_S, 1_000 * NS_PER_S)
PICKS: tuple[Pick, ...] = ("first", "best", "last")


def rows(runs: int) -> list[Row]:
    """Each rule with signal strengths and no reader time, as from UHF modules; and ``best`` with IPICO's reads."""
    found = _measured(runs, feed(is_ipico=False), PICKS, "with signal strengths")
    return [*found, *_measured(runs, feed(is_ipico=True), ("best",), "IPICO: a time, no signal")]


def _measured(runs: int, chunks: Sequence[Reads], picks: Sequence[Pick], kind: str) -> list[Row]:
    ours: dict[Pick, list[float]] = {pick: [] for pick in picks}
    plain: list[float] = []
    gc.collect()
    gc.freeze()  # the feed is not the gate's to be looked through
    for _ in range(runs):
        for pick in picks:
            ours[pick].append(_us_a_read(lambda pick=pick: through_gate(chunks, pick)))  # type: ignore[misc]
        plain.append(_us_a_read(lambda: through_dict(chunks)))
    gc.unfreeze()
    return [
        {
            "what": f"gate, pick {pick}, {kind}: µs a read",
            "ours": statistics.median(ours[pick]),
            "yardstick": statistics.median(plain),
            "against": "a dict of first and last by chip",
        }
        for pick in picks
    ]


def feed(*, is_ipico: bool) -> list[Reads]:
    """Crossings one after the other, each heard twelve times, louder towards its middle; in chunks as a port has them.

    IPICO's reads bear the reader's time and no signal strength; the others the reverse.
    """
    noise = random.Random(1)
    every_ns = NS_PER_S * READS // READS_A_SECOND
    reads: list[tuple[int, ChipRead]] = []
    for crossing in range(CROSSINGS):
        chip = f"{crossing:012X}"
        began_ns = crossing * every_ns
        for nth in range(READS):
            t_ns = began_ns + nth * READ_EVERY_NS + noise.randrange(READ_EVERY_NS // 2)
            away = abs(nth - (READS - 1) / 2) / (READS / 2)
            rssi_dbm = round(NEAR_DBM + (FAR_DBM - NEAR_DBM) * away + noise.gauss(0, 3))
            if is_ipico:
                read = ChipRead(chip, None, None, BEGAN.utc_ns + t_ns // 10_000_000 * 10_000_000, None, 38)
            else:
                read = ChipRead(chip, 1 + crossing % 4, rssi_dbm, None, None, 24)
            reads.append((t_ns, read))
    reads.sort(key=lambda timed: timed[0])
    return [_chunk(reads[begin : begin + CHUNK_READS]) for begin in range(0, len(reads), CHUNK_READS)]


def _chunk(timed: Sequence[tuple[int, ChipRead]]) -> Reads:
    at_ns = timed[-1][0]
    at = Instant(BEGAN.utc_ns + at_ns, BEGAN.mono_ns + at_ns)
    return Reads("main", at, 0, [read for _, read in timed], [BEGAN.mono_ns + t_ns for t_ns, _ in timed])


def through_gate(chunks: Sequence[Reads], pick: Pick) -> int:
    """How many reads it took."""
    ids: Iterator[int] = itertools.count(1)
    rules = Rules(pick, "finish", 850_000_000, 20 * NS_PER_S, 8 * NS_PER_S, "host")
    gate = Gate("main", rules, lambda: f"bench-{next(ids)}")
    told = 0
    for given in chunks:
        host_ns = given.at.mono_ns
        gate.hear(given, host_ns)
        told += len(gate.take())
        gate.advance(host_ns)
        told += len(gate.take())
    assert told >= 2 * (CROSSINGS - 100), told  # opened and told each, but for those still on the mat
    assert not gate.counts["repeats"]
    return gate.counts["reads"]


def through_dict(chunks: Sequence[Reads]) -> int:
    """How many reads it took."""
    passings: dict[str, list[int]] = {}
    count = 0
    for given in chunks:
        for read, t_ns in zip(given.reads, given.times, strict=True):
            times = passings.get(read.chip)
            if times is None:
                passings[read.chip] = [t_ns, t_ns]
            else:
                times[1] = t_ns
        count += len(given.reads)
    assert len(passings) == CROSSINGS
    return count


def _us_a_read(work: Callable[[], int]) -> float:
    gc.collect()
    began_s = time.process_time()
    count = work()
    return (time.process_time() - began_s) / count * 1e6
