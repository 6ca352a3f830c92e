"""The settings of a reader against a profile: read, compare, write what differs, read back. Sans-IO scripts.

A family lists each :class:`Setting` in the order in which they have to be written: the region first, since it
bounds the power, the speed of the line last. Values are in the profile's terms, never the wire's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from reader.line.protocols.asking import Script, Stuck

Value: TypeAlias = object


class Wanted(NamedTuple):
    """What a profile asks of a reader: its name, the values by key, and whether flash may be written for it."""

    profile: str
    values: Mapping[str, Value]
    with_flash: bool = False


class Setting(NamedTuple):
    """One setting. ``key``: as in :class:`Wanted`; ``name``: in words. ``is_in_flash``: it outlives the power.

    ``ask`` is a script for its value now, None where this reader does not tell; ``put`` one that writes it, Stuck if
    the reader refuses. ``agrees(wanted, found)``. ``shown`` puts a value into words.
    """

    key: str
    name: str
    is_in_flash: bool
    ask: Callable[[], Script[Value | None]]
    put: Callable[[Value], Script[None]]
    agrees: Callable[[Value, Value], bool] = operator.eq
    shown: Callable[[Value], str] = str


class Difference(NamedTuple):
    """One setting that is not as wanted; ``found`` is None where the reader does not tell."""

    setting: Setting
    wanted: Value
    found: Value | None

    @property
    def says(self) -> str:
        """``read power: 20.0 dBm, wanted 30.0 dBm``."""
        found = "not told by the reader" if self.found is None else self.setting.shown(self.found)
        return f"{self.setting.name}: {found}, wanted {self.setting.shown(self.wanted)}"


class Applied(NamedTuple):
    """What was written (and read back right), and in sentences what is not as wanted all the same."""

    changed: list[Difference]
    wrong: list[str]


def differences(settings: Sequence[Setting], wanted: Wanted) -> Script[list[Difference]]:
    """All that is not as wanted, or can't be known; nothing is written."""
    found = []
    for setting in settings:
        if setting.key in wanted.values:
            difference = yield from _difference(setting, wanted.values[setting.key])
            if difference is not None:
                found.append(difference)
    return found


def apply(settings: Sequence[Setting], wanted: Wanted) -> Script[Applied]:
    """Write what differs, each read back before the next; what is in flash only if the profile may."""
    applied = Applied([], [])
    for setting in settings:
        if setting.key not in wanted.values:
            continue
        value = wanted.values[setting.key]
        difference = yield from _difference(setting, value)
        if difference is None:
            continue
        if setting.is_in_flash and (not wanted.with_flash or difference.found is None):
            # What can't be read would be written at every start: flash wears.
            applied.wrong.append(f"{difference.says} (in flash, not written)")
            continue
        try:
            yield from setting.put(value)
        except Stuck as stuck:
            if stuck.is_unanswered:
                raise
            applied.wrong.append(f"{difference.says}: {stuck}")
            continue
        after = yield from _difference(setting, value)
        if after is None:
            applied.changed.append(difference)
        elif after.found is None:
            applied.wrong.append(f"{setting.name}: written, but the reader does not tell whether it is so")
        else:
            applied.wrong.append(f"{after.says}: written, but not taken")
    return applied


def dump(settings: Sequence[Setting]) -> Script[dict[str, Value]]:
    """The values of all settings that the reader tells."""
    values: dict[str, Value] = {}
    for setting in settings:
        value = yield from setting.ask()
        if value is not None:
            values[setting.key] = value
    return values


def _difference(setting: Setting, value: Value) -> Script[Difference | None]:
    found = yield from setting.ask()
    if found is not None and setting.agrees(value, found):
        return None
    return Difference(setting, value, found)
