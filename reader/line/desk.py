"""A technician's talk with one reader: a script run to its end on a port, without threads, for the commands.

What the daemon does in its port thread for ever, a command does once: say, listen, decode, until the script is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reader.clock import Clock
from reader.errors import ReaderError
from reader.line.port import Port
from reader.line.protocols import Decoder
from reader.line.protocols.asking import Asking, Script, Stuck
from reader.model import NS_PER_S, Event, Reply

T = TypeVar("T")

SILENT_S = 0.05


class Desk:
    """One open port, and the decoder of the family that is on it. ``listen`` is given every event besides."""

    def __init__(
        self, port: Port, decoder: Decoder, clock: Clock, listen: Callable[[Event], None] = lambda _: None
    ) -> None:
        self.port = port
        self._decoder = decoder
        self._clock = clock
        self._listen = listen

    def run(self, script: Script[T]) -> T:
        """What the script returns. ReaderError, in words, where the reader does not go along."""
        asking = Asking(script, self.port.baud)
        try:
            self._say(asking, asking.begin(self._clock.mono_ns()))
            while not asking.is_done:
                due_ns = asking.due_ns
                wait_s = SILENT_S if due_ns is None else (due_ns - self._clock.mono_ns()) / NS_PER_S
                chunk = self.port.read(min(max(wait_s, 0.0), SILENT_S))
                events = self._decoder.feed(chunk.data) if chunk is not None else self._decoder.idle()
                for event in events:
                    self._listen(event)
                    if isinstance(event, Reply):
                        self._say(asking, asking.heard(event, self._clock.mono_ns()))
                self._say(asking, asking.tick(self._clock.mono_ns()))
        except Stuck as stuck:
            raise ReaderError(f"{self.port.name}: {stuck}") from stuck
        return asking.result

    def _say(self, asking: Asking[T], data: bytes) -> None:
        if data:
            self.port.write(data)
        if asking.baud is not None and asking.baud != self.port.baud:
            self.port.flush()
            self.port.set_baud(asking.baud)
