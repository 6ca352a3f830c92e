"""A program is told to stop, at any moment."""

from __future__ import annotations

import os
import signal

import pytest

from reader.signals import stopping_at
from tests.waiting import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_waiting_for_it_is_no_deadlock(number: signal.Signals) -> None:
    def give_up(*_: object) -> None:
        raise AssertionError("it waits for itself")

    before, was = signal.getsignal(number), signal.signal(signal.SIGALRM, give_up)
    signal.alarm(5)
    try:
        with stopping_at(number) as stopping:
            with stopping._cond:  # type: ignore[attr-defined] # as wait() holds it for an instant
                os.kill(os.getpid(), number)
            wait_until(stopping.is_set, 5, "the event")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, was)
    assert signal.getsignal(number) == before
