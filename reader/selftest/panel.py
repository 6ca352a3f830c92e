"""The checks of the panel: whether somebody saw each light, and whether the gun's contact is open.

The lights themselves are shown by whoever asks the person (`identify`, in `timing-mat selftest`): what was seen comes
with the question.
"""

from __future__ import annotations

from collections.abc import Iterator

from reader.messages import Check
from reader.selftest.bench import Bench
from reader.selftest.plan import Plan

BUZZER = "buzzer"
NOT_WIRED = "no light is wired: [panel] names none"
IN_RACE = "not tried in a race, where it says how the mat stands; only in mode test or released: timing-mat mode test"
DAEMONS = "the panel is the daemon's, and none runs"


def _panel(bench: Bench) -> Iterator[Check]:
    lights = bench.lights
    if lights is None:
        yield Check(name="panel", result="skip", says=DAEMONS if bench.mode is None else NOT_WIRED)
        return
    if lights.trouble:
        do = "look at [panel] and the wiring: the README, The panel, has the drawing"
        yield Check(name="panel", result="fail", says=lights.trouble, do=do)
    elif not lights.names:
        yield Check(name="panel", result="skip", says=NOT_WIRED)
    for name in lights.names:
        if bench.mode == "race" and name not in bench.seen:
            yield Check(name=f"panel:{name}", result="skip", says=f"{_in_words(name)}: {IN_RACE}")
        else:
            yield _light(name, bench.seen.get(name))


def _light(name: str, was_seen: bool | None) -> Check:
    what = _in_words(name)
    perceived = "heard" if name == BUZZER else "seen"
    if was_seen is None:
        return Check(name=f"panel:{name}", result="skip", says=f"{what}: nobody watched")
    if was_seen:
        return Check(name=f"panel:{name}", result="pass", says=f"{what} was {perceived}")
    do = f"look at its wire, its polarity and [panel] {name}"
    return Check(name=f"panel:{name}", result="fail", says=f"{what} was not {perceived}", do=do)


def _in_words(name: str) -> str:
    return "the buzzer" if name == BUZZER else f"the light {name}"


def _gun_input(bench: Bench) -> Iterator[Check]:
    name = "gun-input"
    if bench.config.panel.gun is None:
        yield Check(name=name, result="skip", says="no gun's contact is wired: [panel] gun names no pin")
        return
    is_closed = None if bench.lights is None else bench.lights.is_gun_closed()
    if is_closed is None:
        says = DAEMONS if bench.mode is None else "the gun's pin can't be read"
        yield Check(name=name, result="skip" if bench.mode is None else "fail", says=says)
    elif is_closed:
        says = "the gun's contact is closed now: a start would not be noticed"
        do = "look at its switch and its wire: it has to be open until the gun"
        yield Check(name=name, result="fail", value="closed", limit="open", says=says, do=do)
    else:
        yield Check(name=name, result="pass", value="open", limit="open", says="the gun's contact is open")


PANEL_PLANS: tuple[Plan, ...] = (
    Plan("panel", "whether each light was seen, and the buzzer heard", _panel),
    Plan("gun-input", "whether the gun's contact is open", _gun_input),
)
