"""The only place that asks the time.

A :class:`Clock` is passed in everywhere; tests pass one of their own. The system's asks the kernel:
``clock_gettime`` for both clocks, ``adjtimex`` for whether UTC is synchronised (return value other than
``TIME_ERROR`` and no ``STA_UNSYNC``: adjtimex(2)), and ``/proc/sys/kernel/random/boot_id`` for the boot.
"""

from __future__ import annotations

import ctypes
import time
import uuid
from pathlib import Path
from typing import Protocol

from reader.model import NS_PER_S, ClockQuality, Instant

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_ERROR = 5
STA_UNSYNC = 0x0040


class Clock(Protocol):
    """Both clocks of the host, what boot this is, and how good UTC is."""

    boot: str

    def now(self) -> Instant:
        """The moment, on both clocks, read together."""

    def mono_ns(self) -> int:
        """The monotonic clock alone."""

    def quality(self) -> ClockQuality:
        """Whether UTC can be trusted, as far as is known."""


class SystemClock:
    """The host's own clocks."""

    def __init__(self) -> None:
        self.boot = _boot_id()
        self._adjtimex = _load_adjtimex()

    def now(self) -> Instant:
        """The moment; the pair is kept within a microsecond by reading the monotonic clock around UTC."""
        before = time.monotonic_ns()
        utc = time.time_ns()
        after = time.monotonic_ns()
        return Instant(utc, (before + after) // 2)

    def mono_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def quality(self) -> ClockQuality:
        """What the kernel says; the source and the size of the error are not known to it."""
        return ClockQuality(synced=self._is_synced(), source="unknown", error_ms=None)

    def _is_synced(self) -> bool:
        if self._adjtimex is None:
            return False
        timex = _Timex()
        state = self._adjtimex(ctypes.byref(timex))
        return bool(state not in (-1, TIME_ERROR) and not timex.status & STA_UNSYNC)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as ``status``; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_byte * 256),
    )


def _load_adjtimex() -> ctypes._NamedFuncPointer | None:
    try:
        return ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        # Hidden by a sandbox (ProcSubset=pid): a boot of its own is the safe answer, for what
        # can't be shown to be the same boot is treated as another.
        return str(uuid.uuid4())


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
