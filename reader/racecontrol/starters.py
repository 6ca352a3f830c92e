"""The starters' file: who is on the list, with which chips, and what is known of their start.

CSV ``chip,bib,status``, with a header in any order and among other columns; as a spreadsheet writes it: comma,
semicolon or tab, with or without a BOM. Several chips for a bib are normal, a row for each.

======================================  ==================  ==============================================
``status`` in the file                  ``Runner.status``   is taken for
======================================  ==================  ==============================================
started, start, running, finished       ``started``         on the course until seen
empty, or no such column                ``listed``          may have started: on the course once seen on it
dns, not started, did not start         ``not-started``     as ``listed``, but nobody waits for it at the start
withdrawn, dnf, did not finish, dq,     ``out``             not to be waited for anywhere
dsq, disqualified, waived
======================================  ==================  ==============================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from reader.config.chips import ChipRow, read_chip_rows
from reader.errors import ConfigError

Status = Literal["listed", "started", "not-started", "out"]

STATUSES: dict[str, Status] = {
    "": "listed",
    "started": "started",
    "start": "started",
    "running": "started",
    "finished": "started",
    "dns": "not-started",
    "not started": "not-started",
    "did not start": "not-started",
    "withdrawn": "out",
    "dnf": "out",
    "did not finish": "out",
    "dq": "out",
    "dsq": "out",
    "disqualified": "out",
    "waived": "out",
}


class Runner(NamedTuple):
    """Somebody on the list: the bib's chips in upper-case hex."""

    chips: tuple[str, ...]
    status: Status


Starters = dict[str, Runner]
"""By bib."""


def load_starters(path: Path) -> Starters:
    """The list in a file. ConfigError names the file and its bad lines: the first ten, and how many more."""
    statuses: dict[str, Status] = {}

    def fault(row: ChipRow) -> str | None:
        text = " ".join(row.more.get("status", "").lower().split())
        status = STATUSES.get(text)
        if status is None:
            known = ", ".join(word for word in STATUSES if word)
            return f'found status "{text[:60]}", expected one of: {known}; or none'
        before = statuses.setdefault(row.bib, status)
        if "listed" not in (status, before) and status != before:
            return f'found bib "{row.bib}" {status}, but an earlier line says {before}, expected one status for a bib'
        if before == "listed":
            statuses[row.bib] = status  # one of a bib's rows is enough to say it
        return None

    rows = read_chip_rows(path, ("chip", "bib", "status"), fault)
    if not rows:
        raise ConfigError(str(path), ["found no starter, expected a line chip,bib,status for each chip"])
    chips: dict[str, dict[str, None]] = {}
    for row in rows:
        chips.setdefault(row.bib, {})[row.chip] = None
    return {bib: Runner(tuple(its), statuses[bib]) for bib, its in chips.items()}
