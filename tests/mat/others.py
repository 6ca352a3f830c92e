"""Other mats than ours: what :class:`Mat` draws anew for each crossing lies within narrower bounds, wherever they are.

An interval that holds on one model alone would be worth little on a road. On these the numbers of ``moment.py`` were
looked at too: more and less power, lobes of 60 to 120 degrees, readers that ask twice as seldom, no shadow and 25 dB.
"""

from __future__ import annotations

import math
from random import Random

from tests.mat.model import Mat, Range


def other_mat(dice: Random) -> Mat:
    """Some mat, with its own runners."""

    def within(low: float, high: float) -> Range:
        begin, end = sorted((dice.uniform(low, high), dice.uniform(low, high)))
        return begin, end

    def within_by_logarithm(low: float, high: float) -> Range:
        begin, end = within(math.log(low), math.log(high))
        return math.exp(begin), math.exp(end)

    antennas = dice.choice((1, 2, 3, 4))
    return Mat(
        speed_m_s=dice.choice(((1.2, 9.0), (1.2, 9.0), (1.2, 6.0), (2.0, 9.0), (1.2, 3.0), (2.5, 5.5))),
        antennas=dice.choice(((antennas,), (1, 2, 3, 4))),
        in_turn=dice.choice(((True,), (False,), (True, False))),
        dwell_s=within_by_logarithm(0.02, 0.2),
        interval_s=within_by_logarithm(0.004, 0.1),
        spacing_m=within(0.5, 1.5),
        transmit_dbm=within(22, 32),
        gain_dbi=within(3, 9),
        lobe_power=within(1, 6),
        side_lobe_db=within(-25, -10),
        bib_loss_db=within(0, 12),
        shoe_loss_db=within(0, 14),
        bib_shadow_db=within(0, 25),
        shoe_shadow_db=within(0, 8),
        shadow_begins_m=within(-0.1, 0.4),
        shadow_over_m=within(0.05, 0.4),
        on_back=dice.choice((0.0, 0.02, 0.05)),
        steady_db=within(0, 20),
        answers=within(0.3, 1),
        measured_db=within(0, 2),
        wild_read=dice.choice((0, 1 / 300, 1 / 100)),
        wild_crossing=dice.choice((0, 0.01, 0.03)),
        swing=dice.choice((0.0, 0.0, 0.7, 1.0)),
    )
