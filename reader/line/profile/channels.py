"""The channels that the makers count: from a number to MHz, and the whole of each region.

A0 family: maker's serial protocol V2.2, frequency table: 0 to 6 are 865.0 + 0.5·n MHz, 7 to 59 are 902.0 + 0.5·(n - 7).
UHFReader: the makers' table of command 22, a first frequency and a step for each region.
"""

from __future__ import annotations

from typing import NamedTuple


class Grid(NamedTuple):
    """A row of channels: MHz of the one numbered ``first``, MHz from one to the next, and the last number."""

    first: int
    last: int
    first_mhz: float
    step_mhz: float

    def mhz(self, channel: int) -> float:
        """The centre of a channel."""
        return round(self.first_mhz + (channel - self.first) * self.step_mhz, 4)


GRIDS: dict[tuple[str, str], Grid] = {
    ("a0", "fcc"): Grid(7, 59, 902.0, 0.5),
    ("a0", "etsi"): Grid(0, 6, 865.0, 0.5),
    ("a0", "chn"): Grid(43, 53, 920.0, 0.5),
    ("uhfreader", "us"): Grid(0, 49, 902.75, 0.5),
    ("uhfreader", "us3"): Grid(0, 52, 902.0, 0.5),
    ("uhfreader", "eu"): Grid(0, 14, 865.1, 0.2),
    ("uhfreader", "eu3"): Grid(0, 3, 865.7, 0.6),
    ("uhfreader", "china1"): Grid(0, 19, 840.125, 0.25),
    ("uhfreader", "china2"): Grid(0, 19, 920.125, 0.25),
    ("uhfreader", "korea"): Grid(0, 31, 917.1, 0.2),
    # Of these the steps are not in any document at hand.
    ("uhfreader", "taiwan"): Grid(0, 63, 0.0, 0.0),
    ("uhfreader", "ukraine"): Grid(0, 63, 0.0, 0.0),
    ("uhfreader", "peru"): Grid(0, 63, 0.0, 0.0),
}


def words_from_channels(family: str, region: str, first: int, last: int) -> str:
    """``channels 8 to 58, 902.5 to 927.5 MHz``."""
    grid = GRIDS[family, region]
    where = f", {grid.mhz(first):g} to {grid.mhz(last):g} MHz" if grid.first_mhz else ""
    return f"channels {first} to {last}{where}"
