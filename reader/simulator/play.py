"""The loop: a race, a reader and a line put together, at the pace of the race."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import msgspec

from reader.clock import Clock, SystemClock, rfc3339_from_utc_ns
from reader.model import NS_PER_S
from reader.simulator.faults import GARBAGE_BYTES, SILENT_S, UNPLUGGED_S, Fault, Spoiling, garbling
from reader.simulator.line import Line
from reader.simulator.race import Crossing
from reader.simulator.signal import Mat, Read, Told, reads_in_order
from reader.simulator.speech import Speech

LEAD_IN_NS = NS_PER_S  # of race time, before the first read
TURN_S = 0.05  # the longest that the loop rests
ROUND_TURN_S = 0.005  # likewise, of race time, with a reader that is polled: the end of its round is waited for
BETWEEN_ROUNDS_S = 1.0  # a reader not polled for so long is not polled any more
LAST_ROUND_S = 0.2  # what a round that is on when the race is over may take to end
DRAIN_LIMIT_S = 10.0
STOP_LIMIT_S = 1.0  # likewise, for one who has said stop and is waiting


class Reader(Protocol):
    """A simulated reader, sans-IO. Times are the race's: UTC nanoseconds, passed in.

    ``suffers``: the faults of its own that it can have, of ``faults.READER_FAULTS``. A reader that is *polled* hears
    only while a round is on: ``answer`` begins it, ``tick`` ends it.
    """

    baud: int
    suffers: frozenset[str]

    @property
    def is_hearing(self) -> bool:
        """It would report a chip now."""

    def report(self, chip: str, at_ns: int, rssi_dbm: int, antenna: int) -> tuple[bytes, int] | None:
        """The frame of one read, and the time (UTC ns) that it bears; None where this is not heard."""

    def tick(self, now_ns: int) -> bytes:
        """What it says by itself up to now."""

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """What it says to these bytes."""

    def suffer(self, fault: str, antenna: int = 1) -> bytes:
        """What it says when this goes wrong with it, or with that antenna of it, now."""


class Played(msgspec.Struct):
    """What was played: crossings, those of which no read was said, and reads said whole (repeats not counted)."""

    crossings: int = 0
    unheard: int = 0
    reads: int = 0


def play(
    race: Iterable[Crossing],
    reader: Reader,
    line: Line,
    *,
    mat: Mat = Mat(),  # noqa: B008 - frozen
    speed: float = 1.0,
    seed: int = 1,
    waits: bool = False,
    linger_s: float = 0.0,
    is_strict: bool = False,
    faults: Iterable[Fault] = (),
    stop: threading.Event | None = None,
    tell: Callable[[Told], None] = lambda _: None,
) -> Played:
    """Play ``race`` (in order of time) on a plugged line until it is over and read, or ``stop`` is set.

    ``speed``: race seconds a second; at 1 the bytes take their time on the line too (``reader.baud``);
    0 is as fast as the line takes them. The race begins when the reader hears. ``waits``: and when
    somebody has the line open; and it stands still whenever either ceases. At speed 0 it always does.
    Otherwise runners wait for nobody: what a reader says to a closed line is lost, and not told.
    Where it waits, the reads due between two rounds of a reader that is polled wait for the next round; the race's
    clock goes on meanwhile, but at speed 0, where it leaps to the next read that is due.

    ``is_strict``: all that is said and heard is garbage while the host has set another speed than ``reader.baud``.
    ``linger_s``: how long the reader stays afterwards, in host time. ``tell`` is called for each
    crossing, in order, once its last read has been said.
    """
    playing = _Playing(race, reader, line, mat, speed, seed, waits or not speed, is_strict, faults, SystemClock(), tell)
    return playing.until(stop or threading.Event(), linger_s)


def truth_from_told(told: Told) -> bytes:
    """One JSON line: ``chip``, ``at`` (over the middle of the mat), ``first``, ``last``, ``strongest``, ``reads``.

    ``at`` is the race's; the others are as they stand in the frames, null for a crossing of which none was said.
    """
    truth: dict[str, object] = {"chip": told.crossing.chip, "at": rfc3339_from_utc_ns(told.crossing.at_ns)}
    for name, utc_ns in (("first", told.first_ns), ("last", told.last_ns), ("strongest", told.strongest_ns)):
        truth[name] = None if utc_ns is None else rfc3339_from_utc_ns(utc_ns)
    truth["reads"] = told.reads
    return msgspec.json.encode(truth) + b"\n"


class _Playing:
    def __init__(
        self,
        race: Iterable[Crossing],
        reader: Reader,
        line: Line,
        mat: Mat,
        speed: float,
        seed: int,
        waits: bool,
        is_strict: bool,
        faults: Iterable[Fault],
        clock: Clock,
        tell: Callable[[Told], None],
    ) -> None:
        self._reader, self._line, self._clock, self._tell = reader, line, clock, tell
        self._speech = Speech(line, clock, garbling(seed), is_paced=speed == 1, keeps=waits)
        self._speed, self._waits, self._is_strict = speed, waits, is_strict
        self._rng = random.Random(seed)  # noqa: S311 - a race, not a secret
        self._spoiling = Spoiling(self._rng)
        self._played = Played()
        self._opened: deque[Told] = deque()
        self._reads = reads_in_order(self._open(race), mat, self._rng)
        self._due = next(self._reads, None)
        self._begin_ns = self._race_ns = self._due[0] - LEAD_IN_NS if self._due else clock.now().utc_ns
        self._has_begun = False
        self._now_ns = clock.mono_ns()
        self._faults = deque(sorted(faults, key=lambda fault: fault.at_s))
        self._plug_at_ns: int | None = None
        self._mute_until_ns = 0
        self._has_wrong_baud = False
        self._ticked_ns = self._race_ns
        self._round_ended_ns: int | None = None  # host time, of a reader that is polled

    def until(self, stop: threading.Event, linger_s: float) -> Played:
        while (self._due or self._speech or self._plug_at_ns) and not stop.is_set():
            self._turn()
        end_ns = self._now_ns + int(LAST_ROUND_S * NS_PER_S)
        while self._round_ended_ns and self._reader.is_hearing and self._now_ns < end_ns and not stop.is_set():
            self._turn()
        end_ns = self._now_ns + int(linger_s * NS_PER_S)
        while self._now_ns < end_ns and not stop.is_set():
            self._turn()
        self._speech.drain(self._reader.baud, STOP_LIMIT_S if stop.is_set() else DRAIN_LIMIT_S)
        for told in self._opened:  # stopped in the middle: as far as they were said
            if told.reads:
                self._close(told)
        return self._played

    def _turn(self) -> None:
        passed_ns = self._clock.mono_ns() - self._now_ns
        self._now_ns += passed_ns
        self._meet_faults()
        host_baud = self._line.host_baud if self._is_strict else None
        # An answer goes out at the speed at which it was asked for, even if it was asked for another speed.
        self._speech.is_garbled = self._has_wrong_baud or host_baud not in (None, self._reader.baud)
        heard = self._speech.listen()
        goes_on = self._goes_on  # before the answer: what passed since belongs to what was before
        if goes_on and self._speed:
            self._race_ns += int(passed_ns * self._speed)
        if heard and not self._is_mute:
            self._speech.say(self._spoiling.other(self._reader.answer(heard, self._race_ns)))
        if goes_on or self._goes_on:
            self._has_begun = True
            self._advance(passed_ns)
        self._speech.send(self._reader.baud)
        self._rest()

    @property
    def _is_mute(self) -> bool:
        return self._now_ns < self._mute_until_ns

    @property
    def _is_between_rounds(self) -> bool:
        """Not hearing, but only until it is polled again."""
        ended_ns = self._round_ended_ns
        return ended_ns is not None and self._now_ns - ended_ns < BETWEEN_ROUNDS_S * NS_PER_S

    @property
    def _goes_on(self) -> bool:
        if self._waits:
            hears = self._reader.is_hearing or (self._speed and self._is_between_rounds)
            return bool(self._speech.is_listened_to and not self._is_mute and hears)
        return self._has_begun or self._reader.is_hearing

    def _rest(self) -> None:
        rest_s = TURN_S if self._round_ended_ns is None else ROUND_TURN_S / max(self._speed, 1)
        if self._due and self._goes_on and self._speech.room > 0:
            rest_s = min(rest_s, max(self._due[0] - self._race_ns, 0) / NS_PER_S / self._speed) if self._speed else 0.0
        self._speech.rest(rest_s)

    # ---- the race ------------------------------------------------------------------------------------

    def _open(self, race: Iterable[Crossing]) -> Iterator[Told]:
        for crossing in race:
            told = Told(crossing)
            self._opened.append(told)
            yield told

    def _advance(self, passed_ns: int) -> None:
        """Say what is due, as far as there is room for it."""
        is_lost = self._is_mute or not self._speech.is_listened_to
        if not self._speed and not self._due:
            self._race_ns += passed_ns
        frames: list[bytes] = []
        room = self._speech.room
        while self._due and room > 0 and (not self._speed or self._due[0] <= self._race_ns):
            said_ns, read = self._due
            if not self._speed:
                self._race_ns = said_ns
            frames.append(self._tick(said_ns))
            if self._waits and not self._reader.is_hearing:
                room = 0
                break
            frames.append(self._frame_of(read, is_lost=is_lost))
            room -= len(frames[-2]) + len(frames[-1])
            self._due = next(self._reads, None)
        if room > 0:
            frames.append(self._tick(self._race_ns))
        if not is_lost:
            self._speech.say(b"".join(frames))
        while self._opened and not self._opened[0].still_to_say:
            self._close(self._opened.popleft())

    def _tick(self, race_ns: int) -> bytes:
        """What the reader says by itself up to then; a round may end."""
        self._ticked_ns = max(self._ticked_ns, race_ns)  # reads that have waited for a round are due earlier
        was_hearing = self._reader.is_hearing
        said = self._reader.tick(self._ticked_ns)
        if was_hearing and not self._reader.is_hearing:
            self._round_ended_ns = self._now_ns
        return self._spoiling.other(said)

    def _frame_of(self, read: Read, *, is_lost: bool) -> bytes:
        """The frame of one read; counted in its crossing if it goes out whole."""
        told = read.told
        told.still_to_say -= 1
        reported = self._reader.report(told.crossing.chip, read.at_ns, read.rssi_dbm, read.antenna)
        if reported is None or is_lost:
            return b""
        whole, stamp_ns = reported
        frame = self._spoiling.read(whole)
        if frame != whole or self._speech.is_garbled:
            return frame
        if not read.is_told:
            read.is_told = True
            told.reads += 1
            if told.first_ns is None or stamp_ns < told.first_ns:
                told.first_ns = stamp_ns
            if told.last_ns is None or stamp_ns > told.last_ns:
                told.last_ns = stamp_ns
            if read.rssi_dbm > told.strongest_dbm:
                told.strongest_dbm, told.strongest_ns = read.rssi_dbm, stamp_ns
        return frame

    def _close(self, told: Told) -> None:
        self._played.crossings += 1
        self._played.reads += told.reads
        self._played.unheard += not told.reads
        self._tell(told)

    # ---- faults --------------------------------------------------------------------------------------

    def _meet_faults(self) -> None:
        if self._plug_at_ns and self._now_ns >= self._plug_at_ns:
            self._line.plug()
            self._plug_at_ns = None
        race_s = (self._race_ns - self._begin_ns) / NS_PER_S
        while self._has_begun and self._faults and self._faults[0].at_s <= race_s:
            fault = self._faults.popleft()
            match fault.name:
                case "unplug":
                    self._speech.drain(self._reader.baud, DRAIN_LIMIT_S)
                    self._line.unplug()
                    self._plug_at_ns = self._clock.mono_ns() + int(UNPLUGGED_S * NS_PER_S)
                case "silence":
                    self._mute_until_ns = self._now_ns + int(SILENT_S * NS_PER_S)
                case "garbage":
                    self._speech.say(self._rng.randbytes(GARBAGE_BYTES))
                case "wrong-baud":
                    self._has_wrong_baud = True
                case "bad-checksum" | "half-frame" | "bad-bytes" as kind:
                    self._spoiling.begin(kind)
                case of_the_reader:
                    self._speech.say(self._reader.suffer(of_the_reader, fault.antenna))
