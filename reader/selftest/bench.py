"""What lies before a self-test: the box as its checks may look at it, whether a daemon runs on it or not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reader.clock import Clock
from reader.config import Config
from reader.line.protocols import Examined
from reader.links import Links
from reader.messages import Status
from reader.model import Identity, Mode


class Lights(Protocol):
    """The panel, as far as a self-test needs it."""

    @property
    def names(self) -> list[str]:
        """The lights that are wired, and the buzzer: ``ready_led`` … ``buzzer``."""

    @property
    def trouble(self) -> str:
        """Why it, or one of its pins, can't be used; or ""."""

    def is_gun_closed(self) -> bool | None:
        """Whether the gun's contact is closed now; None where none is wired."""


class Left(Exception):
    """Nobody waits for the findings any more."""


class RaceBegan(Left):
    """What interrupts timing has been left unfinished, for a race has begun."""


def _to_nobody(_says: str) -> None:
    """Until there is a runner."""


@dataclass(frozen=True)
class Bench:
    """``mode``: that of the daemon in which this runs; None: there is no daemon, the line is the self-test's alone.

    ``links``: the readers, each with its state and its errands, in the daemon or by links of the self-test's own.
    ``status``: how the daemon stands; None without one. ``lights``: None where no panel is wired.
    ``is_allowed``: to transmit, and to beep. ``seen``: by light, whether somebody saw it when it was lit.
    ``chip_wait_s``: how long a test chip is waited for on each antenna. ``tell``: says to who watches what is done
    now, or what they should do; the runner's. ``leaving``: set when nobody waits for the findings any more.
    ``missing``: what one check has found not to be there, and why; those that stand on it need not look for it again.
    ``examined``: what readers have told of their health, by name and whether they were interrupted for it: asked once
    for all checks of it.
    """

    config: Config
    clock: Clock
    identity: Identity
    mode: Mode | None
    links: Links
    status: Callable[[], Status] | None
    lights: Lights | None
    is_allowed: bool
    seen: Mapping[str, bool]
    chip_wait_s: float
    tell: Callable[[str], None] = _to_nobody
    leaving: threading.Event = field(default_factory=threading.Event)
    missing: dict[str, str] = field(default_factory=dict)
    examined: dict[tuple[str, bool], Examined] = field(default_factory=dict)

    def mode_now(self) -> Mode | None:
        """As ``mode``, asked anew: a gun, or a crowd of chips, ends a test in the middle of a check."""
        return self.mode if self.mode is None or self.status is None else self.status().mode

    def pause(self, seconds: float) -> None:
        """Wait before looking again at what may have changed. Left where nobody waits for what is found there."""
        if self.leaving.wait(seconds):
            raise Left
