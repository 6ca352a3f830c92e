"""One process that times until it is told to stop: for `timing-mat run`, and for tests with a clock of their own."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from reader.clock import Clock, SystemClock
from reader.config import Config
from reader.daemon import Daemon
from reader.signals import stopping_at

SWITCH_INTERVAL_S = 0.0005  # a thread at work must not hold up the one that stamps: measured 10 ms against 1.3

log = logging.getLogger("timing-mat")


def serve(config: Config, *, clock: Clock | None = None, config_trouble: str = "") -> None:
    """Time until told to stop (SIGTERM, SIGINT). JournalInUse if another daemon has the journal.

    ``config_trouble``: what is wrong with the file that should have been used, for the status.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with stopping_at(signal.SIGTERM, signal.SIGINT) as stopping:
        if clock is None:
            clock = watched = SystemClock()
            threading.Thread(target=watched.watch, args=(stopping, _note_step), name="clock", daemon=True).start()
        try:
            while not stopping.is_set():
                daemon = Daemon(config, clock, config_trouble)
                daemon.start()
                try:
                    daemon.watch(stopping)
                finally:
                    daemon.stop()
        finally:
            stopping.set()


def _note_step() -> None:
    log.warning("clock: UTC was set; what was told before is told again when it has been good for 30 s")
