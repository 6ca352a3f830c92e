"""Words for people that depend on what is counted."""

from __future__ import annotations


def counted(count: int, one: str) -> str:
    """How many of what: "0 entries", "1 entry", "2 days". ``one``: the word for one of them."""
    if count == 1:
        return f"1 {one}"
    is_changed = one.endswith("y") and one[-2] not in "aeiou"
    return f"{count} {one[:-1]}ies" if is_changed else f"{count} {one}s"
