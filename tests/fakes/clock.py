"""A clock that stands still until it is told to go on, steps, and says of itself what the test wants."""

from __future__ import annotations

from reader.model import NS_PER_S, ClockQuality, Instant

UTC_NS = 1_700_000_000 * NS_PER_S
MONO_NS = 1_000 * NS_PER_S


class FakeClock:
    """Both clocks of one boot. ``go`` moves them together, ``step`` moves UTC alone."""

    def __init__(self, boot: str = "boot-a", *, utc_ns: int = UTC_NS, mono_ns: int = MONO_NS, synced: bool = True):
        self.boot = boot
        self.synced = synced
        self.error_ms: float | None = None
        self._now = Instant(utc_ns, mono_ns)

    def now(self) -> Instant:
        return self._now

    def mono_ns(self) -> int:
        return self._now.mono_ns

    def quality(self) -> ClockQuality:
        return ClockQuality(
            synced=self.synced,
            source="ntp" if self.synced else "unset",
            error_ms=self.error_ms if self.synced else None,
        )

    def go(self, seconds: float) -> None:
        """Time goes by."""
        by_ns = round(seconds * NS_PER_S)
        self._now = Instant(self._now.utc_ns + by_ns, self._now.mono_ns + by_ns)

    def step(self, seconds: float) -> None:
        """UTC is put right (or wrong); the monotonic clock knows nothing of it."""
        self._now = Instant(self._now.utc_ns + round(seconds * NS_PER_S), self._now.mono_ns)
