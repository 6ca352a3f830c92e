"""What lies before a check, where the test says what it finds there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from reader.config import Config, unconfigured
from reader.config import loads as config_from_text
from reader.messages import Status
from reader.model import Identity, Mode
from reader.selftest.bench import Bench
from tests.fakes.clock import FakeClock


class Standing:
    """As much of a status as a check looks at: called, it is the daemon's word of itself."""

    def __init__(self, mode: Mode = "race", **parts: Any) -> None:
        self.mode = mode
        self.parts = parts

    def __call__(self) -> Status:
        return cast("Status", self)


class Panel:
    """A panel with these lights; ``gun``: whether its contact is closed."""

    def __init__(self, names: Sequence[str] = (), trouble: str = "", *, gun: bool | None = None) -> None:
        self.names = list(names)
        self.trouble = trouble
        self._gun = gun

    def is_gun_closed(self) -> bool | None:
        return self._gun


def config_of(folder: Path, more: str = "") -> Config:
    """A configuration whose journal is in that folder; ``more``: further keys of `[journal]`, and tables."""
    text = f"""
        [mat]
        event = "e"
        point = "p"
        id = "m"
        [[reader]]
        protocol = "ipico"
        port = "{folder}/line"
        [journal]
        path = "{folder}/journal.db"
        {more}
    """
    return config_from_text(text, "mat.toml")


def bench_of(config: Config | None = None, **more: Any) -> Bench:
    """A bench without a daemon, unless ``more`` says otherwise."""
    bench = Bench(
        config=config or unconfigured(),
        clock=FakeClock(),
        identity=Identity("e", "p", "m", "box-1"),
        mode=None,
        links=cast("Any", None),
        status=None,
        lights=None,
        is_allowed=False,
        seen={},
        chip_wait_s=0,
    )
    return replace(bench, **more)
