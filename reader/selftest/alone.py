"""The self-test of a box on which no daemon runs: it opens the readers' lines itself, and keeps nothing they say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

import msgspec

from reader.box.assigned import applied
from reader.box.commands import RunSelfTest
from reader.box.identity import box_id
from reader.clock import SystemClock
from reader.config import Config
from reader.errors import TimingMatError
from reader.links import Links
from reader.messages import SelfTest
from reader.model import Hearing, Identity, Reads
from reader.selftest.bench import Bench
from reader.selftest.runner import Doing, Found, plans_named, run
from reader.selftest.standing import LINES
from reader.selftest.table import PLANS
from reader.uplink.visit import publish_selftest

OPENED = "the readers' lines are opened, and a reader that is started transmits; nothing they say is kept"
UNOPENED = "no daemon runs, and the readers were not started, for they would transmit: allow it with --yes"


def run_alone(
    config: Config, asked: RunSelfTest, is_daemon_there: Callable[[], bool]
) -> Generator[Doing | Found | SelfTest, None, None]:
    """What is done and found, and last the report. UsageError: a check that there is not.

    A daemon that begins meanwhile gets its lines: TimingMatError. BrokerError where the report can't be published.
    """
    plans = plans_named(asked.checks, PLANS)
    with _bench(applied(config), asked) as bench, closing(run(plans, bench)) as telling:
        for told in telling:
            if is_daemon_there():
                raise TimingMatError("a daemon has begun meanwhile, and the lines are its own now: ask again")
            yield told
            if isinstance(told, SelfTest) and asked.publish:
                publish_selftest(bench.config.mqtt, bench.identity, bench.clock, msgspec.json.encode(told))


@contextmanager
def _bench(config: Config, asked: RunSelfTest) -> Iterator[Bench]:
    over = threading.Event()
    clock = SystemClock()
    watching = threading.Thread(target=clock.watch, args=(over, lambda: None), name="clock", daemon=True)
    links = Links(config, clock, _forget, lambda: True, {})
    mat = config.mat
    try:
        watching.start()
        if asked.yes:
            links.start()
        yield Bench(
            config=config,
            clock=clock,
            identity=Identity(mat.event, mat.point, mat.id, box_id()),
            mode=None,
            links=links,
            status=None,
            lights=None,
            is_allowed=asked.yes,
            seen=asked.seen,
            chip_wait_s=asked.chip_wait_s,
            missing={} if asked.yes else {LINES: UNOPENED},
        )
    finally:
        over.set()
        if asked.yes:
            links.stop()


def _forget(_heard: Reads | Hearing) -> None:
    """Nothing that is heard in a self-test without a daemon is kept."""
