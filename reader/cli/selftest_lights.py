"""The lights of the panel, one by one: lit by the daemon, and looked at by a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from reader.box.control import ask
from reader.cli.naming import who
from reader.config import find, load
from reader.errors import ConfigError

SHOWN_S = 5
LIGHTS = ("ready_led", "uplink_led", "read_led", "fault_led", "buzzer")


def lights_of(config: Path | None) -> list[str]:
    """Those that are wired, by their keys in `[panel]`; none where only the daemon knows its file."""
    try:
        panel = load(find(config)).panel
    except ConfigError:
        return []
    return [light for light in LIGHTS if getattr(panel, light) is not None]


def watch_lights(lights: Sequence[str], place: Path) -> dict[str, bool]:
    """By light, whether a person saw it; those that the daemon does not show are not asked about."""
    seen = {}
    for light in lights:
        reply = ask(place, {"do": "identify", "light": light, "for_s": SHOWN_S, "by": who()})
        if not reply.get("ok"):
            print(f"{light} is not shown: {reply.get('error')}")
            continue
        asks = "Do you hear the buzzer?" if light == "buzzer" else f"Did the light {light} go on?"
        seen[light] = typer.confirm(asks, default=None)
    return seen
