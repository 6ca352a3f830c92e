"""The chip file: which bib each chip belongs to."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from reader.config.files import read_text
from reader.config.settings import CHIP_PATTERN
from reader.errors import ConfigError

SHOWN = 10  # as many bad rows as a person reads before looking at the file


def load_chips(path: Path) -> dict[str, str]:
    """Bib by chip, the chip in upper-case hex. CSV ``chip,bib``; with a header, in any order and among others.

    Several chips for a bib are normal; two bibs for a chip are not. ConfigError names the bad lines: the
    first ten, and how many more.
    """
    rows = csv.reader(read_text(path).splitlines(keepends=True), strict=True)
    bibs: dict[str, str] = {}
    problems: list[str] = []
    columns: tuple[int, int] | None = None
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if columns is None:
                names = [cell.lower() for cell in cells]
                has_header = "chip" in names and "bib" in names
                columns = (names.index("chip"), names.index("bib")) if has_header else (0, 1)
                if has_header:
                    continue
            problem = _take(cells, columns, bibs)
            if problem:
                problems.append(f"line {rows.line_num}: {problem}")
    except csv.Error as error:
        problems.append(f"line {rows.line_num}: not CSV: {error}")
    if problems:
        more = len(problems) - SHOWN
        raise ConfigError(str(path), problems[:SHOWN] + ([f"and {more} more"] if more > 0 else []))
    return bibs


def _take(cells: list[str], columns: tuple[int, int], bibs: dict[str, str]) -> str | None:
    """Adds a row, or says what is wrong with it."""
    if len(cells) <= max(columns):
        return f'found "{",".join(cells)[:60]}", expected chip,bib with a comma between'
    chip, bib = cells[columns[0]].upper(), cells[columns[1]]
    if not re.match(CHIP_PATTERN, chip):
        return f'found chip "{chip[:60]}", expected hexadecimal digits, an even number of them'
    if not bib or not bib.isprintable() or len(bib) > 32:
        return f'found bib "{bib[:60]}", expected 1 to 32 characters'
    if bibs.setdefault(chip, bib) != bib:
        return f'found chip {chip} with bib "{bib}", but it has bib "{bibs[chip]}" already, expected one bib for a chip'
    return None
