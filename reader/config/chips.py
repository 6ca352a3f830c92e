"""The chip file: which bib each chip belongs to, and what else a list of chips says."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from reader.config.files import read_text
from reader.config.settings import CHIP_PATTERN
from reader.errors import ConfigError

SHOWN = 10  # as many bad rows as a person reads before looking at the file
SEPARATORS = ",;\t"  # a spreadsheet writes what its country is used to


class ChipRow(NamedTuple):
    """A chip in upper-case hex, its bib, and the row's other cells by the lower-case name of their column."""

    chip: str
    bib: str
    more: dict[str, str]


def load_chips(path: Path) -> dict[str, str]:
    """Bib by chip, the chip in upper-case hex. CSV ``chip,bib``; with a header, in any order and among others.

    Several chips for a bib are normal; two bibs for a chip are not. ConfigError names the bad lines: the
    first ten, and how many more.
    """
    return {row.chip: row.bib for row in read_chip_rows(path)}


def read_chip_rows(
    path: Path, columns: Sequence[str] = ("chip", "bib"), fault: Callable[[ChipRow], str | None] = lambda _: None
) -> list[ChipRow]:
    """The rows of a list of chips, whose ``columns`` stand in that order where there is no header.

    ``fault``: what is wrong with a row beyond its chip and bib, in words, or None. ConfigError as for a chip file.
    """
    lines = read_text(path).splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    rows = csv.reader(lines, strict=True, delimiter=max(SEPARATORS, key=first.count))
    bibs: dict[str, str] = {}
    taken: list[ChipRow] = []
    problems: list[str] = []
    names: list[str] | None = None
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if names is None:
                names = [cell.lower() for cell in cells]
                if "chip" in names and "bib" in names:
                    continue
                if "chip" in names or "bib" in names:
                    header = ",".join(cells)[:60]
                    says = f'line {rows.line_num}: found the header "{header}", expected chip and bib in it'
                    raise ConfigError(str(path), [says])
                names = list(columns)
            found = _row_from(cells, names, bibs)
            problem = found if isinstance(found, str) else fault(found)
            if problem:
                problems.append(f"line {rows.line_num}: {problem}")
            elif isinstance(found, ChipRow):
                taken.append(found)
    except csv.Error as error:
        problems.append(f"line {rows.line_num}: not CSV: {error}")
    if problems:
        more = len(problems) - SHOWN
        raise ConfigError(str(path), problems[:SHOWN] + ([f"and {more} more"] if more > 0 else []))
    return taken


def _row_from(cells: list[str], names: list[str], bibs: dict[str, str]) -> ChipRow | str:
    """A row, or what is wrong with it. ``bibs``: by chip, of the rows before; this one is added."""
    more = dict(zip(names, cells, strict=False))
    if not {"chip", "bib"} <= more.keys():
        return f'found "{",".join(cells)[:60]}", expected chip,bib with a comma between'
    chip, bib = more.pop("chip").upper(), more.pop("bib")
    if not re.match(CHIP_PATTERN, chip):
        return f'found chip "{chip[:60]}", expected hexadecimal digits, an even number of them'
    if not bib or not bib.isprintable() or len(bib) > 32:
        return f'found bib "{bib[:60]}", expected 1 to 32 characters'
    if bibs.setdefault(chip, bib) != bib:
        return f'found chip {chip} with bib "{bib}", but it has bib "{bibs[chip]}" already, expected one bib for a chip'
    return ChipRow(chip, bib, more)
