"""What each light of the panel, and its buzzer, is at a moment; pure, monotonic nanoseconds come in as arguments.

::

    light    is                  and says
    ready    steady              the mat records
             blinks fast         it does not, or has not said so for 5 s
             off                 nothing has been said yet
    uplink   steady              all is delivered
             blinks slowly       some entries are not
             off                 no broker
    read     flashes             a chip was first heard, and that is on the disk; in mode test: any read
    fault    blinks n times      part n of the box is wrong (`faults`), then a pause
    uplink and read in turn      CLEAR: the mat may be rolled up (only where both are wired)
    all but ready, together      the box shows itself, and its buzzer sounds
    read, with the buzzer        what the button's self-test found: once long, all is well; twice, something to look
                                 at; five times, do not go to the start like this

``ready`` says one thing for ever: nothing else is shown on it, not to identify the box, not to try the panel light by
light. ``fault`` goes on in CLEAR. Mute and quiet hours silence the buzzer, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from reader.box.faults import NOBODY_SAYS, blinks_of
from reader.messages import Status, Verdict
from reader.model import NS_PER_S, Mode

READY, UPLINK, READ, FAULT, BUZZER = NAMES = ("ready_led", "uplink_led", "read_led", "fault_led", "buzzer")

MS_NS = 1_000_000
STALE_NS = 5 * NS_PER_S
FLASH_NS = 100 * MS_NS
BEEP_NS = 60 * MS_NS
APART_NS = 200 * MS_NS  # at most five beeps, or flashes, a second
IDLE_NS = NS_PER_S

Pattern = tuple[int, ...]  # on and off in turn, in ms, and again; OFF has none, ON one
OFF: Pattern = ()
ON: Pattern = (1,)
FAST: Pattern = (100, 100)
SLOW: Pattern = (1000, 1000)
SHOW: Pattern = (250, 250)
SOUND: Pattern = (500, 500)
CLEAR_UPLINK: Pattern = (500, 500)
CLEAR_READ: Pattern = (0, 500, 500, 0)  # on while the other is off
ANSWER_NS = 3 * NS_PER_S
ANSWERS: dict[Verdict, Pattern] = {
    "pass": (1000, 4000),
    "warn": (300, 300, 300, 4000),
    "fail": (150, 200) * 5 + (0, 4000),
}


def blinks(count: int) -> Pattern:
    """So many short ones and a pause; none for 0."""
    return (200, 300) * (count - 1) + (200, 1500) if count else OFF


class Facts(NamedTuple):
    """How the box stands. ``fault``: what to blink, or 0."""

    is_recording: bool
    uplink: Literal["delivered", "backlog", "cut"]
    fault: int
    is_clear: bool
    mode: Mode


def facts_from(status: Status, *, is_connected: bool) -> Facts:
    """What of a status is shown."""
    return Facts(
        is_recording=status.recording,
        uplink="cut" if not is_connected else "backlog" if status.backlog else "delivered",
        fault=blinks_of(status.parts),
        is_clear=status.teardown.verdict == "CLEAR",
        mode=status.mode,
    )


NOTHING_KNOWN = Facts(is_recording=False, uplink="cut", fault=NOBODY_SAYS, is_clear=False, mode="race")


class Look(NamedTuple):
    """What is on; and when to look again at the latest."""

    lit: frozenset[str]
    due_ns: int


class _Shown(NamedTuple):
    """Asked for from outside. ``is_alone``: all others are off, save ``ready``."""

    patterns: dict[str, Pattern]
    until_ns: int
    is_alone: bool = False


class Lights:
    """``wired``: the names of the lights there are, and of the buzzer. Times never go back."""

    def __init__(self, wired: Iterable[str]) -> None:
        self.is_muted = False
        self.facts: Facts | None = None
        self._wired = frozenset(wired)
        self._said_ns = 0
        self._shown: _Shown | None = None
        self._playing: dict[str, tuple[Pattern, int]] = {}
        self._has_read = False
        self._flashed_ns: int | None = None
        self._has_beep = False
        self._beep_until_ns = 0
        self._is_sounding = False
        self._sounded_ns: int | None = None

    def stand(self, facts: Facts, now_ns: int) -> bool:
        """How the box stands now; whether that has changed."""
        before, self.facts, self._said_ns = self.facts, facts, now_ns
        return facts != before

    def committed(self, opened: int, reads: int) -> bool:
        """So many passings and raw reads have come to the disk; whether there is something to show of it."""
        is_test = self.facts is not None and self.facts.mode == "test"
        if not (opened or (reads and is_test)):
            return False
        self._has_read = self._has_beep = True
        return True

    def beep(self) -> None:
        """A short one, as soon as may be."""
        self._has_beep = True

    def mute(self) -> None:
        """The buzzer is silent from here on, or no longer: then it beeps."""
        self.is_muted = not self.is_muted
        self._has_beep = not self.is_muted

    def show(self, until_ns: int, light: str | None = None) -> None:
        """The whole box shows itself, or one light is tried alone: then the others are off, save ``ready``."""
        if light is None:
            self._shown = _Shown({UPLINK: SHOW, READ: SHOW, FAULT: SHOW, BUZZER: SOUND}, until_ns)
        else:
            self._shown = _Shown({light: ON}, until_ns, is_alone=True)

    def answer(self, verdict: Verdict, now_ns: int) -> None:
        """The self-test that the button asked for has ended so."""
        self._shown = _Shown(dict.fromkeys((READ, BUZZER), ANSWERS[verdict]), now_ns + ANSWER_NS)

    def look(self, now_ns: int, *, is_quiet: bool) -> Look:
        """What is on now; ``is_quiet``: these are quiet hours."""
        if self._shown is not None and now_ns >= self._shown.until_ns:
            self._shown = None
        patterns = self._patterns(now_ns)
        dues = [now_ns + IDLE_NS]
        if self._shown is not None:
            self._has_read = self._has_beep = False
            dues.append(self._shown.until_ns)
        lit = set()
        for name in self._wired - {BUZZER}:
            is_on, change_ns = self._play(name, patterns.get(name, OFF), now_ns)
            if is_on:
                lit.add(name)
            dues.append(change_ns)
        if self._flash(now_ns, dues) and READ in self._wired:
            lit.add(READ)
        if BUZZER in self._wired and self._sound(patterns.get(BUZZER, OFF), now_ns, is_quiet or self.is_muted, dues):
            lit.add(BUZZER)
        if self.facts is not None and now_ns <= self._said_ns + STALE_NS:
            dues.append(self._said_ns + STALE_NS + 1)
        return Look(frozenset(lit), min(due for due in dues if due > now_ns))

    def _patterns(self, now_ns: int) -> dict[str, Pattern]:
        """What each of them plays, beside flashes and beeps; OFF where nothing is said."""
        facts = self.facts
        if facts is None:
            told = {}
        else:
            if now_ns > self._said_ns + STALE_NS:
                facts = NOTHING_KNOWN
            told = {
                READY: ON if facts.is_recording else FAST,
                UPLINK: {"delivered": ON, "backlog": SLOW, "cut": OFF}[facts.uplink],
                FAULT: blinks(facts.fault),
            }
            if facts.is_clear and {UPLINK, READ} <= self._wired:
                told |= {UPLINK: CLEAR_UPLINK, READ: CLEAR_READ}
        if self._shown is None:
            return told
        patterns = self._shown.patterns
        if self._shown.is_alone:
            return patterns | {READY: told.get(READY, FAST if READY in patterns else OFF)}
        return told | patterns

    def _play(self, name: str, pattern: Pattern, now_ns: int) -> tuple[bool, int]:
        """Whether it is on, and when that changes: it begins anew where the pattern is another."""
        was, since_ns = self._playing.get(name, (None, 0))
        if pattern != was:
            since_ns = now_ns
            self._playing[name] = (pattern, since_ns)
        return _is_on(pattern, since_ns, now_ns)

    def _flash(self, now_ns: int, dues: list[int]) -> bool:
        """Whether the read light flashes; those that come too close to the last one are one, after it."""
        if self._has_read and (self._flashed_ns is None or now_ns >= self._flashed_ns + APART_NS):
            self._has_read = False
            self._flashed_ns = now_ns
        if self._flashed_ns is None:
            return False
        dues += [self._flashed_ns + FLASH_NS, self._flashed_ns + APART_NS]
        return now_ns < self._flashed_ns + FLASH_NS

    def _sound(self, pattern: Pattern, now_ns: int, is_silent: bool, dues: list[int]) -> bool:
        """Whether the buzzer sounds; it never begins to more than five times a second, whatever for."""
        wants, change_ns = self._play(BUZZER, pattern, now_ns)
        dues.append(change_ns)
        may_begin_ns = 0 if self._sounded_ns is None else self._sounded_ns + APART_NS
        if is_silent:
            self._has_beep = False
        elif self._has_beep and now_ns >= may_begin_ns:
            self._has_beep = False
            self._beep_until_ns = now_ns + BEEP_NS
        wants = not is_silent and (wants or now_ns < self._beep_until_ns)
        if wants and not self._is_sounding:
            wants = now_ns >= may_begin_ns
            if wants:
                self._sounded_ns = now_ns
        self._is_sounding = wants
        dues += [may_begin_ns, self._beep_until_ns]
        return wants


def _is_on(pattern: Pattern, since_ns: int, now_ns: int) -> tuple[bool, int]:
    """Whether it is on now, and when that changes; 0 for never."""
    if len(pattern) < 2:
        return bool(pattern), 0
    turn_ns = sum(pattern) * MS_NS
    rest_ns = (now_ns - since_ns) % turn_ns
    begins_ns = now_ns - rest_ns
    for place, length_ms in enumerate(pattern):
        begins_ns += length_ms * MS_NS
        if now_ns < begins_ns:
            return place % 2 == 0, begins_ns
    raise AssertionError(pattern)


def is_within(quiet_hours: str | None, minute: int) -> bool:
    """Whether a minute of the day, local time, lies in hours like "22:00-05:30"; from a time to itself is all day."""
    if quiet_hours is None:
        return False
    begin, end = (int(time[:2]) * 60 + int(time[3:]) for time in quiet_hours.split("-"))
    return begin <= minute < end if begin < end else minute >= begin or minute < end
