"""`timing-mat capture`: what the line says, with its timing, into a file."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from reader.cli.naming import family_of
from reader.clock import Clock, SystemClock
from reader.errors import ReaderError, UsageError
from reader.line.capture import Piece, line_from_piece
from reader.line.port import Port
from reader.line.protocols import Conversation, Decoder, load
from reader.model import NS_PER_S, Chunk
from reader.signals import stopping_at

READ_WAIT_S = 0.1
SILENT_NS = NS_PER_S // 20
COUNT_NS = NS_PER_S // 5
BAUD = 115_200


def capture(
    port: Annotated[str, typer.Argument(help="The device or URL, as `port` in mat.toml.")],
    file: Annotated[str, typer.Argument(help="The file to write; - for the screen.")],
    baud: Annotated[
        int | None,
        typer.Option(min=1, help="Speed of the line [that of the family, else 115200].", show_default=False),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Talk with a reader of this family, so that it reports.", show_default=False)
    ] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="End after so many seconds.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Record what a line says, with its timing, until Ctrl-C: to look at, to play again, to send with a report.

    Without --protocol nothing is sent. Stop the daemon first: a line has one program.

    Example: timing-mat capture /dev/ttyUSB0 line.jsonl --protocol thingmagic --duration 60
    """
    family = None if protocol is None else family_of(protocol)
    clock = SystemClock()
    _refuse_to_overwrite(file, force=force)
    with ExitStack() as closing:
        stopping = closing.enter_context(stopping_at(signal.SIGINT, signal.SIGTERM))
        line = Port(port, baud or (family.baud if family else BAUD), clock)
        closing.callback(line.close)
        recording = _Recording(line, closing.enter_context(_opened(file, force=force)), clock)
        try:
            if family is not None:
                module = load(family.name)
                recording.talk(module.Decoder(), module.Conversation())
            recording.run(stopping, duration)
        except ReaderError:
            recording.tell(is_last=True)
            raise
    recording.tell(is_last=True)


class _Recording:
    """The pieces that came so far, and the talk that makes them come."""

    def __init__(self, port: Port, output: TextIO, clock: Clock) -> None:
        self._port, self._output, self._clock = port, output, clock
        self._began_ns = self._heard_ns = self._told_ns = clock.mono_ns()
        self._pieces = self._bytes = 0
        self._talk: tuple[Decoder, Conversation] | None = None
        self._is_idle = True

    def talk(self, decoder: Decoder, conversation: Conversation) -> None:
        """Begin to talk, as the daemon does."""
        self._talk = decoder, conversation
        self._send(conversation.opened(self._clock.mono_ns()))

    def run(self, stopping: threading.Event, duration_s: float | None) -> None:
        end_ns = None if duration_s is None else self._began_ns + int(duration_s * NS_PER_S)
        while not stopping.is_set():
            now_ns = self._clock.mono_ns()
            if end_ns is not None and now_ns >= end_ns:
                break
            wait_ns = int(READ_WAIT_S * NS_PER_S) if end_ns is None else end_ns - now_ns
            if self._talk is not None and (due_ns := self._talk[1].due_ns) is not None:
                wait_ns = min(wait_ns, due_ns - now_ns)
            chunk = self._port.read(min(max(wait_ns / NS_PER_S, 0.0), READ_WAIT_S))
            if chunk is not None:
                self._keep(chunk)
            self._answer(chunk)
            self.tell()
        if self._talk is not None:
            self._send(self._talk[1].closing())
            self._port.flush()

    def tell(self, *, is_last: bool = False) -> None:
        """The count so far; as it grows only to a person."""
        now_ns = self._clock.mono_ns()
        if not is_last and (not sys.stderr.isatty() or now_ns - self._told_ns < COUNT_NS):
            return
        self._told_ns = now_ns
        says = f"{self._pieces} chunks, {self._bytes} bytes in {(now_ns - self._began_ns) / NS_PER_S:.1f} s"
        if self._talk is not None:
            says += f"; {self._talk[1].standing.says}"
        begin, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "")
        print(f"{begin}{says}", end="\n" if is_last else end, file=sys.stderr, flush=True)

    def _keep(self, chunk: Chunk) -> None:
        self._pieces += 1
        self._bytes += len(chunk.data)
        t_s = (chunk.at.mono_ns - self._began_ns) / NS_PER_S
        self._output.write(line_from_piece(Piece(t_s, chunk.data)))
        self._output.flush()

    def _answer(self, chunk: Chunk | None) -> None:
        if self._talk is None:
            return
        decoder, conversation = self._talk
        now_ns = self._clock.mono_ns()
        if chunk is not None:
            self._is_idle, self._heard_ns = False, now_ns
            self._send(conversation.heard(decoder.feed(chunk.data), now_ns))
        elif not self._is_idle and now_ns - self._heard_ns >= SILENT_NS:
            self._is_idle = True
            self._send(conversation.heard(decoder.idle(), now_ns))
        self._send(conversation.tick(now_ns))

    def _send(self, data: bytes) -> None:
        if data:
            self._port.write(data)
        baud = self._talk[1].baud if self._talk is not None else None
        if baud is not None and baud != self._port.baud:
            self._port.flush()
            self._port.set_baud(baud)


@contextmanager
def _opened(file: str, *, force: bool) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdout
        return
    try:
        with Path(file).open("w" if force else "x", encoding="ascii") as output:
            yield output
    except FileExistsError:
        _refuse_to_overwrite(file, force=force)
    except OSError as error:
        raise UsageError(f"{file}: can't be written: {error.strerror}. What is in it so far is good.") from error


def _refuse_to_overwrite(file: str, *, force: bool) -> None:
    if file != "-" and not force and Path(file).exists():
        raise UsageError(f"{file}: is there already. Choose another name, or overwrite it with --force.")
