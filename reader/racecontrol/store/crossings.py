"""Passings at their highest revision, and the crossings that they make: the SQL of it, within a transaction.

A commit brings a thousand splits: they are looked up, written and joined all together, never one by one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, NamedTuple

from reader.racecontrol.joining import Passing, join
from reader.racecontrol.taken import Entry

TOUCHED = "CREATE TEMP TABLE touched (event, point, runner, PRIMARY KEY (event, point, runner))"
_PASSING = (
    "INSERT OR REPLACE INTO passing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_KNOWN = """
    SELECT passing, rev, event, point, runner FROM passing WHERE passing IN (SELECT value FROM json_each(?))
"""
# CROSS JOIN keeps the order: those few, each looked up, instead of a walk through all passings.
_TOUCHED = """
    SELECT event, point, runner, passing, utc_us, mat, box, line, role, chip, after_restart, mode, time_error_ms
    FROM touched CROSS JOIN passing USING (event, point, runner) ORDER BY event, point, runner
"""
_CROSSING = """
    INSERT INTO crossing (event, point, runner, nth, bib, chip, utc_us, time_error_ms, role, mat, passing, passings)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (event, point, runner, nth) DO UPDATE SET bib = excluded.bib, chip = excluded.chip,
        utc_us = excluded.utc_us, time_error_ms = excluded.time_error_ms, role = excluded.role, mat = excluded.mat,
        passing = excluded.passing, passings = excluded.passings
    WHERE (chip, utc_us, role, mat, passing, passings) <>
        (excluded.chip, excluded.utc_us, excluded.role, excluded.mat, excluded.passing, excluded.passings)
        OR time_error_ms IS NOT excluded.time_error_ms
"""
_SURPLUS = "DELETE FROM crossing WHERE event = ? AND point = ? AND runner = ? AND nth > ?"
_UNNAMED = "SELECT DISTINCT event, point, runner FROM passing WHERE bib IS NULL AND chip = ?"
_NAME = "UPDATE passing SET bib = ?, runner = ? WHERE bib IS NULL AND chip = ?"


class News(NamedTuple):
    """A split that is on disk now, and the highest revision of its passing; ``is_first``: nothing was known of it."""

    split: Entry
    body: str
    is_first: bool


def take_passings(connection: sqlite3.Connection, entries: list[tuple[Entry, str]]) -> list[News]:
    """Write what is the highest revision of its passing by now, and join; what that was."""
    highest: dict[str, tuple[Entry, str]] = {}
    for one in entries:
        split = one[0]
        if split.passing and (split.passing not in highest or highest[split.passing][0].rev < split.rev):
            highest[split.passing] = one
    if not highest:
        return []
    known = {row[0]: row[1:] for row in _rows(connection, _KNOWN, (json.dumps(list(highest)),))}
    news = [
        News(split, body, passing not in known)
        for passing, (split, body) in highest.items()
        if passing not in known or known[passing][0] < split.rev
    ]
    connection.executemany(_PASSING, (_passing_row(one.split) for one in news))
    touched = [(one.split.event, one.split.point, runner_of(one.split.chip, one.split.bib)) for one in news]
    _join(connection, [*touched, *(known[one.split.passing][1:] for one in news if not one.is_first)])
    return news


def _join(connection: sqlite3.Connection, touched: Iterable[tuple[Any, ...]]) -> None:
    """Make the crossings of these (event, point, runner) what their passings are now."""
    execute, executemany = connection.execute, connection.executemany
    executemany("INSERT OR IGNORE INTO touched VALUES (?, ?, ?)", touched)
    counts = dict.fromkeys(_rows(connection, "SELECT event, point, runner FROM touched"), 0)
    crossings: list[tuple[object, ...]] = []
    for key, rows in groupby(_rows(connection, _TOUCHED), key=_of_runner):
        racing = [row for row in rows if row[11] != "test"]
        errors = {row[3]: row[12] for row in racing}
        for crossing in join(Passing(*row[3:11]) for row in racing):
            counts[key] += 1
            counts_for, ids = crossing.counts, [one.passing for one in crossing.passings]
            crossings.append(
                (
                    *key,
                    counts[key],
                    _bib_of(key[2]),
                    counts_for.chip,
                    counts_for.utc_us,
                    errors[counts_for.passing],
                    counts_for.role,
                    counts_for.mat,
                    counts_for.passing,
                    json.dumps(ids),
                )
            )
    executemany(_CROSSING, crossings)
    executemany(_SURPLUS, ((*key, count) for key, count in counts.items()))
    execute("DELETE FROM touched")


def name_runners(connection: sqlite3.Connection, bib_of: Callable[[str], str | None]) -> None:
    """Give the passings that have no bib the bib that their chip has by now."""
    for (chip,) in _rows(connection, "SELECT DISTINCT chip FROM passing WHERE bib IS NULL"):
        if bib := bib_of(chip):
            groups = _rows(connection, _UNNAMED, (chip,))
            connection.execute(_NAME, (bib, runner_of(chip, bib), chip))
            _join(connection, [*groups, *((event, point, runner_of(chip, bib)) for event, point, _ in groups)])


def runner_of(chip: str, bib: str | None) -> str:
    """Whose passing it is: of one bib, else of that chip alone."""
    return f"bib:{bib}" if bib else f"chip:{chip}"


def _bib_of(runner: str) -> str | None:
    return runner.removeprefix("bib:") if runner.startswith("bib:") else None


def _of_runner(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:3]


def _passing_row(split: Entry) -> tuple[object, ...]:
    return (
        split.passing,
        split.rev,
        split.event,
        split.point,
        split.mat,
        split.box,
        split.line,
        split.role,
        split.mode,
        split.use,
        split.chip,
        split.bib,
        runner_of(split.chip, split.bib),
        split.utc_us,
        split.time_error_ms,
        split.spread_ms,
        split.reader_error_ms,
        split.clock.get("synced"),
        split.boot,
        split.lingering,
        split.loiter,
        split.after_restart,
        split.epoch,
        split.seq,
    )


def _rows(connection: sqlite3.Connection, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
    return connection.execute(query, parameters).fetchall()
