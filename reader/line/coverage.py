"""When a reader could hear, and with which of its antennas: what has changed of it. Pure, time comes in as an argument.

::

    one antenna    down      lost: the reader says that it is missing or bad, has said so for LOST_NS, and no read came
                             with it since. One that is heard all the same hears: the reader's word on it counts for
                             nothing until it has said "up" for TRUSTED_NS
                             deaf: it had less than a tenth of the reads that the others had (their median) in the last
                             minute, for DEAF_NS; where enough ran to judge
                   up        else, for UP_NS
    all of them    down      its conversation says that it does not hear, at once; or every antenna is lost
                   partial   an antenna is down, or the reader itself hears less than it should, too hot perhaps
                   up        else
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Literal, NamedTuple

from reader.line.activity import Heard60s
from reader.line.protocols import AntennaStanding, Standing
from reader.model import NS_PER_S, Hears

LOST_NS = 5 * NS_PER_S
DEAF_NS = 20 * NS_PER_S
UP_NS = 5 * NS_PER_S
TRUSTED_NS = 10 * NS_PER_S
PROVEN_NS = 10 * NS_PER_S  # an antenna that has heard a reference chip hears for so long
ENOUGH_READS, ENOUGH_CHIPS = 60, 10  # a minute, the median of the others: fewer say nothing of one that hears less
A_TENTH, A_FIFTH = 10, 5  # below the one it is deaf, from the other on it is not any more
ENOUGH_AGAIN = 10  # reads of one that was deaf, however few run


class Change(NamedTuple):
    """How it is now, since when (monotonic) and why. ``antenna``: None for all of them."""

    antenna: int | None
    hearing: Hears
    reason: str
    since_ns: int


class _Verdict(NamedTuple):
    what: Literal["up", "lost", "deaf"]
    reason: str
    hold_ns: int


class _Held:
    """What changes only when it has been otherwise for long enough."""

    def __init__(self, *, is_down: bool) -> None:
        self.is_down = is_down
        self._since_ns: int | None = None

    def give(self, is_down: bool, hold_ns: int, now_ns: int) -> int | None:
        """How it looks now; since when it is so, if that has just become true."""
        if is_down == self.is_down:
            self._since_ns = None
            return None
        if self._since_ns is None:
            self._since_ns = now_ns
        if now_ns - self._since_ns < hold_ns:
            return None
        since_ns, self._since_ns, self.is_down = self._since_ns, None, is_down
        return since_ns

    def forget(self) -> None:
        """What it looked like is no proof any more."""
        self._since_ns = None


class _Antenna(_Held):
    """One antenna. ``what``: why it is down; "told": before this run, and the reason is not known."""

    def __init__(self, *, is_down: bool) -> None:
        super().__init__(is_down=is_down)
        self.what: Literal["up", "lost", "deaf", "told"] = "told" if is_down else "up"
        self.reason = "as before the restart" if is_down else ""
        self.verdict: _Verdict | None = None
        self.is_refuted = False
        self.said_up_ns: int | None = None
        self.last_ns = 0


class Coverage:
    """Of one reader. ``told``: how it was told last, by antenna, None for all of them; empty: nothing was told yet."""

    def __init__(self, told: Mapping[int | None, Hears] | None = None) -> None:
        told = told or {}
        self.whole: Hears | None = told.get(None)
        self._antennas = {
            number: _Antenna(is_down=True) for number, hearing in told.items() if number and hearing == "down"
        }
        self._weak = _Held(is_down=False)

    @property
    def down(self) -> dict[int, str]:
        """The antennas that do not hear, and why, a few words each."""
        return {number: one.reason for number, one in sorted(self._antennas.items()) if one.is_down}

    @property
    def has_lost_all(self) -> bool:
        """Whether the reader is there, and every antenna of it is lost."""
        antennas = self._antennas.values()
        return bool(antennas) and all(one.is_down and one.verdict and one.verdict.what == "lost" for one in antennas)

    def look(
        self,
        standing: Standing,
        antennas: list[AntennaStanding],
        heard: list[Heard60s],
        now_ns: int,
        since_ns: int | None = None,
    ) -> list[Change]:
        """How it stands now, and what was heard; call it once a second and when the standing changes.

        ``since_ns``: since when it stands so, if that is not now.
        """
        since_ns = now_ns if since_ns is None else since_ns
        if not standing.hears:
            self._forget()
            # A reader that has yet to be spoken to has not ceased to hear: its port has only been opened.
            if self.whole is None and standing.word != "fail":
                return []
            return self._become("down", standing.says, since_ns)
        changes = self._look_at_antennas(antennas, heard, now_ns)
        weak_ns = self._weak.give(standing.is_weak, LOST_NS if standing.is_weak else UP_NS, now_ns)
        began_ns = [change.since_ns for change in changes] + ([] if weak_ns is None else [weak_ns])
        since_ns = max(began_ns, default=since_ns)
        if self.has_lost_all:
            return changes + self._become("down", f"no antenna is left: {'; '.join(self.down.values())}", since_ns)
        if down := self.down:
            return changes + self._become("partial", "; ".join(down.values()), since_ns)
        return changes + self._become("partial" if self._weak.is_down else "up", standing.says, since_ns)

    def _become(self, whole: Hears, reason: str, since_ns: int) -> list[Change]:
        if whole == self.whole:
            return []
        self.whole = whole
        return [Change(None, whole, reason, since_ns)]

    def _forget(self) -> None:
        """A reader that does not hear says nothing of its antennas."""
        self._weak.forget()
        for one in self._antennas.values():
            one.forget()
            one.verdict = one.said_up_ns = None

    # ---- antennas ----------------------------------------------------------------------------------------

    def _look_at_antennas(self, antennas: list[AntennaStanding], heard: list[Heard60s], now_ns: int) -> list[Change]:
        counts = {one.antenna: one for one in heard if one.antenna is not None}
        stand = {one.antenna: one for one in antennas if one.antenna is not None}
        numbers = stand.keys() or counts.keys()
        lost = {number for number in numbers if self._is_lost(number, stand.get(number), counts.get(number), now_ns)}
        changes = []
        for number in sorted(numbers):
            one = self._antennas[number]
            if number in lost and (standing := stand[number]):
                says = f"antenna {number} is {standing.state}, says the reader: look at it and at its cable"
                one.verdict = _Verdict("lost", says, LOST_NS)
            else:
                others = [counts.get(other) for other in numbers if other != number and other not in lost]
                one.verdict = _judge(number, one, stand.get(number), counts.get(number), others, now_ns)
            changes += self._decide(number, one, now_ns)
        return changes

    def _is_lost(self, number: int, standing: AntennaStanding | None, counted: Heard60s | None, now_ns: int) -> bool:
        """Whether the reader says so, and is to be believed."""
        one = self._antennas.setdefault(number, _Antenna(is_down=False))
        last_ns = 0 if counted is None else counted.last_ns
        is_heard, one.last_ns = last_ns > one.last_ns, last_ns
        if standing is None or standing.state not in ("missing", "bad"):
            if standing is None or standing.state != "up":
                one.said_up_ns = None
            elif one.said_up_ns is None:
                one.said_up_ns = now_ns
            elif now_ns - one.said_up_ns >= TRUSTED_NS:
                one.is_refuted = False
            return False
        one.said_up_ns = None
        one.is_refuted |= is_heard
        return standing.is_expected and not one.is_refuted

    def _decide(self, number: int, one: _Antenna, now_ns: int) -> list[Change]:
        verdict = one.verdict
        if verdict is None:
            one.forget()
            return []
        since_ns = one.give(verdict.what != "up", verdict.hold_ns, now_ns)
        if since_ns is None:
            return []
        one.what, one.reason = verdict.what, verdict.reason
        return [Change(number, "down" if one.is_down else "up", one.reason, since_ns)]


def _judge(
    number: int,
    one: _Antenna,
    standing: AntennaStanding | None,
    counted: Heard60s | None,
    others: list[Heard60s | None],
    now_ns: int,
) -> _Verdict | None:
    """One that is not lost, against what the others had in the last minute; None where that can't be known."""
    up = _Verdict("up", f"antenna {number} hears again", UP_NS)
    if counted and counted.reference_ns is not None and now_ns - counted.reference_ns <= PROVEN_NS:
        return up
    reads = counted.fair_reads if counted else 0
    usual_reads = median(other.fair_reads if other else 0 for other in others) if others else 0
    usual_chips = median(other.chips if other else 0 for other in others) if others else 0
    if usual_reads >= ENOUGH_READS and usual_chips >= ENOUGH_CHIPS and reads * A_TENTH < usual_reads:
        says = f"antenna {number} hears {reads} reads a minute, its neighbours {usual_reads:.0f}"
        return _Verdict("deaf", f"{says}: look at it and at its cable, and whether anyone runs there", DEAF_NS)
    if one.what in ("up", "lost") or (one.what == "told" and standing and standing.state == "up"):
        return up
    return up if reads >= ENOUGH_AGAIN and reads * A_FIFTH >= usual_reads else None
