"""The rules that `best` is measured against: the strongest read, and a parabola fitted to the signal strengths.

The parabola is what CrossMgr fits: of the antenna with most reads, signal strength in dB over time, outliers put aside
by drawing samples (RANSAC). Here written from the idea: three reads make a parabola; it is allowed if it opens
downwards and has its vertex among the reads; that one counts to which most reads lie within 4 dB; the least-squares
fit of those has its vertex at the time. With less than three reads, or no parabola allowed, it is the strongest read.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb
from random import Random

from tests.mat.model import Read

INLIER_DB = 4.0
SAMPLES = 60

Parabola = tuple[float, float, float]


def strongest(reads: list[Read]) -> float:
    """When the strongest read was; the first of several."""
    return min(reads, key=lambda read: (-read.rssi_dbm, read.t_s)).t_s


def regression(reads: list[Read]) -> float:
    """When the parabola is highest."""
    antenna = Counter(read.antenna for read in reads).most_common(1)[0][0]
    chosen = [read for read in reads if read.antenna == antenna]
    begin_s, end_s = min(chosen).t_s, max(chosen).t_s
    if len(chosen) < 3 or begin_s == end_s:
        return strongest(chosen)
    points = [((read.t_s - begin_s) / (end_s - begin_s), float(read.rssi_dbm)) for read in chosen]
    found = _with_most_inliers(points)
    return strongest(chosen) if found is None else begin_s + found * (end_s - begin_s)


def _with_most_inliers(points: list[tuple[float, float]]) -> float | None:
    """The vertex, on the points' own axis; None where no parabola is allowed."""
    best: tuple[int, float, float] | None = None
    for sample in _samples(points):
        rough = fitted(sample)
        if rough is None or vertex(rough) is None:
            continue
        inliers = [point for point in points if abs(_off(rough, point)) < INLIER_DB]
        better = fitted(inliers) if len(inliers) >= 3 else None
        peak = None if better is None else vertex(better)
        if better is None or peak is None:
            continue
        rank = (len(inliers), -sum(abs(_off(better, point)) for point in inliers), peak)
        if best is None or rank[:2] > best[:2]:
            best = rank
        if len(inliers) == len(points):
            break
    return None if best is None else best[2]


def _samples(points: list[tuple[float, float]]) -> list[tuple[tuple[float, float], ...]]:
    if comb(len(points), 3) <= SAMPLES:
        return list(combinations(points, 3))
    dice = Random(len(points))
    return [tuple(dice.sample(points, 3)) for _ in range(SAMPLES)]


def _off(parabola: Parabola, point: tuple[float, float]) -> float:
    a, b, c = parabola
    x, y = point
    return y - (a * x + b) * x - c


def vertex(parabola: Parabola) -> float | None:
    """Where it is highest, if it is among points between 0 and 1."""
    a, b, _ = parabola
    if a >= -1e-9:
        return None
    x = -b / (2 * a)
    return x if 0 <= x <= 1 else None


def fitted(points: list[tuple[float, float]] | tuple[tuple[float, float], ...]) -> Parabola | None:
    """The parabola of least squares; None where the points have less than three places."""
    n = len(points)
    x_mean = sum(x for x, _ in points) / n
    y_mean = sum(y for _, y in points) / n
    # About the means: u is x, w is what x squared has that u has not.
    s2 = sum((x - x_mean) ** 2 for x, _ in points)
    if s2 < 1e-12:
        return None
    s3 = sum((x - x_mean) ** 3 for x, _ in points)
    slope = s3 / s2
    waves = [(x - x_mean) ** 2 - s2 / n - slope * (x - x_mean) for x, _ in points]
    s_waves = sum(wave * wave for wave in waves)
    if s_waves < 1e-12:
        return None
    a = sum(wave * (y - y_mean) for wave, (_, y) in zip(waves, points, strict=True)) / s_waves
    tilt = sum((x - x_mean) * (y - y_mean) for x, y in points) / s2
    # y = y_mean + tilt·u + a·(u² - s2/n - slope·u), with u = x - x_mean
    b = tilt - a * slope - 2 * a * x_mean
    c = y_mean - a * s2 / n + a * x_mean * x_mean - (tilt - a * slope) * x_mean
    return a, b, c
