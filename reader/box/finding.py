"""By what a box can show itself, and why it can't or should not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reader.box.lights import BUZZER, READY
from reader.model import Mode


class Showing(NamedTuple):
    """What there is to be shown by.

    ``trouble``: by the name of each light that is wired, and of the buzzer, why it can't be used, or "". ``silent``:
    why the buzzer may not sound, or "". ``mode``: the mat's; None without a mat.
    """

    trouble: Mapping[str, str]
    silent: str
    mode: Mode | None

    def by(self) -> list[str]:
        """What the whole box would show itself by: never `ready`, which says one thing only."""
        return [name for name, trouble in self.trouble.items() if name != READY and not self._against(name, trouble)]

    def why_not(self, light: str | None) -> str:
        """What stands against showing the box, or one light alone, in words; or ""."""
        if not self.trouble:
            return "identify: this box has no lights and no buzzer to be found by: its mat.toml has none in [panel]"
        if light is None:
            if list(self.trouble) == [READY]:
                return f"identify: {READY} alone is wired, and it shows nothing but whether the mat records"
            reasons = [self._against(name, trouble) for name, trouble in self.trouble.items() if name != READY]
            return "" if self.by() else f"identify: {'; '.join(dict.fromkeys(reasons))}"
        if light not in self.trouble:
            return f"light: found {light!r}, expected one that is wired: {', '.join(self.trouble)}"
        if self.mode == "race":
            return "light: in mode race all lights say how the mat stands; begin a test first, or release the mat"
        against = self._against(light, self.trouble[light])
        return f"light: {against}" if against else ""

    def _against(self, name: str, trouble: str) -> str:
        if trouble:
            return f"{name} can't be used ({trouble})"
        return self.silent if name == BUZZER else ""
