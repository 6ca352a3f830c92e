"""`kill -9` of the daemon: process death only; the page cache survives it, so this proves nothing of a power cut."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.broker import Mosquitto, Subscriber
from tests.daemon import Daemon, Line, message
from tests.faults.road import (
    Road,
    chicago_at,
    chip_from_number,
    exported,
    mat_of,
    needs_chicago,
    sequenced_at,
    told_from_messages,
    used_twice,
)
from tests.tally import Tally
from tests.waiting import wait_until

KILLS = 200
CYCLE_S = 1.05  # about a start and a life, on two cores that others use too
LIVES_S = (0.05, 0.6)
INSTANT_S = 0.25  # before a kill: what was read then may not be committed yet


@needs_chicago
@pytest.mark.long
def test_kill_9_two_hundred_times_over_a_half_marathon_mat(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    """48,000 runners pass at some 70 times their pace; whoever is read while the daemon lives has one split."""
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    half = chicago_at("half")
    begins_s, ends_s = half[0][1], half[-1][1]
    pace = KILLS * CYCLE_S / (ends_s - begins_s)
    crossings = [(chip_from_number(runner), (at_s - begins_s) * pace) for runner, at_s in half]
    daemon = Daemon(tmp_path, mat_of("kills", tmp_path / "line", mosquitto.port, gate="dead_time_s = 6"))
    lives: list[tuple[float, float]] = []

    def live(for_s: float) -> None:
        daemon.start()
        daemon.wait_for_recording()
        begun_s = time.monotonic()
        wait_until(lambda: time.monotonic() >= begun_s + for_s, what="a random moment")
        lives.append((begun_s, time.monotonic()))
        daemon.kill()

    with (
        Subscriber(mosquitto.port, "timing/kills/#") as subscriber,
        Line(tmp_path / "line") as line,
        Road(line, crossings) as road,
    ):
        try:
            for _ in range(KILLS):
                live(dice.uniform(*LIVES_S))
            daemon.start()
            daemon.wait_for_recording()
            begun_s = time.monotonic()
            road.wait(KILLS * CYCLE_S)
            lives.append((begun_s, time.monotonic()))
            wait_until(lambda: daemon.status()["on_mat"]["count"] == 0, 20, "the mat to be empty")
            daemon.wait_for_delivery()
            assert daemon.stop() == 0
        finally:
            daemon.kill()
        received = sequenced_at(subscriber)
        heard = [message(one.payload) for one in subscriber.on("/heard")]
        said = road.said

    entries = exported(daemon.journal)
    kept = {(entry["epoch"], entry["seq"]): entry for entry in entries}
    told = told_from_messages(entry for entry in entries if entry["type"] == "split")

    # Whatever was told is in the journal as it was told, under numbers without a gap.
    assert used_twice(received + entries) == []
    assert {(one["epoch"], one["seq"]) for one in received} == set(kept)
    for epoch in {epoch for epoch, _ in kept}:
        seqs = sorted(seq for of, seq in kept if of == epoch)
        assert seqs == list(range(1, len(seqs) + 1))
    assert {one["passing"] for one in heard} <= set(told.chips)
    assert set(told.chips.values()) <= set(said)

    sure = {
        chip
        for chip, moments in said.items()
        if any(begun_s <= moments.first_s <= ended_s - INSTANT_S for begun_s, ended_s in lives)
    }
    unsure = told.lost(set(said) - sure)
    before_ms = max(
        (
            (ended_s - said[chip].last_s) * 1e3
            for chip in unsure
            for begun_s, ended_s in lives
            if begun_s <= said[chip].first_s and said[chip].last_s <= ended_s
        ),
        default=0.0,
    )
    print(f"{len(half)} runners, {len(said)} read, {len(sure)} of them surely; {len(unsure)} lost in the instant")
    print(f"the earliest of them was read {before_ms:.0f} ms before the kill; {len(lives)} lives")
    tally(
        "kill -9 of the daemon, Chicago's half-marathon mat",
        times=KILLS,
        passings=len(sure),
        lost=len(told.lost(sure)),
        doubled=len(told.doubled()),
        may_lose=f"who was read only in the last {INSTANT_S * 1e3:.0f} ms before a kill, or while it was down",
    )
