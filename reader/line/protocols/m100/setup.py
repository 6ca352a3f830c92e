"""How an M100 is set up before it is polled: who it is, where it may transmit, and what the profile wants of it.

The region is the profile's or the one set in the reader, never a guess: a wrong one breaks the law of the land.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reader.line.protocols.asking import Script, Stuck, pause
from reader.line.protocols.m100.frame import INFO, QUERY, REGION, STOP
from reader.line.protocols.m100.report import REGIONS
from reader.line.protocols.m100.settings import (
    ANTENNA,
    BAUDS,
    HARDWARE,
    MAKER,
    SETTINGS,
    SOFTWARE,
    asked,
    said_in,
    speed_found,
    switch,
    words_from_region,
)
from reader.line.protocols.settings import Setting, Value, Wanted, apply
from reader.model import Reply

DEFAULT_Q = 4
NOBODY = Wanted("", {})
NO_REGION = "not transmitting: no region"
UNTOLD_REGION = "region not told by the reader"


class Outcome(NamedTuple):
    """What came of it. ``trouble``: why it must not transmit. ``q``: of its query. ``region`` and others in words.

    ``region_told``: by the reader, None where it does not.
    """

    is_answered: bool
    trouble: str = ""
    q: int = DEFAULT_Q
    region: str = ""
    warnings: tuple[str, ...] = ()
    region_told: str | None = None


def set_up(wanted: Wanted, baud: Callable[[], int | None]) -> Script[Outcome]:
    """All that is to be asked and written before the first poll. ``baud``: the speed of the line now, if known.

    What is refused or not answered becomes a warning; Stuck does not come out of it.
    """
    warnings: list[str] = []
    stopped = yield from asked("to stop", STOP)
    model = yield from asked("its model", INFO, bytes((HARDWARE,)))
    if stopped is None and model is None and "baud" in wanted.values:
        # The speed of the profile is gone with the power, or there from before.
        first = wanted.values["baud"]
        if (yield from speed_found((first,) if isinstance(first, int) else ())) is None:
            yield from switch(BAUDS[0])
        else:
            stopped = yield from asked("to stop", STOP)
            model = yield from asked("its model", INFO, bytes((HARDWARE,)))
    if stopped is None and model is None:
        if "region" in wanted.values:
            return Outcome(
                False, "not transmitting: it does not answer, so that its region can't be set; check its power"
            )
        return Outcome(False, warnings=("it answers no question, and polls as it was set before",))
    _note(warnings, "its model", model)
    _note(warnings, "its firmware", (yield from asked("its firmware", INFO, bytes((SOFTWARE,)))))
    _note(warnings, "its maker", (yield from asked("its maker", INFO, bytes((MAKER,)))))
    trouble, region, told = yield from _region(wanted, baud, warnings)
    if trouble:
        return Outcome(True, trouble, region_told=told)
    query = yield from asked("its query", QUERY)
    _note(warnings, "its query", query)
    q = said_in(query, "q")
    return Outcome(True, "", q if isinstance(q, int) else DEFAULT_Q, region, tuple(warnings), told)


def _region(wanted: Wanted, baud: Callable[[], int | None], warnings: list[str]) -> Script[tuple[str, str, str | None]]:
    """Why it must not transmit, or nothing; the region, for the standing and as told by the reader.

    What the profile wants is written in between.
    """
    answer = yield from asked("its region", REGION)
    _note(warnings, "its region", answer)
    code = said_in(answer, "region")
    name = wanted.values.get("region")
    if name is None and isinstance(code, int) and code not in REGIONS:
        says = f"{NO_REGION}: the reader says {code}, which is none; give this country's in the reader's profile"
        return says, "", None
    yield from _apply(wanted, baud, warnings)
    if name is None:
        if not isinstance(code, int):
            return "", UNTOLD_REGION, None
        region = words_from_region(code)
        return "", f"region {region}, as set in the reader", region
    code = said_in((yield from asked("its region", REGION)), "region")
    if not isinstance(code, int):
        return "", UNTOLD_REGION, None
    region = words_from_region(code)
    if code in REGIONS and REGIONS[code][0] == name:
        return "", f"region {region}", region
    says = f"not transmitting: region {region} is set in the reader, {name} wanted by the profile"
    return f"{'; '.join((says, *warnings))}; put it right with `timing-mat profile apply`", "", region


def _apply(wanted: Wanted, baud: Callable[[], int | None], warnings: list[str]) -> Script[None]:
    if tuple(_listed(wanted.values.get("antennas", (ANTENNA,)))) != (ANTENNA,):
        warnings.append("the profile names other antennas than 1, the only one of this reader")
    try:
        applied = yield from apply([_noted(setting, baud) for setting in SETTINGS], wanted)
    except Stuck as stuck:
        warnings.append(str(stuck))
    else:
        warnings += applied.wrong


def _listed(value: Value) -> tuple[Value, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _noted(setting: Setting, baud: Callable[[], int | None]) -> Setting:
    """The setting as it is read here: what the reader does not tell is known from its having said yes."""
    if setting.key == "baud":
        return setting._replace(ask=lambda: speed_found(filter(None, (baud(),))))
    if setting.key != "hopping":
        return setting
    done: list[Value] = []

    def ask() -> Script[Value | None]:
        yield from pause(0)
        return done[-1] if done else None

    def put(value: Value) -> Script[None]:
        yield from setting.put(value)
        done.append(value)

    return setting._replace(ask=ask, put=put)


def _note(warnings: list[str], name: str, answer: Reply | None) -> None:
    if answer is None:
        warnings.append(f"does not answer when asked for {name}")
    elif answer.name == "error":
        warnings.append(f"refused {name}: {answer.fields['says']}")
