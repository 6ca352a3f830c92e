"""The crossings of one timing point: made up, or read from a file."""

from __future__ import annotations

import csv
import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import TextIO, cast

import msgspec

from reader.errors import UsageError
from reader.model import NS_PER_S

# When each tenth of the field had finished, as a share of the time from the first finisher to the last:
# Chicago Marathon 2023, 47,994 published finish times.
FINISH_DECILES = (0.0, 0.186, 0.250, 0.307, 0.362, 0.415, 0.478, 0.543, 0.616, 0.717, 1.0)
HAND_IN_HAND = 0.05
NUMBER_COLUMNS = ("runner", "bib")


class Crossing(msgspec.Struct, frozen=True, gc=False):
    """One chip going over the mat once. ``at_ns``: UTC, when it is over the middle of the mat."""

    chip: str  # upper-case hex
    at_ns: int
    speed_m_s: float


def made_race(
    runners: int, duration_s: float, begins_ns: int, chip_from_number: Callable[[int], str], seed: int
) -> Iterator[Crossing]:
    """Runners 1…n in order of crossing, spread over ``duration_s`` from ``begins_ns`` (UTC) as a marathon's finish is.

    One in twenty crosses hand in hand with another: two chips at the identical instant, at one speed.
    """
    rng = random.Random(seed)  # noqa: S311 - a race, not a secret
    number, share = 0, 0.0
    while number < runners:
        # The next of n uniform draws in rising order, without drawing all of them first.
        share = 1.0 - (1.0 - share) * rng.random() ** (1.0 / (runners - number))
        at_ns = begins_ns + int(_finish_share(share) * duration_s * NS_PER_S)
        speed = _drawn_speed_m_s(rng)
        # A pair is two runners: half as many pairs, and twice as likely for each arrival that is left.
        together = 2 if rng.random() < HAND_IN_HAND / (2 - HAND_IN_HAND) else 1
        for _ in range(min(together, runners - number)):
            number += 1
            yield Crossing(chip_from_number(number), at_ns, speed)


def race_from_file(
    path: Path,
    point: str,
    day: date,
    chip_from_number: Callable[[int], str],
    chip_from_text: Callable[[str], str],
    seed: int,
    *,
    spread: bool = True,
) -> list[Crossing]:
    """The crossings of column ``point`` of a CSV file (plain or .gz), in order of time.

    A cell holds seconds of ``day`` (UTC; decimals allowed) or a date and time (RFC 3339; UTC where it
    says no zone); an empty one is a runner who did not cross. The chip is in column ``chip`` (hex), or
    made from the number in ``runner`` or ``bib``. A time of whole seconds is put at a random moment of
    that second, unless ``spread`` is false. UsageError names the file, line and column of what is wrong.
    """
    rng = random.Random(seed)  # noqa: S311 - a race, not a secret
    try:
        with _opened(path) as file:
            crossings = list(
                _crossings(csv.reader(file), path, point, day, chip_from_number, chip_from_text, rng, spread)
            )
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} can't be read: {error}. Expected a CSV file, plain or .gz.") from error
    if not crossings:
        raise UsageError(f"{path}: column '{point}' has no times. Choose another --point.")
    return sorted(crossings, key=lambda crossing: crossing.at_ns)


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _crossings(
    rows: Iterator[list[str]],
    path: Path,
    point: str,
    day: date,
    chip_from_number: Callable[[int], str],
    chip_from_text: Callable[[str], str],
    rng: random.Random,
    spread: bool,
) -> Iterator[Crossing]:
    header = next(rows, [])
    if point not in header:
        raise UsageError(
            f"{path} has no column '{point}'; it has: {', '.join(header) or 'nothing'}. Choose by --point."
        )
    who = next((name for name in ("chip", *NUMBER_COLUMNS) if name in header), None)
    if who is None:
        raise UsageError(
            f"{path} says no chips: expected a column 'chip', 'runner' or 'bib'; it has: {', '.join(header)}."
        )
    time_at, who_at = header.index(point), header.index(who)
    midnight_ns = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * NS_PER_S
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise UsageError(f"{path}, line {line}: {len(row)} columns; expected {len(header)}, as in the first line.")
        text = row[time_at].strip()
        if not text:
            continue
        try:
            at_ns = _utc_ns_from_text(text, midnight_ns)
        except ValueError as error:
            raise UsageError(
                f"{path}, line {line}, column '{point}': '{text}' is not a time. "
                "Expected seconds of the day (39426 or 39426.25) or a date and time (2023-10-08T10:57:06Z)."
            ) from error
        if spread and "." not in text:
            at_ns += rng.randrange(NS_PER_S)
        try:
            chip = chip_from_text(row[who_at]) if who == "chip" else chip_from_number(int(row[who_at]))
        except ValueError as error:
            raise UsageError(f"{path}, line {line}, column '{who}': '{row[who_at]}': {error}.") from error
        yield Crossing(chip, at_ns, _drawn_speed_m_s(rng))


def _utc_ns_from_text(text: str, midnight_ns: int) -> int:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        moment = datetime.fromisoformat(text)
        whole = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        return whole * NS_PER_S + moment.microsecond * 1000
    if not (seconds.is_finite() and 0 <= seconds < 2 * 86_400):  # a race may run past midnight
        raise ValueError(text)
    return midnight_ns + int(seconds * NS_PER_S)


def _finish_share(share_of_field: float) -> float:
    tenth = min(int(share_of_field * 10), 9)
    before, after = list(pairwise(FINISH_DECILES))[tenth]
    return before + (share_of_field * 10 - tenth) * (after - before)


def _drawn_speed_m_s(rng: random.Random) -> float:
    """Over the mat: walkers 1.2 to 1.8 m/s, runners around 3, one in a hundred in a wheelchair up to 9."""
    kind = rng.random()
    if kind < 0.01:
        return rng.uniform(5.0, 9.0)
    if kind < 0.16:
        return rng.uniform(1.2, 1.8)
    return min(max(rng.gauss(3.0, 0.6), 1.8), 6.0)
