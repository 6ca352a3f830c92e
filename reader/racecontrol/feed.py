"""A scoring feed in one loop: every split of an event, once for each of its revisions, as long as the race goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from reader.clock import SystemClock
from reader.config import MqttSettings
from reader.config.reading import Reading
from reader.errors import UsageError
from reader.racecontrol.collector import Collector
from reader.racecontrol.store import Store
from reader.racecontrol.taken import Entry, entry_from

log = logging.getLogger(__name__)

POLL_S = 0.1


def follow(
    event: str,
    host: str = "127.0.0.1",
    port: int = 1883,
    *,
    db: str | Path | None = None,
    name: str | None = None,
    with_test: bool = False,
    **mqtt: object,
) -> Iterator[Entry]:
    """The splits of all mats of ``event``, for ever: the race so far, and then each as it comes.

    Doubles are removed, gaps filled by asking the mats; the revisions of a passing come in rising order, and one that
    is behind a higher one does not come at all. ``db``: a file of its own, so that a new start need not ask the mats
    for the race so far; without it, memory. ``name``: acknowledge under it what is in that file, for mats that wait
    for this collector. ``with_test``: the splits of mode test too. ``mqtt``: other keys, as in `[mqtt]` of mat.toml.

    A broker that can't be reached is tried for ever; what is wrong is logged as a warning, which stands on standard
    error where no logging is set up. UsageError for arguments that can't be, JournalError for the file.
    """
    if name is not None and db is None:
        raise UsageError("name: found without db, expected both: only what is on disk is acknowledged")
    given = {"host": host, "port": port} | {key: _as_in_a_file(value) for key, value in mqtt.items()}
    reading = Reading(Path.cwd(), {})
    settings = reading.table(MqttSettings, given)
    if reading.problems:
        raise UsageError("\n".join(reading.problems))
    return _splits(settings, event, None if db is None else Path(db), name, with_test=with_test)


def _as_in_a_file(value: object) -> object:
    """As mat.toml would have it: paths are text, tuples are lists."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _splits(
    settings: MqttSettings, event: str, db: Path | None, name: str | None, *, with_test: bool
) -> Iterator[Entry]:
    store = Store(db, event)
    try:
        collector = Collector(settings, SystemClock(), store, event, name)
        try:
            for body in store.splits():
                yield from _wanted(entry_from(store.where, body.encode())[0], with_test=with_test)
            told = collector.trouble  # not connected yet: nobody has tried
            while True:
                for one in collector.turn(POLL_S):
                    yield from _wanted(one.split, with_test=with_test)
                told = _tell(collector, told)
        finally:
            collector.finish()
    finally:
        store.close()


def _tell(collector: Collector, told: str) -> str:
    """Log what is wrong, once; the trouble that there is now."""
    says = collector.says
    while says:
        log.warning(says.popleft())
    trouble = collector.disk_trouble or collector.trouble
    if trouble and trouble != told:
        log.warning("%s; trying again", trouble)
    return trouble


def _wanted(split: Entry, *, with_test: bool) -> Iterator[Entry]:
    if with_test or split.mode != "test":
        yield split
