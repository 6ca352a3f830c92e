"""Readers that stand as the test says, and a bench with them before a self-test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from reader.config import loads
from reader.errors import ReaderError
from reader.line.protocols import Examined
from reader.line.state import LinkState
from reader.links import Links
from reader.messages import Check
from reader.model import ChipRead, ClockQuality, Identity, Instant, Mode
from reader.selftest.bench import Bench
from reader.selftest.runner import Found, examine
from reader.selftest.table import PLANS

HEARS = LinkState(
    name="main",
    word="ok",
    says="streaming, antenna 1",
    hears=True,
    family="thingmagic",
    baud=115200,
    bytes_read=10_000,
    rejected={},
    antennas=[],
    standings=[],
    deaf=frozenset(),
    progress_ns=0,
)
LOOKED_FOR = HEARS._replace(
    word="warn", says="/dev/ttyUSB0: looking for a reader of a known family", hears=False, family=None, bytes_read=0
)


class HastyClock:
    """Every look at it takes so long: who waits for something does so but a few times."""

    boot = "boot"

    def __init__(self, step_ns: int = 2_000_000_000) -> None:
        self._mono_ns = 0
        self._step_ns = step_ns

    def now(self) -> Instant:
        return Instant(0, self.mono_ns())

    def mono_ns(self) -> int:
        self._mono_ns += self._step_ns
        return self._mono_ns

    def quality(self) -> ClockQuality:
        return ClockQuality(synced=True, source="ntp", error_ms=None)


class FakeLinks:
    """Readers by name. ``answer``: what a script returns that is run on one; a ReaderError is raised."""

    def __init__(self, *states: LinkState, answer: object = None) -> None:
        self.states = {state.name: state for state in states}
        self.answer = answer
        self.errands = 0
        self.listen: Callable[[Sequence[ChipRead]], None] | None = None

    def state(self, reader: str) -> LinkState:
        return self.states[reader]

    def run(self, reader: str, script: Any, limit_s: float, is_wanted: Callable[[], bool]) -> Any:
        self.errands += 1
        script.close()
        if isinstance(self.answer, ReaderError):
            raise self.answer
        return self.answer

    @contextmanager
    def listening(self, reader: str, listen: Callable[[Sequence[ChipRead]], None]) -> Iterator[None]:
        self.listen = listen
        try:
            yield
        finally:
            self.listen = None


def bench_with(
    links: FakeLinks | Links,
    *,
    protocol: str = "thingmagic",
    port: str = "/dev/ttyUSB0",
    more: str = "",
    mode: Mode | None = None,
    is_allowed: bool = True,
    told: Examined | None = None,
    **besides: Any,
) -> Bench:
    """``more``: lines of the `[[reader]]`; ``told``: what it has told of its health already."""
    text = f"""
        [mat]
        event = "race"
        point = "finish"
        id = "mat"
        [[reader]]
        protocol = "{protocol}"
        port = "{port}"
        {more}
    """
    values: dict[str, Any] = {
        "config": loads(text, "mat.toml"),
        "clock": HastyClock(),
        "identity": Identity("race", "finish", "mat", "box-1"),
        "status": None,
        "lights": None,
        "seen": {},
        "chip_wait_s": 20.0,
        "examined": {} if told is None else {("main", mode != "race" and is_allowed): told},
    }
    return Bench(links=cast(Links, links), mode=mode, is_allowed=is_allowed, **{**values, **besides})


def findings(name: str, bench: Bench) -> dict[str, Check]:
    """What the check of that name finds, run as in a self-test."""
    plans = [plan for plan in PLANS if plan.name == name]
    found = [told.check for told in examine(plans, bench) if isinstance(told, Found)]
    for check in found:
        assert check.says
        assert bool(check.do) == (check.result in ("warn", "fail")), check
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def finding(name: str, bench: Bench) -> Check:
    """The only one."""
    [found] = findings(name, bench).values()
    return found
