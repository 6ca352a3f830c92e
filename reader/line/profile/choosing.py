"""Which of the profiles there are is the right one for a reader, the law of the place and what the mat is for: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reader.line.profile.files import Loaded
from reader.line.profile.law import LIMITS, Limit
from reader.model import Use

# Where each law holds, for people; one that is missing here is told by its rule alone.
WHERE = {"fcc": "United States, Canada", "etsi": "Europe"}
STARTS = frozenset({"start", "start-finish"})  # a crowd stands on the mat


def law_of(loaded: Loaded) -> str | None:
    """The law whose region a profile sets, in a word: ``fcc``, ``etsi``, …; None where it sets none that is known."""
    limit = _limit_of(loaded)
    return None if limit is None else limit.rule.split()[0].strip(",").lower()


def laws_of(profiles: Iterable[Loaded]) -> dict[str, str]:
    """The laws for which there is a profile among these, and each in words."""
    found: dict[str, str] = {}
    for loaded in profiles:
        law, limit = law_of(loaded), _limit_of(loaded)
        if law is not None and limit is not None:
            where = f"{WHERE[law]}: " if law in WHERE else ""
            found.setdefault(law, f"{where}{limit.low_mhz:g} to {limit.high_mhz:g} MHz ({limit.rule})")
    return found


def fitting(profiles: Iterable[Loaded], law: str, use: Use, antennas: Sequence[int]) -> list[Loaded]:
    """Those of one family that fit law and use: one, where nothing has to be guessed.

    ``antennas``: the ports that the reader has, from 1, empty where it does not say; profiles for just these go first.
    """
    lawful = [loaded for loaded in profiles if law_of(loaded) == law and _suits(loaded, use)]
    return [loaded for loaded in lawful if ports_of(loaded) == tuple(sorted(antennas))] or lawful


def ports_of(loaded: Loaded) -> tuple[int, ...]:
    """The ports whose antennas a profile uses, from 1, in order."""
    return tuple(sorted(antenna.port for antenna in loaded.profile.antennas))


def _limit_of(loaded: Loaded) -> Limit | None:
    profile = loaded.profile
    return None if profile.region is None else LIMITS.get((profile.family, profile.region))


def _suits(loaded: Loaded, use: Use) -> bool:
    meant = loaded.profile.use
    return meant in (None, "any") or (meant == "start") == (use in STARTS)
