"""The crossings as a CSV file, for a spreadsheet or a program that reads nothing else; kept up while the race goes on.

The whole file is written beside it and renamed, so that whoever opens it finds every crossing once, as it is known by
then, and no torn line, whatever ends this program when. Appending would be less work, but a crossing's time changes,
and every reader of the file would have to find the last word on each. It is written in slices between other work, and
so seldom that it takes a small share of the time however long it has become.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from reader.clock import Clock, rfc3339_from_utc_ns
from reader.model import NS_PER_S

EVERY_NS = 5 * NS_PER_S
SHARE = 20  # it waits so many times as long as the last writing took
SLICE = 2_000  # rows: some milliseconds
COLUMNS = "event point bib chip nth time time_error_ms role mat passing passings".split()
_CROSSINGS = """
    SELECT event, point, bib, chip, nth, utc_us, time_error_ms, role, mat, passing, passings
    FROM crossing ORDER BY point, utc_us, n
"""


class CrossingsFile:
    """``path``: the file, or a folder, for `crossings.csv` in it. ``trouble``: why it could not be written, or ""."""

    def __init__(self, path: Path, db: Path, clock: Clock) -> None:
        self.path = path / "crossings.csv" if path.is_dir() else path
        self.trouble = ""
        self._db = db
        self._clock = clock
        self._has_changed = True
        self._due_ns = 0
        self._writing: Iterator[None] | None = None
        self._busy_ns = 0

    def note_change(self) -> None:
        """The crossings are not those in the file any more."""
        self._has_changed = True

    def turn(self) -> None:
        """Write a slice, where there is something to write and it is time; never raises."""
        began_ns = self._clock.mono_ns()
        if self._writing is None:
            if not self._has_changed or began_ns < self._due_ns:
                return
            self._has_changed = False
            self._busy_ns = 0
            self._writing = self._write()
        try:
            next(self._writing)
        except StopIteration:
            self.trouble = ""
        except (OSError, sqlite3.Error) as error:
            self.trouble = f"{self.path}: {error}"
            self._has_changed = True
        else:
            self._busy_ns += self._clock.mono_ns() - began_ns
            return
        self._writing = None
        self._due_ns = self._clock.mono_ns() + max(EVERY_NS, SHARE * self._busy_ns)

    def finish(self) -> None:
        """Write what has changed, all of it, now."""
        self._due_ns = 0
        while self._writing is not None or (self._has_changed and not self.trouble):
            self.turn()
            self._due_ns = 0

    def _write(self) -> Iterator[None]:
        beside = self.path.with_name(f".{self.path.name}.new")
        uri = f"file:{quote(str(self._db.absolute()))}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True)) as connection,
            beside.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            rows = connection.execute(_CROSSINGS)
            while slice_ := rows.fetchmany(SLICE):
                writer.writerows(_cells(*row) for row in slice_)
                yield
        beside.replace(self.path)


def _cells(
    event: str,
    point: str,
    bib: str | None,
    chip: str,
    nth: int,
    utc_us: int,
    time_error_ms: float | None,
    role: str,
    mat: str,
    passing: str,
    passings: str,
) -> tuple[object, ...]:
    time = rfc3339_from_utc_ns(utc_us * 1000)
    return (event, point, bib, chip, nth, time, time_error_ms, role, mat, passing, " ".join(json.loads(passings)))
