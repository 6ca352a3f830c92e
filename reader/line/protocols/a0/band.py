"""The band of an A0 reader: a region by name, and its first and last channel."""

from __future__ import annotations

from typing import cast

from reader.line.protocols.a0.frame import LAST_CHANNEL, REGIONS, mhz_from_channel
from reader.line.protocols.settings import Value
from reader.model import Reply

Band = tuple[str, int, int]


def band_from(answer: Reply | None) -> Band | None:
    """The band that the answer to 79 tells, ("user", first kHz, last kHz) for one that is no table's; None if none."""
    said = {} if answer is None else answer.fields
    if "first_khz" in said:
        first, step, channels = (cast(int, said[name]) for name in ("first_khz", "step_khz", "channels"))
        return "user", first, first + step * max(channels - 1, 0)
    if "first_channel" in said:
        return cast(str, said["band"]), cast(int, said["first_channel"]), cast(int, said["last_channel"])
    return None


def is_possible(band: Band) -> bool:
    """Whether a reader can transmit in that band at all: a region that there is, channels that there are."""
    name, first, last = band
    if name == "user":
        return 840_000 <= first <= last <= 960_000
    return name in REGIONS and 0 <= first <= last <= LAST_CHANNEL


def words_from_band(value: Value) -> str:
    """``FCC 902.0-928.0 MHz (channels 7-59)``."""
    name, first, last = cast(Band, value)
    if name == "user":
        return f"user-defined {first / 1000:.3f}-{last / 1000:.3f} MHz"
    if not is_possible((name, first, last)):
        return f"{name.upper()} with channels {first}-{last}"
    return f"{name.upper()} {mhz_from_channel(first):.1f}-{mhz_from_channel(last):.1f} MHz (channels {first}-{last})"


def lies_in(band: Band, wanted: Band) -> bool:
    """Whether it is that region, and no channel outside those wanted."""
    return band[0] == wanted[0] and wanted[1] <= band[1] and band[2] <= wanted[2]
