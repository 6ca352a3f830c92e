"""What is counted, in words."""

from __future__ import annotations

import pytest

from reader.wording import counted


@pytest.mark.parametrize(
    ("count", "one", "says"),
    [
        (0, "entry", "0 entries"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
        (1, "passing", "1 passing"),
        (2, "day", "2 days"),
        (48_000, "passing", "48000 passings"),
    ],
)
def test_one_is_not_many(count: int, one: str, says: str) -> None:
    assert counted(count, one) == says
