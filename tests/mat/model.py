"""What a mat hears of one chip that goes over it: the physics, read by read.

Axes: x along the course (0 is the line, over the middle of the antennas), y across it, z up. The antennas lie beside
each other on the ground and look up. Times are seconds since the chip was over the line: that is the truth.

- *Link.* Passive backscatter, one antenna for both ways, 915 MHz. The chip has what the reader sends, with the gains
  of both antennas, less free-space loss (31.7 dB at 1 m, 6 dB for each doubling), shadow and fading; the reader has
  back the same way once more, less what the chip keeps (5-10 dB). So the way there limits (a chip wakes at about
  -18 dBm, the reader still hears -75 to -85), while the signal strength falls twice as fast (Nikitin and Rao,
  "Antennas and propagation in UHF RFID systems", 2008). 30 dBm into 6 dBi is the limit of power in the USA; long
  cables take some.
- *Lobe.* Gain falls as a power of the cosine off the vertical: 1.5 to 3.5 are half-power widths of 100 to 70 degrees,
  those of mats and of patches. Along the ground a side lobe stays, 12 to 18 dB below. The antenna is no point: nearer
  than its own size (0.15 m) nothing grows, and a receiver is full at -20 dBm.
- *Chip.* A bib hangs at 1.0 to 1.3 m and loses 3 to 8 dB to polarisation and the body behind it, a shoe's chip lies at
  0.05 to 0.12 m and loses 3 to 10 dB.
- *Shadow.* A body takes 6 to 18 dB one way at 900 MHz, and no more than an edge does at first: diffraction at a belt
  (ITU-R P.526) takes some 4 dB more at 0.3 m past the line than over it, and 10 dB more at 1 m. Of a bib in front the
  body is in the way once the line is crossed, of one on the back (one in fifty: race rules want it in front) before.
  Of a shoe it is the other foot: 4 dB at most, either way.
- *Fading.* Rician, K of 3 to 12 dB, correlated along the way: a steady wave and five from all around, so that it
  changes within half a wavelength (16 cm). Each antenna has its own.
- *Reader.* Asks the chip every 5 to 60 ms (by how many others there are), antennas in turn (40 to 60 ms each) or all
  at once. A read fails by how near the chip is to not waking (a logistic curve, 1 dB), and by collisions. Signals are
  measured 0.5 to 1.5 dB wrong, and told in whole dB.
- *Wild reads.* Of 300 reads one has a signal 8 to 20 dB off; in one crossing of 50 the chip is read by a reflection,
  up to 6 m away from the line, 3 to 25 dB weaker than at its strongest.
- *Stride.* A foot stands still on the ground once a stride, 0.8 to 1.5 times a second, and is twice as fast as its
  runner in between: so is a shoe's chip (``swing`` is 1; 0 is a wheel, or a foot as it is in simpler models).
- *Who stops* brakes with 3 m/s², stands, swaying by 2 cm, and walks on.

All but the line is drawn anew for each crossing, speeds evenly from a walk to a bicycle. What is left out: hopping (it
would only mix the fading of who is slow), the bib's bounce, rain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Wear = Literal["bib", "shoe"]
Range = tuple[float, float]

WAVELENGTH_M = 0.328
LOSS_AT_1_M_DB = 31.7
ANTENNA_M = 0.15
FULL_DBM = -20.0
WAVES = 5
REACH_M = {"bib": 6.0, "shoe": 4.0}
STANDS_S = 30.0
LEAVES_M_S = 1.2
BRAKES_M_S2 = 3.0
SWAYS_M = 0.02
REFLECTED_M = 6.0


@dataclass(frozen=True)
class Mat:
    """What is drawn anew for each crossing, evenly between two bounds."""

    speed_m_s: Range = (1.2, 9.0)
    antennas: tuple[int, ...] = (1, 2, 3, 4)
    in_turn: tuple[bool, ...] = (True, False)
    dwell_s: Range = (0.04, 0.06)
    interval_s: Range = (0.005, 0.06)
    """By its logarithm."""
    spacing_m: Range = (0.8, 1.2)
    transmit_dbm: Range = (27.0, 30.0)
    gain_dbi: Range = (5.0, 8.0)
    lobe_power: Range = (1.5, 3.5)
    side_lobe_db: Range = (-18.0, -12.0)
    bib_height_m: Range = (1.0, 1.3)
    shoe_height_m: Range = (0.05, 0.12)
    bib_loss_db: Range = (3.0, 8.0)
    shoe_loss_db: Range = (3.0, 10.0)
    wakes_dbm: Range = (-20.0, -16.0)
    hears_dbm: Range = (-85.0, -75.0)
    keeps_db: Range = (5.0, 10.0)
    bib_shadow_db: Range = (6.0, 18.0)
    shoe_shadow_db: Range = (0.0, 4.0)
    shadow_begins_m: Range = (0.0, 0.4)
    shadow_over_m: Range = (0.15, 0.3)
    on_back: float = 0.02
    steady_db: Range = (3.0, 12.0)
    answers: Range = (0.6, 0.95)
    measured_db: Range = (0.5, 1.5)
    wild_read: float = 1 / 300
    wild_crossing: float = 1 / 50
    swing: float = 1.0


class Read(NamedTuple):
    """One read: when, by which antenna (from 1), how strong."""

    t_s: float
    antenna: int
    rssi_dbm: int


class Crossing:
    """One chip going over, all that is random of it drawn. ``stops_m``: it stops so far past the line, for 30 s."""

    def __init__(self, mat: Mat, wear: Wear, dice: Random, stops_m: float | None = None) -> None:
        def drawn(bounds: Range) -> float:
            return dice.uniform(*bounds)

        def drawn_by_logarithm(bounds: Range) -> float:
            return math.exp(dice.uniform(math.log(bounds[0]), math.log(bounds[1])))

        self.wear = wear
        self.stops_m = stops_m
        self.speed_m_s = drawn(mat.speed_m_s)
        self.antennas = dice.choice(mat.antennas)
        self.in_turn = dice.choice(mat.in_turn)
        self.dwell_s = drawn(mat.dwell_s)
        self.interval_s = drawn_by_logarithm(mat.interval_s)
        spacing_m = drawn(mat.spacing_m)
        lane_m = dice.uniform(-0.5, 0.5) * self.antennas * spacing_m
        self.across_m = [lane_m - (i - (self.antennas - 1) / 2) * spacing_m for i in range(self.antennas)]
        is_bib = wear == "bib"
        self.height_m = drawn(mat.bib_height_m if is_bib else mat.shoe_height_m)
        self.lobe_power = drawn(mat.lobe_power)
        self.side_lobe_db = drawn(mat.side_lobe_db)
        self.transmit_dbm = drawn(mat.transmit_dbm)
        self.gain_db = drawn(mat.gain_dbi) - drawn(mat.bib_loss_db if is_bib else mat.shoe_loss_db) - LOSS_AT_1_M_DB
        self.wakes_dbm = drawn(mat.wakes_dbm)
        self.hears_dbm = drawn(mat.hears_dbm)
        self.keeps_db = drawn(mat.keeps_db)
        self.shadow_db = drawn(mat.bib_shadow_db if is_bib else mat.shoe_shadow_db)
        self.shadow_begins_m = drawn(mat.shadow_begins_m)
        self.shadow_over_m = drawn(mat.shadow_over_m)
        self.shadow_side = -1 if dice.random() < (mat.on_back if is_bib else 0.5) else 1
        self.answers = drawn(mat.answers)
        self.measured_db = drawn(mat.measured_db)
        self.wild_read, self.wild_crossing = mat.wild_read, mat.wild_crossing
        scattered = math.sqrt(10 ** (-drawn(mat.steady_db) / 10) / WAVES)
        turn = 2 * math.pi
        self.waves = [
            [(scattered, turn / WAVELENGTH_M * math.cos(drawn((0, turn))), drawn((0, turn))) for _ in range(WAVES)]
            for _ in range(self.antennas)
        ]
        # A stride of one foot: 0.8 a second in a walk, 1.5 in a sprint.
        self.stride_rad_s = turn * (0.8 + 0.7 * min(1.0, (self.speed_m_s - 1.2) / 4.8))
        self.stride_phase = drawn((0, turn))
        self.swing = 0.0 if is_bib else mat.swing

    def x_m(self, t_s: float) -> float:
        """How far past the line the chip is."""
        speed_m_s = self.speed_m_s
        if self.stops_m is not None:
            return self._x_of_who_stops_m(t_s, self.stops_m)
        if not self.swing:
            return speed_m_s * t_s
        swing_m = self.swing * speed_m_s / self.stride_rad_s
        turned = self.stride_phase + self.stride_rad_s * t_s
        return speed_m_s * t_s - swing_m * (math.sin(turned) - math.sin(self.stride_phase))

    def _x_of_who_stops_m(self, t_s: float, stops_m: float) -> float:
        speed_m_s = self.speed_m_s
        brakes_m = stops_m - speed_m_s**2 / (2 * BRAKES_M_S2)
        over_line_m_s = min(speed_m_s, math.sqrt(2 * BRAKES_M_S2 * stops_m))
        brakes_s = brakes_m / speed_m_s if brakes_m > 0 else (over_line_m_s - speed_m_s) / BRAKES_M_S2
        since_s = t_s - brakes_s
        if since_s < speed_m_s / BRAKES_M_S2:
            return brakes_m + speed_m_s * since_s - (BRAKES_M_S2 * since_s**2 / 2 if since_s > 0 else 0.0)
        return stops_m + SWAYS_M * math.sin(2 * t_s) + LEAVES_M_S * max(0.0, t_s - STANDS_S)

    def way_db(self, x_m: float, antenna: int) -> float:
        """What one way between the antenna (from 0) and the chip gains, without fading: less than nothing."""
        along2 = x_m * x_m + self.across_m[antenna] ** 2
        up2 = self.height_m**2
        lobe_db = max(self.side_lobe_db, 5 * self.lobe_power * math.log10(up2 / (along2 + up2)))
        past = (x_m * self.shadow_side - self.shadow_begins_m) / self.shadow_over_m
        shadow_db = self.shadow_db / (1 + math.exp(-past)) if past > -30 else 0.0
        return self.gain_db + lobe_db - shadow_db - 10 * math.log10(along2 + up2 + ANTENNA_M**2)

    def fading_db(self, x_m: float, antenna: int) -> float:
        """What the scattered waves make of the steady one."""
        in_phase, across = 1.0, 0.0
        for amplitude, rad_m, phase in self.waves[antenna]:
            turned = rad_m * x_m + phase
            in_phase += amplitude * math.cos(turned)
            across += amplitude * math.sin(turned)
        return 10 * math.log10(max(1e-6, in_phase * in_phase + across * across))

    def asked(self, dice: Random) -> list[tuple[float, int]]:
        """When the reader asks for the chip, and by which antenna (from 0)."""
        reach_s = REACH_M[self.wear] / self.speed_m_s
        until_s = reach_s if self.stops_m is None else STANDS_S + REACH_M[self.wear] / LEAVES_M_S
        asked = []
        for asking in range(1 if self.in_turn else self.antennas):
            t_s = -reach_s - dice.random() * self.dwell_s * self.antennas
            begin_s = t_s
            while t_s < until_s:
                antenna = int((t_s - begin_s) / self.dwell_s) % self.antennas if self.in_turn else asking
                asked.append((t_s, antenna))
                t_s += self.interval_s * dice.uniform(0.7, 1.3)
        asked.sort()
        return asked

    def reads(self, dice: Random) -> list[Read]:
        """What the reader tells of the crossing, in order."""
        reads = []
        for t_s, antenna in self.asked(dice):
            x_m = self.x_m(t_s)
            way_db = self.way_db(x_m, antenna)
            if self.transmit_dbm + way_db < self.wakes_dbm - 10:
                continue  # no fading lifts it so far
            way_db += self.fading_db(x_m, antenna)
            rssi_dbm = self.transmit_dbm + 2 * way_db - self.keeps_db
            margin_db = min(self.transmit_dbm + way_db - self.wakes_dbm, rssi_dbm - self.hears_dbm)
            if margin_db < -10 or dice.random() > self.answers / (1 + math.exp(-margin_db)):
                continue
            rssi_dbm = min(FULL_DBM, rssi_dbm) + dice.gauss(0, self.measured_db)
            if dice.random() < self.wild_read:
                rssi_dbm += dice.choice((-1, 1)) * dice.uniform(8, 20)
            reads.append(Read(t_s, antenna + 1, round(rssi_dbm)))
        if reads and dice.random() < self.wild_crossing:
            strongest_dbm = max(read.rssi_dbm for read in reads)
            antenna = dice.randrange(self.antennas) + 1
            away_s = dice.uniform(-1, 1) * REFLECTED_M / self.speed_m_s
            reads.append(Read(away_s, antenna, strongest_dbm + dice.randint(-25, -3)))
            reads.sort()
        return reads
