"""Told to stop, by Ctrl-C or by whoever started the program: an event that is set then."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping_at(*numbers: signal.Signals) -> Iterator[threading.Event]:
    """Set at these signals, by a thread that waits for them; afterwards they do what they did before.

    A signal comes in the middle of whatever the main thread does: in the middle of waiting for the event, to set it
    would be to wait for oneself, for ever. What is put into a simple queue needs no lock.
    """
    stopping = threading.Event()
    came: queue.SimpleQueue[None] = queue.SimpleQueue()

    def note(_number: int, _frame: FrameType | None) -> None:
        came.put(None)

    def wait() -> None:
        came.get()
        stopping.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came.put(None)  # lets the thread go
