"""Chips that cross, as an IPICO reader tells it on a line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tests.daemon import Line
from tests.ipico import record


def cross(line: Line, chips: Iterable[str]) -> None:
    """One read of each, now."""
    for chip in chips:
        line.write(record(chip, datetime.now(UTC)))
