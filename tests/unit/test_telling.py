"""How a passing becomes the body of a split: what is claimed of its time."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from reader.messages import Split
from reader.model import ClockQuality, Identity
from reader.passing import Rules, TimeFrom, Told
from reader.telling import Teller, by_clock, host_clock

S = 1_000_000_000
MS = 1_000_000
GOOD = ClockQuality(synced=True, source="ntp", error_ms=0.0114)
UNKNOWN = ClockQuality(synced=False, source="unset", error_ms=None)
TOLD = Told(
    passing="e-1",
    rev=1,
    revised_for=None,
    chip="A1",
    utc_ns=1_700_000_000 * S,
    mono_ns=100 * S,
    first_ns=1_700_000_000 * S,
    best_ns=1_700_000_000 * S,
    last_ns=1_700_000_000 * S,
    nth=1,
    reads=9,
    rssi_dbm=-55,
    line="main",
    reader="north",
    antenna=1,
    lingering=False,
    left=False,
    loiter=False,
    after_restart=False,
    time_from="host",
    half_width_ns=30 * MS + 499,
    error_ns=0,
)


def split_of(clock: ClockQuality, time_from: TimeFrom = "host", error_ns: int = 0) -> Split:
    rules = Rules("best", "finish", S, 20 * S, 8 * S, "reader" if time_from == "reader" else "host")
    teller = Teller(Identity("race", "finish", "mat", "box"), "main", "boot", {"main": rules}, None)
    return teller.split(replace(TOLD, time_from=time_from, error_ns=error_ns), clock)


def claims(split: Split) -> tuple[float | None, float | None, float | None, float | None]:
    return split.time_error_ms, split.spread_ms, split.clock.error_ms, split.reader_error_ms


def test_the_error_is_that_of_the_reads_and_that_of_the_clock() -> None:
    assert claims(split_of(replace(GOOD, error_ms=40.0))) == (50.0, 30.0, 40.0, 0.0)
    assert claims(split_of(GOOD)) == (30.0, 30.0, 0.0114, 0.0)


def test_the_readers_clock_adds_to_the_hosts_and_is_named_beside_it() -> None:
    split = split_of(replace(GOOD, error_ms=38.5), "disciplined", 1_500_400)
    assert claims(split) == (50.0, 30.0, 40.0, 1.5)
    assert split.clock.synced


@pytest.mark.parametrize("time_from", ["host", "disciplined"])
def test_while_the_clock_is_not_known_neither_is_the_error(time_from: TimeFrom) -> None:
    split = split_of(UNKNOWN, time_from, 2 * MS)
    assert (split.time_error_ms, split.spread_ms, split.clock) == (None, 30.0, UNKNOWN)


def test_of_a_readers_clock_as_it_is_nobody_knows_how_good_it_is() -> None:
    split = split_of(GOOD, "reader", 2 * MS)
    assert claims(split) == (None, 30.0, GOOD.error_ms, None)
    assert split.clock == GOOD


@pytest.mark.parametrize("time_from", ["host", "disciplined", "reader"])
def test_told_again_by_another_clock_it_is_as_if_told_by_that_at_first(time_from: TimeFrom) -> None:
    error_ns = 0 if time_from == "host" else 7 * MS
    for was in (UNKNOWN, GOOD, replace(GOOD, error_ms=250.25)):
        again = by_clock(split_of(was, time_from, error_ns), GOOD)
        assert again == split_of(GOOD, time_from, error_ns)


def test_what_the_host_alone_claimed_is_had_from_the_sum() -> None:
    split = split_of(replace(GOOD, error_ms=2.25), "disciplined", 500 * MS)
    assert split.clock.error_ms == 502.25
    host = host_clock(split.clock, split.reader_error_ms)
    assert host.error_ms is not None
    assert math.isclose(host.error_ms, 2.25, abs_tol=1e-9)
    assert host_clock(UNKNOWN, 5.0) == UNKNOWN
    assert host_clock(GOOD, None) == GOOD
