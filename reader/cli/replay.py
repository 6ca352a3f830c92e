"""`timing-mat replay`: a capture on a line again, with its timing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from reader.cli.naming import line_from_options
from reader.clock import Clock, SystemClock
from reader.errors import UsageError
from reader.line.capture import Piece, pieces_from_lines
from reader.model import NS_PER_S
from reader.signals import stopping_at
from reader.simulator.line import Line

TURN_S = 0.05
ROOM = 16_384  # bytes waiting for the line beyond which nothing more is put in
SETTLE_NS = NS_PER_S // 5  # a program that has opened a line may still throw away what comes before it is ready
DRAINED_TURN_S = 0.002


def replay(
    file: Annotated[Path, typer.Argument(help="The capture.")],
    link: Annotated[Path | None, typer.Option(help="Path of a link to the pseudo-terminal, for mat.toml.")] = None,
    tcp: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Serve TCP instead of a terminal.")] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Seconds of the capture a second; 0: as fast as it is taken.")
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at its end, until Ctrl-C.")] = False,
) -> None:
    """Play a capture on a line as the reader said it, chunk for chunk; it begins when somebody opens the line.

    It stands still while nobody has the line open, and ends when all was read. What is sent to it is not answered.

    Example: timing-mat replay line.jsonl --link /tmp/mat
    """
    for _ in pieces_of(file):
        break  # a file that is none is said before the line is there
    with stopping_at(signal.SIGINT, signal.SIGTERM) as stopping, line_from_options(link, tcp) as line:
        print(f"{file} on {line.address}", flush=True)
        count, size = play_capture(looped(file) if loop else pieces_of(file), line, speed=speed, stop=stopping)
    print(f"{count} chunks, {size} bytes")


def looped(file: Path) -> Iterator[Piece]:
    """The pieces again and again, each time begun at the time of the last; none of a capture without any."""
    began_s = 0.0
    while True:
        first_s = last_s = None
        for piece in pieces_of(file):
            first_s = piece.t_s if first_s is None else first_s
            last_s = piece.t_s - first_s + began_s
            yield Piece(last_s, piece.data)
        if last_s is None:
            return
        began_s = last_s


def pieces_of(file: Path) -> Iterator[Piece]:
    """The pieces of a capture, as they are read; UsageError."""
    try:
        with file.open("rb") as lines:
            yield from pieces_from_lines(lines, str(file))
    except OSError as error:
        raise UsageError(f"{file}: can't be read: {error.strerror}") from error


def play_capture(pieces: Iterator[Piece], line: Line, *, speed: float, stop: threading.Event) -> tuple[int, int]:
    """Say each piece when its time has come, counted from the first; how many pieces and bytes were said."""
    playing = _Playing(pieces, line, speed, SystemClock())
    while playing.is_on and not stop.is_set():
        playing.turn()
    while not stop.is_set() and not playing.is_all_read():
        line.wait(DRAINED_TURN_S, for_room=False)
    if playing.trouble is not None:
        raise playing.trouble
    return playing.count, playing.size


class _Playing:
    """Where the capture is, and what of it waits for the line."""

    def __init__(self, pieces: Iterator[Piece], line: Line, speed: float, clock: Clock) -> None:
        self._pieces, self._line, self._speed, self._clock = pieces, line, speed, clock
        self.trouble: UsageError | None = None  # what stands behind the last good piece
        self._due = self._next()
        self._played_s = 0.0 if self._due is None else self._due.t_s
        self._waiting = bytearray()
        self._now_ns = clock.mono_ns()
        self._opened_ns: int | None = None
        self._drained = 0
        self.count = self.size = 0

    @property
    def is_on(self) -> bool:
        """There is more to say."""
        return self._due is not None or bool(self._waiting)

    def turn(self) -> None:
        """What is due goes out; then a rest."""
        passed_ns = self._clock.mono_ns() - self._now_ns
        self._now_ns += passed_ns
        if not self._line.is_open:
            self._opened_ns = None
            self._line.wait(TURN_S, for_room=False)
            return
        self._line.receive()  # nobody is there to answer
        if self._opened_ns is None:
            self._opened_ns = self._now_ns
        if self._now_ns - self._opened_ns < SETTLE_NS:
            self._line.wait(DRAINED_TURN_S, for_room=False)
            return
        self._played_s += passed_ns / NS_PER_S * self._speed
        while self._is_due():
            assert self._due is not None  # noqa: S101 - it is due
            self._waiting += self._due.data
            self.count, self.size = self.count + 1, self.size + len(self._due.data)
            self._due = self._next()
            if self._speed:
                break  # a piece by itself, as it came
        del self._waiting[: self._line.send(bytes(self._waiting)) if self._waiting else 0]
        self._line.wait(self._rest_s(), for_room=bool(self._waiting))

    def is_all_read(self) -> bool:
        """Asked twice: the kernel hands bytes from one queue to the next, and only the second can be asked."""
        self._line.receive()
        self._drained = self._drained + 1 if self._line.is_drained else 0
        return self._drained > 1

    def _next(self) -> Piece | None:
        try:
            return next(self._pieces, None)
        except UsageError as error:
            self.trouble = error
            return None

    def _is_due(self) -> bool:
        if self._due is None or len(self._waiting) >= ROOM:
            return False
        return not self._speed or (not self._waiting and self._due.t_s <= self._played_s)

    def _rest_s(self) -> float:
        if self._waiting or self._due is None:
            return TURN_S if self._waiting else 0.0
        if not self._speed:
            return 0.0
        return min(TURN_S, max(self._due.t_s - self._played_s, 0.0) / self._speed)
