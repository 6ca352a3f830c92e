"""What no key can tell alone: where two keys of a profile contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reader.line.profile.channels import GRIDS

POWER_RANGES_DBM = {  # least and most, at the reader's port, of any model of the family
    "thingmagic": (-10.0, 31.5),
    "a0": (0.0, 33.0),
    "m100": (-10.0, 26.0),
    "uhfreader": (0.0, 33.0),
}
POWER_STEP_DBM = {"thingmagic": 0.01, "a0": 1.0, "m100": 0.01, "uhfreader": 1.0}
LEAST_SPAN = 5  # A0: the last channel lies more than 4 above the first, says the maker
ALL_OR_NONE = {
    "a0": (("region", "first_channel", "last_channel"),),
    "uhfreader": (("region", "first_channel", "last_channel"),),
    "m100": (("session", "target", "q"),),
}


def disagreements(draft: Any, family: str) -> Iterator[str]:
    """A sentence for each, beginning with the full key. ``draft``: a profile, None in it for what was wrong."""
    yield from _of_antennas(draft, family)
    for keys in ALL_OR_NONE.get(family, ()):
        missing = [key for key in keys if getattr(draft, key) is None]
        given = [key for key in keys if key not in missing]
        if given and missing:
            yield f"{given[0]}: found without {' and '.join(missing)}, expected all of {', '.join(keys)} or none"
    yield from _of_channels(draft, family)


def _of_antennas(draft: Any, family: str) -> Iterator[str]:
    least, most = POWER_RANGES_DBM[family]
    step = POWER_STEP_DBM[family]
    seen: dict[int, int] = {}
    for place, antenna in enumerate(draft.antennas or ()):
        if antenna is None:
            continue
        key = f"antenna[{place}]"
        if family == "m100" and antenna.port not in (1, None):
            yield f"{key}.port: found {antenna.port}, expected 1: this family has one antenna"
        elif antenna.port in seen:
            yield f"{key}.port: found {antenna.port}, which antenna[{seen[antenna.port]}] has already"
        if antenna.port is not None:
            seen.setdefault(antenna.port, place)
        if antenna.power_dbm is None:
            continue
        if not least <= antenna.power_dbm <= most:
            yield f"{key}.power_dbm: found {antenna.power_dbm:g}, expected {least:g} to {most:g} for {family}"
        elif abs(antenna.power_dbm / step - round(antenna.power_dbm / step)) > 1e-6:
            what = "whole dBm" if step == 1 else "at most two decimals"
            yield f"{key}.power_dbm: found {antenna.power_dbm:g}, expected {what} for {family}"


def _of_channels(draft: Any, family: str) -> Iterator[str]:
    region = getattr(draft, "region", None)
    first, last = getattr(draft, "first_channel", None), getattr(draft, "last_channel", None)
    if region is None or first is None or last is None:
        return
    grid = GRIDS[family, region]
    for key, channel in (("first_channel", first), ("last_channel", last)):
        if not grid.first <= channel <= grid.last:
            yield f'{key}: found {channel}, expected {grid.first} to {grid.last} for region "{region}"'
    if first > last:
        yield f"first_channel: found {first}, expected at most last_channel ({last})"
    elif family == "a0" and last - first < LEAST_SPAN:
        yield (
            f"last_channel: found {last}, expected {first + LEAST_SPAN} or more: this family wants the last "
            "channel more than 4 above the first"
        )
