"""The reader's line goes away in the middle of a frame and comes back, a hundred times."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.broker import Mosquitto
from tests.faults.road import Mat, read_of, splits_at, told_from_messages
from tests.tally import Tally
from tests.waiting import wait_until

PULLS = 100


@pytest.mark.long
def test_a_line_pulled_out_in_the_middle_of_a_frame(tmp_path: Path, mosquitto: Mosquitto, tally: Tally) -> None:
    """Whole frames count, each chip once though it is read before and after; half ones make no chip."""
    dice = random.Random(5)
    with Mat(tmp_path, "serial", mosquitto) as mat:
        for _ in range(PULLS):
            mat.cross(2)
            mat.wait_until_heard()  # what the kernel still has when the line goes is gone with it
            chip = next(reversed(mat.made))
            frame = read_of("FFFFFFFFFFFF")
            cut = dice.randrange(1, len(frame) - 2)  # without its end, CR LF, a whole frame would be whole
            mat.line.write(frame[:cut])
            mat.line.unplug()
            mat.line.plug_in()
            wait_until(lambda: mat.line.is_open, what="the line to be opened again")
            # pyserial throws away what waits in a line that it opens: a runner of that instant is not heard.
            mat.daemon.wait_for_recording()
            mat.line.write(frame[cut:] + read_of(chip))
        mat.wait_until_told()
        mat.daemon.wait_for_delivery()
        wait_until(lambda: mat.daemon.status()["counts"]["reads"] == 3 * PULLS, what="all whole reads, and no others")
        assert mat.daemon.stop() == 0
        splits = splits_at(mat.subscriber)
    told = told_from_messages(splits)
    assert set(told.chips.values()) <= set(mat.made), "half a frame was taken for a chip"
    tally(
        "the line gone and back, in the middle of a frame",
        times=PULLS,
        passings=len(mat.made),
        lost=len(told.lost(mat.made)),
        doubled=len(told.doubled()),
    )
