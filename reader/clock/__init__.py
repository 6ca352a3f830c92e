"""The only place that asks the time.

A :class:`Clock` is passed in everywhere; tests pass one of their own. The system's reads the kernel's clocks. How good
UTC is, it finds out in the background (:meth:`SystemClock.watch`): from adjtimex(2) each second (``kernel``), from
chrony where there is one (``chrony``); ``quality`` judges.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from reader.clock.chrony import ask_chrony
from reader.clock.kernel import StepAlarm, boot_id, is_set_by_rtc, read_kernel
from reader.clock.quality import KernelSample, LastPoll, Step, StepSeer, Tracking, quality_from
from reader.model import NS_PER_S, ClockQuality, Instant

__all__ = ["Clock", "Step", "StepSeer", "SystemClock", "rfc3339_from_utc_ns", "utc_ns_from_rfc3339"]

SAMPLE_S = 1.0
ASK_CHRONY_S = 16.0


class Clock(Protocol):
    """Both clocks of the host, what boot this is, and how good UTC is."""

    boot: str

    def now(self) -> Instant:
        """The moment, on both clocks, read together."""

    def mono_ns(self) -> int:
        """The monotonic clock alone."""

    def quality(self) -> ClockQuality:
        """Whether UTC can be trusted, as far as is known; never waits."""


class Alarm(Protocol):
    """Rings when the clock is set: ``kernel.StepAlarm``."""

    def wait(self, limit_s: float) -> bool:
        """Whether it rang within the limit."""

    def close(self) -> None:
        """It is not needed any more."""


class SystemClock:
    """The host's own clocks. What it asks of the system can be replaced, for tests."""

    def __init__(
        self,
        *,
        read: Callable[[], KernelSample | None] = read_kernel,
        ask: Callable[[], Tracking | None] = ask_chrony,
        open_alarm: Callable[[], Alarm] = StepAlarm,
    ) -> None:
        self.boot = boot_id()
        self._read = read
        self._ask = ask
        self._open_alarm = open_alarm
        self._is_set_by_rtc = is_set_by_rtc()
        self._tracking: Tracking | None = None
        self._doubted = ""  # when chrony last measured before the clock was set
        self._ask_now = threading.Event()
        self._watched: ClockQuality | None = None

    def now(self) -> Instant:
        """The moment; of three pairs the one read closest together, within a microsecond."""
        best = Instant(0, 0)
        tightest_ns = NS_PER_S * NS_PER_S
        before = time.monotonic_ns()
        for _ in range(3):
            utc = time.time_ns()
            after = time.monotonic_ns()
            if after - before < tightest_ns:
                tightest_ns = after - before
                best = Instant(utc, (before + after) // 2)
            before = after
        return best

    def mono_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def quality(self) -> ClockQuality:
        """What the watch last found; without one, what the kernel says now."""
        return self._watched or self._judge(LastPoll())

    def watch(self, stopping: threading.Event, stepped: Callable[[], None]) -> None:
        """The body of a background thread: keep :meth:`quality` fresh, call ``stepped`` when the clock was set.

        Ends within a second of ``stopping``.
        """
        asking = threading.Thread(target=self._ask_in_turns, args=(stopping,), name="chrony", daemon=True)
        asking.start()
        poll, seer = LastPoll(), StepSeer()
        try:
            with self._alarm(stopping) as wait:
                while not stopping.is_set():
                    self._watched = self._judge(poll)
                    if wait(SAMPLE_S):
                        seer = StepSeer()  # it has nothing to add to this step
                    elif seer.look(self.now()) is None:
                        continue
                    # What chrony said was of the clock before; the kernel's flags are of the clock as it is.
                    self._doubted = self._tracking.measured if self._tracking else ""
                    poll = LastPoll()
                    self._watched = self._judge(poll)
                    self._ask_now.set()
                    stepped()
        finally:
            self._watched = None
            self._ask_now.set()

    @contextlib.contextmanager
    def _alarm(self, stopping: threading.Event) -> Iterator[Callable[[float], bool]]:
        try:
            alarm = self._open_alarm()
        except OSError:
            yield lambda limit_s: stopping.wait(limit_s) and False
            return
        with contextlib.closing(alarm):
            yield alarm.wait

    def _judge(self, poll: LastPoll) -> ClockQuality:
        kernel = self._read()
        if kernel is not None:
            poll.note(kernel)
        tracking = self._tracking
        is_lost = kernel is None or not kernel.is_synced  # whoever sets the clock makes it so, chrony for a moment only
        if tracking is not None and tracking.measured == self._doubted and is_lost:
            tracking = None
        return quality_from(kernel, poll.error_ns(), tracking, is_set_by_rtc=self._is_set_by_rtc)

    def _ask_in_turns(self, stopping: threading.Event) -> None:
        """Asking takes chrony's answer, or two seconds: it has a thread of its own."""
        while not stopping.is_set():
            self._tracking = self._ask()
            self._ask_now.wait(ASK_CHRONY_S)
            self._ask_now.clear()


SECONDS_KEPT = 256
_text_of_second: dict[int, str] = {}


def rfc3339_from_utc_ns(utc_ns: int) -> str:
    """``2026-03-07T13:48:50.500000Z``: UTC with microseconds, rounded down."""
    second, rest = divmod(utc_ns, NS_PER_S)
    text = _text_of_second.get(second)
    if text is None:
        # Four times of one split, and of those around it, share few seconds: each is formatted once.
        if len(_text_of_second) >= SECONDS_KEPT:
            _text_of_second.clear()
        text = _text_of_second[second] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{text}.{rest // 1000:06d}Z"


def utc_ns_from_rfc3339(text: str) -> int:
    """The other way round, from any zone; ValueError for what is no such time."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"found {text!r}, expected a time with its zone, as in 2026-03-07T13:48:50.5Z")
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return since // datetime.timedelta(microseconds=1) * 1000
